"""The checker of the rounds finds what it is there to find: each kind of damage is done once to a sound folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

import rrbackup
from tests import store_checker
from tests.chaos_clients import look


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with two commits."""
    base, root = tmp_path / "base", tmp_path / "store"
    base.mkdir()
    config = rrbackup.Config(
        base_path=str(base),
        local_manifest_file=str(tmp_path / "manifest"),
        local_lock_file=str(tmp_path / "lock"),
        directory=rrbackup.DirectorySettings(path=str(root)),
    )
    for content in (b"first", b"second one"):
        (base / "a").write_bytes(content)
        (base / "b").write_bytes(b"b" + content)
        with rrbackup.open_repository(config) as repository:
            repository.backup()
    return root


def versions(root: Path, key: str) -> list[Path]:
    """Oldest first."""
    return sorted((root / key).glob("%v*"))


def lose_a_file(root: Path) -> None:
    versions(root, "files/a")[0].unlink()


def change_a_file(root: Path) -> None:
    versions(root, "files/a")[0].write_bytes(b"FIRST")


def cut_a_file(root: Path) -> None:
    versions(root, "files/a")[0].write_bytes(b"fir")


def lose_a_diff(root: Path) -> None:
    versions(root, "manifest_diffs")[0].unlink()


def change_a_diff(root: Path) -> None:
    first = versions(root, "manifest_diffs")[0]
    first.write_bytes(first.read_bytes().replace(b'"host":"', b'"host":"X'))


def fork(root: Path) -> None:
    first, second = versions(root, "manifest_diffs")
    first.with_name("%v3-00000000").write_bytes(second.read_bytes())


def mark_deleted(root: Path) -> None:
    (root / "files/a/%d9-00000000").write_bytes(b"")


DAMAGE = [lose_a_file, change_a_file, cut_a_file, lose_a_diff, change_a_diff, fork, mark_deleted]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(root: Path, damage: Callable[[Path], None]) -> None:
    assert store_checker.judged(store_checker.from_folder(root, {})).problems == ()
    damage(root)
    assert store_checker.judged(store_checker.from_folder(root, {})).problems != ()


def test_an_orphan_is_found(root: Path) -> None:
    assert store_checker.judged(store_checker.from_folder(root, {})).orphans == set()
    orphan = root / "files/a/%v9-0123abcd"
    orphan.write_bytes(b"nobody's")
    (root / "files/a/%t0123456789abcdef").write_bytes(b"unfinished")
    contents = store_checker.from_folder(root, {})
    assert store_checker.judged(contents).orphans == {("files/a", "9-0123abcd")}
    assert contents.unfinished == ("files/a",)


def test_a_commit_shows_the_tree_that_was_on_disk(root: Path) -> None:
    commits = store_checker.judged(store_checker.from_folder(root, {})).commits
    assert commits[-1].tree == look(root.with_name("base"))
    assert commits[0].tree != commits[-1].tree


def test_a_claim_that_another_replaced_is_told(root: Path) -> None:
    claims = versions(root, "gc_log")
    numbers = {path.name: int(path.name[2:].partition("-")[0]) for path in claims}
    ordered = sorted(claims, key=lambda path: numbers[path.name])
    opened = next(path for path in ordered if b'"state":"open"' in path.read_bytes())
    makers = {path.name[2:]: "A" if numbers[path.name] <= numbers[opened.name] else "B" for path in claims}
    contents = store_checker.from_folder(root, makers)
    assert list(store_checker.superseded(contents)) == ["A"]
    assert store_checker.superseded(store_checker.from_folder(root, dict.fromkeys(makers, "A"))) == {}
