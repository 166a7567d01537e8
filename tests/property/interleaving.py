"""Every order in which the effects of a few clients can follow each other: a complete search.

Depth first over whole situations (the store and where every client stands); situations that are equal in every byte
are followed once. A client may also die between two effects, as often as `deaths` allows, and be gone for good.
Wherever nobody is left at work, an heir who may take over comes, and then a collector.
"""

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from rrbackup.effects.memory import FaultKind
from rrbackup.pure.adoption import refs_of
from rrbackup.pure.steps import Publish, Upload, WriteClaim
from tests.property import judge
from tests.property.phases import Backup, Collect, End, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import Tree, tree

WRITES = (WriteClaim, Publish, Upload)
STRIKES = (FaultKind.LOST, FaultKind.NOT_SENT, FaultKind.TWICE)
HEIR = Profile("heir", Backup(tree(heir=b"hhhhhhhhhh")), take_over=True)


@frozen
class Race:
    """`past` is committed first; then `dead` claims, uploads one file and dies; then `racers` run at once.

    Every racer runs up to `runs` times, or as often as its profile says, also after a death, of which there are up to
    `deaths`. Up to `strikes` of the writes get lost on their way there or back, or are sent twice. Two clients that may
    take over can take over from each other for ever, so a run that would write one more open claim than `claims` dies.
    """

    name: str
    racers: Sequence[Profile]
    past: Tree = ()
    dead: Profile | None = None
    runs: int = 1
    claims: int = 2
    deaths: int = 0
    strikes: int = 0


@frozen
class Moment:
    """`late` are versions that a client uploaded when the claim was no longer its own."""

    store: SearchStore
    clients: tuple[Client, ...]
    deaths: int
    strikes: int
    late: frozenset[judge.Ref] = frozenset()

    @property
    def key(self) -> object:
        return self.store.key, tuple(client.key for client in self.clients), self.deaths, self.strikes, self.late


class Search:
    """`situations` counts different ones, `ends` those in which nobody was at work any more."""

    def __init__(self, race: Race) -> None:
        self.race = race
        self.situations = 0
        self.ends = 0
        self.faults: list[str] = []
        self.outcomes: set[tuple[End | None, ...]] = set()
        self._wanted = _wishes(race)
        self._judged: set[object] = set()
        self._ended: set[object] = set()
        self._steps: dict[object, Step] = {}

    def run(self, most: int = 1_000_000) -> "Search":
        """Stops at the first thing that is wrong. Raises AssertionError after so many situations."""
        start = self._start()
        seen = {start.key}
        stack = [start]
        while stack:
            moment = stack.pop()
            self.situations += 1
            assert self.situations < most, "the search is larger than expected"
            self._judge(moment)
            if self.faults:
                break
            for after in self._successors(moment):
                if after.key not in seen:
                    seen.add(after.key)
                    stack.append(after)
        return self

    # --- the graph ---------------------------------------------------------------------------------------------

    def _start(self) -> Moment:
        store = SearchStore()
        if self.race.past:
            assert Client(Profile("past", Backup(self.race.past)), store).run().end is End.COMMITTED
        if self.race.dead is not None:
            Client(self.race.dead, store).until(Upload).step()
        clients = tuple(Client(racer, store) for racer in self.race.racers)
        return Moment(store, clients, self.race.deaths, self.race.strikes)

    def _successors(self, moment: Moment) -> Iterator[Moment]:
        for number, client in enumerate(moment.clients):
            if client.end is not None:
                if client.number < max(self.race.runs, client.profile.runs):
                    yield _replaced(moment, number, client.again(moment.store))
                continue
            if client.claims == self.race.claims and client.claims_next:
                yield _replaced(moment, number, client.twin(moment.store).kill())
                continue
            yield self._stepped(moment, number)
            if moment.deaths:
                dead = client.twin(moment.store).kill()
                yield evolve(_replaced(moment, number, dead), deaths=moment.deaths - 1)
            if moment.strikes and isinstance(client.next_effect(), WRITES):
                for kind in STRIKES:
                    yield evolve(self._stepped(moment, number, kind), strikes=moment.strikes - 1)

    def _stepped(self, moment: Moment, number: int, strike: FaultKind | None = None) -> Moment:
        """What one client does depends on the store and on itself, whatever the others are about to do."""
        client = moment.clients[number]
        key = moment.store.key, number, client.key, strike
        if key not in self._steps:
            self._steps[key] = _step(moment.store, client, strike)
        step = self._steps[key]
        return evolve(_replaced(moment, number, step.client), store=step.store, late=moment.late | step.late)

    # --- judging -----------------------------------------------------------------------------------------------

    def _judge(self, moment: Moment) -> None:
        store = moment.store.key
        if store not in self._judged:
            self._judged.add(store)
            self.faults += judge.violations(judge.contents(moment.store), self._wanted)
        if all(client.end is not None for client in moment.clients):
            self.ends += 1
            self.outcomes.add(tuple(client.end for client in moment.clients))
            self._judge_end(moment)

    def _judge_end(self, moment: Moment) -> None:
        """An heir, then the racers once more, with what is on their disks, then a collector.

        What a superseded client uploaded may lie about until that client is back, as long as its journal knows of it;
        the twin of such an upload, if it was sent twice, until the collection.
        """
        key = moment.store.key, moment.late, moment.strikes, tuple(client.disk for client in moment.clients)
        if key in self._ended:
            return
        self._ended.add(key)
        store = moment.store.copy()
        twins = moment.late if moment.strikes < self.race.strikes else frozenset()
        refs = (ref for client in moment.clients for ref in refs_of(client.disk.journal.receipts))
        known = {(ref.key, str(ref.version_id)) for ref in refs}
        self._concluding(Client(HEIR, store), store, twins | (moment.late & known))
        for client in moment.clients:
            if isinstance(client.profile.goal, Backup):
                client.again(store).run()
        self._concluding(Client(evolve(HEIR, name="second heir"), store), store, twins)
        self._concluding(Client(Profile("collector", Collect()), store), store, frozenset())
        self.faults += [f"4: left {ref}" for ref in judge.unnamed_checkpoints(judge.contents(store))]

    def _concluding(self, client: Client, store: SearchStore, excused: frozenset[judge.Ref]) -> None:
        client.run()
        found = judge.contents(store)
        if client.end not in (End.COMMITTED, End.NOTHING, End.COLLECTED):
            self.faults.append(f"{client.profile.name} came to nothing: {client.end}")
        self.faults += judge.violations(found, self._wanted) + judge.unrest(found)
        self.faults += [f"4: leaked {ref} ({client.profile.name})" for ref in judge.leaks(found) - excused]


@frozen
class Step:
    store: SearchStore
    client: Client
    late: frozenset[judge.Ref]


def _step(before: SearchStore, client: Client, strike: FaultKind | None) -> Step:
    store = before.copy()
    client = client.twin(store)
    uploading = isinstance(client.next_effect(), Upload)
    if strike is not None:
        client.strike(strike)
    client.step()
    return Step(store, client, _late(before, store, client) if uploading else frozenset())


def _replaced(moment: Moment, number: int, client: Client) -> Moment:
    return evolve(moment, clients=(*moment.clients[:number], client, *moment.clients[number + 1 :]))


def _late(before: SearchStore, after: SearchStore, client: Client) -> frozenset[judge.Ref]:
    """What `client` has just uploaded, if the claim is not its own."""
    found = judge.contents(after)
    owner = judge.claimant(found) or ""
    if owner.startswith(f"{client.profile.name}."):
        return frozenset()
    return frozenset(judge.file_versions(found) - judge.file_versions(judge.contents(before)))


def _wishes(race: Race) -> dict[str, Tree]:
    past = Profile("past", Backup(race.past))
    profiles = [past, HEIR, evolve(HEIR, name="second heir"), *race.racers, *((race.dead,) if race.dead else ())]
    trees = {profile.name: profile.goal.tree for profile in profiles if isinstance(profile.goal, Backup)}
    runs = max(race.runs, *(racer.runs for racer in race.racers))
    return {f"{name}.{run}": wanted for name, wanted in trees.items() for run in range(1, runs + 2)}
