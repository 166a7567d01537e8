"""Finding out about conditional writes, and doing without them."""

from collections.abc import Callable

import pytest

from rrbackup.effects.memory import Call, Fault, FaultKind, MemoryClient, MemoryStore
from rrbackup.effects.probe import probe_conditional_writes
from rrbackup.effects.single_writer import SingleWriter
from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store
from rrbackup.errors import ConditionFailed, OutcomeUnknown
from tests.worlds import World

KEY = "gc_log"


def idle(number: int) -> bytes:
    return b'{"state": "idle", "serial": %d}' % number


def writes(client: MemoryClient) -> int:
    return client.calls.count(Call("put", KEY))


def test_a_store_that_keeps_writers_apart_is_recognised(store: Store) -> None:
    found = probe_conditional_writes(store, KEY, idle, None)
    assert found.conditional
    current = store.get(KEY)
    assert (current.info.etag, current.info.version_id) == (found.etag, found.version_id)
    assert current.body in {idle(number) for number in range(3, 7)}
    assert {row.key for row in store.list_versions("")} == {KEY}


def test_it_takes_seven_requests_and_six_on_an_existing_record() -> None:
    client = MemoryStore().client()
    first = probe_conditional_writes(client, KEY, idle, None)
    assert (len(client.calls), writes(client)) == (7, 7)
    client.reset_calls()
    assert probe_conditional_writes(client, KEY, lambda number: idle(number + 10), first.etag).conditional
    assert (len(client.calls), writes(client)) == (6, 6)


@pytest.mark.parametrize("existing", [True, False])
def test_a_store_that_ignores_conditions_is_recognised(existing: bool) -> None:
    client = MemoryStore(conditional=False).client()
    etag = client.put(KEY, b"idle before").etag if existing else None
    found = probe_conditional_writes(client, KEY, idle, etag)
    assert not found.conditional
    assert "If-Match" in found.why
    assert (client.head(KEY).etag, client.head(KEY).version_id) == (found.etag, found.version_id)


def test_somebody_else_writing_meanwhile_is_told_and_not_overwritten() -> None:
    memory = MemoryStore()
    stale = memory.put(KEY, b"idle").etag
    claim = memory.put(KEY, b"the claim of another client")
    with pytest.raises(ConditionFailed):
        probe_conditional_writes(memory, KEY, idle, stale)
    assert memory.head(KEY).version_id == claim.version_id


def test_a_record_made_meanwhile_is_told_and_not_overwritten() -> None:
    memory = MemoryStore()
    memory.put(KEY, b"the claim of another client")
    with pytest.raises(ConditionFailed):
        probe_conditional_writes(memory, KEY, idle, None)
    assert memory.get(KEY).body == b"the claim of another client"


@pytest.mark.parametrize("at", range(1, 8))
def test_a_lost_answer_is_no_verdict(at: int) -> None:
    client = MemoryStore().client(faults=[Fault(at, FaultKind.LOST)])
    with pytest.raises(OutcomeUnknown):
        probe_conditional_writes(client, KEY, idle, None)


@pytest.fixture
def single() -> SingleWriter:
    return SingleWriter(MemoryStore(conditional=False).client())


@pytest.mark.parametrize("condition", [IfAbsent(), IfMatch('"another"')])
def test_a_single_writer_refuses_what_does_not_hold(single: SingleWriter, condition: Condition) -> None:
    single.put("k", b"x")
    with pytest.raises(ConditionFailed):
        single.put("k", b"y", condition=condition)
    assert single.get("k").body == b"x"


def test_a_single_writer_refuses_a_match_where_there_is_nothing(single: SingleWriter) -> None:
    with pytest.raises(ConditionFailed):
        single.put("k", b"y", condition=IfMatch('"any"'))


def test_a_single_writer_writes_what_holds(single: SingleWriter) -> None:
    etag = single.put("k", b"1", condition=IfAbsent()).etag
    single.put("k", b"2", condition=IfMatch(etag), metadata={"n": "1"})
    single.put("k", b"3")
    assert [row.size for row in single.list_versions("k")] == [1, 1, 1]


def test_a_single_writer_passes_everything_else_on(new_world: Callable[[str], World]) -> None:
    world = new_world("memory")
    single = SingleWriter(world.store())
    version = single.put("k", b"0123", metadata={"n": "1"}).version_id
    world.leave_upload("u")
    (upload,) = single.list_uploads("")
    single.abort_upload(upload)
    with single.read("k", version, 1, 2) as chunks:
        assert b"".join(chunks) == b"12"
    assert (single.head("k").metadata, single.describe(), single.prepare()) == ({"n": "1"}, "memory:w", ())
    single.delete_versions([row.ref for row in single.list_versions("")])
    assert list(world.store().list_versions("")) == []
    assert list(world.store().list_uploads("")) == []
