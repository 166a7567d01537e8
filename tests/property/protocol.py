"""A client of the protocol without a file system: the real machines and the real interpreter, one effect at a time.

A `Client` is one run of one process: settle what was left open, then reach its goal. Everything it remembers
between runs is its `Disk`. It takes the same decisions between the machines as `effects.settling`,
`effects.planning` and `effects.committing` do, but as values, so that a search can copy a client in the middle of
its run. An upload of several files is cut between the files: each is a step of its own.
"""

from collections.abc import Iterable
from enum import StrEnum

from attrs import evolve, frozen

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import Fault, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.runner import World, perform
from rrbackup.errors import StoreError
from rrbackup.pure import collection, commit, format2, recovery, sweep
from rrbackup.pure.claims import Signature
from rrbackup.pure.manifest import Standing, check_follows, fold_links, standing
from rrbackup.pure.model import (
    Change,
    HeadRef,
    LocalEntry,
    LocalManifest,
    Mode,
    ObjectRef,
    PathText,
    Problem,
    ProblemKind,
    RepositoryId,
    SeenClaim,
    Status,
    TransactionId,
    VersionRef,
)
from rrbackup.pure.outcomes import Content, Failed, FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate, Planned, Reason, catalogue
from rrbackup.pure.steps import ChainSeen, Effect, Outcome, ReadChain, Results, Upload

Tree = tuple[tuple[str, bytes | None], ...]
"""Path and content of every file; None stands for a file that cannot be read."""


def tree(**files: bytes | None) -> Tree:
    """`tree(a=b"1")` is a tree with one file, `/a`."""
    return tuple(sorted((f"/{name}", body) for name, body in files.items()))


@frozen
class Backup:
    tree: Tree


@frozen
class Collect:
    """A full collection of garbage."""


@frozen
class CleanList:
    """Delete what the garbage list names."""


Goal = Backup | Collect | CleanList


@frozen
class Profile:
    """Who runs, and what for. `name` is also the host; `doubled`: each of its uploads is sent twice."""

    name: str
    goal: Goal
    take_over: bool = False
    mode: Mode = Mode.READ_WRITE
    doubled: bool = False


@frozen
class Disk:
    """What outlives a crash: the journal (transactions and receipts) and the local manifest."""

    transactions: frozenset[TransactionId] = frozenset()
    receipts: frozenset[VersionRef] = frozenset()
    manifest: LocalManifest | None = None

    def without_journal(self) -> "Disk":
        return Disk(manifest=self.manifest)


class End(StrEnum):
    COMMITTED = "committed"
    NOTHING = "nothing to do"
    COLLECTED = "collected"
    LOST = "another client won"
    STALE = "the head moved before anything was written"
    BLOCKED = "another client is at work"
    FAILED = "the store failed"
    DEAD = "dead"


# --- where a run stands ----------------------------------------------------------------------------------------


@frozen
class Rest:
    head: HeadRef | None
    claim: SeenClaim


@frozen
class Settling:
    facts: recovery.Facts


@frozen
class SettlingJournal:
    rest: Rest
    search: sweep.Sweep


@frozen
class Observing:
    rest: Rest
    known: LocalManifest


@frozen
class ReadingList:
    rest: Rest


@frozen
class Committing:
    manifest: LocalManifest
    plan: BackupPlan
    state: commit.State
    sent: tuple[FileResult, ...] = ()


@frozen
class Collecting:
    state: collection.State


@frozen
class Ended:
    how: End


Phase = Settling | SettlingJournal | Observing | ReadingList | Committing | Collecting | Ended


class Client:
    """One run. `step` carries out one effect, `run` all of them; `requests.calls` counts what was sent."""

    def __init__(
        self, profile: Profile, store: MemoryStore, disk: Disk | None = None, run: int = 1, faults: Iterable[Fault] = ()
    ) -> None:
        self.profile = profile
        self.disk = disk or Disk()
        self.number = run
        self.drawn = 0
        self.steps = 0
        self._attach(store.client(faults=faults))
        self.phase: Phase = Settling(recovery.begin(self._task()))

    def _attach(self, requests: MemoryClient) -> None:
        self.requests = requests
        self.control = Control(requests, ObjectNames())

    def twin(self, store: MemoryStore) -> "Client":
        """The same run at the same point, in (a copy of) the store."""
        twin = object.__new__(Client)
        twin.__dict__.update(self.__dict__)
        twin._attach(store.client())
        return twin

    def again(self, store: MemoryStore, faults: Iterable[Fault] = ()) -> "Client":
        """The next run of the same client, with what this one left on its disk."""
        return Client(self.profile, store, self.disk, self.number + 1, faults)

    @property
    def end(self) -> End | None:
        return self.phase.how if isinstance(self.phase, Ended) else None

    @property
    def key(self) -> object:
        """Two clients of the same profile with equal keys behave the same from here on."""
        return (self.number, self.drawn, self.disk, self.phase)

    # --- driving -----------------------------------------------------------------------------------------------

    def run(self) -> "Client":
        while self.end is None:
            self.step()
        return self

    def until(self, effect: type, count: int = 1) -> "Client":
        """Run up to, and without, the `count`-th effect of that type from here."""
        while self.end is None:
            count -= isinstance(self.next_effect(), effect)
            if count == 0:
                return self
            self.step()
        raise AssertionError(f"{self.profile.name} ended ({self.end}) and never came to {effect.__name__}")

    def kill(self) -> "Client":
        self.phase = Ended(End.DEAD)
        return self

    def step(self) -> None:
        self.steps += 1
        try:
            self.phase = self._concluded(self._stepped(self.phase))
        except SimulatedCrash:
            self.phase = Ended(End.DEAD)
        except StoreError:
            self.phase = Ended(End.FAILED)

    def next_effect(self) -> Effect | None:
        """The effect that the next step carries out; None for reading the garbage list, or after the end."""
        match self.phase:
            case Settling(facts):
                return recovery.next_effect(facts)
            case SettlingJournal(_, search):
                return sweep.next_effect(search)
            case Observing(_, known):
                return ReadChain(known.head.sequence if known.head else 0)
            case Committing(_, _, state, sent):
                return _one_upload(commit.next_effect(state), sent)
            case Collecting(state):
                return collection.next_effect(state)
            case ReadingList() | Ended():
                return None

    def _stepped(self, phase: Phase) -> Phase:
        if isinstance(phase, ReadingList):
            listed, _ = self.control.read_garbage()
            return self._collecting(phase.rest, frozenset(listed)) if listed else Ended(End.NOTHING)
        effect = self.next_effect()
        assert effect is not None
        self._arm(effect)
        return _advanced(phase, perform(effect, self._world()))

    def _arm(self, effect: Effect) -> None:
        if self.profile.doubled and isinstance(effect, Upload):
            self.requests.double_next()

    def _world(self) -> World:
        return World(self.control, self.profile.mode, self._note_transaction, NamedContents(self))

    def _concluded(self, phase: Phase) -> Phase:
        """Past everything that needs no request."""
        match phase:
            case Settling(facts) if recovery.next_effect(facts) is None:
                return self._concluded(self._settled(facts))
            case SettlingJournal(rest, search) if sweep.next_effect(search) is None:
                self.disk = self.disk.without_journal()
                return self._concluded(self._at_rest(rest))
            case Committing(manifest, _, commit.Ended() as end):
                return self._committed(manifest, end)
            case Collecting(collection.Ended(_, lost)):
                self.disk = self.disk.without_journal()
                return Ended(End.LOST if lost else End.COLLECTED)
            case _:
                return phase

    # --- as in effects.settling --------------------------------------------------------------------------------

    def _task(self) -> recovery.Task:
        return recovery.Task(
            who=self._signature(),
            new_repository=self._repository(None),
            dead=self.disk.transactions,
            take_over=self.profile.take_over,
            deletes=self.deletes,
            known_head=self.disk.manifest.head if self.disk.manifest else None,
        )

    def _settled(self, facts: recovery.Facts) -> Phase:
        assert facts.claim is not None
        if facts.blocked:
            return Ended(End.BLOCKED)
        victim = facts.victim.open if facts.victim else None
        swept = victim is not None and victim.transaction in self.disk.transactions
        receipts = frozenset() if swept else self.disk.receipts
        search = sweep.of_receipts(receipts, TransactionId(""), self.deletes)
        return SettlingJournal(Rest(facts.head, facts.claim), search)

    # --- as in effects.planning --------------------------------------------------------------------------------

    def _at_rest(self, rest: Rest) -> Phase:
        match self.profile.goal:
            case Collect():
                return self._collecting(rest, None)
            case CleanList():
                return ReadingList(rest)
            case Backup(wanted):
                remembered = self.disk.manifest or LocalManifest(None)
                if rest.head is not None and standing(remembered.head, rest.head, "manifest") is not Standing.CURRENT:
                    return Observing(rest, remembered)
                return self.planned(rest, remembered, wanted)

    def planned(self, rest: Rest, manifest: LocalManifest, wanted: Tree) -> Phase:
        if manifest.head != rest.head:
            return Ended(End.STALE)
        plan = plan_of(manifest, wanted)
        if plan.empty:
            self.disk = evolve(self.disk, manifest=manifest)
            return Ended(End.NOTHING)
        job = commit.Job(self._signature(), self._repository(rest.head), plan, rest.claim, self.deletes)
        return Committing(manifest, plan, commit.begin(job))

    # --- as in effects.committing ------------------------------------------------------------------------------

    def _committed(self, manifest: LocalManifest, end: commit.Ended) -> Phase:
        if end.ending.lost:
            self.disk = self.disk.without_journal()
            return Ended(End.LOST)
        link = end.ending.link
        self.disk = Disk(manifest=fold_links(manifest, (link,) if link else ()))
        return Ended(End.COMMITTED if link else End.NOTHING)

    def _collecting(self, rest: Rest, only: frozenset[VersionRef] | None) -> Phase:
        job = collection.Job(self._signature(), self._repository(rest.head), rest.head, rest.claim, only)
        return Collecting(collection.begin(job))
