"""One fault anywhere, then one fault anywhere in the recovery, then peace: every history, every invariant.

Small plans, so that the enumeration is complete: nothing is sampled.
"""

import sys

import pytest

from rrbackup.pure.model import Mode
from tests.property.crashes import Exploration, Scenario
from tests.property.phases import Backup, Collect, Profile
from tests.property.trees import tree
from tests.searched import HISTORIES, Record

OTHER = Profile("other", Backup(tree(a=b"1", b=b"55555", z=b"666666")), take_over=True)
PAST = (tree(a=b"1", b=b"22", c=b"333"),)
CHANGED = tree(a=b"4444", b=b"22", d=b"7777777")
"""One file changed, one new, one gone."""
BIG = b"x" * 5000

SCENARIOS = (
    Scenario("first backup", Profile("actor", Backup(tree(a=b"1", b=b"22"))), OTHER),
    Scenario("second backup", Profile("actor", Backup(CHANGED)), OTHER, PAST, ("files/a.bak", "files/z/other")),
    Scenario("a renewed claim", Profile("actor", Backup(CHANGED), renews=True), OTHER, PAST, ("files/a.bak",)),
    Scenario("only a deletion and a copy", Profile("actor", Backup(tree(a=b"1", b=b"1"))), OTHER, PAST),
    Scenario("nothing could be read", Profile("actor", Backup(tree(a=b"1", b=None, c=None))), OTHER, PAST),
    Scenario("parts", Profile("actor", Backup(tree(a=b"1", b=b"22", c=BIG))), OTHER, PAST, ("files/c2",), 3000),
    Scenario("collection", Profile("actor", Collect()), OTHER, (*PAST, CHANGED), ("files/a", "files/stray")),
    Scenario(
        "write-only client",
        Profile("actor", Backup(CHANGED), mode=Mode.WRITE_ONLY),
        Profile("other", Backup(tree(a=b"1", c=b"88888888")), take_over=True, mode=Mode.WRITE_ONLY),
        PAST,
        ("files/a.bak",),
    ),
)
MOSTLY_QUICK = [
    pytest.param(
        scenario, id=scenario.name, marks=[pytest.mark.deep] if scenario.name in ("a renewed claim", "parts") else []
    )
    for scenario in SCENARIOS
]
AT_LEAST = {
    "first backup": 4_000,
    "second backup": 3_800,
    "a renewed claim": 4_000,
    "only a deletion and a copy": 900,
    "nothing could be read": 1_400,
    "parts": 5_500,
    "collection": 11_000,
    "write-only client": 3_700,
}
"""Histories; fewer would mean that something is no longer tried."""


@pytest.mark.parametrize("scenario", MOSTLY_QUICK)
def test_every_invariant_holds_after_one_fault_in_a_run_and_one_in_its_recovery(
    scenario: Scenario, record_property: Record
) -> None:
    explored = Exploration(scenario).run()
    sys.stdout.write(f"{scenario.name}: {explored.histories} histories, {explored.situations} different\n")
    record_property(HISTORIES, explored.histories)
    assert explored.faults == []
    assert explored.histories > AT_LEAST[scenario.name]


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_invariant_holds_after_a_fault_in_a_run_and_in_two_recoveries(
    scenario: Scenario, record_property: Record
) -> None:
    explored = Exploration(scenario).run(recoveries=2)
    sys.stdout.write(f"{scenario.name}: {explored.histories} histories, {explored.situations} different\n")
    record_property(HISTORIES, explored.histories)
    assert explored.faults == []
    assert explored.histories > 50 * AT_LEAST[scenario.name]
