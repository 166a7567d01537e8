"""The rule of deletion, in one place.

A version that was found by listing is deleted only if no diff refers to it, and only after looking again, *after*
the listing, that one's own claim still stands (a full collection also: that the head is where its fence put it).
Whoever takes the claim over uploads only afterwards, so nothing that a successor uploads can be in the list.

    list versions and unfinished uploads → look again → read what all diffs refer to
        → delete the rest (or write it into the garbage list) → abort the uploads

The sweep is level-triggered: `next_effect` looks at what is known and names what is missing.
"""

from attrs import evolve, frozen

from rrbackup.pure.model import HeadRef, ListedVersion, TransactionId, UnfinishedUpload, VersionId, VersionRef
from rrbackup.pure.steps import (
    AbortUploads,
    AppendGarbage,
    ClaimSeen,
    DeleteVersions,
    Done,
    HeadSeen,
    ListAll,
    ListKeys,
    ListUploads,
    Outcome,
    ReadClaim,
    ReadHead,
    ReadReferences,
    ReferencesSeen,
    UploadsSeen,
    VersionsSeen,
)

Looking = ListAll | ListKeys | ListUploads | ReadClaim | ReadHead | ReadReferences
SweepEffect = Looking | DeleteVersions | AppendGarbage | AbortUploads


@frozen
class Sweep:
    """What to look through, and what is known so far.

    `keys` None means every file object and checkpoint. `spare` is never deleted; with `only`, nothing else is. `wanted`
    is left where it is too, and `kept` tells which of it is there. `fence` is the head that must still stand, where
    that is asked for. Of `unsure` keys nobody can tell what is referred to, so nothing of them is deleted.
    """

    transaction: TransactionId
    keys: tuple[str, ...] | None
    deletes: bool
    spare: frozenset[VersionRef] = frozenset()
    only: frozenset[VersionRef] | None = None
    wanted: frozenset[VersionRef] = frozenset()
    fence: HeadRef | None = None
    abort: bool = True
    listed: tuple[ListedVersion, ...] | None = None
    claim_stands: bool | None = None
    head_stands: bool | None = None
    referenced: frozenset[VersionRef] | None = None
    unsure: frozenset[str] = frozenset()
    uploads: tuple[UnfinishedUpload, ...] | None = None
    removed: bool = False
    aborted: bool = False

    @property
    def suspects(self) -> tuple[VersionRef, ...]:
        """Listed versions that may be orphans, as far as is known without reading diffs."""
        spare = self.spare | self.wanted
        return tuple(r for r in self._found if r not in spare and (self.only is None or r in self.only))

    @property
    def _found(self) -> tuple[VersionRef, ...]:
        return tuple(version.ref for version in self.listed or () if not version.marker)

    @property
    def undecided(self) -> bool:
        """Something that is wanted was found; whether a diff refers to it is not known yet."""
        return self.referenced is None and not self.wanted.isdisjoint(self._found)

    @property
    def kept(self) -> frozenset[VersionRef]:
        """What was wanted, is there, and is referred to by no diff, once the sweep has come to its end."""
        return self.wanted.intersection(self._found) - (self.referenced or frozenset())

    @property
    def orphans(self) -> tuple[VersionRef, ...]:
        assert self.referenced is not None
        return tuple(ref for ref in self.suspects if ref not in self.referenced and ref.key not in self.unsure)

    @property
    def orphans_found(self) -> tuple[VersionRef, ...]:
        """What was removed, once the sweep has come to its end."""
        return self.orphans if self.referenced is not None and self.removed else ()

    @property
    def superseded(self) -> bool:
        """Somebody else has taken over: nothing may be deleted any more."""
        return self.claim_stands is False or self.head_stands is False


def of_receipts(refs: frozenset[VersionRef], who: TransactionId, deletes: bool) -> Sweep:
    """A sweep over versions from receipts of our own, which needs neither a listing nor a second look."""
    rows = sorted(refs, key=lambda ref: (ref.key, ref.version_id))
    listed = tuple(ListedVersion(ref.key, ref.version_id, 0, "") for ref in rows)
    return Sweep(who, None, deletes, abort=False, listed=listed, claim_stands=True)


def next_effect(sweep: Sweep) -> SweepEffect | None:
    """What the world must do now; None when there is nothing left, or nothing that is still ours to do."""
    if sweep.keys == () or sweep.superseded:
        return None
    if sweep.listed is None:
        return ListAll() if sweep.keys is None else ListKeys(sweep.keys)
    if sweep.abort and sweep.uploads is None:
        return ListUploads(sweep.keys)
    return _next_after_listing(sweep)


def _next_after_listing(sweep: Sweep) -> SweepEffect | None:
    removing, aborting = _removing(sweep), bool(sweep.uploads) and not sweep.aborted
    if (removing or aborting) and sweep.claim_stands is None:
        return ReadClaim()
    if removing:
        return _removal(sweep)
    if sweep.undecided:
        return ReadReferences()
    return AbortUploads(sweep.uploads or ()) if aborting else None


def _removal(sweep: Sweep) -> SweepEffect:
    if sweep.fence is not None and sweep.head_stands is None:
        return ReadHead(sweep.fence)
    if sweep.referenced is None:
        return ReadReferences()
    return discard(sweep.orphans, sweep.deletes)


def discard(refs: tuple[VersionRef, ...], deletes: bool) -> DeleteVersions | AppendGarbage:
    """How this client gets rid of versions: by deleting, or by writing them down for one that may delete."""
    return DeleteVersions(refs) if deletes else AppendGarbage(refs)


def advance(sweep: Sweep, outcome: Outcome) -> Sweep:
    """What is known after `outcome`."""
    match outcome:
        case VersionsSeen(versions):
            return evolve(sweep, listed=versions)
        case UploadsSeen(uploads):
            return evolve(sweep, uploads=uploads)
        case ClaimSeen(claim):
            return evolve(sweep, claim_stands=claim.belongs_to(sweep.transaction))
        case HeadSeen(head):
            return evolve(sweep, head_stands=_same(head, sweep.fence))
        case ReferencesSeen(refs, unsure):
            known = evolve(sweep, referenced=refs, unsure=unsure)
            return known if known.orphans else evolve(known, removed=True)
        case Done():
            return evolve(sweep, removed=True) if _removing(sweep) else evolve(sweep, aborted=True)
        case _:
            raise AssertionError(f"a sweep does not ask for {outcome!r}")


def _removing(sweep: Sweep) -> bool:
    return bool(sweep.suspects) and not sweep.removed


def _same(head: HeadRef | None, fence: HeadRef | None) -> bool:
    return _version(head) == _version(fence)


def _version(head: HeadRef | None) -> VersionId | None:
    return head.version_id if head else None
