"""The records of the claim object, each in full, and the courtesy towards an open one."""

import pytest
from attrs import evolve

from rrbackup.pure import claims
from rrbackup.pure.claims import Patience, Signature
from rrbackup.pure.model import (
    Claim,
    ClaimState,
    HeadRef,
    RepositoryId,
    SeenClaim,
    TransactionId,
    VersionId,
)

WHO = Signature(TransactionId("ours"), "host", 7)
OTHER = TransactionId("another")
HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 12, RepositoryId("r"))
IDLE = SeenClaim(Claim(OTHER, 4, ClaimState.IDLE, "elsewhere", 5, conditional_writes=False), '"c1"', VersionId("c1"))
OPEN = Claim(OTHER, 4, ClaimState.OPEN, "elsewhere", 5, VersionId("v0"), 11, ("files/a",), conditional_writes=False)
HELD = SeenClaim(OPEN, '"c2"', VersionId("c2"))
RENEWED = SeenClaim(evolve(OPEN, serial=5, keys=(), keys_version=VersionId("c2")), '"c3"', VersionId("c3"))
YEAR = 365 * 86_400 * 1_000_000_000


# --- records ---------------------------------------------------------------------------------------------------


def test_a_first_claim_of_a_store_that_was_not_tried_yet() -> None:
    expected = Claim(WHO.transaction, 1, ClaimState.OPEN, "host", 7, keys=("files/a",), conditional_writes=None)
    assert claims.opening(WHO, None, ("files/a",), SeenClaim()) == expected
    assert expected.head_sequence == 0


@pytest.mark.parametrize("found", [True, False, None])
def test_a_claim_names_its_head_and_hands_on_what_a_trial_found(found: bool | None) -> None:
    assert IDLE.record is not None
    after = evolve(IDLE, record=evolve(IDLE.record, conditional_writes=found))
    assert claims.opening(WHO, HEAD, ("files/a",), after) == Claim(
        WHO.transaction, 1, ClaimState.OPEN, "host", 7, VersionId("v1"), 12, ("files/a",), conditional_writes=found
    )


@pytest.mark.parametrize(("seen", "listing"), [(HELD, "c2"), (RENEWED, "c2")], ids=["first", "renewed"])
def test_taking_over_names_the_record_that_lists_the_keys(seen: SeenClaim, listing: str) -> None:
    assert claims.taking_over(WHO, seen, HEAD) == Claim(
        WHO.transaction,
        1,
        ClaimState.OPEN,
        "host",
        7,
        VersionId("v1"),
        12,
        keys_version=VersionId(listing),
        conditional_writes=False,
    )


def test_renewing_counts_on_and_names_the_record_that_lists_the_keys() -> None:
    assert claims.renewing(HELD) == RENEWED.record
    assert RENEWED.record is not None
    assert claims.renewing(RENEWED) == evolve(RENEWED.record, serial=6)


def test_clearing_leaves_an_idle_record_that_follows_our_own() -> None:
    ours = evolve(HELD, record=evolve(OPEN, transaction=WHO.transaction))
    expected = Claim(WHO.transaction, 5, ClaimState.IDLE, "host", 7, conditional_writes=False)
    assert claims.clearing(WHO, ours) == expected


def test_the_records_of_a_trial_say_nothing_until_the_verdict_which_comes_after_all_of_them() -> None:
    trials = [claims.trial(WHO, number) for number in (0, 1, 999)]
    assert trials == [
        Claim(WHO.transaction, n, ClaimState.IDLE, "host", 7, conditional_writes=None) for n in (0, 1, 999)
    ]
    for found in (True, False):
        expected = Claim(WHO.transaction, 1_000, ClaimState.IDLE, "host", 7, conditional_writes=found)
        assert claims.verdict(WHO, found) == expected


def test_the_claim_of_rrbackup_1_is_an_open_transaction_whose_store_was_not_tried() -> None:
    record = claims.of_old_client(("files/a",), 9)
    assert record == Claim(
        TransactionId("rrbackup-1.0"),
        0,
        ClaimState.OPEN,
        "a client of rrbackup 1.0",
        9,
        keys=("files/a",),
        conditional_writes=None,
    )
    assert record.transaction == claims.OLD_CLIENT


# --- one client's line -----------------------------------------------------------------------------------------


def test_a_claim_begins_a_line_of_its_own_unless_it_continues_one() -> None:
    begun = claims.opening(WHO, HEAD, (), IDLE)
    assert begun.line is None
    assert claims.line_of(begun) == WHO.transaction
    assert claims.line_of(evolve(begun, line=OTHER)) == OTHER


def test_a_claim_that_follows_an_open_one_continues_its_line() -> None:
    """Only our own recovery leaves an open claim to build on."""
    assert claims.opening(WHO, HEAD, (), HELD).line == OTHER
    first = TransactionId("first")
    assert claims.opening(WHO, HEAD, (), evolve(HELD, record=evolve(OPEN, line=first))).line == first


def test_only_who_continues_keeps_the_line_of_what_is_taken_over() -> None:
    first = TransactionId("first")
    continued = evolve(HELD, record=evolve(OPEN, line=first))
    assert claims.taking_over(WHO, HELD, HEAD, continuing=True).line == OTHER
    assert claims.taking_over(WHO, continued, HEAD, continuing=True).line == first
    for seen in (HELD, continued):
        assert claims.taking_over(WHO, seen, HEAD).line is None
        assert claims.taking_over(WHO, seen, HEAD, continuing=False).line is None


def test_renewing_stays_on_the_line() -> None:
    assert claims.renewing(evolve(HELD, record=evolve(OPEN, line=OTHER))).line == OTHER


# --- courtesy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "own", "others"),
    [
        *((age, False, False) for age in (-YEAR, 0, 9)),
        *((age, True, False) for age in (10, 99)),
        *((age, True, True) for age in (100, YEAR)),
    ],
)
def test_patience_is_over_from_the_limit_on_and_depends_on_the_host(age: int, own: bool, others: bool) -> None:
    """An age may even be negative: the store's clock says what it likes."""
    patience, seen = Patience(own_host_ns=10, others_ns=100), evolve(HELD, age_ns=age)
    assert patience.is_over(seen, "elsewhere") is own
    assert patience.is_over(seen, "host") is others
    assert (patience.limit_ns("elsewhere", "elsewhere"), patience.limit_ns("elsewhere", "host")) == (10, 100)


def test_without_a_limit_patience_has_no_end_and_without_a_claim_no_beginning() -> None:
    assert not Patience().is_over(evolve(HELD, age_ns=YEAR), "elsewhere")
    assert not Patience().is_over(evolve(HELD, age_ns=YEAR), "host")
    assert not Patience(0, 0).is_over(SeenClaim(age_ns=YEAR), "host")
