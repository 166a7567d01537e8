"""The faults of the store in memory strike as their model says, and are counted as a real S3 would count requests."""

from collections.abc import Callable

import pytest

from rrbackup.effects.memory import Call, Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.store import Condition, IfAbsent, IfMatch
from rrbackup.errors import ConditionFailed, OutcomeUnknown, StoreUnavailable
from rrbackup.pure.model import VersionRef

PART = 4


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore(multipart_threshold=PART)


def bodies(memory: MemoryStore, key: str = "k") -> list[bytes]:
    """The contents of all versions of a key, oldest first."""
    return [memory.get(key, row.version_id).body for row in memory.list_versions(key)][::-1]


@pytest.mark.parametrize(
    ("kind", "raised", "left"),
    [
        (FaultKind.BEFORE, SimulatedCrash, []),
        (FaultKind.AFTER, SimulatedCrash, [b"x"]),
        (FaultKind.LOST, OutcomeUnknown, [b"x"]),
        (FaultKind.NOT_SENT, OutcomeUnknown, []),
    ],
)
def test_a_struck_put(memory: MemoryStore, kind: FaultKind, raised: type[BaseException], left: list[bytes]) -> None:
    client = memory.client(faults=[Fault(1, kind)])
    with pytest.raises(raised):
        client.put("k", b"x")
    assert bodies(memory) == left
    assert client.crashed == (raised is SimulatedCrash)


def test_a_put_applied_twice_leaves_two_versions_and_says_so(memory: MemoryStore) -> None:
    stored = memory.client(faults=[Fault(1, FaultKind.TWICE)]).put("k", b"x")
    assert bodies(memory) == [b"x", b"x"]
    assert (stored.attempts, stored.version_id) == (2, memory.head("k").version_id)


@pytest.mark.parametrize("absent", [True, False])
def test_a_conditional_put_applied_twice_is_refused_although_applied(memory: MemoryStore, absent: bool) -> None:
    condition: Condition = IfAbsent() if absent else IfMatch(memory.put("k", b"0").etag)
    with pytest.raises(ConditionFailed):
        memory.client(faults=[Fault(1, FaultKind.TWICE)]).put("k", b"x", condition=condition)
    assert bodies(memory)[-1] == b"x"


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.AFTER])
def test_a_refused_write_whose_answer_is_lost_writes_nothing(memory: MemoryStore, kind: FaultKind) -> None:
    memory.put("k", b"0")
    with pytest.raises((OutcomeUnknown, SimulatedCrash)):
        memory.client(faults=[Fault(1, kind)]).put("k", b"x", condition=IfAbsent())
    assert bodies(memory) == [b"0"]


READS: dict[str, Callable[[MemoryClient], object]] = {
    "head": lambda client: client.head("k"),
    "get": lambda client: client.get("k"),
    "list_versions": lambda client: list(client.list_versions("k")),
    "list_uploads": lambda client: list(client.list_uploads("k")),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.NOT_SENT])
def test_a_struck_read_finds_the_store_unavailable(memory: MemoryStore, name: str, kind: FaultKind) -> None:
    memory.put("k", b"x")
    client = memory.client(faults=[Fault(1, kind)])
    with pytest.raises(StoreUnavailable):
        READS[name](client)
    READS[name](client)
    assert client.calls == (Call(name, "k"), Call(name, "k"))


def test_whoever_died_stays_dead_and_others_do_not_notice(memory: MemoryStore) -> None:
    dead, alive = memory.client(faults=[Fault(2, FaultKind.BEFORE)]), memory.client()
    dead.put("k", b"1")
    for _ in range(2):
        with pytest.raises(SimulatedCrash):
            dead.head("k")
    assert alive.get("k").body == b"1"
    assert len(dead.calls) == 2


def test_faults_may_be_set_and_counted_anew_at_any_time(memory: MemoryStore) -> None:
    client = memory.client()
    client.put("k", b"1")
    client.reset_calls()
    client.faults = (Fault(2, FaultKind.LOST),)
    client.head("k")
    with pytest.raises(StoreUnavailable):
        client.head("k")


def test_requests_are_counted_as_s3_counts_them(memory: MemoryStore) -> None:
    client = memory.client()
    client.put("a", b"1234")
    client.put("b", b"12345")
    client.mark_deleted("a")
    for _ in range(1_000):
        memory.put("a", b"")
    client.delete_versions(row.ref for row in list(client.list_versions("a")))
    assert [(call.method, call.key) for call in client.calls] == [
        ("put", "a"),
        ("create_upload", "b"),
        ("upload_part", "b"),
        ("upload_part", "b"),
        ("complete_upload", "b"),
        ("mark_deleted", "a"),
        ("list_versions", "a"),
        ("list_versions", "a"),
        ("delete_versions", "a"),
        ("delete_versions", "a"),
    ]


def test_breaking_off_a_listing_saves_requests(memory: MemoryStore) -> None:
    client = memory.client()
    for _ in range(1_001):
        memory.put("k", b"")
    assert next(client.list_versions("k")).key == "k"
    assert len(client.calls) == 1


@pytest.mark.parametrize("at", range(1, 6))
@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER])
def test_a_death_anywhere_in_a_multipart_upload(memory: MemoryStore, at: int, kind: FaultKind) -> None:
    client = memory.client(faults=[Fault(at, kind)])
    with pytest.raises(SimulatedCrash, match=f"died {kind}"):
        client.put("k", b"0123456789")
    begun, completed = (at, kind) != (1, FaultKind.BEFORE), (at, kind) == (5, FaultKind.AFTER)
    assert bodies(memory) == ([b"0123456789"] if completed else [])
    assert len(list(memory.list_uploads("k"))) == (1 if begun and not completed else 0)


@pytest.mark.parametrize("at", [2, 3, 4])
@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.NOT_SENT])
def test_a_lost_part_gives_the_upload_up(memory: MemoryStore, at: int, kind: FaultKind) -> None:
    client = memory.client(faults=[Fault(at, kind)])
    with pytest.raises(StoreUnavailable):
        client.put("k", b"0123456789")
    assert bodies(memory) == []
    assert list(memory.list_uploads("k")) == []
    assert client.calls[-1] == Call("abort_upload", "k")


@pytest.mark.parametrize(
    ("kind", "left"),
    [(FaultKind.LOST, [b"0123456789"]), (FaultKind.TWICE, [b"0123456789"]), (FaultKind.NOT_SENT, [])],
)
def test_a_completion_in_doubt(memory: MemoryStore, kind: FaultKind, left: list[bytes]) -> None:
    client = memory.client(faults=[Fault(5, kind)])
    with pytest.raises(OutcomeUnknown):
        client.put("k", b"0123456789")
    assert bodies(memory) == left
    assert list(memory.list_uploads("k")) == []


def test_beginning_an_upload_twice_leaves_a_twin(memory: MemoryStore) -> None:
    memory.client(faults=[Fault(1, FaultKind.TWICE)]).put("k", b"0123456789")
    assert bodies(memory) == [b"0123456789"]
    assert len(list(memory.list_uploads("k"))) == 1


def test_a_deletion_applied_twice_is_no_different(memory: MemoryStore) -> None:
    stored = memory.put("k", b"x")
    memory.client(faults=[Fault(1, FaultKind.TWICE)]).delete_versions([VersionRef("k", stored.version_id)])
    assert bodies(memory) == []


def test_equal_bytes_have_equal_etags_so_that_a_stale_match_can_hold(memory: MemoryStore) -> None:
    first = memory.put("k", b"same")
    memory.put("k", b"else")
    memory.put("k", b"same")
    memory.put("k", b"new", condition=IfMatch(first.etag))
    assert bodies(memory)[-1] == b"new"


def test_the_clock_stands_still_unless_set(memory: MemoryStore) -> None:
    memory.put("k", b"x")
    written = memory.clock_ns
    memory.clock_ns += 5
    info = memory.client().head("k")
    assert (info.last_modified_ns, info.date_ns) == (written, written + 5)
