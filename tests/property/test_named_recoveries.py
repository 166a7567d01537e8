"""Situations of a recovery, and of the garbage list, that have a name, each played through step by step.

`A.until(X)` stands right before A's next effect X.
"""

from collections.abc import Callable

import pytest

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient
from rrbackup.pure.model import Mode, VersionId, VersionRef
from rrbackup.pure.steps import (
    ListAll,
    ListKeys,
    Publish,
    Upload,
)
from tests.property import judge
from tests.property.cases import (
    COPY,
    LOST,
    PAST,
    WISHES,
    client,
    committed,
    dead,
    faults,
    past_store,
    versions,
)
from tests.property.phases import Backup, CleanList, End, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import tree


@pytest.fixture
def store() -> SearchStore:
    """The past is one commit of `/a` and `/b`."""
    return past_store()


# --- recovery --------------------------------------------------------------------------------------------------


def test_a_recovery_is_recovered_by_a_third_client(store: SearchStore) -> None:
    """The claim of T is taken over by A, who dies, and by B, who dies behind its fence: C still finds T's keys."""
    t = client(store, "t", tree(a=b"55555", b=b"666666")).until(Upload)
    t.step()
    a = client(store, "a", over=True).until(Publish).kill()
    b = client(store, "b", over=True).until(ListKeys).kill()
    c = client(store, "c", over=True).run()
    assert c.end is End.COMMITTED
    assert faults(store, a, b, c) == []
    assert t.run().end is End.LOST, "T was alive after all"
    assert committed(store) == ["past", "c"]
    assert faults(store, c) == []


def test_a_recoverer_that_lost_its_claim_fences_nobody(store: SearchStore) -> None:
    """A is about to fence its own dead run; the head moves, and B takes over: A's fence would only hit B."""
    copying = client(store, "copy", COPY).until(Publish)
    gone = client(store, "a").until(Upload)
    gone.step()
    a = gone.kill().again(store).until(Publish)
    assert copying.run().end is End.COMMITTED
    b = client(store, "b", over=True).until(Upload)
    assert a.run().end is End.BLOCKED
    assert b.run().end is End.COMMITTED
    assert a.again(store).run().end is End.COMMITTED
    assert faults(store, b, copying, a.again(store)) == []


def test_an_expired_list_of_keys_makes_recovery_look_through_everything(store: SearchStore) -> None:
    dead(store)
    listing = VersionId(max(versions(store, "gc_log")))
    client(store, "a", over=True).until(Publish).kill()
    store.delete_versions([VersionRef("gc_log", listing)])
    b = client(store, "b", over=True).until(ListAll)
    assert b.run().end is End.COMMITTED
    assert faults(store, b) == []


def test_a_polite_client_stops_at_a_foreign_claim_and_writes_nothing(store: SearchStore) -> None:
    dead(store)
    before = store.key
    assert client(store, "a").run().end is End.BLOCKED
    assert store.key == before


# --- garbage list ----------------------------------------------------------------------------------------------


def test_a_write_only_client_lists_orphans_instead_of_deleting_them(store: SearchStore) -> None:
    dead(store)
    writer = Client(Profile("w", Backup(WISHES["a"]), take_over=True, mode=Mode.WRITE_ONLY), store).run()
    assert writer.end is End.COMMITTED
    assert [call for call in writer.requests.calls if "delete" in call.method] == []
    assert [call for call in writer.requests.calls if call.method in ("get", "read") and "files/" in call.key] == []
    assert len(judge.garbage(judge.contents(store))) == 1
    assert faults(store, writer) == []


def test_a_losing_write_only_client_lists_its_uploads(store: SearchStore) -> None:
    """Its upload comes after its successor's listing, so nobody else knows of it."""
    writer = Client(Profile("w", Backup(WISHES["a"]), mode=Mode.WRITE_ONLY), store).until(Upload)
    b = client(store, "b", over=True).run()
    writer.step()
    late = versions(store, "files/a")
    assert writer.run().end is End.LOST
    assert versions(store, "files/a") == late
    assert {version for _, version in judge.garbage(judge.contents(store))} == {max(late)}
    assert faults(store, b) == []


def test_two_clients_that_append_garbage_at_once_lose_nothing(
    store: SearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.client()
    _before_the_first(first, "put", lambda: Control(store, ObjectNames()).append_garbage(_refs("two")), monkeypatch)
    Control(first, ObjectNames()).append_garbage(_refs("one"))
    assert judge.garbage(judge.contents(store)) == {("files/one", "v1"), ("files/two", "v1")}


@pytest.mark.parametrize("kind", LOST)
def test_garbage_whose_append_lost_its_answer_is_listed_once(store: SearchStore, kind: FaultKind) -> None:
    control = Control(store.client(faults=[Fault(2, kind)]), ObjectNames())
    control.append_garbage(_refs("one"))
    assert Control(store, ObjectNames()).read_garbage()[0] == _refs("one")


def test_cleaning_the_garbage_list_deletes_only_what_nothing_refers_to(store: SearchStore) -> None:
    """The list lies: it names a version that a commit refers to, and one that is not there."""
    referred = VersionRef("files/a", VersionId(*versions(store, "files/a")))
    orphan = store.put("files/a", b"orphan")
    stray = store.put("files/b", b"not listed")
    lies = (referred, VersionRef("files/a", orphan.version_id), *_refs("gone"))
    Control(store, ObjectNames()).append_garbage(lies)
    cleaner = Client(Profile("cleaner", CleanList()), store).run()
    assert cleaner.end is End.COLLECTED
    found = judge.contents(store)
    assert judge.garbage(found) == set()
    assert judge.leaks(found) == {("files/b", stray.version_id)}
    assert judge.violations(found, {"past.1": PAST}) == []


def _refs(name: str) -> tuple[VersionRef, ...]:
    return (VersionRef(f"files/{name}", VersionId("v1")),)


def _before_the_first(store: MemoryClient, method: str, act: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    """Let something happen between a client's reading and its first request of that kind."""
    real = getattr(store, method)
    pending = [act]

    def intruded(*args: object, **options: object) -> object:
        while pending:
            pending.pop()()
        return real(*args, **options)

    patch.setattr(store, method, intruded)
