"""An interrupted backup goes on where it stopped: what it may adopt of its uploads, and what it must not."""

import pytest
from attrs import evolve

from rrbackup.effects.memory import FaultKind
from rrbackup.pure.steps import DeleteVersions, Publish, ReadClaimKeys, Upload, WriteClaim
from tests.property.cases import LOST, PAST, client, committed, faults, past_store, versions
from tests.property.phases import Backup, Collect, Disk, End, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import Tree, tree

ELSE = tree(a=b"7777777", b=b"22")
WANTED = tree(a=b"333", b=b"4444", c=b"55555", d=b"666666")
A = Profile("a", Backup(WANTED))


@pytest.fixture
def store() -> SearchStore:
    """The past is one commit of `/a` and `/b`."""
    return past_store()


def interrupted(store: SearchStore, uploads: int, run: Client | None = None) -> Client:
    """A run that dies when it has sent so many files."""
    run = (run or Client(A, store)).until(Upload)
    while len(sent(run)) < uploads:
        run.step()
    return run.kill()


def next_run(before: Client, store: SearchStore, wanted: Tree = WANTED, *, over: bool = False) -> Client:
    profile = evolve(before.profile, goal=Backup(wanted), take_over=over)
    return Client(profile, store, before.disk, before.number + 1)


def sent(run: Client) -> list[str]:
    """The files that a run sent, by their keys."""
    return sorted(call.key for call in run.requests.calls if call.method == "put" and call.key.startswith("files/"))


def test_only_what_is_missing_is_sent(store: SearchStore) -> None:
    second = next_run(interrupted(store, 3), store).run()
    assert second.end is End.COMMITTED
    assert sent(second) == ["files/d"]
    assert faults(store, second) == []


def test_it_may_be_interrupted_as_often_as_it_likes(store: SearchStore) -> None:
    run = interrupted(store, 1)
    for uploads in (1, 1, 1):
        run = interrupted(store, uploads, next_run(run, store))
        assert len(sent(run)) == 1
    last = next_run(run, store).run()
    assert (last.end, sent(last)) == (End.COMMITTED, [])
    assert faults(store, last) == []


@pytest.mark.parametrize("at", [WriteClaim, Publish, ReadClaimKeys])
def test_a_recovery_that_dies_leaves_everything_to_be_adopted_by_the_next(store: SearchStore, at: type) -> None:
    between = next_run(interrupted(store, 2), store).until(at).kill()
    last = next_run(between, store).run()
    assert (last.end, sent(last)) == (End.COMMITTED, ["files/c", "files/d"])
    assert faults(store, last) == []


def test_the_fence_of_a_recovery_that_died_serves_the_next_one(store: SearchStore) -> None:
    between = next_run(interrupted(store, 2), store).until(ReadClaimKeys).kill()
    fenced = versions(store, "manifest_diffs")
    next_run(between, store).until(ReadClaimKeys)
    assert versions(store, "manifest_diffs") == fenced


@pytest.mark.parametrize("kind", LOST)
def test_a_take_over_whose_answer_was_lost_still_adopts(store: SearchStore, kind: FaultKind) -> None:
    last = next_run(interrupted(store, 3), store).until(WriteClaim).strike(kind).run()
    assert last.end is End.COMMITTED
    assert faults(store, last) == []
    if kind is not FaultKind.NOT_SENT:
        assert "files/d" in sent(last)


def test_a_backup_that_had_committed_is_not_sent_again(store: SearchStore) -> None:
    gone = Client(A, store).until(Publish)
    gone.step()
    last = next_run(gone.kill(), store).run()
    assert (last.end, sent(last)) == (End.NOTHING, [])
    assert faults(store, gone) == []


def test_a_file_that_has_changed_meanwhile_is_sent_and_its_old_upload_deleted(store: SearchStore) -> None:
    wanted = tree(a=b"other", b=b"4444", c=b"55555", d=b"666666")
    last = next_run(interrupted(store, 4), store, wanted).run()
    assert (last.end, sent(last)) == (End.COMMITTED, ["files/a"])
    assert faults(store, last) == []


def test_an_upload_serves_another_file_with_the_same_content(store: SearchStore) -> None:
    wanted = tree(a=b"1", b=b"22", elsewhere=b"333")
    last = next_run(interrupted(store, 1), store, wanted).run()
    assert (last.end, sent(last)) == (End.COMMITTED, [])
    assert faults(store, last) == []


def test_a_tree_that_is_as_it_was_before_leaves_nothing_behind(store: SearchStore) -> None:
    last = next_run(interrupted(store, 3), store, PAST).run()
    assert (last.end, sent(last)) == (End.NOTHING, [])
    assert committed(store) == ["past"]
    assert faults(store, last) == []


def test_a_collection_adopts_nothing(store: SearchStore) -> None:
    gone = interrupted(store, 3)
    collecting = Client(evolve(A, goal=Collect()), store, gone.disk, gone.number + 1).run()
    assert collecting.end is End.COLLECTED
    assert faults(store) == []


def test_nothing_is_adopted_once_another_client_has_held_the_claim(store: SearchStore) -> None:
    gone = interrupted(store, 3)
    other = client(store, "b", ELSE, over=True).run()
    last = next_run(gone, store).run()
    assert sent(last) == ["files/a", "files/b", "files/c", "files/d"]
    assert faults(store, last, other) == []


def test_nothing_is_adopted_from_behind_another_client_that_died(store: SearchStore) -> None:
    """The other client has taken over and listed; what it deletes may be on its way."""
    gone = interrupted(store, 3)
    other = client(store, "b", ELSE, over=True).until(DeleteVersions).kill()
    assert next_run(gone, store).run().end is End.BLOCKED
    last = next_run(gone, store, over=True).run()
    assert sent(last) == ["files/a", "files/b", "files/c", "files/d"]
    assert faults(store, last, other) == []


def test_a_copy_of_the_local_files_adopts_nothing_that_the_original_goes_on_with(store: SearchStore) -> None:
    """A machine that was cloned: two clients with one journal, of which only one can be the direct successor."""
    gone = interrupted(store, 3)
    first = next_run(gone, store).until(Publish, 2).kill()
    clone = Client(evolve(A, name="clone", take_over=True), store, gone.disk).run()
    assert sent(clone) == ["files/a", "files/b", "files/c", "files/d"]
    assert faults(store, clone, first) == []


def test_what_may_be_deleted_yet_is_not_adopted(store: SearchStore) -> None:
    """A run sets about deleting what it does not need and dies; the deletion arrives after the next one's commit."""
    second = next_run(interrupted(store, 2), store, PAST).until(DeleteVersions)
    deletion = second.next_effect()
    assert isinstance(deletion, DeleteVersions)
    second.strike(FaultKind.NOT_SENT).step()
    assert second.end is not None
    third = next_run(second, store).run()
    assert third.end is End.COMMITTED
    store.delete_versions(deletion.refs)
    assert faults(store, second, third) == []


@pytest.mark.parametrize("uploads", range(5))
def test_a_lost_journal_costs_uploads_and_leaves_no_orphan(store: SearchStore, uploads: int) -> None:
    gone = interrupted(store, uploads)
    assert Client(A, store, Disk(), 2).run().end is End.BLOCKED
    last = Client(evolve(A, take_over=True), store, Disk(), gone.number + 2).run()
    assert (last.end, len(sent(last))) == (End.COMMITTED, 4)
    assert faults(store, last) == []


def test_a_journal_that_lost_its_tail_costs_these_uploads(store: SearchStore) -> None:
    """After a power cut the last lines of the journal may be missing: those versions are orphans."""
    gone = interrupted(store, 3)
    journal = gone.disk.journal
    kept = sorted(journal.receipts, key=lambda receipt: receipt.object.key)[:1]
    disk = evolve(gone.disk, journal=evolve(journal, receipts=frozenset(kept)))
    last = Client(A, store, disk, 2).run()
    assert (last.end, sent(last)) == (End.COMMITTED, ["files/b", "files/c", "files/d"])
    assert faults(store, last) == []
