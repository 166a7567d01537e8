"""Every rule of the protocol is needed: with it broken, the searches of this folder find a violation.

A mutant that survives means that a rule is superfluous, or that the searches have become too weak.
"""

import pytest
from attrs import evolve

from tests.property import mutants
from tests.property.crashes import Exploration, Scenario
from tests.property.interleaving import Race, Search
from tests.property.mutants import Mutant
from tests.property.phases import Backup, Profile
from tests.property.test_crash_exploration import CHANGED, OTHER, PAST
from tests.property.test_interleavings import ANOTHER, COLLECTOR, COPY, DEAD, A, B
from tests.property.test_interleavings import PAST as BEFORE

Hunt = Scenario | Race

SECOND = Scenario("second backup", Profile("actor", Backup(CHANGED)), OTHER, PAST, ("files/a.bak",))
TAKEN_OVER = Race("one that takes over", (A, B), BEFORE, deaths=1)
DOUBLED = Race("one that takes over, an upload sent twice", (A, B), BEFORE, strikes=1)
DEAD_CLAIM = Race("a dead claim, two take over", (B, ANOTHER), BEFORE, DEAD)
RENEWED = Race("one that takes over, one renews", (evolve(A, renews=True), B), BEFORE, deaths=1)
COLLECTED = Race("one collects", (evolve(A, take_over=True), COLLECTOR), BEFORE)
UNCLAIMED = Race("one without claim", (A, COPY), BEFORE)

HUNTS: dict[Mutant, Hunt] = {
    mutants.claim_after_upload: SECOND,
    mutants.clear_before_publish: SECOND,
    mutants.claim_without_keys: SECOND,
    mutants.delete_what_is_referred_to: SECOND,
    mutants.references_of_head_only: SECOND,
    mutants.orphans_by_prefix: SECOND,
    mutants.receipts_without_references: SECOND,
    mutants.unclear_publish_counts_as_lost: SECOND,
    mutants.refused_publish_counts_as_lost: SECOND,
    mutants.no_search_for_twins: SECOND,
    mutants.publish_without_condition: UNCLAIMED,
    mutants.fence_without_condition: TAKEN_OVER,
    mutants.clear_without_condition: TAKEN_OVER,
    mutants.claim_without_condition: TAKEN_OVER,
    mutants.no_fence_in_recovery: TAKEN_OVER,
    mutants.clear_what_was_taken_over: RENEWED,
    mutants.renew_without_the_keys: RENEWED,
    mutants.delete_before_taking_over: TAKEN_OVER,
    mutants.no_second_look_in_recovery: DEAD_CLAIM,
    mutants.no_second_look_in_tidying: DOUBLED,
    mutants.no_second_look_in_collection: COLLECTED,
    mutants.look_before_listing: DEAD_CLAIM,
}

HUNTERS = (SECOND, TAKEN_OVER, DOUBLED, DEAD_CLAIM, RENEWED, COLLECTED, UNCLAIMED)


def _faults(hunt: Hunt) -> list[str]:
    if isinstance(hunt, Scenario):
        return Exploration(hunt).run(most_faults=1).faults
    return Search(hunt).run(50_000).faults


@pytest.mark.parametrize("mutant", HUNTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_rule_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    faults = _faults(HUNTS[mutant])
    assert faults, f"the mutant survives: {mutant.__doc__}"


@pytest.mark.deep  # the searches of test_interleavings and test_crash_exploration contain these
@pytest.mark.parametrize("hunt", HUNTERS, ids=lambda hunt: hunt.name)
def test_the_same_searches_find_nothing_wrong_with_the_real_protocol(hunt: Hunt) -> None:
    assert _faults(hunt) == []
