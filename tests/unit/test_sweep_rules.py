"""Rules of deletion that `test_sweep` leaves open: what was removed, what is kept, what does not fit."""

import pytest
from attrs import evolve

from rrbackup.pure.model import ListedVersion, TransactionId, UnfinishedUpload, VersionId, VersionRef
from rrbackup.pure.steps import (
    AbortUploads,
    DeleteVersions,
    Done,
    HeadSeen,
    KeysSeen,
    ListUploads,
    Outcome,
    ReadClaim,
    ReadHead,
    ReadReferences,
    ReferencesSeen,
    Results,
    UploadsSeen,
    VersionsSeen,
    Wrote,
)
from rrbackup.pure.sweep import Sweep, advance, next_effect, of_receipts
from tests.unit.test_sweep import FENCE, KEPT, LATER, LISTED, ME, ORPHAN, UPLOAD, seen, steps

KEYS = ("files/a",)


def after(sweep: Sweep, *outcomes: Outcome) -> Sweep:
    for outcome in outcomes:
        sweep = advance(sweep, outcome)
    return sweep


def test_a_sweep_gives_up_unfinished_uploads_unless_told_not_to() -> None:
    assert Sweep(ME, KEYS, deletes=True).abort
    assert steps(Sweep(ME, None, deletes=True), LISTED)[-1] == ListUploads(None)


def test_nothing_counts_as_removed_before_it_is() -> None:
    begun = after(Sweep(ME, KEYS, deletes=True, abort=False), LISTED, seen(ME))
    assert begun.orphans_found == ()
    known = after(begun, ReferencesSeen(frozenset({KEPT})))
    assert known.orphans_found == ()
    assert after(known, Done()).orphans_found == (ORPHAN,)


def test_of_a_key_of_which_nobody_knows_what_is_referred_to_nothing_is_removed() -> None:
    checkpoint = VersionRef("manifest_checkpoint", VersionId("c1"))
    listed = VersionsSeen((ListedVersion(checkpoint.key, checkpoint.version_id, 0, ""), *LISTED.versions))
    begun = after(Sweep(ME, None, deletes=True, abort=False), listed, seen(ME))
    unsure = frozenset({checkpoint.key})
    assert next_effect(after(begun, ReferencesSeen(frozenset({KEPT}), unsure))) == DeleteVersions((ORPHAN,))
    assert next_effect(after(begun, ReferencesSeen(frozenset({KEPT})))) == DeleteVersions((checkpoint, ORPHAN))
    assert next_effect(after(begun, ReferencesSeen(frozenset({KEPT, ORPHAN}), unsure))) is None


def test_uploads_given_up_do_not_count_as_versions_removed() -> None:
    given_up = after(Sweep(ME, KEYS, deletes=True), VersionsSeen(()), UploadsSeen((UPLOAD,)), seen(ME), Done())
    assert given_up.orphans_found == ()
    assert (given_up.removed, given_up.aborted) == (False, True)


def test_what_all_diffs_refer_to_is_looked_for_only_once() -> None:
    """Nothing to remove is as good as removed."""
    known = after(Sweep(ME, KEYS, deletes=True), LISTED, UploadsSeen((UPLOAD,)), seen(ME))
    known = after(known, ReferencesSeen(frozenset({ORPHAN, KEPT})))
    assert next_effect(known) == AbortUploads((UPLOAD,))
    assert known.orphans_found == ()
    assert next_effect(after(known, Done())) is None


def test_a_head_that_is_gone_or_was_never_there_is_not_the_fence() -> None:
    looking = after(Sweep(ME, None, deletes=True, fence=FENCE, abort=False), LISTED, seen(ME))
    assert next_effect(looking) == ReadHead(FENCE)
    for head, stands in ((FENCE, True), (evolve(FENCE, etag="e2"), True), (LATER, False), (None, False)):
        assert advance(looking, HeadSeen(head)).head_stands is stands
        assert advance(looking, HeadSeen(head)).superseded is not stands
    assert advance(evolve(looking, fence=None), HeadSeen(None)).head_stands is True


@pytest.mark.parametrize("uploads", [None, (UPLOAD,)])
def test_once_the_claim_is_lost_nothing_is_asked_for_any_more(uploads: tuple[UnfinishedUpload, ...] | None) -> None:
    lost = Sweep(ME, KEYS, deletes=True, uploads=uploads, claim_stands=False)
    assert lost.superseded
    assert next_effect(lost) is None
    assert next_effect(evolve(lost, claim_stands=True, head_stands=False)) is None
    assert not evolve(lost, claim_stands=None).superseded
    assert not evolve(lost, claim_stands=True, head_stands=True).superseded


def test_without_keys_there_is_nothing_to_look_through() -> None:
    assert next_effect(Sweep(ME, (), deletes=True)) is None


@pytest.mark.parametrize("outcome", [Results(()), KeysSeen(None), Wrote(VersionId("v"), "e", "s")])
def test_an_outcome_that_no_sweep_asks_for_is_a_programming_error(outcome: Outcome) -> None:
    with pytest.raises(AssertionError, match="a sweep does not ask for"):
        advance(Sweep(ME, KEYS, deletes=True), outcome)


# --- receipts --------------------------------------------------------------------------------------------------


def test_receipts_are_dealt_with_in_the_order_of_keys_and_versions() -> None:
    pairs = (("b", "1"), ("a", "2"), ("a", "10"), ("c", "1"), ("a", "1"))
    refs = [VersionRef(f"files/{key}", VersionId(version)) for key, version in pairs]
    found = of_receipts(frozenset(refs), ME, deletes=True)
    assert [(ref.key, ref.version_id) for ref in found.suspects] == sorted((r.key, r.version_id) for r in refs)


@pytest.mark.parametrize("deletes", [True, False])
def test_receipts_are_the_whole_of_what_is_looked_through(deletes: bool) -> None:
    listed = (ListedVersion("files/a", VersionId("v2"), 0, ""),)
    expected = Sweep(TransactionId("t"), None, deletes, abort=False, listed=listed, claim_stands=True)
    assert of_receipts(frozenset({ORPHAN}), TransactionId("t"), deletes) == expected


# --- what is wanted --------------------------------------------------------------------------------------------


def test_what_is_wanted_is_kept_if_it_is_there_and_nothing_refers_to_it() -> None:
    gone = VersionRef("files/a", VersionId("v7"))
    sweep = Sweep(ME, KEYS, deletes=True, wanted=frozenset({KEPT, gone}), abort=False)
    assert steps(sweep, LISTED, seen(ME), ReferencesSeen(frozenset()), Done()) == [
        *steps(sweep)[:1],
        ReadClaim(),
        ReadReferences(),
        DeleteVersions((ORPHAN,)),
        None,
    ]
    assert after(sweep, LISTED, seen(ME), ReferencesSeen(frozenset())).kept == {KEPT}
    assert after(sweep, LISTED, seen(ME), ReferencesSeen(frozenset({KEPT}))).kept == set()


def test_what_is_wanted_has_to_be_looked_up_even_if_nothing_else_was_found() -> None:
    sweep = Sweep(ME, KEYS, deletes=True, wanted=frozenset({KEPT, ORPHAN}), abort=False)
    assert steps(sweep, LISTED, ReferencesSeen(frozenset()))[1:] == [ReadReferences(), None]
    absent = Sweep(ME, KEYS, deletes=True, wanted=frozenset({KEPT}), abort=False)
    assert steps(absent, VersionsSeen(()))[-1] is None
    assert after(absent, VersionsSeen(())).kept == set()
    assert not absent.undecided


def test_what_is_wanted_does_not_keep_unfinished_uploads_alive() -> None:
    sweep = Sweep(ME, KEYS, deletes=True, wanted=frozenset({KEPT, ORPHAN}))
    asked = steps(sweep, LISTED, UploadsSeen((UPLOAD,)), seen(ME), ReferencesSeen(frozenset()), Done())
    assert asked[2:] == [ReadClaim(), ReadReferences(), AbortUploads((UPLOAD,)), None]
