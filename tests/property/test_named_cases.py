"""Situations of a transaction that have a name, each played through step by step.

`A.until(X)` stands right before A's next effect X.
"""

import pytest

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import FaultKind
from rrbackup.pure import recovery
from rrbackup.pure.claims import Signature
from rrbackup.pure.model import TransactionId
from rrbackup.pure.steps import (
    ListAll,
    ListKeys,
    MustMatch,
    Publish,
    ReadHead,
    Upload,
    WriteClaim,
)
from tests.property.cases import (
    COPY,
    LOST,
    client,
    collector,
    committed,
    dead,
    faults,
    past_store,
    versions,
)
from tests.property.phases import End
from tests.property.stores import SearchStore
from tests.property.trees import tree


@pytest.fixture
def store() -> SearchStore:
    """The past is one commit of `/a` and `/b`."""
    return past_store()


# --- second looks ----------------------------------------------------------------------------------------------


def test_a_superseded_recoverer_deletes_nothing_of_its_successor(store: SearchStore) -> None:
    """A recovers its own dead run and is about to list; B takes over and uploads the same key; A goes on."""
    gone = client(store, "a").until(Upload)
    gone.step()
    a = gone.kill().again(store).until(ListKeys)
    b = client(store, "b", over=True).until(Upload)
    b.step()
    uploaded = versions(store, "files/a")
    assert a.run().end is End.BLOCKED
    assert versions(store, "files/a") == uploaded
    assert b.run().end is End.COMMITTED
    assert faults(store, a, b) == []


def test_a_superseded_recoverer_deletes_nothing_that_it_listed_before(store: SearchStore) -> None:
    """As before, but A lists first: what it has listed is no longer its own to delete."""
    gone = client(store, "a").until(Upload)
    gone.step()
    a = gone.kill().again(store).until(ListKeys)
    a.step()
    b = client(store, "b", over=True).run()
    assert b.end is End.COMMITTED
    assert a.run().end is End.COMMITTED, "B has finished, so A observes again and finds peace"
    assert faults(store, a, b) == []


def test_a_client_tidying_up_after_its_commit_deletes_nothing_of_its_successor(store: SearchStore) -> None:
    """A's upload was sent twice and A has committed; B ends A's claim and uploads the same key; then A lists."""
    a = client(store, "a").until(Upload).strike(FaultKind.TWICE).until(ListKeys)
    b = client(store, "b").until(Upload)
    b.step()
    uploaded = versions(store, "files/a")
    assert a.run().end is End.COMMITTED
    assert versions(store, "files/a") == uploaded
    assert b.run().end is End.COMMITTED
    assert committed(store) == ["past", "a", "b"]
    assert faults(store, a, b) == []


def test_a_collection_looks_at_its_claim_after_listing(store: SearchStore) -> None:
    collecting = collector(store).until(ListAll)
    b = client(store, "b", over=True).until(Upload)
    b.step()
    assert collecting.run().end is End.LOST
    assert b.run().end is End.COMMITTED
    assert faults(store, b) == []


def test_a_collection_looks_at_the_head_after_listing(store: SearchStore) -> None:
    """Nothing in the protocol moves the head under a collection's claim; it looks all the same."""
    stray = store.put("files/stray", b"nobody's")
    collecting = collector(store).until(ReadHead, 2)
    control = Control(store, ObjectNames())
    head = control.read_head(None)
    assert head is not None
    intruder = recovery.fence(Signature(TransactionId("x.1.1"), "x", 0), head, head.repository)
    control.publish(intruder, MustMatch(head.etag))
    assert collecting.run().end is End.LOST
    assert versions(store, "files/stray") == {stray.version_id}


# --- lost answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_the_claim_is_read_back(store: SearchStore, kind: FaultKind) -> None:
    a = client(store, "a").until(WriteClaim).strike(kind).run()
    assert a.end is End.COMMITTED
    assert faults(store, a) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_publish_is_read_back_and_the_diff_is_published_once(
    store: SearchStore, kind: FaultKind
) -> None:
    a = client(store, "a").until(Publish).strike(kind).run()
    assert a.end is End.COMMITTED
    assert committed(store) == ["past", "a"]
    assert faults(store, a) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_publish_without_claim_is_read_back(store: SearchStore, kind: FaultKind) -> None:
    a = client(store, "copy", COPY).until(Publish).strike(kind).run()
    assert a.end is End.COMMITTED
    assert committed(store) == ["past", "copy"]
    assert faults(store, a) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_publish_is_read_back_even_below_another_commit(store: SearchStore, kind: FaultKind) -> None:
    """By the time that A reads the chain, somebody has built on its diff; or, where it was not sent, on the past."""
    a = client(store, "a").until(Publish).strike(kind)
    a.step()
    b = client(store, "copy", tree(b=b"22"), over=True).run()
    assert b.end is End.COMMITTED
    assert a.run().end is (End.LOST if kind is FaultKind.NOT_SENT else End.COMMITTED)
    assert faults(store, a, b) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_the_fence_is_read_back(store: SearchStore, kind: FaultKind) -> None:
    dead(store)
    a = client(store, "a", over=True).until(Publish).strike(kind).run()
    assert a.end is End.COMMITTED
    assert len(versions(store, "manifest_diffs")) == 3, "the past, one fence and one commit"
    assert faults(store, a) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_taking_over_is_read_back(store: SearchStore, kind: FaultKind) -> None:
    dead(store)
    a = client(store, "a", over=True).until(WriteClaim).strike(kind).run()
    assert a.end is End.COMMITTED
    assert faults(store, a) == []


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_clearing_leaves_nothing_that_the_next_run_does_not_end(
    store: SearchStore, kind: FaultKind
) -> None:
    a = client(store, "a").until(WriteClaim, 2).strike(kind).run()
    assert a.end is End.COMMITTED
    again = a.again(store).run()
    assert again.end is End.NOTHING
    assert faults(store, a) == []


def test_a_lost_answer_of_clearing_does_not_shut_the_client_out(store: SearchStore) -> None:
    """Nothing could be read, so nothing was published, and the idle record never arrived."""
    a = client(store, "a", tree(a=b"1", b=b"22", c=None)).until(WriteClaim, 2).strike(FaultKind.NOT_SENT).run()
    assert a.end is End.NOTHING
    assert a.again(store).run().end is End.NOTHING


# --- one transaction -------------------------------------------------------------------------------------------


def test_a_doubled_upload_is_found_by_tidying(store: SearchStore) -> None:
    a = client(store, "a").until(Upload).strike(FaultKind.TWICE)
    a.step()
    assert len(versions(store, "files/a")) == 3
    assert a.run().end is End.COMMITTED
    assert len(versions(store, "files/a")) == 2
    assert faults(store, a) == []


def test_a_claim_that_outlives_its_commit_costs_nothing_that_is_referred_to(store: SearchStore) -> None:
    """A dies between publishing and clearing, its upload sent twice: the twin goes, the rest stays."""
    a = client(store, "a").until(Upload).strike(FaultKind.TWICE).until(ListKeys).kill()
    b = client(store, "b").run()
    assert b.end is End.COMMITTED, "no need to take over: A is in the chain"
    assert len(versions(store, "files/a")) == 3
    assert faults(store, a, b) == []


def test_a_superseded_client_loses_cleanly(store: SearchStore) -> None:
    """A sleeps between two uploads; B takes over and commits; A's later upload goes, B's stays."""
    a = client(store, "a", tree(a=b"333", b=b"666666")).until(Upload)
    a.step()
    b = client(store, "b", tree(a=b"4444", b=b"7777777"), over=True).run()
    assert b.end is End.COMMITTED
    assert a.run().end is End.LOST
    assert committed(store) == ["past", "b"]
    assert faults(store, a, b) == []


def test_a_superseded_client_that_has_published_before_the_fence_has_won(store: SearchStore) -> None:
    a = client(store, "a").until(Publish)
    b = client(store, "b", over=True).until(Publish)
    assert a.run().end is End.COMMITTED
    assert b.run().end is End.COMMITTED
    assert committed(store) == ["past", "a", "b"]
    assert faults(store, a, b) == []


def test_a_head_moved_by_a_commit_without_claim_wins(store: SearchStore) -> None:
    copying = client(store, "copy", COPY).until(Publish)
    a = client(store, "a").until(Publish)
    assert copying.run().end is End.COMMITTED
    assert a.run().end is End.LOST
    assert faults(store, a, copying) == []


def test_two_clients_race_for_the_first_commit() -> None:
    store = SearchStore()
    a = client(store, "a").until(WriteClaim)
    b = client(store, "b").until(WriteClaim)
    assert a.run().end is End.COMMITTED
    assert b.run().end is End.LOST
    assert committed(store) == ["a"]
    assert faults(store, a, b) == []


def test_two_recoverers_race_for_the_first_fence() -> None:
    store = SearchStore()
    dead(store)
    a = client(store, "a", over=True).until(Publish)
    b = client(store, "b", over=True).run()
    assert b.end is End.COMMITTED
    assert a.run().end is End.COMMITTED
    assert committed(store) == ["b", "a"]
    assert faults(store, a, b) == []
