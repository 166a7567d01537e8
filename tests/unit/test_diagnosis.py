"""Which finding is fine, a warning, wrong, or not to be told."""

import pytest
from attrs import evolve

from rrbackup.pure import diagnosis
from rrbackup.pure.claims import Patience
from rrbackup.pure.diagnosis import Diagnosis, Verdict
from rrbackup.pure.expiry import Harm, HarmfulRule
from rrbackup.pure.model import Claim, ClaimState, Mode, SeenClaim, TransactionId

S = 1_000_000_000
FINE, WARNING, WRONG, UNKNOWN = Verdict


@pytest.mark.parametrize(
    ("store_s", "verdict"),
    [
        (1000, FINE),
        (1002, FINE),
        (999, FINE),
        (1061, FINE),
        (1063, WARNING),
        (930, WARNING),
        (1000 + 901, WARNING),
        (1000 + 903, WRONG),
        (50, WRONG),
    ],
)
def test_a_clock_may_differ_by_less_than_a_minute(store_s: int, verdict: Verdict) -> None:
    """Our two looks were at 1000 and 1002 seconds."""
    assert diagnosis.of_clock(1000 * S, store_s * S, 1002 * S).verdict is verdict


@pytest.mark.parametrize(
    ("mode", "granted", "refused"),
    [
        (Mode.READ_WRITE, FINE, WRONG),
        (Mode.NO_DELETE, FINE, WRONG),
        (Mode.READ_ONLY, FINE, WRONG),
        (Mode.WRITE_ONLY, WRONG, FINE),
    ],
)
def test_who_may_read(mode: Mode, granted: Verdict, refused: Verdict) -> None:
    assert [diagnosis.of_reading(mode, given).verdict for given in (True, False)] == [granted, refused]


@pytest.mark.parametrize(
    ("mode", "granted", "refused"),
    [
        (Mode.READ_WRITE, FINE, WARNING),
        (Mode.NO_DELETE, WARNING, FINE),
        (Mode.READ_ONLY, WRONG, FINE),
        (Mode.WRITE_ONLY, WRONG, FINE),
    ],
)
def test_who_may_delete(mode: Mode, granted: Verdict, refused: Verdict) -> None:
    assert [diagnosis.of_deleting(mode, given).verdict for given in (True, False)] == [granted, refused]


@pytest.mark.parametrize(("status", "verdict"), [("Enabled", FINE), ("Suspended", WRONG), ("", WRONG)])
def test_versioning_must_be_on(status: str, verdict: Verdict) -> None:
    assert diagnosis.of_versioning(status).verdict is verdict


def test_life_cycle_rules_are_judged_one_by_one() -> None:
    grave, nuisance = (
        HarmfulRule("a", Harm.DESTROYS, ("files/",), True),
        HarmfulRule("b", Harm.ARCHIVES, ("files/",), False),
    )
    found = list(diagnosis.of_life_cycle(2, [grave, nuisance]))
    assert [one.verdict for one in found] == [WRONG, WARNING]
    assert [one.verdict for one in diagnosis.of_life_cycle(0, [])] == [FINE]
    assert all(list(diagnosis.of_life_cycle(1, [evolve(nuisance, harm=harm)])) for harm in (Harm.CUTS_SHORT,))


def claim(**changes: object) -> SeenClaim:
    record = Claim(TransactionId("t"), 1, ClaimState.OPEN, "attic", 0)
    return SeenClaim(evolve(record, **changes), '"e"', None, 100 * S)  # type: ignore[arg-type]


PATIENCE = Patience(50 * S, 1000 * S)


def test_an_open_transaction_is_judged_by_whose_it_is_and_how_old() -> None:
    def judged(seen: SeenClaim, host: str, *, ours: bool = False) -> Verdict:
        return diagnosis.of_claim(seen, PATIENCE, host, ours=ours).verdict

    assert judged(SeenClaim(), "attic") is FINE
    assert judged(claim(state=ClaimState.IDLE), "attic") is FINE
    assert judged(claim(), "cellar") is FINE
    assert judged(claim(), "attic") is WARNING
    assert judged(claim(), "cellar", ours=True) is WARNING


def test_whether_conditions_hold_is_what_the_claim_object_says() -> None:
    records = (claim(conditional_writes=True), claim(conditional_writes=False), claim(conditional_writes=None))
    assert [diagnosis.of_conditions(one).verdict for one in (*records, SeenClaim())] == [
        FINE,
        WARNING,
        UNKNOWN,
        UNKNOWN,
    ]


def test_uploads_that_nobody_finishes_cost() -> None:
    found = [diagnosis.of_uploads(n, open_claim=claimed).verdict for n, claimed in ((0, False), (2, False), (2, True))]
    assert found == [FINE, WARNING, FINE]


def test_space_runs_out() -> None:
    assert [diagnosis.of_space("s", "w", free, 10).verdict for free in (0, 9, 10)] == [WRONG, WARNING, FINE]


def test_whatever_is_not_fine_says_what_to_do() -> None:
    found: list[Diagnosis] = [
        *(diagnosis.of_reading(mode, given) for mode in Mode for given in (True, False)),
        *(diagnosis.of_deleting(mode, given) for mode in Mode for given in (True, False)),
        diagnosis.of_clock(0, 1000 * S, 0),
        diagnosis.of_versioning(""),
        diagnosis.of_uploads(1, open_claim=False),
        diagnosis.of_claim(claim(), PATIENCE, "attic", ours=True),
        diagnosis.of_conditions(claim(conditional_writes=False)),
        diagnosis.of_space("s", "w", 0, 1),
    ]
    assert all(one.remedy for one in found if one.verdict in (WARNING, WRONG))
