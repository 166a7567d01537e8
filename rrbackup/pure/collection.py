"""The collection machine: deleting every version that no diff refers to.

Rule: nobody may be at work, and nobody who was may publish any more, before anything is deleted. So a collection
claims, fences, lists, looks again that the claim is still its own and the head where the fence put it, and only then
deletes what no version of the manifest object refers to, in the chain or not. Recovery comes first: collection
begins on an idle repository.

The story, as one would write it without machine::

    claim                                    Claiming     no clear answer: read back     Confirming
    publish a fence                          Fencing      no clear answer: read back     Verifying
    sweep: everything, or only what the garbage list names                               Sweeping
    take what was dealt with out of the garbage list                                     Forgetting
    clear the claim                          Clearing     no answer: read back           Rechecking
"""

from attrs import evolve, frozen

from rrbackup.pure import claims, sweep
from rrbackup.pure.claims import Signature
from rrbackup.pure.model import Claim, Diff, HeadRef, Link, RepositoryId, SeenClaim, VersionRef
from rrbackup.pure.recovery import fence
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Done,
    Effect,
    ForgetGarbage,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    Refused,
    Unclear,
    WriteClaim,
    Wrote,
    expecting,
    published,
)
from rrbackup.pure.sweep import Sweep


@frozen
class Job:
    """`only` restricts the collection to these versions (the garbage list); None goes through everything."""

    who: Signature
    new_repository: RepositoryId
    head: HeadRef | None
    claim: SeenClaim
    only: frozenset[VersionRef] | None = None


@frozen
class Claiming:
    job: Job


@frozen
class Confirming:
    job: Job


@frozen
class Fencing:
    job: Job
    claim: SeenClaim


@frozen
class Verifying:
    job: Job
    claim: SeenClaim


@frozen
class Sweeping:
    job: Job
    claim: SeenClaim
    search: Sweep


@frozen
class Forgetting:
    job: Job
    claim: SeenClaim
    search: Sweep


@frozen
class Clearing:
    job: Job
    claim: SeenClaim
    removed: tuple[VersionRef, ...] = ()
    lost: bool = False


@frozen
class Rechecking:
    """A claim of ours must not stay behind unknown (see `commit.Rechecking`)."""

    job: Job
    ended: "Ended"


@frozen
class Ended:
    """`lost`: another client won; nothing, or nothing more, was deleted."""

    removed: tuple[VersionRef, ...] = ()
    lost: bool = False


State = Claiming | Confirming | Fencing | Verifying | Sweeping | Forgetting | Clearing | Rechecking | Ended


def begin(job: Job) -> State:
    return Claiming(job)


def next_effect(state: State) -> Effect | None:
    """What the world must do now. The order of requests is the order of these cases."""
    match state:
        case Claiming(job):
            return WriteClaim(_claim(job), expecting(job.claim.etag))
        case Confirming() | Rechecking():
            return ReadClaim()
        case Fencing(job):
            return Publish(_fence(job), expecting(job.head.etag if job.head else None))
        case Verifying(job):
            return ReadChain(job.head.sequence if job.head else 0)
        case Sweeping(_, _, search):
            return sweep.next_effect(search)
        case Forgetting(job, _, search):
            return ForgetGarbage(_dealt_with(job, search))
        case Clearing(job, claim):
            return WriteClaim(claims.clearing(job.who, claim), expecting(claim.etag))
        case Ended():
            return None


def advance(state: State, outcome: Outcome) -> State:
    """What is known after `outcome` of the effect that `state` asked for."""
    match state, outcome:
        case Claiming(job), Wrote(version_id, etag):
            return Fencing(job, SeenClaim(_claim(job), etag, version_id))
        case Claiming(job), Refused() | Unclear():
            return Confirming(job)
        case Confirming(job), ClaimSeen(claim):
            return _confirmed(job, claim)
        case Fencing(job, claim), Wrote():
            return _sweeping(job, claim, published(_fence(job), outcome).head)
        case Fencing(job, claim), Refused() | Unclear():
            return Verifying(job, claim)
        case Verifying(job, claim), ChainSeen(links):
            return _verified(job, claim, links)
        case Sweeping(), _:
            return _swept(evolve(state, search=sweep.advance(state.search, outcome)))
        case Forgetting(job, claim, search), Done():
            return Clearing(job, claim, search.orphans_found)
        case Clearing(_, _, removed, lost), Wrote() | Refused():
            return Ended(removed, lost)
        case Clearing(job, _, removed, lost), Unclear():
            return Rechecking(job, Ended(removed, lost))
        case Rechecking(job, ended), ClaimSeen(claim):
            return Clearing(job, claim, ended.removed, ended.lost) if claim.belongs_to(job.who.transaction) else ended
        case _:
            raise AssertionError(f"{type(state).__name__} does not expect {outcome!r}")


def _confirmed(job: Job, claim: SeenClaim) -> State:
    if claim.belongs_to(job.who.transaction):
        return Fencing(job, claim)
    return Claiming(job) if claim.etag == job.claim.etag else Ended(lost=True)


def _verified(job: Job, claim: SeenClaim, links: tuple[Link, ...]) -> State:
    own = [link.head for link in links if link.diff.transaction == job.who.transaction]
    if own and own[0] == links[0].head:
        return _sweeping(job, claim, own[0])
    return Clearing(job, claim, lost=True) if links else Fencing(job, claim)


def _sweeping(job: Job, claim: SeenClaim, stood: HeadRef) -> State:
    keys = None if job.only is None else tuple(sorted({ref.key for ref in job.only}))
    everything = job.only is None
    return _swept(
        Sweeping(job, claim, Sweep(job.who.transaction, keys, True, only=job.only, fence=stood, abort=everything))
    )


def _swept(state: Sweeping) -> State:
    if state.search.superseded:
        return Ended(lost=True)
    if sweep.next_effect(state.search) is not None:
        return state
    return Forgetting(state.job, state.claim, state.search)


def _dealt_with(job: Job, search: Sweep) -> frozenset[VersionRef]:
    """What may leave the garbage list: all that the job was about, or what the listing saw. Not what others have
    written down since."""
    return job.only if job.only is not None else frozenset(version.ref for version in search.listed or ())


def _fence(job: Job) -> Diff:
    return fence(job.who, job.head, job.new_repository)


def _claim(job: Job) -> Claim:
    return claims.opening(job.who, job.head, (), job.claim)
