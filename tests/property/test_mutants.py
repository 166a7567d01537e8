"""Every rule of the protocol is needed: with it broken, the searches of this folder find a violation.

A mutant that survives means that a rule is superfluous, or that the searches have become too weak.
"""

from collections.abc import Callable

import pytest
from attrs import evolve

from rrbackup.effects.memory import FaultKind
from rrbackup.pure.steps import DeleteVersions, Publish, Upload
from tests.property import mutants
from tests.property.cases import client, committed, faults, past_store
from tests.property.crashes import Exploration, Scenario
from tests.property.interleaving import Race, Search
from tests.property.mutants import Mutant
from tests.property.phases import Backup, Profile
from tests.property.protocol import Client
from tests.property.test_crash_exploration import CHANGED, OTHER, PAST
from tests.property.test_interleavings import ANOTHER, COLLECTOR, COPY, COPY_CHECKPOINTING, DEAD, POLITE, A, B
from tests.property.test_interleavings import PAST as BEFORE
from tests.property.test_time_is_not_trusted import OTHER_COLLECTOR, ClockSearch

Hunt = Scenario | Race | Callable[[], list[str]]
"""A search, or the one history that is enough, with what is wrong at its end."""

SECOND = Scenario("second backup", Profile("actor", Backup(CHANGED)), OTHER, PAST, ("files/a.bak",))
TAKEN_OVER = Race("one that takes over", (A, B), BEFORE, deaths=1)
DOUBLED = Race("one that takes over, an upload sent twice", (A, B), BEFORE, strikes=1)
DEAD_CLAIM = Race("a dead claim, two take over", (B, ANOTHER), BEFORE, DEAD)
RENEWED = Race("one that takes over, one renews", (evolve(A, renews=True), B), BEFORE, deaths=1)
COLLECTED = Race("one collects", (evolve(A, take_over=True), COLLECTOR), BEFORE)
UNCLAIMED = Race("one without claim", (A, COPY), BEFORE)
OVERTAKING = evolve(COPY_CHECKPOINTING, take_over=True)
CHECKPOINTED = Race("one names checkpoints without a claim, one collects", (COPY_CHECKPOINTING, COLLECTOR), BEFORE)
CHECKPOINTED_AND_TAKEN_OVER = Race("the same, and takes over", (OVERTAKING, COLLECTOR), BEFORE)
THREE = Race("three clients, one collects", (A, POLITE, OTHER_COLLECTOR), BEFORE)


def believing_the_clock() -> list[str]:
    return ClockSearch(Race("two polite clients", (A, POLITE), BEFORE, deaths=1)).run(50_000).faults


def deleted_behind_its_back() -> list[str]:
    """A dies; B takes over, lists and looks; A comes back and takes over; then B deletes what it has listed."""
    store = past_store()
    a = client(store, "a").until(Upload)
    a.step()
    b = client(store, "b", over=True).until(DeleteVersions)
    last = Client(evolve(a.profile, take_over=True), store, a.kill().disk, 2).run()
    b.step()
    return faults(store, last)


def never_arrived() -> list[str]:
    """A's diff is lost on its way, and A hears nothing of it."""
    store = past_store()
    a = client(store, "a").until(Publish).strike(FaultKind.NOT_SENT).run()
    return [] if committed(store) == ["past", "a"] else [f"a came to its end ({a.end}), but committed nothing"]


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
    mutants.unclear_publish_counts_as_published: never_arrived,
    mutants.no_search_for_twins: SECOND,
    mutants.publish_without_condition: UNCLAIMED,
    mutants.fence_without_condition: TAKEN_OVER,
    mutants.clear_without_condition: TAKEN_OVER,
    mutants.claim_without_condition: TAKEN_OVER,
    mutants.no_fence_in_recovery: TAKEN_OVER,
    mutants.old_claims_need_no_fence: believing_the_clock,
    mutants.old_claims_are_just_cleared: believing_the_clock,
    mutants.clear_what_was_taken_over: RENEWED,
    mutants.renew_without_the_keys: RENEWED,
    mutants.delete_before_taking_over: TAKEN_OVER,
    mutants.no_second_look_in_recovery: DEAD_CLAIM,
    mutants.no_second_look_in_tidying: DOUBLED,
    mutants.no_second_look_in_collection: COLLECTED,
    mutants.unfenced_collection_and_clearing_without_condition: THREE,
    mutants.unfenced_collection: CHECKPOINTED,
    mutants.checkpoints_are_not_referred_to: CHECKPOINTED,
    mutants.no_second_look_in_collection_of_checkpoints: CHECKPOINTED_AND_TAKEN_OVER,
    mutants.look_before_listing: DEAD_CLAIM,
    mutants.adoption_by_anyone: deleted_behind_its_back,
    mutants.adoption_of_what_is_committed: SECOND,
}

HUNTERS: tuple[Hunt, ...] = (
    deleted_behind_its_back,
    believing_the_clock,
    never_arrived,
    SECOND,
    TAKEN_OVER,
    DOUBLED,
    DEAD_CLAIM,
    RENEWED,
    COLLECTED,
    UNCLAIMED,
    CHECKPOINTED,
    CHECKPOINTED_AND_TAKEN_OVER,
    THREE,
)


def _faults(hunt: Hunt) -> list[str]:
    if not isinstance(hunt, Scenario | Race):
        return hunt()
    if isinstance(hunt, Scenario):
        without = Exploration(hunt).run(recoveries=0, most_faults=1).faults
        return without or Exploration(hunt).run(most_faults=1).faults
    return Search(hunt).run(50_000).faults


@pytest.mark.parametrize("mutant", HUNTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_rule_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant(monkeypatch)
    faults = _faults(HUNTS[mutant])
    assert faults, f"the mutant survives: {mutant.__doc__}"


@pytest.mark.deep  # the searches of test_interleavings and test_crash_exploration contain these
@pytest.mark.parametrize("hunt", HUNTERS, ids=lambda hunt: getattr(hunt, "name", "history"))
def test_the_same_searches_find_nothing_wrong_with_the_real_protocol(hunt: Hunt) -> None:
    assert _faults(hunt) == []
