"""What a client in each mode asks of the store, by the requests themselves.

Read-only: nothing is written, and nothing asked at all before a writing operation is refused. Write-only: no file is
read and no version deleted, wherever a run is struck; what nothing refers to is in the garbage list. The same without
deletion but with reading (`allow_delete_versions` false).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import evolve

from rrbackup.api import Repository, open_repository
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.effects.memory_faults import Call, Fault, FaultKind, SimulatedCrash
from rrbackup.effects.store import IfAbsent, IfMatch, Store
from rrbackup.errors import ModeError, RRBackupError
from rrbackup.events import Event, FileDone
from rrbackup.pure import format2
from rrbackup.pure.model import VersionId, VersionRef
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.property import judge

MakeBench = Callable[..., Bench]

TREE = {"a": b"1", "b": b"2", "d/c": b"3"}
WRITE_ONLY, NO_DELETE = {"write_only": True}, {"allow_delete_versions": False}
RESTRICTED = [pytest.param(WRITE_ONLY, id="write-only"), pytest.param(NO_DELETE, id="no deletion")]
SEEING = {"head", "get", "read", "list_versions", "list_uploads"}


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory)
    write(made.base, TREE)
    return made


# --- reading only ------------------------------------------------------------------------------------------

WRITING: dict[str, Callable[[Repository], object]] = {
    "prepare": lambda repository: repository.prepare(),
    "store_recovery_kit": lambda repository: repository.store_recovery_kit(),
    "backup": lambda repository: repository.backup(),
    "backup, taking over": lambda repository: repository.backup(take_over=True, upgrade=True),
    "garbage_collect": lambda repository: repository.garbage_collect(take_over=True),
    "clean_gc_log": lambda repository: repository.clean_gc_log(take_over=True),
    "heal": lambda repository: repository.heal(take_over=True, upgrade=True),
    "change_password": lambda repository: repository.change_password("new"),
    "repair_salt": lambda repository: repository.repair_salt("x"),
    "repair_head": lambda repository: repository.repair_head("x"),
}


@pytest.mark.parametrize("operation", WRITING)
def test_a_read_only_client_refuses_before_any_request(operation: str, bench: Bench, memory: MemoryStore) -> None:
    bench.backup()
    memory.reset_calls()
    with pytest.raises(ModeError, match="read-only"):
        WRITING[operation](bench.open(read_only=True))
    assert memory.calls == ()


@pytest.mark.parametrize("settings", RESTRICTED)
@pytest.mark.parametrize("operation", ["garbage_collect", "clean_gc_log", "repair_head"])
def test_a_client_that_may_not_delete_refuses_before_any_request(
    operation: str, settings: dict[str, bool], bench: Bench, memory: MemoryStore
) -> None:
    bench.backup()
    memory.reset_calls()
    with pytest.raises(ModeError, match=r"write-only|no-delete"):
        WRITING[operation](bench.open(**settings))
    assert memory.calls == ()


def test_a_read_only_client_only_looks_also_where_a_transaction_was_left_open(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    bench.backup()
    write(bench.base, {"a": b"changed"})
    interrupted(bench)
    before = judge.contents(memory)
    memory.reset_calls()
    reader = bench.other_client(tmp_path / "reader").open(read_only=True)
    assert len(reader.list_versions()) == 1
    assert [entry.path for entry in reader.list_files()] == ["/a", "/b", "/d/c"]
    assert len(list(reader.list_changes())) == len(TREE)
    assert not reader.plan_backup().empty
    assert reader.download("latest", tmp_path / "out").problems == ()
    assert {call.method for call in memory.calls} <= SEEING - {"list_uploads"}
    assert judge.contents(memory) == before


# --- writing without reading or deleting -------------------------------------------------------------------


class Interruption(Exception):
    pass


def interrupted(bench: Bench) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, FileDone) and event.uploaded:
            raise Interruption

    with pytest.raises(Interruption):
        bench.open().backup(on_event=stop)


def restricted(bench: Bench, settings: Any, store: MemoryClient) -> Bench:
    return evolve(bench, config=evolve(bench.config, **settings), store=store)


def forbidden(calls: Iterable[Call], *, reads: bool) -> list[Call]:
    """Requests that a client must not make which may not delete, and unless it `reads`, may not read files either."""
    looks = ("get", "read", "head")
    return [
        call
        for call in calls
        if call.method == "delete_versions" or (not reads and call.method in looks and call.key.startswith("files/"))
    ]


def strikes(kind: FaultKind, play: Callable[[Fault], MemoryClient]) -> Iterator[tuple[int, MemoryClient]]:
    """`play` with a fault at each request in turn, until it strikes none any more."""
    for number in count(1):
        client = play(Fault(number, kind))
        yield number, client
        if len(client.calls) < number:
            return


def run_to_its_end(bench: Bench) -> None:
    with suppress(SimulatedCrash, RRBackupError):
        open_repository(bench.config, store=bench.store, threads=1).backup(take_over=True)


KINDS = [
    FaultKind.AFTER,
    *(pytest.param(kind, marks=pytest.mark.deep) for kind in FaultKind if kind is not FaultKind.AFTER),
]


@pytest.mark.parametrize("settings", RESTRICTED)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_deleted_or_lost_sight_of_wherever_a_run_is_struck(
    kind: FaultKind, settings: dict[str, bool], make_bench: MakeBench, tmp_path: Path
) -> None:
    """Struck at each request; then another client of the same mode, with other contents, takes over; then the first."""
    folders = count()
    reads = settings is NO_DELETE

    def play(fault: Fault) -> MemoryClient:
        memory = MemoryStore()
        base = make_bench(memory)
        write(base.base, TREE)
        struck = memory.client(faults=[fault])
        first = restricted(base.other_client(tmp_path / f"first{next(folders)}"), settings, struck)
        run_to_its_end(first)
        write(base.base, {"a": b"other", "b": b"contents", "d/c": b"now"})
        second = restricted(base.other_client(tmp_path / f"second{next(folders)}"), settings, memory.client())
        second.open().backup(take_over=True)
        struck.crashed, struck.faults = False, ()
        again = evolve(first, store=memory.client())
        write(base.base, {"a": b"once more"})
        again.open().backup()
        found = judge.contents(memory)
        clients = (struck, second.store, again.store)
        assert [call for c in clients for call in forbidden(c.calls, reads=reads)] == []  # type: ignore[attr-defined]
        unknown = judge.leaks(found)
        assert unknown == set() or (kind is FaultKind.TWICE and len(unknown) == 1), fault
        return struck

    assert sum(1 for _ in strikes(kind, play)) > 8


def test_a_client_that_may_not_delete_restores_all_the_same(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    client = restricted(bench, NO_DELETE, memory)
    client.backup()
    assert client.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)


def test_a_write_only_client_rebuilds_its_local_manifest_without_reading_files(
    bench: Bench, memory: MemoryStore
) -> None:
    writer = restricted(bench, WRITE_ONLY, memory)
    for content in (b"x", b"y", b"z"):
        write(bench.base, {"a": content})
        writer.backup()
    Path(writer.config.local_manifest_file).unlink()
    memory.reset_calls()
    assert writer.backup().version_id is None
    assert forbidden(memory.calls, reads=False) == []


# --- the garbage list --------------------------------------------------------------------------------------


class Watched:
    """A client's store that lets something happen before request number `at`, and remembers conditions of writes."""

    def __init__(self, store: MemoryClient, at: int, act: Callable[[], None]) -> None:
        self._store = store
        self._at = at
        self._act = act
        self.acted = False
        self.conditions: list[object] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return method if name not in ("get", "put") else lambda *values, **named: self._asked(method, *values, **named)

    def _asked(self, method: Callable[..., object], *values: object, **named: object) -> object:
        if len(self._store.calls) == self._at - 1 and not self.acted:
            self.acted = True
            self._act()
        if "condition" in named:
            self.conditions.append(named["condition"])
        return method(*values, **named)


def control(store: object) -> Control:
    return Control(cast("Store", store), ObjectNames())


def refs(*names: str) -> tuple[VersionRef, ...]:
    return tuple(VersionRef(f"files/{name}", VersionId("v")) for name in names)


def listed(memory: MemoryStore) -> tuple[VersionRef, ...]:
    return format2.decode_garbage(memory.get("garbage_objects").body, "garbage_objects")


LOST_ANSWERS = [None, FaultKind.LOST, FaultKind.NOT_SENT, FaultKind.TWICE]
BEGUN = [pytest.param((), id="from nothing"), pytest.param(refs("old"), id="from a list")]


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("kind", LOST_ANSWERS)
def test_two_clients_that_append_at_once_lose_nothing(kind: FaultKind | None, begun: tuple[VersionRef, ...]) -> None:
    """The other appends before each request of the one, whose answers are lost at each request as well."""
    for at in range(1, 5):
        for struck in (2, 4):  # the writes
            memory = MemoryStore()
            control(memory).append_garbage(begun)
            store = memory.client(faults=[Fault(struck, kind)] if kind else ())
            watched = Watched(store, at, partial(control(memory).append_garbage, refs("two")))
            control(watched).append_garbage(refs("one", "both"))
            expected = (*begun, *refs("one", "both"), *(refs("two") if watched.acted else ()))
            assert sorted(map(str, listed(memory))) == sorted(map(str, expected))
            assert all(isinstance(condition, (IfAbsent, IfMatch)) for condition in watched.conditions)


@pytest.mark.parametrize("kind", LOST_ANSWERS)
def test_what_is_appended_while_the_list_is_cleared_stays(kind: FaultKind | None) -> None:
    for at in range(1, 5):
        for struck in (2, 4):  # the writes
            memory = MemoryStore()
            control(memory).append_garbage(refs("old", "older"))
            store = memory.client(faults=[Fault(struck, kind)] if kind else ())
            act = partial(control(memory).append_garbage, refs("new"))
            watched = Watched(store, at, act)
            control(watched).forget_garbage(frozenset(refs("old", "older")))
            assert listed(memory) == (refs("new") if watched.acted else ())
