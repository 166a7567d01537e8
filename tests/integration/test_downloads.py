"""Downloads of parts, onto what is there already: the plan says exactly what happens, and nothing else does."""

import errno
import os
import re
import resource
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve, frozen
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rrbackup
from rrbackup import Overwrite, RestoreAct
from rrbackup.effects import download
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.memory import MemoryClient
from rrbackup.pure.model import ProblemKind, VersionId
from rrbackup.pure.removing import Removing
from rrbackup.pure.selection import Selection
from rrbackup.pure.target import Found, Sighting
from rrbackup.testing import MemoryStore
from tests.integration.conftest import Bench

OLD, NEW = 1_600_000_000_000_000_001, 1_700_000_000_123_456_789

# --- trees: what a path holds, and looking at it without rrbackup ------------------------------------------------


@frozen
class Node:
    """A file (content), a link (its text) or an empty folder."""

    kind: str
    content: bytes = b""
    mtime_ns: int = OLD
    mode: int = 0o640


Tree = dict[str, Node]

NODES = st.one_of(
    st.builds(
        Node,
        st.just("file"),
        st.sampled_from((b"", b"one", b"also", b"longer")),
        st.sampled_from((OLD, NEW)),
        st.sampled_from((0o640, 0o600)),
    ),
    st.builds(Node, st.just("link"), st.sampled_from((b"a", b"../outside", b"/nowhere")), st.just(OLD), st.just(0)),
    st.builds(Node, st.just("folder"), st.just(b""), st.just(OLD), st.just(0o750)),
)
# No two contents of one size: `if-changed` is not to notice a change that leaves size and time as they were.
NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)


def possible(tree: Tree) -> Tree:
    """Without what would lie below a file, a link or a folder that is said to be empty."""
    return {path: node for path, node in tree.items() if not any(path.startswith(f"{other}/") for other in tree)}


TREES = st.dictionaries(NAMES, NODES, max_size=6).map(possible)


def make(base: Path, tree: Tree) -> None:
    base.mkdir(exist_ok=True)
    for path, node in tree.items():
        place = base / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if node.kind == "link":
            os.symlink(node.content, os.fsencode(place))
        elif node.kind == "folder":
            place.mkdir()
        else:
            place.write_bytes(node.content)
        if node.kind != "link":
            place.chmod(node.mode)
        os.utime(place, ns=(node.mtime_ns, node.mtime_ns), follow_symlinks=False)
    for place in base.rglob("*"):
        if place.is_dir() and not place.is_symlink():
            place.chmod(0o750)
            os.utime(place, ns=(OLD, OLD))


def look(base: Path) -> Tree:
    """Everything below `base`, also folders that are not empty (those without mode and time)."""
    return {str(path.relative_to(base)): node_at(path) for path in base.rglob("*")} if base.exists() else {}


def node_at(path: Path) -> Node:
    seen = path.lstat()
    mode, mtime_ns = stat.S_IMODE(seen.st_mode), seen.st_mtime_ns
    if stat.S_ISLNK(seen.st_mode):
        return Node("link", os.readlink(os.fsencode(path)), mtime_ns, 0)
    if stat.S_ISDIR(seen.st_mode):
        return Node("folder") if os.listdir(path) else Node("folder", b"", mtime_ns, mode)
    return Node("file", path.read_bytes(), mtime_ns, mode)


EXAMPLES = max(40, settings().max_examples // 3)

# --- random trees, targets and options ---------------------------------------------------------------------------


@frozen
class Asked:
    paths: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    overwrite: Overwrite = Overwrite.ALWAYS
    delete: bool = False

    def selects(self, path: str) -> bool:
        """The rule in other words, on the names of a path."""
        above = ["/" + "/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 2)]
        named = not self.paths or any(p in self.paths for p in above)
        included = not self.include or any(p.endswith(i[1:]) for p in above for i in self.include)
        return named and included and not any(p.endswith(i[1:]) for p in above for i in self.ignore)


ASKED = st.builds(
    Asked,
    st.sampled_from(((), (), ("/a",), ("/a/b", "/b"))),
    st.sampled_from(((), (), ("*/a",))),
    st.sampled_from(((), (), ("*/b",), ("*a/a",))),
    st.sampled_from(tuple(Overwrite)),
    st.booleans(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "outside").mkdir()
    (folder / "outside/kept").write_bytes(b"kept")
    yield folder
    assert (folder / "outside/kept").read_bytes() == b"kept"


def repository_with(folder: Path, tree: Tree) -> rrbackup.Repository:
    """One commit with that tree. The target lies beside the folder that is backed up."""
    for name in ("base", "target", "manifest", "lock"):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    make(folder / "base", tree)
    config = rrbackup.Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=rrbackup.DirectorySettings(path=str(folder / "unused")),
        follow_symlinks=False,
    )
    repository = rrbackup.open_repository(config, store=MemoryStore().client(), threads=2)
    repository.backup(allow_empty=True)
    return repository


def as_kwargs(asked: Asked) -> dict[str, object]:
    return {
        "paths": asked.paths,
        "include": asked.include,
        "ignore": asked.ignore,
        "overwrite": asked.overwrite,
        "delete": asked.delete,
    }


@settings(max_examples=EXAMPLES)
@example({"a": Node("file")}, {"a/a": Node("file", b"one")}, Asked(delete=True))
@example({"a/a": Node("file")}, {"a": Node("link", b"../outside")}, Asked(delete=True))
@example({"a/a": Node("file")}, {"a": Node("link", b"../outside")}, Asked())
@example({"b": Node("file")}, {"a/b": Node("file"), "a/a": Node("file")}, Asked(ignore=("*/b",), delete=True))
@example({"b": Node("file"), "a": Node("file")}, {"a": Node("file", b"also")}, Asked(overwrite=Overwrite.NEVER))
@given(TREES, TREES, ASKED)
def test_a_plan_says_what_a_download_does_and_nothing_else_happens(
    folder: Path, commit: Tree, there: Tree, asked: Asked
) -> None:
    commit = commit or {"a/b": Node("file", b"one")}
    repository = repository_with(folder, commit)
    target = folder / "target"
    make(target, there)
    before = look(target)
    try:
        plan = repository.plan_download("latest", target, **as_kwargs(asked))  # type: ignore[arg-type]
    except rrbackup.NoSuchPath:
        assert not all(any(f"/{c}/".startswith(f"{p}/") for c in commit) for p in asked.paths)
        return
    assert look(target) == before, "a plan writes nothing"
    result = repository.download("latest", target, **as_kwargs(asked))  # type: ignore[arg-type]
    after = look(target)

    assert result.problems == plan.problems
    acts = {step.path[1:]: step.act for step in plan.steps}
    removed = {step.path[1:] for step in (*plan.obstacles, *plan.leftovers)}
    failed = {problem.path[1:] for problem in plan.problems}
    assert acts.keys() | failed == {path for path in commit if asked.selects(path)}
    for path, act in acts.items():
        if act is RestoreAct.LEAVE:
            assert after[path] == before[path] or (before[path], after[path].kind) == (Node("folder"), "folder")
        else:
            filled = commit[path].kind == "folder" and any(other.startswith(f"{path}/") for other in after)
            assert after[path] == (Node("folder") if filled else commit[path])
            assert (act is RestoreAct.WRITE) == (path not in before)
    assert asked.overwrite is not Overwrite.NEVER or set(acts.values()) <= {RestoreAct.WRITE, RestoreAct.LEAVE}
    for path in removed - acts.keys():
        assert path in before
        assert asked.delete
        assert asked.selects(path)
        assert path not in after or any(other.startswith(f"{path}/") for other in acts)
    for path in before.keys() - acts.keys() - removed:
        kept, now = before[path], after[path]
        assert (kept.kind, kept.content) == (now.kind, now.content)
        assert kept.kind == "folder" or kept == now
    grown = {path for path in after.keys() - before.keys() if path not in acts}
    assert all(any(other.startswith(f"{path}/") for other in acts) for path in grown)


@example({"a": Node("folder")}, {"a/a": Node("file")}, Overwrite.IF_CHANGED)
@settings(max_examples=EXAMPLES)
@given(TREES, TREES, st.sampled_from((Overwrite.ALWAYS, Overwrite.IF_CHANGED)))
def test_delete_makes_the_target_equal_to_the_commit(
    folder: Path, commit: Tree, there: Tree, overwrite: Overwrite
) -> None:
    commit = commit or {"a/b": Node("file", b"one")}
    repository = repository_with(folder, commit)
    make(folder / "target", there)
    result = repository.download("latest", folder / "target", overwrite=overwrite, delete=True)
    assert result.problems == ()
    assert look(folder / "target") == look(folder / "base")
    again = repository.plan_download("latest", folder / "target", overwrite=Overwrite.IF_CHANGED, delete=True)
    assert set(again.counts()) <= {RestoreAct.LEAVE}


# --- named cases -------------------------------------------------------------------------------------------------


def written(repository: rrbackup.Repository, target: Path, **options: object) -> dict[str, str]:
    plan = repository.plan_download("latest", target, **options)  # type: ignore[arg-type]
    return {step.path: f"{step.act}: {step.why}" for step in plan}


def test_if_changed_trusts_size_and_time_and_hashes_what_is_in_doubt(folder: Path) -> None:
    tree = {name: Node("file", b"same") for name in ("known", "forged", "touched", "edited", "grown", "chmodded")}
    repository = repository_with(folder, tree)
    target = folder / "target"
    make(
        target,
        {
            "known": tree["known"],
            "forged": evolve(tree["forged"], content=b"evil"),
            "touched": evolve(tree["touched"], mtime_ns=NEW),
            "edited": evolve(tree["edited"], content=b"diff", mtime_ns=NEW),
            "grown": evolve(tree["grown"], content=b"same and more"),
            "chmodded": evolve(tree["chmodded"], mode=0o400),
        },
    )
    assert written(repository, target, overwrite=Overwrite.IF_CHANGED) == {
        "/known": "leave: unchanged",
        "/forged": "leave: unchanged",
        "/touched": "update: mode, time, owner or attributes differ",
        "/edited": "replace: content differs",
        "/grown": "replace: size differs",
        "/chmodded": "update: mode, time, owner or attributes differ",
    }
    result = repository.download("latest", target, overwrite=Overwrite.IF_CHANGED)
    assert (result.files, result.left, result.bytes) == (4, 2, 8)
    assert {path: node for path, node in look(target).items() if path != "forged"} == {
        path: node for path, node in tree.items() if path != "forged"
    }


def test_a_download_that_was_broken_off_fetches_only_the_rest(make_bench: Callable[..., Bench]) -> None:
    memory = MemoryStore()
    bench = make_bench(memory.client())
    for number in range(10):
        (bench.base / f"f{number}").write_bytes(b"content %d" % number)
    bench.backup()
    target = bench.base.parent / "restored"

    class Enough(Exception):
        pass

    done: list[str] = []

    def stop_after_three(event: rrbackup.Event) -> None:
        if isinstance(event, rrbackup.FileDone):
            done.append(event.path)
            if len(done) == 3:
                raise Enough

    with pytest.raises(Enough):
        rrbackup.open_repository(bench.config, store=bench.store, threads=1).download(
            "latest", target, on_event=stop_after_three
        )
    plan = bench.open().plan_download("latest", target, overwrite=Overwrite.IF_CHANGED)
    assert {step.path for step in plan if step.act is RestoreAct.LEAVE} >= set(done)
    assert plan.traffic().gets <= 7
    assert bench.open().download("latest", target, overwrite=Overwrite.IF_CHANGED).complete
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        f"f{number}": b"content %d" % number for number in range(10)
    }


def test_a_file_with_other_names_is_replaced_and_not_changed_under_them(folder: Path) -> None:
    repository = repository_with(folder, {"a": Node("file", b"one", OLD, 0o600)})
    target = folder / "target"
    make(target, {"a": Node("file", b"one", NEW, 0o644)})
    other = folder / "other"
    other.unlink(missing_ok=True)
    os.link(target / "a", other)
    assert written(repository, target, overwrite=Overwrite.IF_CHANGED) == {
        "/a": "replace: its attributes differ, and the file has other names"
    }
    repository.download("latest", target, overwrite=Overwrite.IF_CHANGED)
    assert node_at(target / "a") == Node("file", b"one", OLD, 0o600)
    assert node_at(other) == Node("file", b"one", NEW, 0o644)


def test_delete_keeps_what_this_client_needs_and_in_its_own_tree_what_it_ignores(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make(base, {"kept": Node("file", b"kept"), "cache/x": Node("file"), "state/store": Node("folder")})
    config = rrbackup.Config(
        base_path=str(base),
        local_manifest_file=str(base / "state/manifest"),
        local_lock_file=str(base / "state/lock"),
        directory=rrbackup.DirectorySettings(path=str(base / "state/store")),
        ignore_files=("/cache", "/state/*"),
    )
    repository = rrbackup.open_repository(config)
    repository.prepare()
    repository.backup()
    make(base, {"extra": Node("file"), "state/extra": Node("file")})
    plan = repository.plan_download("latest", base, delete=True)
    assert [step.path for step in plan.leftovers] == ["/extra"]
    elsewhere = rrbackup.open_repository(evolve(config, base_path=str(tmp_path / "other")))
    plan = elsewhere.plan_download("latest", base, delete=True)
    assert [step.path for step in plan.leftovers] == ["/state/extra", "/extra", "/cache/x", "/cache"]
    assert elsewhere.download("latest", base, delete=True).complete
    assert [version.sequence for version in repository.list_versions()] == [1]
    with pytest.raises(rrbackup.UsageError, match="the folder of the store itself"):
        repository.plan_download("latest", base / "state/store", delete=True)


def backed_up_into(store: Path, tree: Tree) -> rrbackup.Repository:
    """A new store there, as the configuration names it, with that tree in it."""
    around = store.parent.parent
    make(around / "base", tree)
    config = rrbackup.Config(
        base_path=str(around / "base"),
        local_manifest_file=str(around / "manifest"),
        local_lock_file=str(around / "lock"),
        directory=rrbackup.DirectorySettings(path=str(store)),
    )
    repository = rrbackup.open_repository(config)
    repository.prepare()
    repository.backup()
    return repository


@pytest.mark.parametrize("name", ["store", "st[1] *"])
def test_what_a_commit_holds_where_the_store_lies_is_not_written_into_it(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    other = {"kept": Node("file", b"kept"), "st1 a": Node("file", b"another")}
    repository = backed_up_into(target / name, {**other, f"{name}/files/kept": Node("file", b"other")})
    before = look(target)
    for act in (repository.plan_download, repository.download):
        with pytest.raises(rrbackup.UsageError, match=re.escape(f"/{name}")) as refused:
            act("latest", target)
    assert look(target) == before
    advised = shlex.split(refused.value.hint.partition("--exclude ")[2])
    assert repository.download("latest", target, exclude=advised).complete
    assert look(target).keys() == {*before, *other}


def test_a_link_that_leads_to_the_store_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    target, store = tmp_path / "target", tmp_path / "target/store"
    target.mkdir()
    (tmp_path / "elsewhere").mkdir()
    store.symlink_to("../elsewhere")
    repository = backed_up_into(store, {"store": Node("file", b"a file"), "kept": Node("file", b"kept")})
    with pytest.raises(rrbackup.UsageError, match="/store"):
        repository.download("latest", target)
    result = repository.download("latest", target, paths=["/kept"], delete=True)
    assert (result.complete, result.removed, store.is_symlink()) == (True, 0, True)
    (target / "extra").write_bytes(b"not in the commit")
    result = repository.download("latest", target, exclude=["/store"], delete=True)
    assert (result.complete, result.removed, store.is_symlink()) == (True, 1, True)


def test_what_a_sampled_check_remembers_is_not_removed(tmp_path: Path) -> None:
    store = tmp_path / "stores/store"
    store.parent.mkdir()
    repository = backed_up_into(store, {"kept": Node("file", b"kept")})
    assert repository.verify(read_data="50%").sound
    assert (tmp_path / "manifest.sampled").exists()
    plan = repository.plan_download("latest", tmp_path, delete=True)
    assert [step.path for step in plan.leftovers] == ["/base/kept", "/base"]


@pytest.mark.parametrize("exclude", [[], ["/shut"]])
def test_a_folder_that_cannot_be_looked_into_is_named_when_all_else_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, exclude: list[str]
) -> None:
    """Root may list everything, so the refusal is played."""
    repository, target = repository_with(folder, {"a": Node("file")}), folder / "target"
    make(target, {"shut/extra": Node("file"), "extra": Node("file")})
    real = os.scandir

    def scandir(fd: int) -> object:
        if os.path.realpath(f"/proc/self/fd/{fd}") == str(target / "shut"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(fd)

    monkeypatch.setattr("rrbackup.effects.target_survey.os.scandir", scandir)
    result = repository.download("latest", target, delete=True, exclude=exclude)
    assert [problem.path for problem in result.problems] == ([] if exclude else ["/shut"])
    assert (result.removed, result.files, result.complete) == (1, 1, bool(exclude))


def test_what_stands_on_another_device_is_not_removed() -> None:
    """A mount needs rights that even root may lack, so the mark that the survey makes is tested alone."""
    disk = rrbackup.PathText("/disk")
    found = {disk: Found(disk, rrbackup.EntryType.DIRECTORY, mounted=True)}
    assert Removing((), Sighting(found), Selection()).removals().extras == ()
    found[disk] = evolve(found[disk], mounted=False)
    assert Removing((), Sighting(found), Selection()).removals().extras == (found[disk],)


def test_a_target_that_is_a_file_is_refused_before_anything_is_done(folder: Path) -> None:
    repository = repository_with(folder, {"a": Node("file")})
    (folder / "target").write_bytes(b"a file")
    for act in (repository.plan_download, repository.download):
        with pytest.raises(rrbackup.SourceError, match="cannot restore into"):
            act("latest", folder / "target")


@pytest.mark.parametrize("path", ["a", "", "/a//b", "/../a", "/a%zz", "/a%2Fb"])
def test_what_is_no_path_is_refused(folder: Path, path: str) -> None:
    repository = repository_with(folder, {"a": Node("file")})
    with pytest.raises(rrbackup.UsageError, match="no path of a commit") as caught:
        repository.plan_download("latest", folder / "target", paths=[path])
    assert "list_files" in caught.value.hint


def test_a_path_may_end_in_a_slash_and_the_root_is_everything(folder: Path) -> None:
    repository = repository_with(folder, {"a/b": Node("file"), "c": Node("file")})
    assert written(repository, folder / "target", paths=["/a/"]).keys() == {"/a/b"}
    assert written(repository, folder / "target", paths=["/"]).keys() == {"/a/b", "/c"}


def test_of_several_paths_the_one_that_is_missing_is_named(folder: Path) -> None:
    repository = repository_with(folder, {"a/b": Node("file")})
    with pytest.raises(rrbackup.NoSuchPath, match="has nothing at /a/c"):
        repository.download("latest", folder / "target", paths=["/a", "/a/c"])
    assert not (folder / "target").exists()


# --- many files of one content -------------------------------------------------------------------------------


@contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """This process may open no more than so many files besides those that are open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("in_memory", [download.IN_MEMORY_BYTES, 0])
def test_many_files_of_one_content_come_back_with_few_open_at_once(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(download, "IN_MEMORY_BYTES", in_memory)
    store = MemoryStore()
    bench, client = make_bench(store), store.client()
    for number in range(500):
        (bench.base / f"d{number}").mkdir()
        (bench.base / f"d{number}/LICENSE").write_bytes(b"the same everywhere")
    bench.backup()
    with few_descriptors(2 * download.OPEN_COPIES + 100):
        result = evolve(bench, store=client).open().download("latest", tmp_path / "target")
    assert (result.complete, result.files) == (True, 500)
    assert {file.read_bytes() for file in (tmp_path / "target").glob("*/*")} == {b"the same everywhere"}
    fetched = sum(call.method == "read" for call in client.calls)
    assert fetched == (1 if in_memory else -(-500 // (download.OPEN_COPIES + 1)))


def test_an_object_that_the_store_refuses_to_give_is_a_problem_of_its_files(
    make_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    class Archived(MemoryClient):
        @contextmanager
        def read(
            self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
        ) -> Iterator[Iterator[bytes]]:
            if key in ("files/b", "files/d"):
                raise rrbackup.StoreError("it lies in an archive")
            with super().read(key, version_id, start, length) as chunks:
                yield chunks

    store = MemoryStore()
    bench = make_bench(store)
    make(
        bench.base, {"a": Node("file", b"1"), "b": Node("file", b"2"), "c": Node("file", b"3"), "d": Node("file", b"2")}
    )
    bench.backup()
    repository = evolve(bench, store=Archived(store._world, "", (), 1 << 20)).open()
    problems = repository.download("latest", tmp_path / "target").problems
    assert {(one.path, one.kind) for one in problems} == {(path, ProblemKind.UNREADABLE) for path in ("/b", "/d")}
    assert look(tmp_path / "target").keys() == {"a", "c"}


# --- cat ---------------------------------------------------------------------------------------------------------


def test_cat_gives_one_file_and_says_what_is_none(folder: Path) -> None:
    repository = repository_with(
        folder, {"a/b": Node("file", b"content"), "l": Node("link", b"a"), "d": Node("folder"), "e": Node("file")}
    )
    assert b"".join(repository.cat("latest", "/a/b")) == b"content"
    assert b"".join(repository.cat("latest", "/e")) == b""
    for path, why in (("/l", "a link to a"), ("/d", "a folder"), ("/a", "a folder"), ("/", "a folder")):
        with pytest.raises(rrbackup.UsageError, match=why):
            repository.cat("latest", path)
    with pytest.raises(rrbackup.NoSuchPath, match="/nothing"):
        repository.cat("latest", "/nothing")


def test_cat_gives_out_nothing_of_a_damaged_file_and_never_the_end_of_a_big_one(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.prepare()
    bench = make_bench(store)
    (bench.base / "f").write_bytes(b"x" * 3_000_000)
    bench.backup()
    (stored,) = (tmp_path / "store/files/f").glob("%v*")
    stored.chmod(0o600)
    stored.write_bytes(b"x" * 2_999_999 + b"y")
    with pytest.raises(rrbackup.DamagedObject, match="/f"):
        bench.open().cat("latest", "/f")
    monkeypatch.setattr("rrbackup.verbs.restores.VERIFIED_BYTES", 1_000_000)
    given: list[bytes] = []

    def take() -> None:
        given.extend(bench.open().cat("latest", "/f"))

    with pytest.raises(rrbackup.DamagedObject, match="/f"):
        take()
    assert given
    assert b"y" not in b"".join(given)
