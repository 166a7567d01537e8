"""What goes through a run: who, what for, what it remembers, where it stands; the values behind `protocol.Client`."""

from enum import StrEnum

from attrs import evolve, field, frozen

from rrbackup.pure import collection, commit, recovery, sweep
from rrbackup.pure.adoption import JournalContent, Receipt
from rrbackup.pure.model import CheckpointRef, HeadRef, LocalManifest, Mode, SeenClaim
from rrbackup.pure.outcomes import FileResult
from rrbackup.pure.steps import Effect, Outcome, Results, Upload
from tests.property.trees import Tree


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
    """Who runs, what for, and how often at least. `name` is also the host. `renews`: the claim is renewed after every
    file. `checkpoints`: every commit names one."""

    name: str
    goal: Goal
    take_over: bool = False
    mode: Mode = Mode.READ_WRITE
    renews: bool = False
    runs: int = 1
    checkpoints: bool = False


@frozen
class Disk:
    """What outlives a crash: the journal and the local manifest."""

    journal: JournalContent = field(factory=JournalContent)
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
    adopted: frozenset[Receipt] = frozenset()


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
class Checkpointing:
    """About to write a checkpoint for the job to name."""

    manifest: LocalManifest
    job: commit.Job


@frozen
class TakingBack:
    """About to delete a checkpoint of its own that no diff names."""

    ref: CheckpointRef
    after: "Phase"


@frozen
class Committing:
    manifest: LocalManifest
    state: commit.State
    job: commit.Job
    sent: tuple[FileResult, ...] = ()
    renewed: SeenClaim | None = None


@frozen
class Collecting:
    state: collection.State


@frozen
class Ended:
    how: End


Phase = (
    Settling | SettlingJournal | Observing | ReadingList | Checkpointing | Committing | TakingBack | Collecting | Ended
)


def one_upload(phase: Committing) -> Effect | None:
    """An upload of several files is carried out file by file."""
    effect = commit.next_effect(phase.state)
    if not isinstance(effect, Upload):
        return effect
    done = {result.path for result in phase.sent}
    return Upload(tuple(c for c in effect.candidates if c.path not in done)[:1], phase.renewed or effect.claim)


def after_effect(phase: Committing, outcome: Outcome) -> Phase:
    effect = commit.next_effect(phase.state)
    if not isinstance(effect, Upload):
        return evolve(phase, state=commit.advance(phase.state, outcome))
    assert isinstance(outcome, Results)
    sent, seen = (*phase.sent, *outcome.results), outcome.claim
    lost = seen is not None and seen.etag != effect.claim.etag and not _same_transaction(seen, effect.claim)
    if len(sent) < len(effect.candidates) and not lost:
        return evolve(phase, sent=sent, renewed=seen)
    return evolve(phase, state=commit.advance(phase.state, Results(sent, seen)), sent=(), renewed=None)


def _same_transaction(one: SeenClaim, other: SeenClaim) -> bool:
    return other.open is not None and one.belongs_to(other.open.transaction)
