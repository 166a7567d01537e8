"""The commit machine in full: what exactly each state asks for, and which state exactly each outcome leads to.

`docs/design.md` has the same as a table of names (`test_documents`); here is what stands in the states.
"""

import pytest
from attrs import evolve

from rrbackup.pure.adoption import Receipt
from rrbackup.pure.claims import Origin, Signature
from rrbackup.pure.commit import (
    Claiming,
    Clearing,
    Confirming,
    Ended,
    Ending,
    Inspecting,
    Job,
    Publishing,
    Rechecking,
    State,
    Tidying,
    Uploading,
    Verifying,
    advance,
    begin,
    keys_of,
    next_effect,
)
from rrbackup.pure.model import (
    Change,
    CheckpointRef,
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    Entry,
    HeadRef,
    Link,
    ListedVersion,
    ObjectRef,
    PathText,
    Problem,
    ProblemKind,
    RepositoryId,
    SeenClaim,
    Status,
    TransactionId,
    UnfinishedUpload,
    VersionId,
    VersionRef,
)
from rrbackup.pure.outcomes import Content, Failed, FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason
from rrbackup.pure.steps import (
    AbortUploads,
    AppendGarbage,
    ChainSeen,
    ClaimSeen,
    DeleteVersions,
    Done,
    Effect,
    Inspect,
    ListKeys,
    MustBeAbsent,
    MustMatch,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    ReferencesSeen,
    Refused,
    Results,
    Unclear,
    Upload,
    UploadsSeen,
    VersionsSeen,
    WriteClaim,
    Wrote,
)
from rrbackup.pure.sweep import Sweep

ME, OTHER = TransactionId("ours"), TransactionId("another")
WHO = Signature(ME, "host", 7)
HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 1, RepositoryId("r"))
SEEN = SeenClaim(Claim(OTHER, 4, ClaimState.IDLE, "elsewhere", 5, conditional_writes=False), '"c1"', VersionId("c1"))
WROTE = Wrote(VersionId("v9"), '"e9"', "99" * 32)
CONTENT = Content(1, "aa" * 32, 0, 0, None)

A = Candidate(PathText("/a"), 1, 0, 0, Reason.NEW, None, "files/z", known_size=True)
B = Candidate(PathText("/b"), 1, 0, 0, Reason.NEW, None, "files/b", known_size=True)
GONE = Planned(Change(Status.DELETED, Entry(PathText("/gone"))), Reason.GONE)
PLAN = BackupPlan(HEAD, (A, B), (GONE,))
JOB = Job(WHO, RepositoryId("r"), PLAN, SEEN)
FIRST = Job(WHO, RepositoryId("new"), BackupPlan(None, (A, B)), SeenClaim())
"""Nothing is there yet: no head, no claim object."""
UNCHANGED = evolve(JOB, plan=BackupPlan(HEAD, (evolve(A, previous=Entry(A.path, size=1, sha256="aa" * 32)),)))
"""What is read of `/a` proves to be what is stored."""

OPEN = Claim(ME, 1, ClaimState.OPEN, "host", 7, VersionId("v1"), 1, ("files/b", "files/z"), conditional_writes=False)
HELD = SeenClaim(OPEN, '"e9"', VersionId("v9"))
RENEWED = SeenClaim(evolve(OPEN, serial=2, keys=(), keys_version=VersionId("v9")), '"e10"', VersionId("v10"))
FOREIGN = SeenClaim(evolve(OPEN, transaction=OTHER), '"c2"', VersionId("c2"))
CLEARED = Claim(ME, 2, ClaimState.IDLE, "host", 7, conditional_writes=False)


def stored(key: str, version: str) -> ObjectRef:
    return ObjectRef(key, VersionId(version), 1, f'"{version}"')


SENT_A = Settled(PathText("/a"), CONTENT, stored("files/z", "a1"), uploaded=True)
SENT_B = Settled(PathText("/b"), CONTENT, stored("files/b", "b1"), uploaded=True)
KNOWN_A = Settled(PathText("/a"), CONTENT, stored("files/z", "a0"))
EMPTY_B = Settled(PathText("/b"), CONTENT, None, uploaded=True)
SAME_A = Settled(PathText("/a"), CONTENT, None)
FAILED_B = Failed(PathText("/b"), Problem(PathText("/b"), ProblemKind.UNREADABLE, "permission denied"))
LEFT = VersionRef("files/z", VersionId("left"))
BOTH = (SENT_A, SENT_B)
A1, B1 = VersionRef("files/z", VersionId("a1")), VersionRef("files/b", VersionId("b1"))


def changes(*results: Settled) -> tuple[Change, ...]:
    read = (Change(Status.NEW, Entry(r.path, size=1, sha256="aa" * 32, object=r.object)) for r in results)
    return (*read, GONE.change)


def diff(*results: Settled) -> Diff:
    return Diff(RepositoryId("r"), 2, HEAD.as_parent, ME, DiffKind.COMMIT, 7, "host", changes(*results))


def link(what: Diff) -> Link:
    return Link(WROTE.version_id, WROTE.etag, WROTE.sha256, what)


OURS = link(diff(*BOTH))
THEIRS = Link(VersionId("v8"), '"e8"', "88" * 32, evolve(diff(), transaction=OTHER))
WON, LOST = Ending(OURS), Ending(lost=True)

NO_SEARCH = Sweep(ME, (), True)
TIDYING_LOST = Tidying(JOB, BOTH, HELD, LOST, (A1, B1), NO_SEARCH)
DOUBTFUL = (evolve(SENT_A, doubtful=True), SENT_B)
LOOKING = Tidying(JOB, DOUBTFUL, HELD, WON, (), Sweep(ME, ("files/z",), True, spare=frozenset({A1, B1})))
TWIN = ListedVersion("files/z", VersionId("twin"), 1, '"t"')

ASKED: tuple[tuple[State, Effect | None], ...] = (
    (Inspecting(JOB), Inspect((A, B))),
    (Claiming(JOB, ()), WriteClaim(OPEN, MustMatch('"c1"'))),
    (Claiming(JOB, (KNOWN_A,)), WriteClaim(evolve(OPEN, keys=("files/b",)), MustMatch('"c1"'))),
    (
        Claiming(FIRST, ()),
        WriteClaim(evolve(OPEN, head=None, head_sequence=0, conditional_writes=None), MustBeAbsent()),
    ),
    (Confirming(JOB, ()), ReadClaim()),
    (Uploading(JOB, (), HELD), Upload((A, B), HELD)),
    (Uploading(JOB, (KNOWN_A,), HELD), Upload((B,), HELD)),
    (Publishing(JOB, BOTH, HELD), Publish(diff(*BOTH), MustMatch('"e1"'))),
    (
        Publishing(FIRST, (FAILED_B,), None),
        Publish(Diff(RepositoryId("new"), 1, None, ME, DiffKind.COMMIT, 7, "host"), MustBeAbsent()),
    ),
    (Verifying(JOB, (), HELD), ReadChain(1)),
    (Verifying(FIRST, (), HELD), ReadChain(0)),
    (TIDYING_LOST, DeleteVersions((A1, B1))),
    (evolve(TIDYING_LOST, job=evolve(JOB, deletes=False)), AppendGarbage((A1, B1))),
    (LOOKING, ListKeys(("files/z",))),
    (Clearing(JOB, BOTH, HELD, WON), WriteClaim(CLEARED, MustMatch('"e9"'))),
    (Clearing(JOB, BOTH, RENEWED, WON), WriteClaim(evolve(CLEARED, serial=3), MustMatch('"e10"'))),
    (Rechecking(JOB, BOTH, WON), ReadClaim()),
    (Ended(BOTH, WON), None),
)

LEADS_TO: tuple[tuple[State, Outcome, State], ...] = (
    (Inspecting(JOB), Results((KNOWN_A,)), Claiming(JOB, (KNOWN_A,))),
    (Inspecting(JOB), Results((KNOWN_A, FAILED_B)), Publishing(JOB, (KNOWN_A, FAILED_B), None)),
    (Inspecting(UNCHANGED), Results((SAME_A,)), Ended((SAME_A,), Ending())),
    (
        Claiming(JOB, (KNOWN_A,)),
        WROTE,
        Uploading(JOB, (KNOWN_A,), evolve(HELD, record=evolve(OPEN, keys=("files/b",)))),
    ),
    (Claiming(JOB, (KNOWN_A,)), Refused(), Confirming(JOB, (KNOWN_A,))),
    (Claiming(JOB, (KNOWN_A,)), Unclear(), Confirming(JOB, (KNOWN_A,))),
    (Confirming(JOB, (KNOWN_A,)), ClaimSeen(HELD), Uploading(JOB, (KNOWN_A,), HELD)),
    (Confirming(JOB, (KNOWN_A,)), ClaimSeen(SEEN), Claiming(JOB, (KNOWN_A,))),
    (Confirming(JOB, (KNOWN_A,)), ClaimSeen(FOREIGN), Ended((KNOWN_A,), LOST)),
    (Uploading(JOB, (SENT_A,), HELD), Results((SENT_B,)), Publishing(JOB, BOTH, HELD)),
    (Uploading(JOB, (SENT_A,), HELD), Results((SENT_B,), RENEWED), Publishing(JOB, BOTH, RENEWED)),
    (Uploading(JOB, (SENT_A,), HELD), Results((SENT_B,), FOREIGN), TIDYING_LOST),
    (Uploading(UNCHANGED, (), HELD), Results((SAME_A,)), Clearing(UNCHANGED, (SAME_A,), HELD, Ending())),
    (Publishing(JOB, BOTH, HELD), WROTE, Clearing(JOB, BOTH, HELD, WON)),
    (Publishing(JOB, BOTH, None), WROTE, Ended(BOTH, WON)),
    (Publishing(JOB, DOUBTFUL, HELD), WROTE, LOOKING),
    (Publishing(JOB, BOTH, HELD), Refused(), Verifying(JOB, BOTH, HELD)),
    (Publishing(JOB, BOTH, None), Unclear(), Verifying(JOB, BOTH, None)),
    (Verifying(JOB, BOTH, HELD), ChainSeen((THEIRS, OURS)), Clearing(JOB, BOTH, HELD, WON)),
    (Verifying(JOB, BOTH, HELD), ChainSeen(()), Publishing(JOB, BOTH, HELD)),
    (Verifying(JOB, BOTH, HELD), ChainSeen((THEIRS,)), TIDYING_LOST),
    (Verifying(JOB, (KNOWN_A,), None), ChainSeen((THEIRS,)), Ended((KNOWN_A,), LOST)),
    (TIDYING_LOST, Done(), Clearing(JOB, BOTH, HELD, LOST)),
    (LOOKING, VersionsSeen(()), evolve(LOOKING, search=evolve(LOOKING.search, listed=()))),
    (LOOKING, VersionsSeen((TWIN,)), evolve(LOOKING, search=evolve(LOOKING.search, listed=(TWIN,)))),
    (Clearing(JOB, BOTH, HELD, WON), WROTE, Ended(BOTH, WON)),
    (Clearing(JOB, BOTH, HELD, LOST), Refused(), Ended(BOTH, LOST)),
    (Clearing(JOB, BOTH, HELD, LOST), Unclear(), Rechecking(JOB, BOTH, LOST)),
    (Rechecking(JOB, BOTH, LOST), ClaimSeen(RENEWED), Clearing(JOB, BOTH, RENEWED, LOST)),
    (Rechecking(JOB, BOTH, WON), ClaimSeen(FOREIGN), Ended(BOTH, WON)),
)


@pytest.mark.parametrize(("state", "effect"), ASKED)
def test_each_state_asks_for_its_effect(state: State, effect: Effect | None) -> None:
    assert next_effect(state) == effect


@pytest.mark.parametrize(("state", "outcome", "after"), LEADS_TO)
def test_each_outcome_leads_to_one_state(state: State, outcome: Outcome, after: State) -> None:
    assert advance(state, outcome) == after


@pytest.mark.parametrize(
    ("plan", "first"),
    [
        (BackupPlan(HEAD, (A, evolve(B, known_size=False))), Claiming),
        (BackupPlan(HEAD, (A, B)), Inspecting),
        (BackupPlan(HEAD, (), (GONE,)), Publishing),
        (BackupPlan(HEAD), Ended),
    ],
)
def test_where_a_transaction_begins(plan: BackupPlan, first: type) -> None:
    state = begin(evolve(JOB, plan=plan))
    assert type(state) is first
    assert getattr(state, "results", ()) == ()
    assert getattr(state, "claim", None) is None
    assert getattr(state, "ending", Ending()) == Ending()


def test_nothing_counts_as_lost_or_published_or_forbidden_that_was_not_said_to_be() -> None:
    assert Ending() == Ending(None, lost=False)
    assert JOB.deletes


def test_an_outcome_that_a_state_does_not_ask_for_is_a_programming_error() -> None:
    for state in (Inspecting(JOB), Ended(BOTH, WON), Clearing(JOB, BOTH, HELD, WON)):
        with pytest.raises(AssertionError, match=f"{type(state).__name__} does not expect"):
            advance(state, Done())


# --- what is deleted, and what is kept -------------------------------------------------------------------------


def tidied(job: Job, results: tuple[FileResult, ...], claim: SeenClaim = HELD) -> tuple[State, State]:
    """Where a transaction with these results stands when it has won, and when it has lost."""
    return (
        advance(Publishing(job, results, claim), WROTE),
        advance(Verifying(job, results, claim), ChainSeen((THEIRS,))),
    )


def test_leftovers_go_in_any_case_and_uploads_only_if_the_transaction_is_lost() -> None:
    won, lost = tidied(JOB, (evolve(SENT_A, leftovers=(LEFT,)), KNOWN_A, EMPTY_B))
    assert isinstance(won, Tidying)
    assert isinstance(lost, Tidying)
    assert (won.own, lost.own) == ((LEFT,), (LEFT, A1))


def test_twins_are_looked_for_under_the_keys_of_doubtful_files_and_our_uploads_are_spared() -> None:
    """Also of one that failed. Once lost, nothing is spared: the uploads are gone before the listing."""
    won, lost = tidied(JOB, (SENT_A, evolve(FAILED_B, doubtful=True)))
    assert isinstance(won, Tidying)
    assert isinstance(lost, Tidying)
    assert won.search == Sweep(ME, ("files/b",), True, spare=frozenset({A1}))
    assert lost.search == Sweep(ME, ("files/b",), True)
    careful, _ = tidied(evolve(JOB, deletes=False), DOUBTFUL)
    assert isinstance(careful, Tidying)
    assert not careful.search.deletes


def test_a_twin_is_deleted_after_a_look_at_the_claim_and_at_all_diffs() -> None:
    state: State = LOOKING
    for outcome in (VersionsSeen((TWIN,)), UploadsSeen(()), ClaimSeen(HELD), ReferencesSeen(frozenset())):
        state = advance(state, outcome)
    assert next_effect(state) == DeleteVersions((TWIN.ref,))
    assert advance(state, Done()) == Clearing(JOB, DOUBTFUL, HELD, WON)


def test_an_upload_that_was_begun_twice_is_given_up_after_a_look_at_the_claim() -> None:
    unfinished = UnfinishedUpload("files/z", "u")
    state: State = LOOKING
    for outcome in (VersionsSeen(()), UploadsSeen((unfinished,))):
        state = advance(state, outcome)
    assert next_effect(state) == ReadClaim()
    assert next_effect(advance(state, ClaimSeen(HELD))) == AbortUploads((unfinished,))
    assert advance(advance(state, ClaimSeen(HELD)), Done()) == Clearing(JOB, DOUBTFUL, HELD, WON)


def test_keys_are_named_once_each_in_order() -> None:
    """So many that a set would hardly give them in order by chance."""
    names = "hgfedcbaihgfedcba"
    candidates = tuple(evolve(A, path=PathText(f"/{n}"), key=f"files/{name}") for n, name in enumerate(names))
    keys = tuple(f"files/{name}" for name in sorted(set(names)))
    assert keys_of(candidates) == keys
    adopted = frozenset(Receipt(OTHER, "aa" * 32, 1, stored(f"files/{name}", "x")) for name in names)
    effect = next_effect(Claiming(evolve(JOB, plan=BackupPlan(HEAD), adopted=adopted), ()))
    assert isinstance(effect, WriteClaim)
    assert effect.record.keys == keys


def test_a_checkpoint_that_was_written_is_named_by_the_diff() -> None:
    checkpoint = CheckpointRef(VersionId("k1"), "cc" * 32, 3)
    effect = next_effect(Publishing(evolve(JOB, checkpoint=checkpoint), BOTH, HELD))
    assert effect == Publish(evolve(diff(*BOTH), checkpoint=checkpoint), MustMatch('"e1"'))


# --- going on with an interrupted run --------------------------------------------------------------------------

RECOVERED = SeenClaim(evolve(OPEN, transaction=TransactionId("recovery"), line=OTHER), '"c5"', VersionId("c5"))
USED = Receipt(OTHER, "aa" * 32, 1, stored("files/z", "a0"))
SPARE_ONE = Receipt(OTHER, "bb" * 32, 1, stored("files/y", "y0"))
GOING_ON = evolve(JOB, claim=RECOVERED, adopted=frozenset({USED, SPARE_ONE}))
A0, Y0 = USED.object.ref, SPARE_ONE.object.ref


def test_a_claim_that_recovery_holds_is_taken_up_at_once() -> None:
    assert begin(GOING_ON) == Claiming(GOING_ON, ())
    assert begin(evolve(GOING_ON, plan=BackupPlan(HEAD))) == Claiming(evolve(GOING_ON, plan=BackupPlan(HEAD)), ())


def test_uploads_are_written_down_under_the_line_of_the_claim() -> None:
    assert JOB.line == ME
    assert GOING_ON.line == OTHER
    assert evolve(GOING_ON, claim=evolve(RECOVERED, record=evolve(OPEN, transaction=OTHER))).line == OTHER


def test_a_claim_that_goes_on_names_also_the_keys_of_what_was_adopted() -> None:
    expected = evolve(OPEN, keys=("files/b", "files/y", "files/z"), line=OTHER)
    assert next_effect(Claiming(GOING_ON, ())) == WriteClaim(expected, MustMatch('"c5"'))


def test_adopted_uploads_without_use_go_and_all_of_them_if_the_transaction_is_lost() -> None:
    won, lost = tidied(GOING_ON, (KNOWN_A, SENT_B))
    assert isinstance(won, Tidying)
    assert isinstance(lost, Tidying)
    assert (won.own, lost.own) == ((Y0,), (B1, Y0, A0))


def test_who_adopted_something_gives_it_back_when_the_claim_is_lost_before_anything_was_sent() -> None:
    state = advance(Confirming(GOING_ON, ()), ClaimSeen(FOREIGN))
    assert state == Tidying(GOING_ON, (), RECOVERED, LOST, (Y0, A0), NO_SEARCH)
    assert advance(state, Done()) == Clearing(GOING_ON, (), RECOVERED, LOST)


def test_a_copy_bears_the_time_and_host_of_its_original_and_is_published_even_without_changes() -> None:
    job = evolve(JOB, plan=BackupPlan(JOB.head), origin=Origin(8, "attic"))
    effect = next_effect(begin(job))
    assert isinstance(effect, Publish)
    assert (effect.diff.created_ns, effect.diff.host, effect.diff.changes) == (8, "attic", ())
    assert effect.diff.transaction == WHO.transaction
