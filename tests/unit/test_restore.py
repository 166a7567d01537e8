"""Restoring below a target: complete files only, and never anything outside."""

import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rrbackup.effects.filesystem import open_source
from rrbackup.effects.restore import Target
from rrbackup.effects.unfinished import Run
from rrbackup.errors import DamagedObject, RRBackupError, SourceError
from rrbackup.pure.attributes import XAttr
from rrbackup.pure.giving import Given, Gives
from rrbackup.pure.model import NOT_RECORDED, Entry, PathText
from rrbackup.pure.names import path_text

MTIME = 1_234_567_890_123_456_789


def put(target: Target, path: str, content: bytes = b"content", mode: int = 0o640) -> None:
    with target.file(PathText(path)) as writer:
        writer.write(content)
        writer.commit(Gives().of(Entry(PathText(path), mode=mode, mtime_ns=MTIME)))


def below(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, links not followed: a file's content, None for anything else."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The target's folder; beside it lies something that must never be touched."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_bytes(b"untouched")
    return tmp_path / "target"


@pytest.fixture(autouse=True)
def _outside_is_untouched(root: Path) -> Iterator[None]:
    yield
    assert below(root.parent / "outside") == {"file": b"untouched"}
    assert sorted(os.listdir(root.parent)) in (["outside", "target"], ["outside"])


@pytest.fixture(autouse=True)
def _unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests look at a target that is still open; of its mark tells integration/test_killed_downloads.py."""
    monkeypatch.setattr(Run, "_mark", lambda run: None)


@pytest.fixture
def target(root: Path) -> Iterator[Target]:
    with Target(root) as opened:
        yield opened


# --- files -------------------------------------------------------------------------------------------------


def test_a_file_gets_content_mode_and_time_and_the_folders_above_it(root: Path, target: Target) -> None:
    put(target, "/a/b/file", b"x" * 100_000)
    seen = (root / "a/b/file").stat()
    assert below(root) == {"a": None, "a/b": None, "a/b/file": b"x" * 100_000}
    assert (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns) == (0o640, MTIME)


def test_chunks_of_any_kind_follow_each_other(root: Path, target: Target) -> None:
    with target.file(PathText("/file")) as writer:
        for chunk in (b"one ", bytearray(b"two "), memoryview(b"xthreex")[1:-1], b""):
            writer.write(chunk)
        writer.commit(Given(0o600, MTIME))
    assert (root / "file").read_bytes() == b"one two three"


def test_an_empty_file_needs_no_write(root: Path, target: Target) -> None:
    put(target, "/empty", b"")
    assert below(root) == {"empty": b""}


@pytest.mark.parametrize(
    "name", [b"line\nfeed", b"back\\slash", b"50%", b"latin-1 \xfc", b"n" * 255, b".uploads", b"-", b"..."]
)
def test_any_name_comes_back(root: Path, target: Target, name: bytes) -> None:
    put(target, path_text(name + b"/" + name))
    assert os.listdir(os.fsencode(root)) == [name]
    assert os.listdir(os.fsencode(root) + b"/" + name) == [name]


def test_without_commit_the_old_file_stays(root: Path, target: Target) -> None:
    put(target, "/file", b"old")
    with target.file(PathText("/file")) as writer:
        writer.write(b"new")
        assert (root / "file").read_bytes() == b"old"
    assert below(root) == {"file": b"old"}


def test_an_exception_on_the_way_leaves_nothing_behind_and_passes(root: Path, target: Target) -> None:
    def restore_half() -> None:
        with target.file(PathText("/file")) as writer:
            writer.write(b"half")
            raise ConnectionError("lost")

    with pytest.raises(ConnectionError, match="lost"):
        restore_half()
    assert below(root) == {}


def test_an_existing_file_is_replaced_even_if_it_is_read_only(root: Path, target: Target) -> None:
    put(target, "/file", b"old", mode=0o400)
    with (root / "file").open("rb") as reader:
        put(target, "/file", b"new")
        assert reader.read() == b"old"
    assert below(root) == {"file": b"new"}


def test_set_id_bits_are_not_given_to_a_file_whose_owner_is_not_restored(root: Path, target: Target) -> None:
    put(target, "/program", mode=0o7755)
    assert stat.S_IMODE((root / "program").stat().st_mode) == 0o1755


@pytest.mark.parametrize("mode", [-2, 0o100644, 1 << 70])
def test_bits_of_a_mode_that_are_no_permissions_are_dropped(root: Path, target: Target, mode: int) -> None:
    put(target, "/file", mode=mode)
    seen = (root / "file").stat()
    assert stat.S_ISREG(seen.st_mode)
    assert stat.S_IMODE(seen.st_mode) == mode & 0o1777


def test_permissions_that_were_not_recorded_are_those_of_a_new_file(root: Path, target: Target) -> None:
    (root / "new").write_bytes(b"")
    with target.file(PathText("/file"), NOT_RECORDED) as writer:
        writer.commit(Given(NOT_RECORDED, 0))
    assert (root / "file").stat().st_mode == (root / "new").stat().st_mode


def test_times_before_1970_come_back(root: Path, target: Target) -> None:
    with target.file(PathText("/file")) as writer:
        writer.commit(Given(0o600, -1_000_000_001))
    assert (root / "file").stat().st_mtime_ns == -1_000_000_001


def test_an_impossible_time_fails_that_file(root: Path, target: Target) -> None:
    with pytest.raises(SourceError, match="/file"), target.file(PathText("/file")) as writer:
        writer.commit(Given(0o600, 1 << 100))
    assert below(root) == {}


def test_a_full_disk_fails_that_file_and_names_it(root: Path, target: Target) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(SourceError, match="cannot write /file: File too large"):
            put(target, "/file", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert below(root) == {}


def test_other_files_are_left_alone(root: Path, target: Target) -> None:
    (root / "kept").write_bytes(b"kept")
    put(target, "/file")
    assert below(root) == {"file": b"content", "kept": b"kept"}


# --- folders and links -------------------------------------------------------------------------------------


def test_an_empty_folder_is_made_and_one_that_exists_is_kept(root: Path, target: Target) -> None:
    put(target, "/a/file")
    target.directory(PathText("/a"))
    target.directory(PathText("/b/c"))
    assert below(root) == {"a": None, "a/file": b"content", "b": None, "b/c": None}


def test_a_folder_keeps_its_time_when_finished_after_its_content(root: Path, target: Target) -> None:
    put(target, "/a/file")
    target.finish_directory(PathText("/a"), Given(0o2550, MTIME))
    seen = (root / "a").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns) == (0o2550, MTIME)


def test_a_link_gets_its_text_and_time_and_replaces_what_was_there(root: Path, target: Target) -> None:
    put(target, "/link", b"was a file")
    target.symlink(PathText("/link"), "../50%25/%FF", Given(0, MTIME))
    target.symlink(PathText("/link"), "../50%25/%FF", Given(0, MTIME))
    assert os.readlink(os.fsencode(root / "link")) == b"../50%/\xff"
    assert (root / "link").lstat().st_mtime_ns == MTIME
    assert os.listdir(root) == ["link"]


@pytest.mark.parametrize("text", ["", "a%00b", "a%zz", "x" * 5000])
def test_a_link_that_cannot_be_made_leaves_nothing_behind(root: Path, target: Target, text: str) -> None:
    with pytest.raises(RRBackupError):
        target.symlink(PathText("/link"), text, Given(0, MTIME))
    assert below(root) == {}


def test_a_link_with_an_impossible_time_leaves_nothing_behind(root: Path, target: Target) -> None:
    with pytest.raises(SourceError, match="/link"):
        target.symlink(PathText("/link"), "anywhere", Given(0, 1 << 100))
    assert below(root) == {}


# --- confined ----------------------------------------------------------------------------------------------

HOSTILE = ["/../outside/file", "/a/../../outside/file", "/%2E%2E/outside/file", "//outside/file", "outside/file"]


@pytest.mark.parametrize("path", [*HOSTILE, "/..%2Foutside%2Ffile", "/.", "/", "/a%00"])
def test_a_hostile_path_is_refused_everywhere(root: Path, target: Target, path: str) -> None:
    hostile = PathText(path)
    with pytest.raises(DamagedObject), target.file(hostile):
        pass
    with pytest.raises(DamagedObject):
        target.directory(hostile)
    with pytest.raises(DamagedObject):
        target.finish_directory(hostile, Given(0o700, MTIME))
    with pytest.raises(DamagedObject):
        target.symlink(hostile, "anywhere", Given(0, MTIME))
    assert below(root) == {}


def test_an_absolute_path_text_stays_below_the_target(root: Path, target: Target) -> None:
    put(target, f"{root.parent}/outside/file", b"inside")
    assert (root / str(root.parent)[1:] / "outside/file").read_bytes() == b"inside"


@pytest.mark.parametrize("to", ["../outside", "folder"])
def test_a_link_on_the_way_is_never_followed(root: Path, target: Target, to: str) -> None:
    (root / "folder").mkdir()
    (root / "link").symlink_to(to)
    with pytest.raises(SourceError, match="cannot write /link/file: a file or a link") as caught:
        put(target, "/link/file")
    with pytest.raises(SourceError, match="/link/sub/deep"):
        target.directory(PathText("/link/sub/deep"))
    with pytest.raises(SourceError, match="/link/link"):
        target.symlink(PathText("/link/link"), "x", Given(0, MTIME))
    assert "Move it away" in caught.value.hint
    assert below(root) == {"folder": None, "link": None}


def test_a_link_in_place_of_a_folder_is_neither_followed_nor_stamped(root: Path, target: Target) -> None:
    (root / "link").symlink_to("../outside")
    before = (root.parent / "outside").stat()
    with pytest.raises(SourceError, match="/link"):
        target.directory(PathText("/link"))
    with pytest.raises(SourceError, match="/link"):
        target.finish_directory(PathText("/link"), Given(0o700, MTIME))
    after = (root.parent / "outside").stat()
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)


@pytest.mark.parametrize("to", ["../outside/file", "../outside/new", "nowhere"])
def test_a_link_in_place_of_a_file_is_replaced_not_followed(root: Path, target: Target, to: str) -> None:
    (root / "file").symlink_to(to)
    put(target, "/file")
    assert not (root / "file").is_symlink()
    assert below(root) == {"file": b"content"}


def test_a_link_from_the_same_backup_does_not_lead_out(root: Path, target: Target) -> None:
    target.symlink(PathText("/exit"), "../outside", Given(0, MTIME))
    with pytest.raises(SourceError, match="/exit/file"):
        put(target, "/exit/file", b"evil")
    assert below(root) == {"exit": None}


# --- in the way --------------------------------------------------------------------------------------------


def test_a_folder_in_place_of_a_file_or_link_is_an_error(root: Path, target: Target) -> None:
    target.directory(PathText("/taken"))
    with pytest.raises(SourceError, match="cannot write /taken: a folder stands in its place"):
        put(target, "/taken")
    with pytest.raises(SourceError, match="cannot write /taken: a folder stands in its place"):
        target.symlink(PathText("/taken"), "x", Given(0, MTIME))
    assert below(root) == {"taken": None}


def test_a_file_in_place_of_a_folder_is_an_error_and_the_rest_goes_on(root: Path, target: Target) -> None:
    put(target, "/taken", b"kept")
    with pytest.raises(SourceError, match="/taken/file"):
        put(target, "/taken/file")
    with pytest.raises(SourceError, match="/taken"):
        target.directory(PathText("/taken"))
    put(target, "/next")
    assert below(root) == {"next": b"content", "taken": b"kept"}


def test_a_name_that_the_file_system_refuses_is_named(root: Path, target: Target) -> None:
    with pytest.raises(SourceError, match="File name too long"):
        put(target, "/" + "n" * 256)
    assert below(root) == {}


# --- the target itself -------------------------------------------------------------------------------------


def test_the_target_is_made_with_its_parents(root: Path) -> None:
    with Target(root / "not" / "yet") as target:
        put(target, "/file")
    assert (root / "not/yet/file").read_bytes() == b"content"


def test_a_target_that_is_a_file_is_an_error(root: Path) -> None:
    root.write_bytes(b"")
    with pytest.raises(SourceError, match=f"cannot restore into {root}"), Target(root):
        pass


def test_many_neighbouring_folders_need_few_descriptors(root: Path, target: Target) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        put(target, f"/{number}/sub/file", b"%d" % number)
    assert len(os.listdir("/proc/self/fd")) <= before + 70
    put(target, "/0/sub/again")
    assert len(below(root)) == 901


def test_leaving_the_target_closes_everything(root: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with Target(root) as target:
        put(target, "/a/b/c")
    assert os.listdir("/proc/self/fd") == before


def test_leaving_the_target_while_others_write_leaves_nothing_unfinished(root: Path) -> None:
    with ExitStack() as others:
        with Target(root) as target:
            writer = others.enter_context(target.file(PathText("/folder/late")))
            writer.write(b"half of it")
        assert [path.name for path in root.rglob("*")] == ["folder"]
        writer.write(b"the other half")
        with pytest.raises(SourceError, match="/folder/late"):
            writer.commit(Given(0o600, MTIME))
    assert [path.name for path in root.rglob("*")] == ["folder"]


def test_nothing_is_begun_in_a_target_that_was_left(root: Path) -> None:
    with Target(root) as target:
        pass
    with ExitStack() as others:
        for _ in range(20):  # one of them gets the number that the target's folder had
            others.callback(os.close, os.open(root.parent / "outside", os.O_RDONLY))
        with pytest.raises(SourceError, match="/late"):
            target.directory(PathText("/late"))


def test_threads_share_a_target(root: Path, target: Target) -> None:
    def restore(worker: int) -> None:
        for number in range(60):
            put(target, f"/{number}/deep/{worker}", b"%d %d" % (number, worker))

    threads = [threading.Thread(target=restore, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = {path: content for path, content in below(root).items() if content is not None}
    assert files == {f"{n}/deep/{w}": b"%d %d" % (n, w) for n in range(60) for w in range(4)}


def test_a_path_longer_than_the_system_takes_is_restored(root: Path, target: Target) -> None:
    name = "n" * 250
    path = f"/{name}" * 20
    put(target, f"{path}/file")
    with open_source(root, PathText(f"{path}/file"), follow_symlinks=False) as file:
        assert file.read(1000) == b"content"


# --- holes, attributes, other names ------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 1000, 4096, 5000, 1 << 20])
def test_blocks_of_zeros_of_a_sparse_file_become_holes_wherever_the_chunks_end(
    root: Path, target: Target, chunk: int
) -> None:
    content = bytes(20_000) + b"x" * 5_000 + bytes(30_000) + b"y" + bytes(50_000)
    if chunk == 1:
        content = bytes(9_000) + b"y" + bytes(100)
    with target.file(PathText("/file"), sparse=True) as writer:
        for start in range(0, len(content), chunk):
            writer.write(content[start : start + chunk])
        writer.commit(Given(0o600, MTIME))
    assert (root / "file").read_bytes() == content
    if chunk >= 4096:
        assert (root / "file").stat().st_blocks * 512 < len(content)


def test_zeros_of_a_file_that_had_no_holes_take_their_place(root: Path, target: Target) -> None:
    put(target, "/file", bytes(1 << 20))
    assert (root / "file").stat().st_blocks * 512 >= 1 << 20


@pytest.mark.parametrize(
    "xattr", [XAttr("no.such kind", "YQ=="), XAttr("user.a", "no base64"), XAttr("user.%00", "YQ==")]
)
def test_an_attribute_that_cannot_be_set_is_named_and_the_file_is_there(
    root: Path, target: Target, xattr: XAttr
) -> None:
    with target.file(PathText("/file")) as writer:
        writer.write(b"content")
        with pytest.raises(SourceError, match=f"/file is restored, but without its attribute {xattr.name}"):
            writer.commit(Given(0o640, MTIME, None, (xattr,)))
    seen = (root / "file").stat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_mtime_ns) == (0o640, MTIME)
    assert below(root) == {"file": b"content"}


def test_a_file_becomes_another_name_of_one_that_is_there(root: Path, target: Target) -> None:
    put(target, "/a/first")
    put(target, "/b/other", b"old")
    assert target.link(PathText("/b/other"), PathText("/a/first"))
    assert target.link(PathText("/b/other"), PathText("/a/first"))
    assert (root / "b/other").stat().st_ino == (root / "a/first").stat().st_ino
    assert below(root) == {"a": None, "a/first": b"content", "b": None, "b/other": b"content"}
    assert not target.link(PathText("/c"), PathText("/nothing"))


def test_a_link_is_no_name_to_join_and_no_file_to_update(root: Path, target: Target) -> None:
    target.symlink(PathText("/l"), "../outside/file", Given(0, MTIME))
    before = (root.parent / "outside/file").stat()
    with pytest.raises(SourceError, match="/l"):
        target.update(PathText("/l"), Given(0o600, 1))
    target.link(PathText("/other"), PathText("/l"))
    assert (root.parent / "outside/file").stat() == before
    assert not (root / "other").is_file() or (root / "other").is_symlink()


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_neither_removed_nor_updated_nor_joined(root: Path, target: Target, path: str) -> None:
    put(target, "/first")
    hostile = PathText(path)
    for act in (
        lambda: target.remove(hostile, folder=False),
        lambda: target.remove(hostile, folder=True),
        lambda: target.update(hostile, Given(0o600, 1)),
        lambda: target.link(hostile, PathText("/first")),
        lambda: target.link(PathText("/second"), hostile),
    ):
        with pytest.raises(DamagedObject):
            act()
    assert below(root) == {"first": b"content"}


def test_nothing_is_removed_through_a_link(root: Path, target: Target) -> None:
    target.symlink(PathText("/l"), "../outside", Given(0, MTIME))
    with pytest.raises(SourceError):
        target.remove(PathText("/l/file"), folder=False)
