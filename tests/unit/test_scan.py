"""The scan: what of a tree is an entry, what a problem, and in which order; and opening what it found."""

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.effects.filesystem import ScanOptions, open_source, scan
from rrbackup.effects.reading import SourceReader
from rrbackup.errors import BasePathMissing, SourceError
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import EntryType, PathText, Problem, ProblemKind
from rrbackup.pure.names import path_order, path_text
from rrbackup.pure.scan import Scanned

FILE, DIRECTORY, SYMLINK = EntryType.FILE, EntryType.DIRECTORY, EntryType.SYMLINK
CYCLE, SPECIAL, UNREADABLE = ProblemKind.CYCLE, ProblemKind.SPECIAL, ProblemKind.UNREADABLE


def options(*ignored: str, follow: bool = True, mounts: bool = True, folders: bool = False) -> ScanOptions:
    return ScanOptions(Filters.of(ignored), follow_symlinks=follow, visit_mountpoints=mounts, all_folders=folders)


def found(base: Path | bytes, given_options: ScanOptions | None = None) -> list[tuple[str, str]]:
    """Paths with what they are: a type or the kind of a problem."""
    return [
        (item.path, item.kind if isinstance(item, Problem) else item.type)
        for item in scan(base, given_options or options())
    ]


def only(base: Path, given_options: ScanOptions | None = None) -> Scanned:
    (item,) = scan(base, given_options or options())
    assert isinstance(item, Scanned)
    return item


def make(base: Path, *paths: str) -> None:
    """Files with their path as content; a path that ends in a slash makes a folder."""
    for path in paths:
        (base / path if path.endswith("/") else (base / path).parent).mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            (base / path).write_text(path)


@contextmanager
def closed(path: Path, mode: int = 0) -> Iterator[None]:
    """With these permissions, and not as root, to whom permissions mean nothing."""
    is_root = os.geteuid() == 0
    path.chmod(mode)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        path.chmod(0o755)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder as a relative path that an ordinary user can reach, too."""
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.fixture
def other_device(tmp_path: Path) -> Iterator[Path]:
    """A folder on another device than `tmp_path`; a link to it stands for a mount point."""
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second device to put a folder on")
    folder = Path(tempfile.mkdtemp(dir=shared_memory))
    yield folder
    shutil.rmtree(folder)


# --- entries -----------------------------------------------------------------------------------------------


def test_a_file_is_described_as_stat_sees_it(tmp_path: Path) -> None:
    make(tmp_path, "file")
    os.utime(tmp_path / "file", ns=(1, 1_234_567_890_123_456_789))
    (tmp_path / "file").chmod(0o4751)
    seen = (tmp_path / "file").stat()
    assert only(tmp_path) == Scanned(
        PathText("/file"), FILE, 4, 1_234_567_890_123_456_789, seen.st_ctime_ns, seen.st_ino, 0o4751
    )


def test_an_empty_folder_is_an_entry_with_its_mode_and_without_a_size(tmp_path: Path) -> None:
    make(tmp_path, "empty/")
    (tmp_path / "empty").chmod(0o1770)
    seen = (tmp_path / "empty").stat()
    assert only(tmp_path) == Scanned(
        PathText("/empty"), DIRECTORY, 0, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, 0o1770
    )


def test_with_all_folders_each_comes_before_what_is_in_it(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c", "a/d/", "a.b/e", "f")
    every = [("/a", DIRECTORY), ("/a/b", DIRECTORY), ("/a/b/c", FILE), ("/a/d", DIRECTORY)]
    assert found(tmp_path, options(folders=True)) == [*every, ("/a.b", DIRECTORY), ("/a.b/e", FILE), ("/f", FILE)]


def test_with_all_folders_one_that_cannot_be_listed_is_a_problem_and_no_entry(here: Path) -> None:
    make(here, "above/closed/a")
    with closed(here / "above/closed"):
        assert found(here, options(folders=True)) == [("/above", DIRECTORY), ("/above/closed", UNREADABLE)]


def test_an_empty_base_has_no_entries(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_folders_come_in_place_right_before_what_would_sort_between(tmp_path: Path) -> None:
    make(tmp_path, "a.b", "a/b/c", "a/b.c", "a b", "a-/x", "b/")
    paths = [path for path, _ in found(tmp_path)]
    assert paths == ["/a/b/c", "/a/b.c", "/a b", "/a-/x", "/a.b", "/b"]


@pytest.mark.parametrize(
    "name",
    [
        b"line\nfeed",
        b"back\\slash",
        b"50%",
        b"latin-1 \xfc",
        "für".encode(),
        b"n" * 255,
        b"a.versions",
        b" ",
        b"-",
        b"\x01\x7f",
    ],
)
def test_any_name_is_found_and_can_be_opened(tmp_path: Path, name: bytes) -> None:
    base = os.fsencode(tmp_path)
    os.mkdir(base + b"/" + name)
    Path(os.fsdecode(base + b"/" + name + b"/" + name)).write_bytes(b"content")
    (item,) = scan(base, options())
    assert item.path == path_text(name + b"/" + name)
    with open_source(base, item.path, follow_symlinks=True) as file:
        assert file.read(100) == b"content"


TREES: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(
        st.text("ab.% -\\ü", min_size=1, max_size=3).filter(lambda name: name not in (".", "..")),
        inner | st.none(),
        max_size=4,
    ),
    max_leaves=12,
)


def build(folder: Path, tree: dict[str, object]) -> None:
    for name, inner in tree.items():
        if isinstance(inner, dict):
            (folder / name).mkdir()
            build(folder / name, inner)
        else:
            (folder / name).touch()


def expected(tree: dict[str, object], above: bytes = b"") -> Iterator[PathText]:
    for name, inner in tree.items():
        path = above + name.encode()
        if isinstance(inner, dict) and inner:
            yield from expected(inner, path + b"/")
        else:
            yield path_text(path)


@settings(max_examples=50, deadline=None)
@given(TREES)
def test_files_and_empty_folders_of_any_tree_are_found_in_order(tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as base:
        build(Path(base), tree)
        assert [path for path, _ in found(Path(base))] == sorted(expected(tree), key=path_order)


# --- ignored, special, unreadable --------------------------------------------------------------------------


def test_ignored_files_and_folders_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "keep", "skip.tmp", "cache/deep/file", "sub/skip.tmp", "sub/keep")
    assert found(tmp_path, options("*.tmp", "/cache")) == [("/keep", FILE), ("/sub/keep", FILE)]


def test_an_ignored_folder_is_not_entered(here: Path) -> None:
    make(here, "secret/file")
    with closed(here / "secret"):
        assert found(here, options("/secret")) == []


def test_a_folder_of_which_everything_is_ignored_counts_as_empty(tmp_path: Path) -> None:
    make(tmp_path, "cache/one", "cache/two")
    assert found(tmp_path, options("/cache/*")) == [("/cache", DIRECTORY)]


def test_pipes_sockets_and_devices_are_reported_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "file", "run/")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path / "run")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    assert found(tmp_path) == [
        ("/device", SPECIAL),
        ("/file", FILE),
        ("/pipe", SPECIAL),
        ("/run", DIRECTORY),
        ("/run/socket", SPECIAL),
    ]


def test_a_folder_that_cannot_be_listed_is_one_problem(here: Path) -> None:
    make(here, "a", "closed/inside", "z")
    with closed(here / "closed"):
        assert found(here) == [("/a", FILE), ("/closed", UNREADABLE), ("/z", FILE)]


def test_what_can_be_listed_but_not_looked_at_is_a_problem_each(here: Path) -> None:
    make(here, "shown/file", "shown/folder/deep")
    with closed(here / "shown", 0o444):
        assert found(here) == [("/shown/file", UNREADABLE), ("/shown/folder", UNREADABLE)]


def test_a_missing_base_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(BasePathMissing, match="gone") as caught:
        found(tmp_path / "gone")
    assert "mounted" in caught.value.hint


def test_a_base_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "file")
    with pytest.raises(BasePathMissing, match="file"):
        found(tmp_path / "file")


def test_a_base_that_cannot_be_read_is_an_error(here: Path) -> None:
    make(here, "closed/file")
    with closed(here / "closed"), pytest.raises(SourceError, match="closed: Permission denied"):
        found(here / "closed")


def test_a_file_deleted_while_its_folder_is_listed_is_simply_gone(tmp_path: Path) -> None:
    class DeletesWhatItSees:
        def matches(self, path: PathText, /) -> bool:
            (tmp_path / path[1:]).unlink()
            return False

    make(tmp_path, "one", "two")
    assert found(tmp_path, ScanOptions(DeletesWhatItSees())) == []


def test_a_folder_that_vanishes_under_the_scan_is_a_problem(tmp_path: Path) -> None:
    make(tmp_path, "a", "folder/file")
    items = scan(tmp_path, options())
    assert next(items).path == "/a"
    (tmp_path / "folder").rename(tmp_path / "elsewhere")
    assert [(item.path, isinstance(item, Problem)) for item in items] == [("/folder", True)]


def test_breaking_off_leaves_no_descriptor_open(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c/d", "a/b/e")
    before = os.listdir("/proc/self/fd")
    items = scan(tmp_path, options())
    next(items)
    assert len(os.listdir("/proc/self/fd")) > len(before)
    del items
    assert os.listdir("/proc/self/fd") == before


# --- links -------------------------------------------------------------------------------------------------


def test_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "outside/folder/file", "base/")
    (tmp_path / "base/to_folder").symlink_to("../outside/folder")
    (tmp_path / "base/to_file").symlink_to("../outside/folder/file")
    assert found(tmp_path / "base") == [("/to_file", FILE), ("/to_folder/file", FILE)]
    with open_source(tmp_path / "base", PathText("/to_file"), follow_symlinks=True) as file:
        assert file.read(100) == b"outside/folder/file"


def test_links_are_entries_of_their_own_where_they_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "folder/file")
    os.symlink(b"50%/\xff", os.fsencode(tmp_path / "dangling"))
    (tmp_path / "to_folder").symlink_to("folder")
    assert found(tmp_path, options(follow=False)) == [
        ("/dangling", SYMLINK),
        ("/folder/file", FILE),
        ("/to_folder", SYMLINK),
    ]
    dangling = next(scan(tmp_path, options(follow=False)))
    assert isinstance(dangling, Scanned)
    assert (dangling.target, dangling.size) == ("50%25/%FF", 0)


def test_a_dangling_link_is_unreadable_where_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    assert found(tmp_path) == [("/dangling", UNREADABLE)]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../a/b"])
def test_a_link_back_to_a_folder_above_is_reported_once(tmp_path: Path, target: str) -> None:
    make(tmp_path, "a/b/file")
    (tmp_path / "a/b/back").symlink_to(target)
    assert found(tmp_path) == [("/a/b/back", CYCLE), ("/a/b/file", FILE)]


def test_a_link_to_a_folder_beside_is_no_cycle(tmp_path: Path) -> None:
    make(tmp_path, "a/b/file", "z/")
    (tmp_path / "z/link").symlink_to("../a/b")
    assert found(tmp_path) == [("/a/b/file", FILE), ("/z/link/file", FILE)]


def test_a_link_to_itself_is_reported_as_a_cycle(tmp_path: Path) -> None:
    (tmp_path / "self").symlink_to("self")
    assert found(tmp_path) == [("/self", CYCLE)]


def test_more_links_on_the_way_than_the_system_follows_in_one_path(tmp_path: Path) -> None:
    for level in range(60):
        (tmp_path / f"{level}").mkdir()
        (tmp_path / f"{level}" / "on").symlink_to(f"../{level + 1}")
    make(tmp_path, "60/file")
    path = PathText("/on" * 60 + "/file")
    assert found(tmp_path / "0") == [(path, FILE)]
    with open_source(tmp_path / "0", path, follow_symlinks=True) as file:
        assert file.read(100) == b"60/file"


def test_a_link_that_takes_a_folders_place_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "outside/secret", "base/a", "base/folder/file")
    items = scan(tmp_path / "base", options(follow=False))
    assert next(items).path == "/a"
    shutil.rmtree(tmp_path / "base/folder")
    (tmp_path / "base/folder").symlink_to("../outside")
    assert [(item.path, isinstance(item, Problem)) for item in items] == [("/folder", True)]
    with pytest.raises(SourceError, match="/folder/secret"):
        open_source(tmp_path / "base", PathText("/folder/secret"), follow_symlinks=False)


# --- mount points ------------------------------------------------------------------------------------------


def test_a_folder_on_another_device_stands_empty_where_mount_points_are_not_visited(
    tmp_path: Path, other_device: Path
) -> None:
    make(other_device, "file")
    (tmp_path / "mounted").symlink_to(other_device)
    assert found(tmp_path, options(mounts=False)) == [("/mounted", DIRECTORY)]


def test_a_folder_on_another_device_is_entered_by_default(tmp_path: Path, other_device: Path) -> None:
    make(other_device, "file")
    (tmp_path / "mounted").symlink_to(other_device)
    assert found(tmp_path) == [("/mounted/file", FILE)]


# --- depth -------------------------------------------------------------------------------------------------

LEVELS = 3000


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """`d/d/d/…/file`, wrapped and unwrapped level by level, because nothing else copes with such a path."""
    top, around = tmp_path / "d", tmp_path / "around"
    make(tmp_path, "d/file")
    for _ in range(LEVELS - 1):
        around.mkdir()
        top.rename(around / "d")
        around.rename(top)
    yield tmp_path
    while (top / "d").exists():
        (top / "d").rename(around)
        top.rmdir()
        around.rename(top)


@pytest.mark.parametrize("follow", [True, False])
def test_neither_depth_nor_the_length_of_a_path_is_limited(deep: Path, follow: bool) -> None:
    path = PathText("/d" * LEVELS + "/file")
    assert found(deep, options(follow=follow)) == [(path, FILE)]
    with open_source(deep, path, follow_symlinks=follow) as file:
        assert file.read(100) == b"d/file"


# --- open_source -------------------------------------------------------------------------------------------


def test_a_pipe_in_place_of_a_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(SourceError, match="/pipe: it is not a file any more"):
        open_source(tmp_path, PathText("/pipe"), follow_symlinks=True)
    assert os.listdir("/proc/self/fd") == before


def test_a_file_whose_server_forgot_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(fd: int) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    make(tmp_path, "file")
    before = os.listdir("/proc/self/fd")
    with open_source(tmp_path, PathText("/file"), follow_symlinks=True) as file:
        reader = SourceReader(file, PathText("/file"), lambda: 0, lambda _: None)
        monkeypatch.setattr("rrbackup.effects.filesystem.os.fstat", stale)
        with pytest.raises(SourceError, match="/file: Stale file handle"):
            _ = reader.stable
    with pytest.raises(SourceError, match="/file: Stale file handle"):
        open_source(tmp_path, PathText("/file"), follow_symlinks=True)
    monkeypatch.undo()
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot open /a%25b: No such file"):
        open_source(tmp_path, PathText("/a%25b"), follow_symlinks=True)


def test_a_link_is_not_opened_where_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "file")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(SourceError, match="/link"):
        open_source(tmp_path, PathText("/link"), follow_symlinks=False)


def test_a_file_that_may_not_be_read_is_named(here: Path) -> None:
    make(here, "mine")
    with closed(here / "mine"), pytest.raises(SourceError, match="/mine: Permission denied"):
        open_source(here, PathText("/mine"), follow_symlinks=True)
