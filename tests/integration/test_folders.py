"""`store_folders`: every folder has an entry, and comes back with mode and time after what is in it.

What is on disk is compared here with `os` alone, never with rrbackup's own scanner.
"""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rrbackup
from rrbackup import Overwrite, RestoreAct
from rrbackup.pure.names import path_order
from rrbackup.testing import MemoryStore
from tests.recover_store import Recovery
from tests.store_checker import from_folder, judged

NOBODY = 65534
NS = 1_700_000_000_123_456_789
EXAMPLES = max(25, settings().max_examples // 4)

Tree = dict[str, bytes]
"""Content by path; a path that ends in a slash is a folder."""


@frozen
class Seen:
    kind: int
    mode: int
    mtime_ns: int
    content: bytes


def look(base: Path) -> dict[str, Seen]:
    """Everything below, folders with something in them too."""
    return {str(path.relative_to(base)): see(path) for path in base.rglob("*")}


def see(path: Path) -> Seen:
    found = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
    return Seen(stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode), found.st_mtime_ns, content)


def make(base: Path, tree: Tree, modes: tuple[int, ...] = (0o755, 0o700, 0o555, 0o2770), since: int = NS) -> None:
    """Each folder gets one of the modes, and everything a time of its own."""
    base.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = base / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)
    for number, path in enumerate(sorted(base.rglob("*"), reverse=True)):
        if path.is_dir():
            path.chmod(modes[number % len(modes)])
        os.utime(path, ns=(since, since + number))


def clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def config_in(folder: Path, **changes: Any) -> rrbackup.Config:
    return rrbackup.Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=rrbackup.DirectorySettings(path=str(folder / "store")),
        **{"follow_symlinks": False, "store_folders": True, **changes},
    )


@frozen
class World:
    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def target(self) -> Path:
        return self.folder / "target"

    def open(self, **changes: Any) -> rrbackup.Repository:
        return rrbackup.open_repository(config_in(self.folder, **changes), threads=2)

    def paths(self, version: str = "latest") -> list[str]:
        return [entry.path for entry in self.open().list_files(version)]


TREE: Tree = {"a/b/one": b"1", "a/b/two": b"22", "a/empty/": b"", "a.b/three": b"333", "top": b"4444"}
ALL = ["/a", "/a/b", "/a/b/one", "/a/b/two", "/a/empty", "/a.b", "/a.b/three", "/top"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    make(world.base, TREE)
    assert world.open().backup().complete
    return world


# --- what has an entry -------------------------------------------------------------------------------------------


def test_every_folder_has_an_entry_before_what_is_in_it_and_costs_no_upload(world: World) -> None:
    assert world.paths() == ALL
    assert world.open().backup().version_id is None, "nothing has changed"
    os.utime(world.base / "a/b", ns=(NS, NS - 1))
    result = world.open().backup()
    assert (result.uploaded_files, result.counts.changed, result.counts.new, result.counts.deleted) == (0, 1, 0, 0)
    assert [change.entry.path for change in world.open().list_changes()] == ["/a/b"]
    assert judged(from_folder(world.folder / "store", {})).problems == ()


def test_switching_it_on_adds_the_folders_and_off_takes_them_away(world: World) -> None:
    off = world.open(store_folders=False).backup()
    assert (off.uploaded_files, off.counts.deleted, off.counts.new, off.counts.changed) == (0, 3, 0, 0)
    assert world.paths() == ["/a/b/one", "/a/b/two", "/a/empty", "/a.b/three", "/top"]
    on = world.open().backup()
    assert (on.uploaded_files, on.counts.new, on.counts.deleted, on.counts.changed) == (0, 3, 0, 0)
    assert world.paths() == ALL


def test_a_folder_that_fills_or_empties_keeps_its_entry(world: World) -> None:
    (world.base / "a/empty/new").write_bytes(b"new")
    (world.base / "a.b/three").unlink()
    plan = {
        step.change.entry.path: (step.change.status, str(step.reason)) for step in world.open().plan_backup().planned
    }
    assert plan == {
        "/a/empty": ("changed", "mtime changed"),
        "/a.b": ("changed", "mtime changed"),
        "/a.b/three": ("deleted", "gone"),
    }
    world.open().backup()
    assert world.paths() == sorted({*ALL, "/a/empty/new"} - {"/a.b/three"}, key=path_order)


def test_folders_stay_with_what_skip_delete_keeps_in_them(world: World) -> None:
    shutil.rmtree(world.base / "a")
    result = world.open(skip_delete=("/a/b/one",)).backup()
    assert result.counts.deleted == 2, "/a/b/two and /a/empty"
    assert world.paths() == ["/a", "/a/b", "/a/b/one", "/a.b", "/a.b/three", "/top"]


def test_a_folder_that_is_left_out_has_none_even_if_something_in_it_is_taken_in_again(world: World) -> None:
    world.open(ignore_files=("/a",), include_files=("/a/b/one",)).backup()
    assert world.paths() == ["/a/b/one", "/a.b", "/a.b/three", "/top"]


def test_folders_have_owner_and_attributes_where_those_are_asked_for(world: World) -> None:
    os.setxattr(world.base / "a", "user.note", b"yes")
    world.open(store_owner=True, store_xattrs=True).backup()
    (entry,) = [entry for entry in world.open().list_files() if entry.path == "/a"]
    assert entry.extra is not None
    assert entry.extra.owner is not None
    assert [xattr.name for xattr in entry.extra.xattrs] == ["user.note"]
    world.open().download("latest", world.target)
    assert os.getxattr(world.target / "a", "user.note") == b"yes"


# --- looking -----------------------------------------------------------------------------------------------------


def test_what_looks_at_the_history_copes_with_folders_that_hold_something(world: World) -> None:
    os.utime(world.base / "a", ns=(NS, NS - 5))
    world.open().backup()
    repository = world.open()
    assert {found.entry.path for found in repository.find("/a")} == {*ALL} - {"/a.b", "/a.b/three", "/top"}
    assert [str(event.happening) for event in repository.history("/a").events] == ["new", "attributes"]
    first, last = (version.version_id for version in reversed(repository.list_versions()))
    assert [(str(d.kind), d.entry.path) for d in repository.diff(first, last)] == [("changed", "/a")]
    assert repository.stats().commits[-1].version.counts.changed == 1
    assert repository.verify().sound


# --- bringing back -----------------------------------------------------------------------------------------------


PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(
    st.one_of(PATHS, PATHS.map(lambda path: f"{path}/")), st.sampled_from((b"", b"one", b"other")), max_size=6
).map(lambda tree: {path: tree[path] for path in tree if not blocked(path, tree)})


def blocked(path: str, tree: Tree) -> bool:
    """Whether it lies below a file, or is one although something lies below."""
    name = path.rstrip("/")
    above = any(name.startswith(f"{other}/") for other in tree)
    holds = any(other.startswith(f"{name}/") for other in tree)
    return above or (holds and not path.endswith("/"))


@settings(max_examples=EXAMPLES)
@example({"a/b/a": b"one"}, {"a/b/a": b"other", "a/b/b": b"one"}, Overwrite.IF_CHANGED)
@example({"a/b/a": b"one"}, {"a/": b""}, Overwrite.IF_CHANGED)
@example({"a": b"one"}, {"a/b": b"one"}, Overwrite.ALWAYS)
@given(TREES, TREES, st.sampled_from((Overwrite.ALWAYS, Overwrite.IF_CHANGED)))
def test_a_target_that_is_made_equal_has_every_folder_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, commit: Tree, there: Tree, overwrite: Overwrite
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    make(folder / "base", commit or {"a/b": b"one"})
    repository = rrbackup.open_repository(config_in(folder), store=MemoryStore().client(), threads=2)
    repository.backup()
    make(folder / "target", there, (0o750, 0o755), NS + 1000)
    result = repository.download("latest", folder / "target", overwrite=overwrite, delete=True)
    assert result.problems == ()
    assert look(folder / "target") == look(folder / "base")
    again = repository.plan_download("latest", folder / "target", overwrite=Overwrite.IF_CHANGED, delete=True)
    assert set(again.counts()) <= {RestoreAct.LEAVE}
    clear(folder)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"paths": ["/a/b/one"]}, ["a", "a/b", "a/b/one"]),
        ({"paths": ["/a/b"]}, ["a", "a/b", "a/b/one", "a/b/two"]),
        ({"include": ["*/two"]}, ["a", "a/b", "a/b/two"]),
        ({"ignore": ["/a/b", "/a.b"]}, ["a", "a/empty", "top"]),
    ],
)
def test_a_part_brings_the_folders_that_it_lies_in(world: World, options: dict[str, Any], expected: list[str]) -> None:
    assert world.open().download("latest", world.target, **options).complete
    whole = look(world.base)
    assert look(world.target) == {path: whole[path] for path in expected}


def test_folders_around_a_part_stay_as_they_are_where_they_exist(world: World) -> None:
    (world.target / "a").mkdir(parents=True)
    (world.target / "a").chmod(0o711)
    assert [step.path for step in world.open().plan_download("latest", world.target, paths=["/a/b/one"])] == [
        "/a/b",
        "/a/b/one",
    ]
    world.open().download("latest", world.target, paths=["/a/b/one"])
    assert stat.S_IMODE((world.target / "a").stat().st_mode) == 0o711
    assert see(world.target / "a/b") == see(world.base / "a/b")


def test_a_folder_around_a_part_is_no_second_problem_where_a_file_blocks_it(world: World) -> None:
    world.target.mkdir()
    (world.target / "a").write_bytes(b"in the way")
    problems = world.open().download("latest", world.target, paths=["/a/b/one"]).problems
    assert [problem.path for problem in problems] == ["/a/b/one"]


def test_until_it_is_done_only_its_owner_can_enter_a_folder_that_is_restored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrbackup.effects.fetching import Fetcher

    seen: list[int] = []
    whole = Fetcher.content_of

    def watched(*given: Any) -> Iterator[bytes]:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in world.target.rglob("*") if path.is_dir())
        return whole(*given)

    monkeypatch.setattr(Fetcher, "content_of", watched)
    world.open().download("latest", world.target)
    assert set(seen) == {0o700}
    assert look(world.target) == look(world.base)


@contextmanager
def not_root(folder: Path) -> Iterator[None]:
    """To whom permissions mean something."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    for above in folder.parents:
        if above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look at what it has restored as somebody else")
@pytest.mark.parametrize("overwrite", [Overwrite.ALWAYS, Overwrite.IF_CHANGED])
def test_folders_without_the_right_to_write_are_restored_again_by_their_owner(
    world: World, overwrite: Overwrite
) -> None:
    for folder, mode in (("a/empty", 0o000), ("a/b", 0o555), ("a", 0o500)):
        (world.base / folder).chmod(mode)
    assert world.open().backup().complete
    whole = look(world.base)
    with not_root(world.folder):
        assert world.open().download("latest", world.target).problems == ()
        (world.target / "a/b").chmod(0o755)
        (world.target / "a/b/one").write_bytes(b"changed")
        (world.target / "a/b/two").unlink()
        (world.target / "a/b/in the way").write_bytes(b"")
        (world.target / "a/b").chmod(0o555)
        again = world.open().download("latest", world.target, overwrite=overwrite, delete=True)
        assert again.problems == ()
    assert look(world.target) == whole


def test_recovery_without_rrbackup_sets_folders_after_what_is_in_them(world: World) -> None:
    recover = Recovery(Path(sys.executable), world.folder)
    done = recover("tree", world.folder / "store", world.target)
    assert (done.returncode, done.stderr) == (0, "")
    expected = {
        path: evolve(seen, mode=seen.mode & 0o1777) if stat.S_ISDIR(seen.kind) else seen
        for path, seen in look(world.base).items()
    }
    assert look(world.target) == expected


def test_a_copy_holds_the_folders_too(world: World, make_config: Callable[[str], rrbackup.Config]) -> None:
    target = rrbackup.open_repository(make_config("copy"))
    world.open().copy(target)
    copied = rrbackup.open_repository(make_config("copy"))
    assert [evolve(entry, object=None) for entry in copied.list_files()] == [
        evolve(entry, object=None) for entry in world.open().list_files()
    ]


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[[str], rrbackup.Config]:
    def made(name: str) -> rrbackup.Config:
        (tmp_path / name).mkdir(exist_ok=True)
        return evolve(config_in(tmp_path / name), base_path=str(tmp_path / "base"))

    return made
