"""The collection machine as a table: what each state asks for, and what is known after each outcome."""

import pytest
from attrs import evolve

from rrbackup.pure import collection
from rrbackup.pure.claims import Signature
from rrbackup.pure.collection import (
    Claiming,
    Clearing,
    Confirming,
    Ended,
    Fencing,
    Forgetting,
    Job,
    Rechecking,
    State,
    Sweeping,
    Verifying,
    advance,
    begin,
    next_effect,
)
from rrbackup.pure.model import (
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    HeadRef,
    Link,
    ListedVersion,
    RepositoryId,
    SeenClaim,
    TransactionId,
    VersionId,
    VersionRef,
)
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Done,
    Effect,
    ForgetGarbage,
    HeadSeen,
    KeysSeen,
    ListAll,
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
    UploadsSeen,
    VersionsSeen,
    WriteClaim,
    Wrote,
)
from rrbackup.pure.sweep import Sweep

ME, OTHER = TransactionId("ours"), TransactionId("another")
WHO = Signature(ME, "host", 7)
HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 1, RepositoryId("r"))
IDLE = Claim(OTHER, 4, ClaimState.IDLE, "elsewhere", 5, conditional_writes=False)
SEEN = SeenClaim(IDLE, '"c1"', VersionId("c1"))
WROTE = Wrote(VersionId("v9"), '"e9"', "99" * 32)

OPEN = Claim(ME, 1, ClaimState.OPEN, "host", 7, VersionId("v1"), 1, conditional_writes=False)
HELD = SeenClaim(OPEN, '"e9"', VersionId("v9"))
FOREIGN = SeenClaim(evolve(OPEN, transaction=OTHER), '"c2"', VersionId("c2"))
CLEARED = Claim(ME, 2, ClaimState.IDLE, "host", 7, conditional_writes=False)
FENCE = Diff(RepositoryId("r"), 2, HEAD.as_parent, ME, DiffKind.FENCE, 7, "host")
OURS = Link(WROTE.version_id, WROTE.etag, WROTE.sha256, FENCE)
THEIRS = Link(VersionId("v8"), '"e8"', "88" * 32, evolve(FENCE, transaction=OTHER, kind=DiffKind.COMMIT))
LATER = Link(VersionId("v10"), '"e10"', "10" * 32, evolve(FENCE, sequence=3, parent=OURS.as_parent, transaction=OTHER))

A1, A2, B1 = (VersionRef(f"files/{name[0]}", VersionId(name)) for name in ("a1", "a2", "b1"))
LISTED = tuple(ListedVersion(ref.key, ref.version_id, 1, "e") for ref in (A1, A2))

FULL = Job(WHO, RepositoryId("new"), HEAD, SEEN)
FIRST = Job(WHO, RepositoryId("new"), None, SeenClaim())
"""Nothing is there yet: no head, no claim object."""
NAMED = evolve(FULL, only=frozenset({B1, A2, A1}))
"""Only what the garbage list names."""

SWEEP = Sweep(ME, None, True, fence=OURS.head)
OVER = evolve(SWEEP, listed=LISTED, uploads=(), claim_stands=True, head_stands=True)
GONE = evolve(OVER, referenced=frozenset({A1}), removed=True)

ASKED: tuple[tuple[State, Effect | None], ...] = (
    (Claiming(FULL), WriteClaim(OPEN, MustMatch('"c1"'))),
    (
        Claiming(FIRST),
        WriteClaim(Claim(ME, 1, ClaimState.OPEN, "host", 7, conditional_writes=None), MustBeAbsent()),
    ),
    (Confirming(FULL), ReadClaim()),
    (Fencing(FULL, HELD), Publish(FENCE, MustMatch('"e1"'))),
    (
        Fencing(FIRST, HELD),
        Publish(Diff(RepositoryId("new"), 1, None, ME, DiffKind.FENCE, 7, "host"), MustBeAbsent()),
    ),
    (Verifying(FULL, HELD), ReadChain(1)),
    (Verifying(FIRST, HELD), ReadChain(0)),
    (Sweeping(FULL, HELD, SWEEP), ListAll()),
    (Forgetting(FULL, HELD, GONE), ForgetGarbage(frozenset({A1, A2}))),
    (Forgetting(FULL, HELD, SWEEP), ForgetGarbage(frozenset())),
    (Forgetting(NAMED, HELD, GONE), ForgetGarbage(frozenset({A1, A2, B1}))),
    (Clearing(FULL, HELD), WriteClaim(CLEARED, MustMatch('"e9"'))),
    (Rechecking(FULL, Ended()), ReadClaim()),
    (Ended(), None),
)

LEADS_TO: tuple[tuple[State, Outcome, State], ...] = (
    (Claiming(FULL), WROTE, Fencing(FULL, HELD)),
    (Claiming(FULL), Refused(), Confirming(FULL)),
    (Claiming(FULL), Unclear(), Confirming(FULL)),
    (Confirming(FULL), ClaimSeen(HELD), Fencing(FULL, HELD)),
    (Confirming(FULL), ClaimSeen(SEEN), Claiming(FULL)),
    (Confirming(FULL), ClaimSeen(FOREIGN), Ended(lost=True)),
    (Confirming(FULL), ClaimSeen(evolve(SEEN, etag='"c3"')), Ended(lost=True)),
    (Fencing(FULL, HELD), WROTE, Sweeping(FULL, HELD, SWEEP)),
    (Fencing(FULL, HELD), Refused(), Verifying(FULL, HELD)),
    (Fencing(FULL, HELD), Unclear(), Verifying(FULL, HELD)),
    (Verifying(FULL, HELD), ChainSeen((OURS,)), Sweeping(FULL, HELD, SWEEP)),
    (Verifying(FULL, HELD), ChainSeen((OURS, THEIRS)), Sweeping(FULL, HELD, SWEEP)),
    (Verifying(FULL, HELD), ChainSeen((LATER, OURS)), Clearing(FULL, HELD, lost=True)),
    (Verifying(FULL, HELD), ChainSeen((THEIRS,)), Clearing(FULL, HELD, lost=True)),
    (Verifying(FULL, HELD), ChainSeen(()), Fencing(FULL, HELD)),
    (Sweeping(FULL, HELD, SWEEP), VersionsSeen(LISTED), Sweeping(FULL, HELD, evolve(SWEEP, listed=LISTED))),
    (
        Sweeping(FULL, HELD, evolve(SWEEP, listed=LISTED, uploads=())),
        ClaimSeen(FOREIGN),
        Ended(lost=True),
    ),
    (
        Sweeping(FULL, HELD, evolve(OVER, head_stands=None)),
        HeadSeen(LATER.head),
        Ended(lost=True),
    ),
    (Sweeping(FULL, HELD, evolve(GONE, removed=False)), Done(), Forgetting(FULL, HELD, GONE)),
    (Forgetting(FULL, HELD, GONE), Done(), Clearing(FULL, HELD, (A2,))),
    (Clearing(FULL, HELD, (A2,)), WROTE, Ended((A2,))),
    (Clearing(FULL, HELD, (A2,), lost=True), Refused(), Ended((A2,), lost=True)),
    (Clearing(FULL, HELD, (A2,), lost=True), Unclear(), Rechecking(FULL, Ended((A2,), lost=True))),
    (Rechecking(FULL, Ended((A2,), lost=True)), ClaimSeen(HELD), Clearing(FULL, HELD, (A2,), lost=True)),
    (Rechecking(FULL, Ended((A2,), lost=True)), ClaimSeen(FOREIGN), Ended((A2,), lost=True)),
)

OUTCOMES: tuple[Outcome, ...] = (
    *(WROTE, Refused(), Unclear(), Done(), Results(()), HeadSeen(None), ClaimSeen(SeenClaim()), KeysSeen(None)),
    *(ChainSeen(()), ReferencesSeen(frozenset()), VersionsSeen(()), UploadsSeen(())),
)


@pytest.mark.parametrize(("state", "effect"), ASKED)
def test_each_state_asks_for_its_effect(state: State, effect: Effect | None) -> None:
    assert next_effect(state) == effect


@pytest.mark.parametrize(("state", "outcome", "after"), LEADS_TO)
def test_each_outcome_leads_to_one_state(state: State, outcome: Outcome, after: State) -> None:
    assert advance(state, outcome) == after


def test_every_other_outcome_is_a_programming_error() -> None:
    """Sweeping is left out: which of its outcomes fit is for the sweep to say."""
    states = [state for state, _ in ASKED if not isinstance(state, Sweeping)]
    fitting = {(type(state), type(outcome)) for state, outcome, _ in LEADS_TO}
    wrong = [
        (state, outcome) for state in states for outcome in OUTCOMES if (type(state), type(outcome)) not in fitting
    ]
    assert len(wrong) > len(states)
    for state, outcome in wrong:
        with pytest.raises(AssertionError, match=f"{type(state).__name__} does not expect"):
            advance(state, outcome)


def test_a_collection_begins_with_its_claim_and_ends_without_a_word_if_nothing_was_lost() -> None:
    assert begin(FULL) == Claiming(FULL)
    assert Ended() == Ended((), lost=False)
    assert Clearing(FULL, HELD) == Clearing(FULL, HELD, (), lost=False)


def test_what_the_garbage_list_names_is_listed_by_key_and_nothing_else_goes() -> None:
    """Uploads that are not finished are left alone: the list does not name them."""
    state = advance(Fencing(NAMED, HELD), WROTE)
    keys = ("files/a", "files/b")
    assert state == Sweeping(NAMED, HELD, Sweep(ME, keys, True, only=NAMED.only, fence=OURS.head, abort=False))
    assert next_effect(state) == ListKeys(keys)
    unnamed = ListedVersion("files/a", VersionId("a9"), 1, "e")
    state = advance(state, VersionsSeen((*LISTED, unnamed)))
    assert isinstance(state, Sweeping)
    assert state.search.suspects == (A1, A2)


def test_keys_are_listed_once_each_in_order() -> None:
    """So many that a set would hardly give them in order by chance."""
    named = frozenset(VersionRef(f"files/{key}", VersionId(version)) for key in "hgfedcba" for version in "21")
    state = advance(Fencing(evolve(FULL, only=named), HELD), WROTE)
    assert next_effect(state) == ListKeys(tuple(f"files/{key}" for key in "abcdefgh"))


def test_an_empty_garbage_list_has_nothing_to_sweep() -> None:
    job = evolve(FULL, only=frozenset())
    state = advance(Fencing(job, HELD), WROTE)
    assert isinstance(state, Forgetting)
    assert next_effect(state) == ForgetGarbage(frozenset())


def test_every_kind_of_state_is_in_the_table() -> None:
    assert {type(state) for state, _ in ASKED} == set(collection.State.__args__)
