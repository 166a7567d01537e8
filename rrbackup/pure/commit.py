"""The commit machine: from a plan to one published diff.

Rule 1: everything that decides the order of a transaction's requests is in this file.
Rule 2: publishing the diff, under the condition that the head has not moved, is the commit; nothing else is.
Rule 3: there are no error states. An exception, an interruption and a power cut take the same road: stop; the next
run recovers (`recovery.py`). What is modelled are answers: written, refused, or none.

The story, as one would write it without machine::

    look at the candidates whose content may be known, until one has to be uploaded     Inspecting
    if something has to be uploaded:
        claim, naming all keys that may be written                                       Claiming
            no clear answer: read back                                                   Confirming
        upload, and renew the claim meanwhile; it was taken over: lost                   Uploading
    if nothing has changed: stop
    publish the diff                                                                     Publishing
        no clear answer: read the chain back; not there and head unmoved: again          Verifying
    delete what we uploaded and do not keep; look for twins of repeated uploads          Tidying
    clear the claim                                                                      Clearing
        no answer: read back; still ours: again                                          Rechecking
"""

from functools import cached_property

from attrs import evolve, frozen

from rrbackup.pure import claims, sweep
from rrbackup.pure.adoption import Receipt, not_needed, refs_of
from rrbackup.pure.claims import Origin, Signature
from rrbackup.pure.manifest import changes_of
from rrbackup.pure.model import (
    CheckpointRef,
    Claim,
    Diff,
    DiffKind,
    HeadRef,
    Link,
    RepositoryId,
    SeenClaim,
    TransactionId,
    VersionRef,
)
from rrbackup.pure.outcomes import FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Done,
    Effect,
    Inspect,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    Refused,
    Results,
    Unclear,
    Upload,
    WriteClaim,
    Wrote,
    expecting,
    published,
)
from rrbackup.pure.sweep import Sweep


@frozen
class Job:
    """What one transaction is about; never changes while it runs.

    `claim` is the record that it builds on: an idle one, or the open one that our recovery holds for the sake of the
    `adopted` uploads of an interrupted run. `checkpoint` lies in the store already, and the diff will name it.
    `origin`: the commit is a copy, and is published even if it changes nothing here.
    """

    who: Signature
    repository: RepositoryId
    plan: BackupPlan
    claim: SeenClaim
    deletes: bool = True
    adopted: frozenset[Receipt] = frozenset()
    checkpoint: CheckpointRef | None = None
    origin: Origin | None = None

    @property
    def head(self) -> HeadRef | None:
        return self.plan.head

    @property
    def line(self) -> TransactionId:
        """What the claim's line will be, under which uploads are written down."""
        return claims.line_of(self.claim.open) if self.claim.open else self.who.transaction


@frozen
class Inspecting:
    job: Job


@frozen
class Claiming:
    job: Job
    results: tuple[FileResult, ...]


@frozen
class Confirming:
    job: Job
    results: tuple[FileResult, ...]


@frozen
class Uploading:
    job: Job
    results: tuple[FileResult, ...]
    claim: SeenClaim


@frozen
class Publishing:
    """`claim` is None where nothing was uploaded, so that none was needed. The diff follows from job and results."""

    job: Job
    results: tuple[FileResult, ...]
    claim: SeenClaim | None

    @cached_property
    def diff(self) -> Diff:
        return _diff(self.job, self.results)


@frozen
class Verifying:
    job: Job
    results: tuple[FileResult, ...]
    claim: SeenClaim | None


@frozen
class Ending:
    """How a transaction came out: `link` is the published diff; `lost` that another client won."""

    link: Link | None = None
    lost: bool = False


@frozen
class Tidying:
    job: Job
    results: tuple[FileResult, ...]
    claim: SeenClaim
    ending: Ending
    own: tuple[VersionRef, ...]
    search: Sweep


@frozen
class Clearing:
    job: Job
    results: tuple[FileResult, ...]
    claim: SeenClaim
    ending: Ending


@frozen
class Rechecking:
    """A claim of ours must not stay behind unknown: without its journal, no later run would know it for ours."""

    job: Job
    results: tuple[FileResult, ...]
    ending: Ending


@frozen
class Ended:
    results: tuple[FileResult, ...]
    ending: Ending


Beginning = Inspecting | Claiming | Confirming | Uploading
Finishing = Publishing | Verifying | Tidying | Clearing | Rechecking | Ended
State = Beginning | Finishing


def begin(job: Job) -> State:
    """The first state: inspection is left out where a claim is held already, where an upload is certain, or where
    nothing is to be read."""
    candidates = job.plan.candidates
    if job.claim.open is not None or any(not candidate.known_size for candidate in candidates):
        return Claiming(job, ())
    return Inspecting(job) if candidates else _after_reading(job, (), None)


def next_effect(state: State) -> Effect | None:
    """What the world must do now. The order of requests is the order of these cases."""
    match state:
        case Inspecting(job):
            return Inspect(job.plan.candidates)
        case Claiming(job, results):
            return WriteClaim(_claim(job, results), expecting(job.claim.etag))
        case Confirming() | Rechecking():
            return ReadClaim()
        case Uploading(job, results, claim):
            return Upload(_open_candidates(job, results), claim)
        case Publishing(job):
            return Publish(state.diff, expecting(job.head.etag if job.head else None))
        case Verifying(job):
            return ReadChain(job.head.sequence if job.head else 0)
        case Tidying():
            return sweep.discard(state.own, state.job.deletes) if state.own else sweep.next_effect(state.search)
        case Clearing(job, _, claim):
            return WriteClaim(claims.clearing(job.who, claim), expecting(claim.etag))
        case Ended():
            return None


def advance(state: State, outcome: Outcome) -> State:
    """What is known after `outcome` of the effect that `state` asked for."""
    match state, outcome:
        case Inspecting(job), Results(results):
            return Claiming(job, results) if _open_candidates(job, results) else _after_reading(job, results, None)
        case Claiming(job, results), Wrote(version_id, etag):
            return Uploading(job, results, SeenClaim(_claim(job, results), etag, version_id))
        case Claiming(job, results), Refused() | Unclear():
            return Confirming(job, results)
        case Confirming(job, results), ClaimSeen(claim):
            return _confirmed(job, results, claim)
        case Uploading(_, results, claim), Results(more, seen):
            return _uploaded(evolve(state, results=(*results, *more)), seen or claim)
        case Publishing(job, results, claim), Wrote():
            return _tidy(job, results, claim, Ending(published(state.diff, outcome)))
        case Publishing(job, results, claim), Refused() | Unclear():
            return Verifying(job, results, claim)
        case Verifying(job, results, claim), ChainSeen(links):
            return _verified(job, results, claim, links)
        case Tidying(), _:
            return _tidied(state, outcome)
        case Clearing(_, results, _, ending), Wrote() | Refused():
            return Ended(results, ending)
        case Clearing(job, results, _, ending), Unclear():
            return Rechecking(job, results, ending)
        case Rechecking(job, results, ending), ClaimSeen(claim):
            ours = claim.belongs_to(job.who.transaction)
            return Clearing(job, results, claim, ending) if ours else Ended(results, ending)
        case _:
            raise AssertionError(f"{type(state).__name__} does not expect {outcome!r}")


# --- transitions with a decision in them -----------------------------------------------------------------------


def _confirmed(job: Job, results: tuple[FileResult, ...], claim: SeenClaim) -> State:
    if claim.belongs_to(job.who.transaction):
        return Uploading(job, results, claim)
    if claim.etag == job.claim.etag:
        return Claiming(job, results)
    return _tidy(job, results, job.claim if job.adopted else None, Ending(lost=True))


def _uploaded(state: Uploading, seen: SeenClaim) -> State:
    """A claim that is no longer ours is not ours to clear: then the one that we held stays the condition."""
    if seen.belongs_to(state.job.who.transaction):
        return _after_reading(state.job, state.results, seen)
    return _tidy(state.job, state.results, state.claim, Ending(lost=True))


def _after_reading(job: Job, results: tuple[FileResult, ...], claim: SeenClaim | None) -> State:
    publishing = Publishing(job, results, claim)
    worth_it = job.origin is not None or publishing.diff.changes
    return publishing if worth_it else _tidy(job, results, claim, Ending())


def _verified(job: Job, results: tuple[FileResult, ...], claim: SeenClaim | None, links: tuple[Link, ...]) -> State:
    own = [link for link in links if link.diff.transaction == job.who.transaction]
    if own:
        return _tidy(job, results, claim, Ending(own[0]))
    return _tidy(job, results, claim, Ending(lost=True)) if links else Publishing(job, results, claim)


def _tidy(job: Job, results: tuple[FileResult, ...], claim: SeenClaim | None, ending: Ending) -> State:
    if claim is None:
        return Ended(results, ending)
    own, search = _unwanted(job, results, ending), _search(job, results, ending)
    return _tidied_up(Tidying(job, results, claim, ending, own, search))


def _tidied(state: Tidying, outcome: Outcome) -> State:
    if state.own:
        assert isinstance(outcome, Done)
        return _tidied_up(evolve(state, own=()))
    return _tidied_up(evolve(state, search=sweep.advance(state.search, outcome)))


def _tidied_up(state: Tidying) -> State:
    if next_effect(state) is not None:
        return state
    return Clearing(state.job, state.results, state.claim, state.ending)


# --- derived values --------------------------------------------------------------------------------------------


def keys_of(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    return tuple(sorted({candidate.key for candidate in candidates}))


def _open_candidates(job: Job, results: tuple[FileResult, ...]) -> tuple[Candidate, ...]:
    done = {result.path for result in results}
    return tuple(candidate for candidate in job.plan.candidates if candidate.path not in done)


def _claim(job: Job, results: tuple[FileResult, ...]) -> Claim:
    keys = {*keys_of(_open_candidates(job, results)), *(ref.key for ref in refs_of(job.adopted))}
    return claims.opening(job.who, job.head, tuple(sorted(keys)), job.claim)


def _diff(job: Job, results: tuple[FileResult, ...]) -> Diff:
    """Made from receipts, so that it says what is stored, not what the scan saw."""
    return Diff(
        repository=job.repository,
        sequence=job.head.sequence + 1 if job.head else 1,
        parent=job.head.as_parent if job.head else None,
        transaction=job.who.transaction,
        kind=DiffKind.COMMIT,
        created_ns=(job.origin or job.who).created_ns,
        host=(job.origin or job.who).host,
        changes=changes_of(job.plan, results),
        checkpoint=job.checkpoint,
    )


def _sent(results: tuple[FileResult, ...]) -> tuple[VersionRef, ...]:
    return tuple(r.object.ref for r in results if isinstance(r, Settled) and r.uploaded and r.object is not None)


def _unwanted(job: Job, results: tuple[FileResult, ...], ending: Ending) -> tuple[VersionRef, ...]:
    """Versions from our own receipts that nothing refers to; they may go without a look at the claim."""
    leftovers = tuple(ref for result in results for ref in result.leftovers)
    if ending.link is None:
        return (*leftovers, *_sent(results), *not_needed(job.adopted, ()))
    return (*leftovers, *not_needed(job.adopted, results))


def _search(job: Job, results: tuple[FileResult, ...], ending: Ending) -> Sweep:
    """Look for versions without receipt, and for unfinished uploads, under the keys whose request was repeated."""
    doubtful = {result.path for result in results if result.doubtful}
    keys = keys_of(tuple(c for c in job.plan.candidates if c.path in doubtful))
    kept = frozenset(_sent(results)) if ending.link else frozenset()
    return Sweep(job.who.transaction, keys, job.deletes, spare=kept)
