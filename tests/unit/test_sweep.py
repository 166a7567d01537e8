"""The rule of deletion as a table: which step follows which, and that nothing goes once the claim is lost."""

import pytest

from rrbackup.pure.model import (
    Claim,
    ClaimState,
    HeadRef,
    ListedVersion,
    RepositoryId,
    SeenClaim,
    TransactionId,
    UnfinishedUpload,
    VersionId,
    VersionRef,
)
from rrbackup.pure.steps import (
    AbortUploads,
    AppendGarbage,
    ClaimSeen,
    DeleteVersions,
    Done,
    HeadSeen,
    ListAll,
    ListKeys,
    ListUploads,
    Outcome,
    ReadClaim,
    ReadHead,
    ReadReferences,
    ReferencesSeen,
    UploadsSeen,
    VersionsSeen,
)
from rrbackup.pure.sweep import Sweep, advance, next_effect, of_receipts

ME, OTHER = TransactionId("me"), TransactionId("other")
ORPHAN, KEPT = VersionRef("files/a", VersionId("v2")), VersionRef("files/a", VersionId("v1"))
LISTED = VersionsSeen(tuple(ListedVersion(ref.key, ref.version_id, 1, "e") for ref in (ORPHAN, KEPT)))
UPLOAD = UnfinishedUpload("files/a", "u1")
FENCE = HeadRef(VersionId("f"), "e", "s", 2, RepositoryId("r"))
LATER = HeadRef(VersionId("g"), "e2", "s2", 3, RepositoryId("r"))


def seen(transaction: TransactionId) -> ClaimSeen:
    return ClaimSeen(SeenClaim(Claim(transaction, 1, ClaimState.OPEN, "host", 0), "e", VersionId("c")))


def steps(sweep: Sweep, *outcomes: Outcome) -> list[object]:
    """What is asked for, with these answers, and what would be asked next."""
    asked: list[object] = []
    for outcome in outcomes:
        asked.append(next_effect(sweep))
        sweep = advance(sweep, outcome)
    return [*asked, next_effect(sweep)]


def test_the_whole_way() -> None:
    refs = ReferencesSeen(frozenset({KEPT}))
    answers = (LISTED, UploadsSeen((UPLOAD,)), seen(ME), refs, Done(), Done())
    assert steps(Sweep(ME, ("files/a",), deletes=True), *answers) == [
        ListKeys(("files/a",)),
        ListUploads(("files/a",)),
        ReadClaim(),
        ReadReferences(),
        DeleteVersions((ORPHAN,)),
        AbortUploads((UPLOAD,)),
        None,
    ]


def test_a_collection_also_looks_at_the_head() -> None:
    sweep = Sweep(ME, None, deletes=True, fence=FENCE)
    answers = (LISTED, UploadsSeen(()), seen(ME), HeadSeen(FENCE), ReferencesSeen(frozenset()))
    assert steps(sweep, *answers)[-3:] == [ReadHead(FENCE), ReadReferences(), DeleteVersions((ORPHAN, KEPT))]
    assert steps(sweep, LISTED, UploadsSeen(()), seen(ME), HeadSeen(LATER))[-1] is None
    assert steps(sweep)[-1] == ListAll()


@pytest.mark.parametrize("uploads", [(), (UPLOAD,)])
def test_a_superseded_sweeper_touches_nothing(uploads: tuple[UnfinishedUpload, ...]) -> None:
    sweep = Sweep(ME, ("files/a",), deletes=True)
    for claim in (seen(OTHER), ClaimSeen(SeenClaim())):
        assert steps(sweep, LISTED, UploadsSeen(uploads), claim)[-1] is None


def test_uploads_alone_are_given_up_only_after_a_look() -> None:
    asked = steps(Sweep(ME, ("files/a",), deletes=True), VersionsSeen(()), UploadsSeen((UPLOAD,)), seen(ME), Done())
    assert asked[2:] == [ReadClaim(), AbortUploads((UPLOAD,)), None]


def test_nothing_found_needs_no_look() -> None:
    assert steps(Sweep(ME, ("files/a",), deletes=True), VersionsSeen(()), UploadsSeen(()))[-1] is None


def test_a_client_that_may_not_delete_writes_it_down() -> None:
    answers = (LISTED, UploadsSeen(()), seen(ME), ReferencesSeen(frozenset({KEPT})))
    assert steps(Sweep(ME, ("files/a",), deletes=False), *answers)[-1] == AppendGarbage((ORPHAN,))


def test_what_is_spared_and_what_is_not_asked_about_stays() -> None:
    spared = Sweep(ME, ("files/a",), deletes=True, spare=frozenset({ORPHAN, KEPT}), abort=False)
    assert steps(spared, LISTED)[-1] is None
    narrow = Sweep(ME, ("files/a",), deletes=True, only=frozenset({KEPT}), abort=False)
    assert steps(narrow, LISTED, seen(ME), ReferencesSeen(frozenset()))[-1] == DeleteVersions((KEPT,))


def test_delete_markers_are_no_orphans() -> None:
    marker = ListedVersion("files/a", VersionId("m"), 0, "", marker=True)
    assert steps(Sweep(ME, ("files/a",), deletes=True, abort=False), VersionsSeen((marker,)))[-1] is None


def test_own_receipts_need_neither_listing_nor_look() -> None:
    sweep = of_receipts(frozenset({ORPHAN, KEPT}), ME, deletes=True)
    assert steps(sweep, ReferencesSeen(frozenset({KEPT})), Done()) == [
        ReadReferences(),
        DeleteVersions((ORPHAN,)),
        None,
    ]
    assert steps(sweep, ReferencesSeen(frozenset({ORPHAN, KEPT})))[-1] is None
