"""Every way in which one run, and then its recovery, can be struck by one fault each: complete enumeration.

    a clean past → the actor's run, a fault at request k of kind x
                 → a recovery by the same client, or by another one, a fault at request j of kind y
                 → a clean run of the other client, if it came, then of the actor → a full collection

After every run the moment is judged, at the end the rest. Situations that are equal in every byte are followed once
and counted as often as they occur.
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import evolve, frozen

from rrbackup.effects.memory import Call, Fault, FaultKind
from tests.property import judge
from tests.property.phases import Backup, Collect, End, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import Tree

CONTENT = (End.COMMITTED, End.NOTHING, End.COLLECTED)
MOST_RUNS = 12


@frozen
class Scenario:
    """`past` are the trees of clean backups of the actor; `other` recovers where the actor is gone for good.

    `strangers` are keys of versions that nothing knows of and only a full collection may touch.
    """

    name: str
    actor: Profile
    other: Profile
    past: Sequence[Tree] = ()
    strangers: Sequence[str] = ()
    multipart_threshold: int = 1 << 20


@frozen
class Situation:
    """What is left when nobody runs. `other` is None until that client has run."""

    store: SearchStore
    actor: Client
    other: Client | None = None

    @property
    def key(self) -> object:
        return self.store.key, self.actor.disk, self.other and self.other.disk


@frozen
class Struck:
    """A situation, in how many ways it came about, and the first of them."""

    situation: Situation
    ways: int
    story: str


class Exploration:
    """Counts the histories judged in `histories`; `faults` holds what was wrong, each with its story."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.histories = 0
        self.faults: list[str] = []
        self.situations = 0
        self._wanted = _wishes(scenario)

    def run(self, recoveries: int = 1, most_faults: int = 3) -> "Exploration":
        """Judges all histories with so many struck recoveries; stops once so many things were wrong."""
        for struck in self._situations(recoveries):
            self.situations += 1
            self.histories += struck.ways
            self._ending(struck)
            if len(self.faults) >= most_faults:
                break
        return self

    def _situations(self, recoveries: int) -> Iterable[Struck]:
        start = Struck(self._start(), 1, "")
        found = _merged(self._struck(start, start.situation.actor))
        for _ in range(recoveries):
            found = _merged(after for before in found for after in self._recovered(before))
        return found

    def _recovered(self, before: Struck) -> Iterator[Struck]:
        """The actor comes back, or the other client comes, or comes back."""
        store, other = before.situation.store, before.situation.other
        yield from self._struck(before, before.situation.actor.again(store))
        yield from self._struck(before, other.again(store) if other else Client(self.scenario.other, store))

    # --- one run -----------------------------------------------------------------------------------------------

    def _start(self) -> Situation:
        store = SearchStore(multipart_threshold=self.scenario.multipart_threshold)
        past = Client(self.scenario.actor, store)
        for number, wanted in enumerate(self.scenario.past, start=1):
            past = Client(evolve(self.scenario.actor, goal=Backup(wanted)), store, past.disk, number).run()
            assert past.end is End.COMMITTED
        for key in self.scenario.strangers:
            store.put(key, b"nobody's")
        return Situation(store, Client(self.scenario.actor, store, past.disk, len(self.scenario.past) + 1))

    def _struck(self, before: Struck, client: Client) -> Iterator[Struck]:
        """The run of `client`, undisturbed and then with every single fault."""
        smooth, calls = self._run(before.situation, client, ())
        yield self._judged(smooth, before, f"{client.profile.name} runs")
        for number, call in enumerate(calls, start=1):
            for kind in FaultKind:
                struck, _ = self._run(before.situation, client, (Fault(number, kind),))
                what = f"{client.profile.name} is struck at {number} ({call.method} {call.key}): {kind}"
                yield self._judged(struck, before, what)

    def _run(self, situation: Situation, client: Client, faults: Iterable[Fault]) -> tuple[Situation, tuple[Call, ...]]:
        store = situation.store.copy()
        ran = Client(client.profile, store, client.disk, client.number, faults).run()
        if client.profile is self.scenario.actor:
            return evolve(situation, store=store, actor=ran), ran.requests.calls
        return evolve(situation, store=store, other=ran), ran.requests.calls

    def _judged(self, situation: Situation, before: Struck, what: str) -> Struck:
        story = f"{before.story}; {what}" if before.story else what
        self._blame(judge.violations(judge.contents(situation.store), self._wanted), story)
        return Struck(situation, before.ways, story)

    def _blame(self, faults: Iterable[str], story: str) -> None:
        self.faults.extend(f"{fault}\n    after: {story}" for fault in faults)

    # --- the end -----------------------------------------------------------------------------------------------

    def _ending(self, struck: Struck) -> None:
        """The other client, if it ever came, runs again, then the actor, then a collector; all must be in order."""
        situation, story = struck.situation, f"{struck.story}; then clean runs"
        clients = [client for client in (situation.other, situation.actor) if client is not None]
        for client in clients:
            last = self._clean_run(client.again(situation.store), story)
            self._check_rest(situation.store, story)
        self._check_idempotent(last, situation.store, story)
        self._clean_run(Client(Profile("collector", Collect()), situation.store), story)
        left = judge.leaks(judge.contents(situation.store))
        self._blame([f"4: not collected: {ref}" for ref in left], story)

    def _clean_run(self, client: Client, story: str) -> Client:
        client.run()
        if client.end not in CONTENT:
            self._blame([f"{client.profile.name} does not get to its end: {client.end}"], story)
        return client

    def _check_rest(self, store: SearchStore, story: str) -> None:
        found = judge.contents(store)
        self._blame(judge.violations(found, self._wanted), story)
        self._blame(judge.unrest(found), story)
        leaked = {key for key, _ in judge.leaks(found)}
        strangers = set(self.scenario.strangers)
        self._blame([f"4: leaked {key}" for key in leaked - strangers], story)
        if not isinstance(self.scenario.actor.goal, Collect):
            self._blame([f"4: touched {key}" for key in strangers - leaked], story)

    def _check_idempotent(self, client: Client, store: SearchStore, story: str) -> None:
        """A file that cannot be read is tried again every time, under a claim; so it is left out here."""
        goal = client.profile.goal
        if not isinstance(goal, Backup) or None in dict(goal.tree).values():
            return
        client = client.again(store).run()
        before = store.key
        client.again(store).run()
        if store.key != before:
            self._blame(["7: a backup without changes wrote something"], story)


def _merged(found: Iterable[Struck]) -> list[Struck]:
    merged: dict[object, Struck] = {}
    for struck in found:
        key = struck.situation.key
        known = merged.get(key)
        merged[key] = evolve(known, ways=known.ways + struck.ways) if known else struck
    return list(merged.values())


def _wishes(scenario: Scenario) -> dict[str, Tree]:
    """By `client.run`, what each run is to commit."""
    past = {f"{scenario.actor.name}.{number}": wanted for number, wanted in enumerate(scenario.past, start=1)}
    numbers = range(len(scenario.past) + 1, MOST_RUNS)
    later = {
        f"{profile.name}.{number}": profile.goal.tree
        for profile in (scenario.actor, scenario.other)
        for number in (numbers if profile is scenario.actor else range(1, MOST_RUNS))
        if isinstance(profile.goal, Backup)
    }
    return past | later
