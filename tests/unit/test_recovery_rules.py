"""The recovery machine in full: what it asks for when this or that is known, and what is known after each outcome."""

import pytest
from attrs import evolve

from rrbackup.pure import claims
from rrbackup.pure.adoption import JournalContent, Receipt
from rrbackup.pure.claims import Patience, Signature
from rrbackup.pure.model import (
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    HeadRef,
    Link,
    ListedVersion,
    ObjectRef,
    RepositoryId,
    SeenClaim,
    TransactionId,
    VersionId,
)
from rrbackup.pure.recovery import Facts, Task, advance, begin, fence, next_effect
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Done,
    Effect,
    HeadSeen,
    KeysSeen,
    ListKeys,
    MustBeAbsent,
    MustMatch,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    ReadClaimKeys,
    ReadHead,
    ReadReferences,
    ReferencesSeen,
    Refused,
    Unclear,
    UploadsSeen,
    VersionsSeen,
    WriteClaim,
    Wrote,
)
from rrbackup.pure.sweep import Sweep

ME, VICTIM, THIRD = TransactionId("ours"), TransactionId("victim"), TransactionId("third")
WHO = Signature(ME, "host", 7)
HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 1, RepositoryId("r"))
WROTE = Wrote(VersionId("v9"), '"e9"', "99" * 32)
KEYS = ("files/a", "files/b")

OPEN = Claim(VICTIM, 1, ClaimState.OPEN, "elsewhere", 5, VersionId("v1"), 1, KEYS, conditional_writes=False)
OPENED = SeenClaim(OPEN, '"c1"', VersionId("c1"), age_ns=50)
FIRST = evolve(OPENED, record=evolve(OPEN, head=None, head_sequence=0))
"""Of the first backup of a repository."""
IDLE = SeenClaim(evolve(OPEN, state=ClaimState.IDLE, keys=()), '"c0"', VersionId("c0"))
OLD = SeenClaim(claims.of_old_client(KEYS, 5), '"c1"', VersionId("c1"))

TASK = Task(WHO, RepositoryId("new"))
FORCED = evolve(TASK, take_over=True)
TAKEN = claims.taking_over(WHO, OPENED, HEAD)
HELD = SeenClaim(TAKEN, '"e9"', VersionId("v9"))
CLEARED = Claim(ME, 2, ClaimState.IDLE, "host", 7, conditional_writes=False)

FENCE = Diff(RepositoryId("r"), 2, HEAD.as_parent, ME, DiffKind.FENCE, 7, "host")
STOOD = Link(WROTE.version_id, WROTE.etag, WROTE.sha256, FENCE).head


def link(sequence: int, transaction: TransactionId, kind: DiffKind = DiffKind.COMMIT) -> Link:
    diff = Diff(RepositoryId("r"), sequence, None, transaction, kind, 0, "h")
    return Link(VersionId(f"v{sequence}"), f'"e{sequence}"', f"{sequence}" * 64, diff)


SEES_HEAD = Facts(TASK, head_seen=True, head=HEAD)
POLITE = evolve(SEES_HEAD, claim=OPENED, committed=False)
READY = evolve(POLITE, task=FORCED)
MOVED = evolve(READY, committed=None)
OURS = evolve(READY, claim=HELD, victim=OPENED)
FENCED = evolve(OURS, head=STOOD, fence=STOOD)
SWEEP = Sweep(ME, KEYS, True)
SWEEPING = evolve(FENCED, search=SWEEP)
SWEPT = evolve(SWEEPING, search=evolve(SWEEP, listed=(), uploads=()))

ASKED: tuple[tuple[str, Facts, Effect | None], ...] = (
    ("nothing is known", Facts(TASK), ReadHead(None)),
    ("a head is remembered", Facts(evolve(TASK, known_head=HEAD)), ReadHead(HEAD)),
    ("the head is known", SEES_HEAD, ReadClaim()),
    ("nothing was ever written", evolve(SEES_HEAD, head=None), ReadClaim()),
    ("no claim", evolve(SEES_HEAD, claim=SeenClaim()), None),
    ("an idle record", evolve(SEES_HEAD, claim=IDLE), None),
    ("a claim that may be alive", POLITE, None),
    ("the head has moved since it claimed", evolve(MOVED, task=TASK), ReadChain(1)),
    ("it had committed", evolve(POLITE, committed=True), WriteClaim(TAKEN, MustMatch('"c1"'))),
    ("it is to be taken over", READY, WriteClaim(TAKEN, MustMatch('"c1"'))),
    ("it was taken over", OURS, Publish(FENCE, MustMatch('"e1"'))),
    (
        "it was taken over in an empty repository",
        evolve(OURS, head=None),
        Publish(Diff(RepositoryId("new"), 1, None, ME, DiffKind.FENCE, 7, "host"), MustBeAbsent()),
    ),
    ("it was taken over and had committed", evolve(OURS, committed=True), ReadClaimKeys(VersionId("c1"))),
    ("it is fenced", FENCED, ReadClaimKeys(VersionId("c1"))),
    ("the keys are known", SWEEPING, ListKeys(KEYS)),
    ("it is swept", SWEPT, WriteClaim(CLEARED, MustMatch('"e9"'))),
)

LEADS_TO: tuple[tuple[Facts, Outcome, Facts], ...] = (
    (Facts(TASK), HeadSeen(HEAD), SEES_HEAD),
    (Facts(TASK), HeadSeen(None), Facts(TASK, head_seen=True)),
    (SEES_HEAD, ClaimSeen(OPENED), POLITE),
    (evolve(SEES_HEAD, head=None), ClaimSeen(FIRST), evolve(POLITE, head=None, claim=FIRST)),
    (evolve(SEES_HEAD, head=None), ClaimSeen(OPENED), evolve(POLITE, head=None)),
    (evolve(SEES_HEAD, head=STOOD), ClaimSeen(OPENED), evolve(POLITE, head=STOOD, committed=None)),
    (SEES_HEAD, ClaimSeen(IDLE), evolve(SEES_HEAD, claim=IDLE)),
    (READY, WROTE, OURS),
    (READY, Refused(), Facts(FORCED, victim=OPENED)),
    (READY, Unclear(), Facts(FORCED, victim=OPENED)),
    (evolve(SEES_HEAD, victim=OPENED), ClaimSeen(HELD), evolve(SEES_HEAD, claim=HELD, victim=OPENED, committed=False)),
    (evolve(SEES_HEAD, victim=IDLE), ClaimSeen(OPENED), POLITE),
    (OURS, WROTE, FENCED),
    (OURS, Refused(), Facts(FORCED, victim=OPENED)),
    (OURS, Unclear(), Facts(FORCED, victim=OPENED)),
    (FENCED, KeysSeen(KEYS), SWEEPING),
    (FENCED, KeysSeen(None), evolve(FENCED, search=Sweep(ME, None, True))),
    (SWEEPING, VersionsSeen(()), evolve(SWEEPING, search=evolve(SWEEP, listed=()))),
    (SWEPT, WROTE, evolve(SWEPT, claim=SeenClaim(CLEARED, '"e9"', VersionId("v9")))),
    (SWEPT, Refused(), Facts(FORCED, victim=OPENED)),
    (SWEPT, Unclear(), Facts(FORCED, victim=OPENED)),
)


@pytest.mark.parametrize(("facts", "effect"), [row[1:] for row in ASKED], ids=[row[0] for row in ASKED])
def test_the_first_thing_that_is_missing_is_asked_for(facts: Facts, effect: Effect | None) -> None:
    assert next_effect(facts) == effect


@pytest.mark.parametrize(("facts", "outcome", "after"), LEADS_TO)
def test_what_is_known_after_each_outcome(facts: Facts, outcome: Outcome, after: Facts) -> None:
    assert advance(facts, outcome) == after


def test_a_recovery_begins_with_nothing_and_may_do_what_is_usual() -> None:
    assert begin(TASK) == Facts(TASK, head_seen=False)
    assert (TASK.take_over, TASK.upgrade, TASK.continues, TASK.deletes) == (False, False, False, True)
    careful = evolve(FENCED, task=evolve(FORCED, deletes=False))
    assert advance(careful, KeysSeen(KEYS)).search == Sweep(ME, KEYS, False)


def test_a_superseded_recovery_observes_again() -> None:
    looking = evolve(
        SWEEPING, search=evolve(SWEEP, listed=(ListedVersion("files/a", VersionId("o"), 1, "e"),), uploads=())
    )
    assert next_effect(looking) == ReadClaim()
    assert advance(looking, ClaimSeen(OPENED)) == Facts(FORCED)
    stands = advance(looking, ClaimSeen(HELD))
    assert next_effect(stands) == ReadReferences()
    assert advance(stands, ReferencesSeen(frozenset())).search != stands.search


def test_reading_what_is_known_already_is_a_programming_error() -> None:
    """A look at the claim during a sweep is not the first observation, nor is one at the head."""
    for facts, outcome in ((SEES_HEAD, HeadSeen(HEAD)), (OURS, ClaimSeen(HELD)), (POLITE, Done())):
        with pytest.raises(AssertionError):
            advance(facts, outcome)


def test_a_fence_changes_nothing_and_follows_the_head() -> None:
    assert fence(WHO, HEAD, RepositoryId("unused")) == FENCE
    assert fence(WHO, None, RepositoryId("new")).parent is None
    assert FENCE.changes == ()


# --- the chain above the base ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("links", "committed", "fenced"),
    [
        ((), False, None),
        ((link(3, THIRD), link(2, THIRD)), False, None),
        ((link(3, THIRD), link(2, VICTIM)), True, None),
        ((link(3, THIRD), link(2, VICTIM, DiffKind.FENCE)), False, 2),
        ((link(3, THIRD), link(2, THIRD, DiffKind.FENCE)), False, None),
    ],
)
def test_a_foreign_claim_is_looked_for_in_the_chain(
    links: tuple[Link, ...], committed: bool, fenced: int | None
) -> None:
    """A victim that has published a fence can publish nothing else any more."""
    found = advance(MOVED, ChainSeen(links))
    fences = {entry.diff.sequence: entry.head for entry in links}
    expected = evolve(MOVED, committed=committed, fence=fences[fenced] if fenced else None)
    assert found == evolve(expected, head=links[0].head if links else HEAD)


def test_a_fence_of_ours_is_looked_for_only_once_the_claim_is_ours() -> None:
    own = link(2, ME, DiffKind.FENCE)
    assert advance(MOVED, ChainSeen((own,))).fence is None
    ours = evolve(OURS, committed=None)
    assert advance(ours, ChainSeen((link(3, THIRD), own))) == evolve(OURS, head=link(3, THIRD).head, fence=own.head)
    assert advance(ours, ChainSeen((link(2, VICTIM),))).committed is True
    assert advance(ours, ChainSeen((link(2, THIRD),))) == evolve(OURS, head=link(2, THIRD).head)


# --- courtesy, and what rrbackup 1.0 left ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "blocked"),
    [
        (TASK, True),
        (FORCED, False),
        (evolve(TASK, patience=Patience(10, 10)), False),
        (evolve(TASK, patience=Patience(10, 99)), True),
        (evolve(TASK, patience=Patience(99, 10)), False),
        (evolve(TASK, journal=JournalContent(frozenset({VICTIM}))), False),
        (evolve(TASK, journal=JournalContent(frozenset({THIRD}))), True),
    ],
)
def test_an_open_claim_blocks_unless_it_is_dead_or_old_or_to_be_taken_over(task: Task, blocked: bool) -> None:
    facts = evolve(POLITE, task=task)
    assert facts.blocked is blocked
    assert (next_effect(facts) is None) is blocked


def test_a_claim_that_was_not_seen_is_not_ours() -> None:
    assert not Facts(TASK).ours
    assert OURS.ours
    assert not POLITE.ours


def test_nothing_else_blocks() -> None:
    assert not Facts(TASK).blocked
    assert not evolve(POLITE, claim=SeenClaim()).blocked
    assert not evolve(POLITE, committed=True).blocked
    assert not evolve(POLITE, committed=None).blocked
    assert not evolve(POLITE, claim=HELD).blocked
    same_host = evolve(
        POLITE, task=evolve(TASK, patience=Patience(10, 99)), claim=evolve(OPENED, record=_on_our_host())
    )
    assert not same_host.blocked


def _on_our_host() -> Claim:
    return evolve(OPEN, host="host")


@pytest.mark.parametrize(
    ("facts", "outdated"),
    [
        (Facts(TASK), False),
        (POLITE, False),
        (evolve(SEES_HEAD, claim=IDLE), False),
        (evolve(POLITE, head=evolve(HEAD, format=1)), True),
        (evolve(POLITE, claim=OLD), True),
        (evolve(SEES_HEAD, head=evolve(HEAD, format=1), claim=SeenClaim()), True),
    ],
)
def test_what_rrbackup_1_wrote_is_continued_only_when_told_to(facts: Facts, outdated: bool) -> None:
    assert facts.outdated is outdated
    told = evolve(facts, task=evolve(facts.task, upgrade=True, take_over=True))
    assert not told.outdated
    if outdated and facts.claim is OLD:
        assert next_effect(evolve(facts, task=evolve(facts.task, take_over=True))) is None
        assert isinstance(next_effect(told), WriteClaim)
        assert not evolve(facts, task=evolve(facts.task, upgrade=True)).blocked


def test_an_outdated_repository_is_left_alone_even_where_the_chain_would_have_to_be_read() -> None:
    assert next_effect(evolve(MOVED, head=evolve(HEAD, format=1))) is None


# --- what an interrupted run of our own has uploaded -----------------------------------------------------------


def receipt(name: str, line: TransactionId = VICTIM) -> Receipt:
    return Receipt(line, "aa" * 32, 1, ObjectRef(f"files/{name}", VersionId(f"{name}1"), 1, '"e"'))


A, B, STRAY = receipt("a"), receipt("b"), receipt("c", THIRD)
JOURNAL = JournalContent(frozenset({VICTIM}), frozenset({A, B, STRAY}))
BACKUP = evolve(TASK, journal=JOURNAL, continues=True)
GOING_ON = evolve(TAKEN, line=VICTIM)
RESUMED = evolve(FENCED, task=BACKUP, claim=evolve(HELD, record=GOING_ON))
WANTED = frozenset({A.object.ref, B.object.ref})


@pytest.mark.parametrize(
    ("facts", "continuing"),
    [
        (evolve(POLITE, task=BACKUP), True),
        (evolve(POLITE, task=evolve(BACKUP, continues=False)), False),
        (evolve(POLITE, task=BACKUP, committed=True), False),
        (evolve(POLITE, task=evolve(BACKUP, take_over=True, journal=evolve(JOURNAL, transactions=frozenset()))), False),
        (evolve(POLITE, task=evolve(BACKUP, journal=evolve(JOURNAL, receipts=frozenset({STRAY})))), False),
        (evolve(POLITE, task=evolve(BACKUP, journal=evolve(JOURNAL, discarded=WANTED))), False),
    ],
    ids=["ours", "no backup follows", "committed", "another's", "of another line", "discarded"],
)
def test_a_claim_of_our_own_is_continued_if_its_uploads_can_be_of_use(facts: Facts, continuing: bool) -> None:
    assert next_effect(facts) == WriteClaim(GOING_ON if continuing else TAKEN, MustMatch('"c1"'))


def test_what_is_wanted_is_what_was_sent_under_the_line_that_our_claim_continues() -> None:
    assert RESUMED.wanted == {A, B}
    assert advance(RESUMED, KeysSeen(KEYS)).search == Sweep(ME, KEYS, True, wanted=WANTED)
    discarded = evolve(JOURNAL, discarded=frozenset({A.object.ref}))
    assert evolve(RESUMED, task=evolve(BACKUP, journal=discarded)).wanted == {B}
    for without in (
        evolve(RESUMED, claim=HELD),
        evolve(RESUMED, claim=evolve(HELD, record=evolve(GOING_ON, transaction=THIRD))),
        evolve(RESUMED, committed=True),
        evolve(RESUMED, claim=None),
    ):
        assert without.wanted == frozenset()


def test_what_was_found_is_adopted_and_the_claim_stays_for_it() -> None:
    found = (ListedVersion("files/a", VersionId("a1"), 1, "e"),)
    search = Sweep(ME, KEYS, True, wanted=WANTED, listed=found, uploads=(), referenced=frozenset())
    resumed = evolve(RESUMED, search=search)
    assert resumed.adopted == {A}
    assert next_effect(resumed) is None
    committed = evolve(RESUMED, search=evolve(search, referenced=WANTED))
    assert committed.adopted == frozenset()
    assert isinstance(next_effect(committed), WriteClaim)
    assert RESUMED.adopted == frozenset()


def test_strays_are_the_uploads_that_no_recovery_of_ours_goes_through() -> None:
    """What was sent under the victim's claim lies under its keys; what was not is dealt with by itself."""
    assert evolve(Facts(TASK), task=BACKUP).strays == {A.object.ref, B.object.ref, STRAY.object.ref}
    assert RESUMED.strays == {STRAY.object.ref}
    assert evolve(RESUMED, victim=SeenClaim()).strays == {A.object.ref, B.object.ref, STRAY.object.ref}
    foreign = evolve(RESUMED, victim=evolve(OPENED, record=evolve(OPEN, transaction=THIRD)))
    assert foreign.strays == {A.object.ref, B.object.ref, STRAY.object.ref}
    found = (ListedVersion("files/a", VersionId("a1"), 1, "e"),)
    search = Sweep(ME, KEYS, True, wanted=WANTED, listed=found, uploads=(), referenced=frozenset())
    assert evolve(foreign, search=search).strays == {B.object.ref, STRAY.object.ref}


def test_an_unfinished_upload_does_not_count_as_found() -> None:
    searching = evolve(RESUMED, search=Sweep(ME, KEYS, True, wanted=WANTED, listed=()))
    assert advance(searching, UploadsSeen(())).adopted == frozenset()
