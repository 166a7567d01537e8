"""Descriptors of folders, lent to several at once: each is closed when nobody needs it any more, and not before."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from rrbackup.effects import folders
from rrbackup.effects.folders import FOLDER, Folders, enter_no_link


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner/here").write_text(name)
    return tmp_path


@pytest.fixture(autouse=True)
def few_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_KEPT_OPEN", 2)


def begun(base: Path) -> Folders:
    return Folders(os.open(base, FOLDER), enter_no_link)


def leads_to(fd: int, name: str) -> bool:
    with open(os.open("here", os.O_RDONLY, dir_fd=fd)) as file:
        return file.read() == name


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_folder_that_is_lent_stays_open_while_others_take_its_place(base: Path) -> None:
    with begun(base) as below, below.opened(b"a/inner") as first:
        for name in "bcd":
            with below.opened(f"{name}/inner".encode()) as other:
                assert leads_to(other, name)
        assert leads_to(first, "a")


def test_a_folder_that_is_lent_twice_stays_open_until_both_have_given_it_back(base: Path) -> None:
    with begun(base) as below:
        one, other = below.opened(b"a/inner"), below.opened(b"a/inner")
        assert one.fd == other.fd
        one.give_back()
        one.give_back()  # changes nothing: it was given back before
        for name in "bcd":
            below.opened(f"{name}/inner".encode()).give_back()
        assert leads_to(other.fd, "a")
        other.give_back()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(other.fd)


def test_what_is_lent_outlives_the_end_and_nothing_is_lent_after_it(base: Path) -> None:
    below = begun(base)
    with below.opened(b"a/inner") as fd, below.opened(b"") as root:
        below.close()
        assert leads_to(fd, "a")
        assert sorted(os.listdir(root)) == ["a", "b", "c", "d"]
        with pytest.raises(OSError, match="Bad file descriptor"):
            below.opened(b"a/inner")
    below.close()  # changes nothing


def test_no_descriptor_is_left(base: Path) -> None:
    before = descriptors()
    with begun(base) as below, ExitStack() as stack:
        for name in "abcdabcd":
            stack.enter_context(below.opened(f"{name}/inner".encode()))
            below.opened(name.encode()).give_back()
        with pytest.raises(FileNotFoundError):
            below.opened(b"a/missing")
    assert descriptors() == before
