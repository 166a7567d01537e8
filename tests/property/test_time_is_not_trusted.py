"""Safety never depends on time: every order of effects, while the store's clock says anything about every claim.

Whoever looks at a claim is told the truth or any of `AGES`: a client that is at work counts as dead for one who looks
and as alive for the next. So every client may take over at every look, or stop at it.
"""

import sys
from collections.abc import Iterator

import pytest
from attrs import evolve

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import MemoryClient
from rrbackup.pure.claims import Patience
from rrbackup.pure.model import SeenClaim
from rrbackup.pure.steps import ReadClaim
from tests.property.interleaving import Moment, Race, Search
from tests.property.phases import End, Settling
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.test_interleavings import ANOTHER, COLLECTOR, COPY, DEAD, PAST, POLITE, RENEWING, A, B
from tests.searched import SITUATIONS, Record

LIMIT_NS = 1_000
AGES = (-(10**30), 10**30)
"""A claim from the far future, and one from before the universe. More would be the same: an age is only ever compared
with the limit."""

OTHER_COLLECTOR = evolve(COLLECTOR, take_over=False)
HEIRS = (evolve(B, take_over=False), evolve(ANOTHER, take_over=False))
RACES = (
    Race("two polite clients", (A, POLITE), PAST, deaths=1),
    Race("two first backups", (A, POLITE)),
    Race("one renews", (RENEWING, POLITE), PAST),
    Race("one collects", (A, OTHER_COLLECTOR), PAST),
    Race("a dead claim, one collects", (HEIRS[0], OTHER_COLLECTOR), PAST, DEAD, claims=1),
)
LARGER_RACES = (
    Race("one collects", (A, OTHER_COLLECTOR), PAST, deaths=1),
    Race("three polite clients", (A, POLITE, COPY), PAST),
    Race("two polite clients", (A, POLITE), PAST, deaths=1, strikes=1),
    Race("two polite clients, twice each", (A, POLITE), PAST, runs=2),
    Race("one renews", (RENEWING, POLITE), PAST, deaths=1, strikes=1),
    Race("one collects, twice each", (A, OTHER_COLLECTOR), PAST, runs=2),
    Race("a dead claim, two come by", HEIRS, PAST, DEAD),
)


class LyingClock(Control):
    """The metadata objects as they are, but for the age of the claim."""

    def __init__(self, requests: MemoryClient, age_ns: int) -> None:
        super().__init__(requests, ObjectNames())
        self.age_ns = age_ns

    def read_claim(self) -> SeenClaim:
        return evolve(super().read_claim(), age_ns=self.age_ns)


class ClockSearch(Search):
    """A search in which every client waits no longer than `LIMIT_NS`, and every look at a claim has several answers."""

    def _successors(self, moment: Moment) -> Iterator[Moment]:
        waiting = evolve(moment, clients=tuple(_patient(client, moment.store) for client in moment.clients))
        yield from super()._successors(waiting)
        for number, client in enumerate(waiting.clients):
            if isinstance(client.next_effect(), ReadClaim):
                yield from (_told(waiting, number, age) for age in AGES)


def _patient(client: Client, store: SearchStore) -> Client:
    """The same client, with a limit to its patience."""
    if not isinstance(client.phase, Settling) or client.phase.facts.task.patience != Patience():
        return client
    facts = client.phase.facts
    twin = client.twin(store)
    twin.phase = Settling(evolve(facts, task=evolve(facts.task, patience=Patience(LIMIT_NS, LIMIT_NS))))
    return twin


def _told(moment: Moment, number: int, age_ns: int) -> Moment:
    """After the look of one client at the claim, which is said to be of that age."""
    store = moment.store.copy()
    client = moment.clients[number].twin(store)
    client.control = LyingClock(client.requests, age_ns)
    client.step()
    return evolve(moment, store=store, clients=(*moment.clients[:number], client, *moment.clients[number + 1 :]))


def _searched(race: Race, most: int, record: Record) -> Search:
    search = ClockSearch(race).run(most)
    sys.stdout.write(f"{race.name}: {search.situations} situations, {len(search.outcomes)} outcomes\n")
    record(SITUATIONS, search.situations)
    return search


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_invariant_holds_whatever_the_clock_says(race: Race, record_property: Record) -> None:
    search = _searched(race, 50_000, record_property)
    assert search.faults == []
    assert {End.COMMITTED, End.BLOCKED} <= {end for ends in search.outcomes for end in ends}, "it was not believed"


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("race", LARGER_RACES, ids=lambda race: race.name)
def test_every_invariant_holds_whatever_the_clock_says_in_larger_races(race: Race, record_property: Record) -> None:
    assert _searched(race, 10_000_000, record_property).faults == []
