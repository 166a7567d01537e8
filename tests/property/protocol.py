"""A client of the protocol without a file system: the real machines and the real interpreter, one effect at a time.

A `Client` is one run of one process: settle what was left open, then reach its goal. Everything it remembers
between runs is its `Disk`. It takes the same decisions between the machines as `effects.settling`,
`effects.planning` and `effects.committing` do, but as values, so that a search can copy a client in the middle of
its run. An upload of several files is cut between the files: each is a step of its own.
"""

from collections.abc import Iterable

from attrs import evolve

from rrbackup.effects import checkpoints
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.renewing import renewed
from rrbackup.effects.runner import World, perform
from rrbackup.errors import StoreError
from rrbackup.pure import collection, commit, recovery, sweep
from rrbackup.pure.adoption import JournalContent, Receipt, contents_of, with_known_sizes
from rrbackup.pure.claims import Signature
from rrbackup.pure.dedup import DedupKey, catalogue, dedup_key
from rrbackup.pure.manifest import Standing, check_follows, fold_links, standing
from rrbackup.pure.model import (
    CheckpointRef,
    ClaimState,
    HeadRef,
    LocalManifest,
    Mode,
    ObjectRef,
    RepositoryId,
    TransactionId,
    VersionRef,
)
from rrbackup.pure.outcomes import Settled
from rrbackup.pure.steps import ChainSeen, Effect, Outcome, ReadChain, Results, Upload, WriteClaim
from tests.property.phases import (
    Backup,
    Checkpointing,
    CleanList,
    Collect,
    Collecting,
    Committing,
    Disk,
    End,
    Ended,
    Observing,
    Phase,
    Profile,
    ReadingList,
    Rest,
    Settling,
    SettlingJournal,
    TakingBack,
    after_effect,
    one_upload,
)
from tests.property.trees import NamedContents, plan_of

MOST_STEPS = 500


class Client:
    """One run. `step` carries out one effect, `run` all of them; `requests.calls` counts what was sent."""

    def __init__(
        self, profile: Profile, store: MemoryStore, disk: Disk | None = None, run: int = 1, faults: Iterable[Fault] = ()
    ) -> None:
        self.profile = profile
        self.disk = disk or Disk()
        self.number = run
        self.drawn = 0
        self.claims = 0
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
        return (self.number, self.drawn, self.claims, self.disk, self.phase)

    @property
    def claims_next(self) -> bool:
        """Whether the next step writes an open claim; `claims` counts them."""
        effect = self.next_effect()
        return isinstance(effect, WriteClaim) and effect.record.state is ClaimState.OPEN

    # --- driving -----------------------------------------------------------------------------------------------

    def run(self) -> "Client":
        for _ in range(MOST_STEPS):
            if self.end is not None:
                return self
            self.step()
        raise AssertionError(f"{self.profile.name} comes to no end: {self.phase}")

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

    def strike(self, kind: FaultKind) -> "Client":
        """Let the next request be struck."""
        self.requests.reset_calls()
        self.requests.faults = (Fault(1, kind),)
        return self

    def step(self) -> None:
        self.claims += self.claims_next
        try:
            self.phase = self._concluded(self._stepped(self.phase))
        except SimulatedCrash:
            self.phase = Ended(End.DEAD)
        except StoreError:
            self.phase = Ended(End.FAILED)

    def next_effect(self) -> Effect | None:
        """The effect that the next step carries out; None for what is none of a machine's, or after the end."""
        match self.phase:
            case Settling(facts):
                return recovery.next_effect(facts)
            case SettlingJournal(_, search):
                return sweep.next_effect(search)
            case Observing(_, known):
                return ReadChain(known.head.sequence if known.head else 0)
            case Committing():
                return one_upload(self.phase)
            case Collecting(state):
                return collection.next_effect(state)
            case ReadingList() | Checkpointing() | TakingBack() | Ended():
                return None

    def _stepped(self, phase: Phase) -> Phase:
        if isinstance(phase, ReadingList):
            listed, _ = self.control.read_garbage()
            return self._collecting(phase.rest, frozenset(listed)) if listed else Ended(End.NOTHING)
        if isinstance(phase, Checkpointing):
            job = evolve(phase.job, checkpoint=self._checkpoint(phase.manifest))
            return Committing(phase.manifest, commit.begin(job), job)
        if isinstance(phase, TakingBack):
            checkpoints.take_back(self.control, phase.ref)
            return phase.after
        effect = self.next_effect()
        assert effect is not None
        outcome = perform(effect, self._world())
        if self.profile.renews and isinstance(effect, Upload):
            assert isinstance(outcome, Results)
            outcome = Results(outcome.results, renewed(self.control, effect.claim))
        return self._advanced(phase, outcome)

    def _advanced(self, phase: Phase, outcome: Outcome) -> Phase:
        match phase:
            case Settling(facts):
                return Settling(recovery.advance(facts, outcome))
            case SettlingJournal(rest, search):
                return SettlingJournal(rest, sweep.advance(search, outcome))
            case Observing(rest, known):
                assert isinstance(outcome, ChainSeen)
                return self._observed(rest, known, outcome)
            case Committing():
                return after_effect(phase, outcome)
            case Collecting(state):
                return Collecting(collection.advance(state, outcome))
            case ReadingList() | Checkpointing() | TakingBack() | Ended():
                raise AssertionError(f"{phase} asks for nothing")

    def _world(self) -> World:
        goal = self.profile.goal
        wanted = goal.tree if isinstance(goal, Backup) else ()
        contents = NamedContents(self.requests, wanted, self._known_contents(), self._note_receipt)
        return World(self.control, self.profile.mode, self._note_transaction, self._note_discarded, contents)

    def _known_contents(self) -> dict[DedupKey, ObjectRef]:
        if not isinstance(self.phase, Committing):
            return {}
        sent = (result for result in self.phase.sent if isinstance(result, Settled))
        own = {dedup_key(r.content.sha256, ()): r.object for r in sent if r.object is not None}
        return contents_of(self.phase.job.adopted) | catalogue(self.phase.manifest.entries) | own

    def _concluded(self, phase: Phase) -> Phase:
        """Past everything that needs no request."""
        match phase:
            case Settling(facts) if recovery.next_effect(facts) is None:
                return self._concluded(self._settled(facts))
            case SettlingJournal(rest, search) if sweep.next_effect(search) is None:
                if not rest.adopted:
                    self.disk = self.disk.without_journal()
                return self._concluded(self._at_rest(rest))
            case Committing(manifest, commit.Ended() as end, job):
                after = self._committed(manifest, end)
                named = job.checkpoint if end.ending.link is None and self._deletes else None
                return TakingBack(named, after) if named else after
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
            journal=self.disk.journal,
            continues=isinstance(self.profile.goal, Backup),
            take_over=self.profile.take_over,
            deletes=self._deletes,
            known_head=self.disk.manifest.head if self.disk.manifest else None,
        )

    def _settled(self, facts: recovery.Facts) -> Phase:
        assert facts.claim is not None
        if facts.blocked:
            return Ended(End.BLOCKED)
        search = sweep.of_receipts(facts.strays, TransactionId(""), self._deletes)
        return SettlingJournal(Rest(facts.head, facts.claim, facts.adopted), search)

    # --- as in effects.planning --------------------------------------------------------------------------------

    def _at_rest(self, rest: Rest) -> Phase:
        match self.profile.goal:
            case Collect():
                return self._collecting(rest, None)
            case CleanList():
                return ReadingList(rest)
            case Backup():
                remembered = self.disk.manifest or LocalManifest(None)
                if rest.head is not None and standing(remembered.head, rest.head, "manifest") is not Standing.CURRENT:
                    return Observing(rest, remembered)
                return self._planned(rest, remembered)

    def _observed(self, rest: Rest, known: LocalManifest, seen: ChainSeen) -> Phase:
        if known.head is not None:
            check_follows(known.head, seen.links[-1], "manifest")
        return self._planned(rest, fold_links(known, seen.links))

    def _planned(self, rest: Rest, manifest: LocalManifest) -> Phase:
        assert isinstance(self.profile.goal, Backup)
        if manifest.head != rest.head:
            return Ended(End.STALE)
        plan = plan_of(manifest, self.profile.goal.tree)
        if plan.empty and rest.claim.open is None:
            self.disk = evolve(self.disk, manifest=manifest)
            return Ended(End.NOTHING)
        plan = evolve(plan, candidates=with_known_sizes(plan.candidates, rest.adopted))
        repository = self._repository(rest.head)
        job = commit.Job(self._signature(), repository, plan, rest.claim, self._deletes, rest.adopted)
        if self.profile.checkpoints and rest.head is not None and not plan.empty:
            return Checkpointing(manifest, job)
        return Committing(manifest, commit.begin(job), job)

    # --- as in effects.checkpoints -----------------------------------------------------------------------------

    def _checkpoint(self, manifest: LocalManifest) -> CheckpointRef | None:
        """Always due."""
        stretch = checkpoints.read_to_head(self.control, lambda _: None)
        if stretch.links[0].head != manifest.head:
            return None
        return checkpoints._write(self.control, stretch.checkpoint())

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

    # --- what a client draws from the world, and writes down ---------------------------------------------------

    @property
    def _deletes(self) -> bool:
        return self.profile.mode is Mode.READ_WRITE

    def _signature(self) -> Signature:
        """Transactions are named `client.run.number`, so that a judge can tell whose a diff is."""
        self.drawn += 1
        return Signature(TransactionId(f"{self.profile.name}.{self.number}.{self.drawn}"), self.profile.name, 0)

    def _repository(self, head: HeadRef | None) -> RepositoryId:
        return head.repository if head else RepositoryId(f"repository of {self.profile.name}.{self.number}")

    def _note_transaction(self, transaction: TransactionId) -> None:
        journal = self.disk.journal
        self._write_down(evolve(journal, transactions=journal.transactions | {transaction}))

    def _note_receipt(self, sha256: str, size: int, ref: ObjectRef) -> None:
        assert isinstance(self.phase, Committing)
        receipt = Receipt(self.phase.job.line, sha256, size, ref)
        self._write_down(evolve(self.disk.journal, receipts=self.disk.journal.receipts | {receipt}))

    def _note_discarded(self, refs: tuple[VersionRef, ...]) -> None:
        self._write_down(evolve(self.disk.journal, discarded=self.disk.journal.discarded.union(refs)))

    def _write_down(self, journal: JournalContent) -> None:
        self.disk = evolve(self.disk, journal=journal)
