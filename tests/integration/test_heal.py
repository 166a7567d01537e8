"""Storing again what is damaged of the latest commit, from what the disk still has."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup import DamagedChain, ModeError, NoSuchVersion, ProblemKind, UpgradeNeeded, Word
from rrbackup.effects import healing
from rrbackup.effects.memory import Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.events import Event, FileDone
from rrbackup.pure.plan import storing_again
from tests.format1_repositories import PLAIN, client_to_go_on, old_repository
from tests.integration.checkpoint_work import garble, stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import CRYPTO, quicker
from tests.integration.test_verify import found, only, rotten
from tests.integration.trees import look, write

MakeBench = Callable[..., Bench]

TREE = {"a": b"first", "b": b"second", "d/c": b"third"}


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory)
    write(made.base, TREE)
    made.backup()
    write(made.base, {"copy of a": TREE["a"]})
    made.backup()
    return made


def lose(memory: MemoryStore, key: str) -> None:
    memory.delete_versions([only(memory, key)])


def assert_restored(bench: Bench, target: Path) -> None:
    assert bench.open().download("latest", target).problems == ()
    assert look(target) == look(bench.base)


def test_what_is_missing_is_stored_again_once_for_all_that_share_it(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    lose(memory, "files/a")
    result = bench.open().heal()
    assert (result.healed, result.unhealed, result.complete) == (("/a", "/copy of a"), (), True)
    assert result.version_id == bench.open().list_versions()[-1].version_id
    assert [change.entry.path for change in bench.open().list_changes()] == ["/a", "/copy of a"]
    assert len({entry.object for entry in bench.open().list_files() if entry.size == 5 and entry.path != "/d/c"}) == 1
    assert len(list(memory.list_versions("files/"))) == 3
    assert bench.open().verify("latest", read_data=True).sound
    assert_restored(bench, tmp_path / "out")


def test_where_nothing_is_damaged_nothing_is_written(bench: Bench, memory: MemoryStore) -> None:
    before = list(memory.list_versions(""))
    result = bench.open().heal(read_data=True)
    assert (result.version_id, result.healed, result.unhealed) == (None, (), ())
    assert list(memory.list_versions("")) == before


def test_a_backup_after_it_finds_nothing_to_do(bench: Bench, memory: MemoryStore) -> None:
    lose(memory, "files/b")
    bench.open().heal()
    assert bench.backup().version_id is None


def test_a_wrong_content_is_healed_where_contents_are_read(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    ill = rotten(bench, memory, only(memory, "files/b"))
    assert ill.open().heal().version_id is None
    assert ill.open().heal(read_data=True).healed == ("/b",)
    assert_restored(ill, tmp_path / "out")


def test_what_the_disk_has_no_more_is_named(bench: Bench, memory: MemoryStore) -> None:
    for key in ("files/a", "files/b", "files/d/c"):
        lose(memory, key)
    (bench.base / "a").unlink()
    (bench.base / "b").write_bytes(b"SECOND")
    events: list[Event] = []
    result = bench.open().heal(on_event=events.append)
    assert result.healed == ("/copy of a", "/d/c")
    assert {problem.path: problem.kind for problem in result.unhealed} == {
        "/a": ProblemKind.UNREADABLE,
        "/b": ProblemKind.DAMAGED,
    }
    assert not result.complete
    assert {event.path for event in events if isinstance(event, FileDone)} == {"/copy of a", "/d/c"}
    assert {entry.path for entry in bench.open().list_files()} == {"/copy of a", *(f"/{name}" for name in TREE)}


def test_a_file_that_is_ignored_by_now_is_healed_all_the_same(bench: Bench, memory: MemoryStore) -> None:
    lose(memory, "files/b")
    assert bench.open(ignore_files=["/b"]).heal().healed == ("/b",)


def test_a_file_that_changes_while_it_is_read_is_told(
    bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at it and the upload."""
    lose(memory, "files/b")

    def change_it(*arguments: object) -> object:
        write(bench.base, {"b": b"changed just now"})
        return storing_again(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(healing, "storing_again", change_it)
    result = bench.open().heal()
    assert (result.healed, [problem.kind for problem in result.unhealed]) == ((), [ProblemKind.CHANGING])
    assert bench.open().verify("latest", read_data=True).sound


def test_earlier_commits_stay_damaged_and_nothing_is_deleted(bench: Bench, memory: MemoryStore) -> None:
    before = {row.ref for row in memory.list_versions("files/")}
    garble(memory, "files/b", only(memory, "files/b").version_id, b"sec")
    bench.open().heal()
    assert before < {row.ref for row in memory.list_versions("files/")}
    (damage,) = bench.open().verify().damaged
    assert [(t.path, t.latest) for t in damage.touches] == [("/b", False)]


def test_a_backup_in_between_may_share_what_is_damaged_and_heal_mends_it(bench: Bench, memory: MemoryStore) -> None:
    lose(memory, "files/b")
    write(bench.base, {"another b": b"second"})
    bench.backup()
    assert bench.open().heal().healed == ("/another b", "/b")
    assert bench.open().verify("latest", read_data=True).sound


def test_the_pipeline_of_today_is_applied(
    make_bench: MakeBench, memory: MemoryStore, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quicker(monkeypatch)
    lose(memory, "files/b")
    encrypting = make_bench(memory, crypto=CRYPTO, file_pipeline=[("*", ["hash_names", "encrypt"])])
    assert encrypting.open().heal().healed == ("/b",)
    (entry,) = [entry for entry in encrypting.open().list_files() if entry.path == "/b"]
    assert entry.object is not None
    assert entry.object.applied == (Word.HASH_NAMES, Word.ENCRYPT)
    assert_restored(encrypting, tmp_path / "out")


def test_an_empty_repository_has_no_latest_commit(make_bench: MakeBench) -> None:
    with pytest.raises(NoSuchVersion):
        make_bench(MemoryStore()).open().heal()


def test_who_may_heal(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    lose(memory, "files/b")
    with pytest.raises(ModeError, match="read-only"):
        bench.open(read_only=True).heal()
    with pytest.raises(ModeError, match="write-only"):
        bench.open(write_only=True).heal(read_data=True)
    memory.reset_calls()
    assert bench.open(write_only=True).heal().healed == ("/b",)
    assert not {call.method for call in memory.calls} & {"read", "delete_versions"}
    assert_restored(bench, tmp_path / "out")


def test_a_newest_commit_that_is_not_sound_has_to_be_repaired_first(bench: Bench, memory: MemoryStore) -> None:
    """Its files may be damaged as well, and nobody can tell which they are."""
    garble(memory, "manifest_diffs", stored(memory, "manifest_diffs")[0].version_id, b"noise")
    before = list(memory.list_versions(""))
    with pytest.raises(DamagedChain) as caught:
        bench.open().heal()
    assert "repair" in caught.value.hint
    assert list(memory.list_versions("")) == before


def test_what_1_0_stored_is_healed_where_that_may_be_continued(make_bench: MakeBench) -> None:
    old = old_repository(PLAIN)
    bench = client_to_go_on(make_bench, old)
    assert isinstance(old.store, MemoryStore)
    old.store.delete_versions([stored(old.store, "files/a.txt")[0]])
    with pytest.raises(UpgradeNeeded):
        bench.open().heal()
    assert bench.open().heal(upgrade=True).healed == ("/a.txt",)
    assert bench.open().verify("latest", read_data=True).sound


@pytest.mark.parametrize("kind", [pytest.param(FaultKind.BEFORE, marks=pytest.mark.deep), FaultKind.AFTER])
def test_it_may_be_cut_off_at_any_request(kind: FaultKind, make_bench: MakeBench, tmp_path: Path) -> None:
    for number in range(1, 40):
        memory = MemoryStore()
        bench = make_bench(memory)
        for file in (bench.config.manifest_path(), bench.config.journal_path()):
            file.unlink(missing_ok=True)
        write(bench.base, TREE)
        bench.backup()
        lose(memory, "files/b")
        client = memory.client(faults=[Fault(number, kind)])
        try:
            evolve(bench, store=client).open().heal()
        except SimulatedCrash:
            bench.open().heal()
            assert bench.open().verify("latest", read_data=True).sound
            assert found(bench.open().verify()).keys() == {"files/b"}
            assert bench.open().garbage_collect().deleted == ()
        else:
            return
    raise AssertionError("it never came to its end")
