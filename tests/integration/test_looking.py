"""find, history, diff, stats, explain, and times in place of versions: on backups, in each mode, and after losses."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup.api import Repository
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedChain, DamagedObject, NoSuchVersion, ObjectMissing, UsageError
from rrbackup.events import Event
from rrbackup.pure import checkpoint
from rrbackup.pure.comparison import DifferenceKind
from rrbackup.pure.model import Status
from rrbackup.pure.timeline import Happening
from tests.checkpointed import CHECKPOINT, MANIFEST
from tests.integration.checkpoint_work import back_up, fresh, garble, lose, notices
from tests.integration.conftest import Bench
from tests.integration.trees import look, write

HOUR = 3600 * 10**9
START = 1_795_176_000 * 10**9
"""2026-11-20 12:00:00 UTC."""


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: Callable[..., Bench], memory: MemoryStore) -> Bench:
    return make_bench(memory)


@pytest.fixture
def at_hours(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Commits whose clock showed these hours after the start; each writes its number into /number."""

    def run(*hours: float) -> list[str]:
        made = []
        for number, hour in enumerate(hours):
            write(bench.base, {"number": b"%d" % number, f"f{number}": b"x" * number})
            monkeypatch.setattr(time, "time_ns", lambda hour=hour: START + int(hour * HOUR))
            made.append(bench.backup().version_id or "")
        return made

    return run


# --- times -------------------------------------------------------------------------------------------------


def test_a_time_stands_for_the_last_commit_not_later_wherever_a_version_is_taken(
    bench: Bench, at_hours: Callable[..., list[str]], tmp_path: Path
) -> None:
    first, second, third = at_hours(0, 1, 2)
    repository = bench.open()
    for moment, version in (("12:00:00Z", first), ("13:59Z", second), ("15:30+01:30", third), ("23:00Z", third)):
        named = f"@2026-11-20 {moment}"
        assert repository.list_files(named).version.version_id == version
        assert repository.list_changes(named).version.version_id == version
        assert repository.diff(named, version).before.version_id == version
        assert repository.download(named, tmp_path / version).version_id == version
    assert (tmp_path / second / "number").read_bytes() == b"1"
    with pytest.raises(NoSuchVersion, match="no commit is from 2026-11-20 11:59:59Z or before"):
        repository.list_files("@2026-11-20 11:59:59Z")
    with pytest.raises(UsageError, match="is not a time"):
        repository.list_files("@noon")


def test_where_a_clock_ran_back_the_chain_says_which_commit_is_the_last(
    bench: Bench, at_hours: Callable[..., list[str]]
) -> None:
    _, late, back, _ = at_hours(0, 5, 1, 6)
    assert bench.open().list_files("@2026-11-20T13:30Z").version.version_id == back
    assert bench.open().list_files("@2026-11-20T17:30Z").version.version_id == back
    assert bench.open().list_files(late).version.version_id == late


def test_a_time_does_not_guess_what_a_damaged_newest_commit_was(
    bench: Bench, at_hours: Callable[..., list[str]], memory: MemoryStore, tmp_path: Path
) -> None:
    _, second, _, newest = at_hours(0, 1, 2, 3)
    garble(memory, MANIFEST, newest, b"garbage")
    newcomer = fresh(bench, tmp_path / "new").open()
    assert newcomer.list_files("@2026-11-20 13:30Z").version.version_id == second
    with pytest.raises((DamagedObject, DamagedChain)) as caught:
        newcomer.list_files("@2026-11-20 14:30Z")
    assert newest in caught.value.hint
    with pytest.raises(NoSuchVersion):
        newcomer.list_files("@2026-11-20 11:00Z")


# --- looking -----------------------------------------------------------------------------------------------


@pytest.fixture
def moved(bench: Bench) -> Bench:
    write(bench.base, {"notes/todo.txt": b"one", "photo.jpg": b"picture", "gone": b"soon", "empty": b""})
    bench.backup()
    write(bench.base, {"notes/todo.txt": b"two longer", "old/empty": b""})
    (bench.base / "photo.jpg").rename(bench.base / "old" / "photo.jpg")
    (bench.base / "empty").unlink()
    (bench.base / "gone").unlink()
    bench.backup()
    (bench.base / "notes" / "todo.txt").unlink()
    bench.backup()
    write(bench.base, {"notes/todo.txt": b"one"})
    bench.backup()
    return bench


def test_a_moved_file_is_renamed_and_an_empty_one_is_not(moved: Bench) -> None:
    rows = moved.open().diff("latest~3", "latest~2")
    assert [(row.kind, row.before and row.before.path, row.entry.path) for row in rows] == [
        (DifferenceKind.DELETED, "/empty", "/empty"),
        (DifferenceKind.DELETED, "/gone", "/gone"),
        (DifferenceKind.CHANGED, "/notes/todo.txt", "/notes/todo.txt"),
        (DifferenceKind.NEW, None, "/old/empty"),
        (DifferenceKind.RENAMED, "/photo.jpg", "/old/photo.jpg"),
    ]


def test_a_history_tells_that_a_file_went_and_came_back(moved: Bench) -> None:
    history = moved.open().history("/notes/todo.txt")
    assert [(event.happening, event.version.sequence, event.content) for event in history.events] == [
        (Happening.NEW, 1, 1),
        (Happening.CHANGED, 2, 2),
        (Happening.DELETED, 3, 2),
        (Happening.BACK, 4, 1),
    ]
    assert moved.open().history("/never").events == ()


def test_a_folder_that_matches_stands_for_what_is_in_it(moved: Bench) -> None:
    assert {row.entry.path for row in moved.open().find("/old")} == {"/old/empty", "/old/photo.jpg"}
    assert [row.commits for row in moved.open().find("*/todo.txt")] == [1, 1, 1]


def test_explaining_names_the_filter_that_decides(moved: Bench) -> None:
    settings = {
        "ignore_files": ["*.iso", "/notes", "*.txt"],
        "skip_delete": ["/dumps*"],
        "file_pipeline": [("/dumps/*", ["compress"]), ("*", ["compress", "hash_names"])],
    }
    repository = moved.open(**settings)
    todo = repository.explain("/notes/todo.txt")
    assert todo.ignored is not None
    assert (todo.ignored.number, todo.ignored.pattern, todo.ignored.matched) == (2, "/notes", "/notes")
    assert (todo.kept, todo.words, todo.lacks_words) == (None, ("hash_names", "compress"), True)
    assert todo.entry is not None
    assert todo.version is not None
    assert todo.version.sequence == 4
    dump = repository.explain("/dumps/monday")
    assert (dump.ignored, dump.entry, dump.below) == (None, None, 0)
    assert dump.kept is not None
    assert dump.pipeline is not None
    assert (dump.kept.matched, dump.pipeline.number, dump.words) == ("/dumps", 1, ("compress",))
    assert repository.explain("/old/").below == 2
    assert moved.open(file_pipeline=[("/a", [])]).explain("/b").words is None


def test_what_is_explained_as_ignored_is_what_a_backup_leaves_out(moved: Bench) -> None:
    repository = moved.open(ignore_files=["/old", "*.txt"])
    planned = [planned.change for planned in repository.plan_backup(allow_empty=True).planned]
    gone = {change.entry.path for change in planned if change.status is Status.DELETED}
    explained = {e.path for e in repository.list_files() if repository.explain(e.path).ignored is not None}
    assert explained == gone == {"/notes/todo.txt", "/old/empty", "/old/photo.jpg"}


def test_an_empty_repository_has_nothing_to_look_at(bench: Bench) -> None:
    repository = bench.open()
    assert list(repository.find("*")) == []
    assert repository.stats().commits == ()
    assert repository.history("/a").events == ()
    assert repository.explain("/a").version is None
    with pytest.raises(NoSuchVersion):
        repository.diff("latest", "latest")


@pytest.mark.parametrize("path", ["", "a", "a/b", "/a//b", "/a/../b", "/%zz", "/\0", "/%2F"])
def test_what_is_no_path_is_refused(bench: Bench, path: str) -> None:
    for ask in (bench.open().history, bench.open().explain):
        with pytest.raises(UsageError, match="is no path of a commit"):
            ask(path)


# --- rights ------------------------------------------------------------------------------------------------


def everything(repository: Repository) -> None:
    list(repository.find("*"))
    repository.history("/notes/todo.txt")
    list(repository.diff("latest~3", "latest"))
    repository.stats()
    repository.explain("/old")


@pytest.mark.parametrize("mode", [{"read_only": True}, {"write_only": True}, {"allow_delete_versions": False}, {}])
def test_every_client_can_look_and_reads_nothing_but_diffs(
    moved: Bench, memory: MemoryStore, mode: dict[str, bool]
) -> None:
    client = memory.client()
    everything(evolve(moved, store=client).open(**mode))
    assert {call.method for call in client.calls} <= {"get", "head", "list_versions"}
    assert {call.key for call in client.calls} == {MANIFEST}


def test_looking_changes_nothing_on_disk(moved: Bench, tmp_path: Path) -> None:
    newcomer = fresh(moved, tmp_path / "new")
    before = look(tmp_path)
    everything(newcomer.open())
    assert look(tmp_path) == before


def test_the_whole_history_is_read_once_and_two_commits_together(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(8))
    counted = {}
    asking: dict[str, Callable[[Repository], object]] = {
        "files": lambda repository: repository.list_files("latest~7"),
        "diff": lambda repository: repository.diff("latest~7", "latest"),
        "find": lambda repository: repository.find("*"),
        "stats": lambda repository: repository.stats(),
    }
    for name, ask in asking.items():
        client = memory.client()
        ask(evolve(bench, store=client).open())
        counted[name] = len(client.calls)
    assert set(counted.values()) == {9}, counted


# --- losses ------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eight commits; the third diff is lost, the fourth and the seventh name checkpoints."""
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)
    commits = back_up(bench, range(8))
    lose(memory, MANIFEST, commits[2])
    return commits


def test_what_is_whole_above_a_lost_diff_is_looked_at_and_the_loss_is_told(bench: Bench, broken: list[str]) -> None:
    heard: list[Event] = []
    repository = bench.open()
    found = repository.find("*", heard.append)
    assert f"from number 4 ({broken[3]}) on are whole" in notices(heard)
    assert found.lost is not None
    assert (found.lost.before, found.lost.first_whole) == (4, broken[3])
    assert {row.entry.path for row in found} == {"/changing", *(f"/f{number}" for number in range(8))}
    assert {row.entry.path for row in found if row.or_earlier} == {"/f0", "/f1", "/f2"}
    assert [row.first.sequence for row in found if row.entry.path == "/changing"] == [4, 5, 6, 7, 8]
    history = repository.history("/f1")
    assert [(e.happening, e.version.sequence, e.or_earlier) for e in history.events] == [(Happening.NEW, 4, True)]
    assert history.lost == found.lost
    stats = repository.stats()
    assert (stats.lost, len(stats.commits), stats.unrecorded) == (found.lost, 5, 2)
    assert repository.history("/changing").events[0].happening is Happening.CHANGED


def test_what_can_be_read_on_either_side_of_a_break_is_compared(bench: Bench, broken: list[str]) -> None:
    assert [d.entry.path for d in bench.open().diff(broken[3], broken[7])] == ["/changing", "/f4", "/f5", "/f6", "/f7"]
    across = ["/changing", "/f2", "/f3"]
    assert [d.entry.path for d in bench.open().diff(broken[1], broken[3])] == across
    assert [d.entry.path for d in bench.open().diff(broken[3], broken[1])] == across
    with pytest.raises((ObjectMissing, DamagedChain)) as caught:
        bench.open().diff(broken[2], broken[7])
    assert broken[2] in caught.value.message


def test_two_commits_below_something_unsound_are_compared(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    commits = back_up(bench, range(4))
    garble(memory, MANIFEST, commits[3], b"garbage")
    repository = fresh(bench, tmp_path / "new").open()
    found = repository.diff(commits[2], commits[0])
    assert [d.entry.path for d in found] == ["/changing", "/f1", "/f2"]
    assert found.state is None, "what was asked for is not concerned"


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("body", [b"garbage", None])
def test_what_is_sound_below_something_unsound_is_looked_at_and_that_is_named(
    bench: Bench, memory: MemoryStore, tmp_path: Path, body: bytes | None, remembers: bool
) -> None:
    """A version that nobody can read, or a delete marker, on top of the last commit."""
    commits = back_up(bench, range(4))
    before = list(bench.open().find("*"))
    explained = bench.open().explain("/f3")
    on_top = memory.mark_deleted(MANIFEST) if body is None else memory.put(MANIFEST, body).version_id
    repository = (bench if remembers else fresh(bench, tmp_path / "new")).open()
    found, history, stats = repository.find("*"), repository.history("/f3"), repository.stats()
    assert list(found) == before
    assert [event.version.version_id for event in history.events] == [commits[3]]
    assert len(stats.commits) == 4
    now = repository.explain("/f3")
    assert (now.version, now.entry) == (explained.version, explained.entry)
    latest, guessed = repository.diff(commits[2]), repository.diff("latest", commits[2])
    assert [d.entry.path for d in latest] == [d.entry.path for d in guessed] == ["/changing", "/f3"]
    for state in (found.state, history.state, stats.state, now.state, latest.state, guessed.state):
        assert state is not None
        assert state.head == commits[3]
        assert [one.version_id for one in state.unsound] == ([on_top] if body else [])
        assert state.marker == (None if body else on_top)


def test_where_nothing_is_sound_looking_fails_as_listing_does(bench: Bench, memory: MemoryStore) -> None:
    for version in back_up(bench, range(2)):
        garble(memory, MANIFEST, version, b"garbage")
    for ask in ("list_versions", "stats"):
        with pytest.raises((DamagedObject, DamagedChain)):
            getattr(bench.open(), ask)()


def test_a_lost_checkpoint_costs_nothing(bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)
    back_up(bench, range(8))
    before = list(bench.open().find("*"))
    for version in list(memory.client().list_versions(CHECKPOINT)):
        memory.delete_versions([version.ref])
    found = bench.open().find("*")
    assert (list(found), found.lost) == (before, None)
