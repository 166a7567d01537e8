"""Checkpoints: the whole manifest in one object, so that nobody has to read the chain from its beginning.

The rules decided here:

- A diff may name a checkpoint of the state that it builds on, by the SHA-256 of its stored bytes. What that digest, the
  repository and the parent of the naming diff do not confirm is not used.
- A checkpoint is written when that costs a bounded share of what was written anyway, when readers would have very many
  diffs to read, or when one reader just had to read many (`due`). Who could not write it, because it may not, tries
  again some commits later: each time it has to read all diffs since the last one.
"""

from attrs import field, frozen

from rrbackup.errors import DamagedObject
from rrbackup.pure.model import Entry, HeadRef, Link, ParentRef, RepositoryId, SinceCheckpoint, VersionRef
from rrbackup.pure.plan import BackupPlan, Candidate

FEWEST_DIFFS = 50
"""Fewer are read in a few round trips, so a checkpoint would save nothing."""

MOST_DIFFS = 500
"""So many small diffs take about as long to read as people wait for an answer."""

COSTLY_REBUILD = 200
"""Whoever had to read more of them spares the next client the same."""

TRIED_EVERY = 5
"""Diffs from one to the next at which it may be written. Clients that take turns should all come to it."""

_SHARE = 4
"""A checkpoint is written once what was written since the last one is a fourth of it."""

_REFERENCES_PER_ENTRY = 8
"""A reference takes about an eighth of the bytes of an entry or a change."""


@frozen
class Checkpoint:
    """The state after the diff `head`: all entries in path order, and every version that any diff up to it refers to.

    `references` leaves out what an entry refers to.
    """

    repository: RepositoryId
    sequence: int
    head: ParentRef
    entries: tuple[Entry, ...] = field(repr=lambda e: f"<{len(e)} entries>")
    references: frozenset[VersionRef] = field(default=frozenset(), repr=lambda r: f"<{len(r)} references>")

    @property
    def all_references(self) -> frozenset[VersionRef]:
        return self.references | frozenset(entry.object.ref for entry in self.entries if entry.object is not None)


def check_named(checkpoint: Checkpoint, naming: Link, name: str) -> None:
    """Raise DamagedObject unless the checkpoint `name` holds the very state that `naming` builds on."""
    faults = (
        (checkpoint.repository != naming.diff.repository, "belongs to another repository"),
        (checkpoint.sequence != naming.diff.sequence - 1, "has a sequence number that does not fit"),
        (checkpoint.head != naming.diff.parent, "is not of the diff that the naming one was built on"),
    )
    for fault, what in faults:
        if fault:
            raise DamagedObject(f"{name}, named by the diff {naming.version_id}, {what}")


# --- when one is due -----------------------------------------------------------------------------------------------


def counted(since: SinceCheckpoint | None, link: Link) -> SinceCheckpoint | None:
    """`since` with one diff more, which itself lies above the state in the checkpoint that it names."""
    if link.diff.checkpoint is not None:
        return SinceCheckpoint(1, len(link.diff.changes), link.diff.checkpoint.references)
    if since is None:
        return None
    return SinceCheckpoint(since.diffs + 1, since.changes + len(link.diff.changes), since.references)


def due(since: SinceCheckpoint | None, head: HeadRef | None, entries: int, *, rebuilt: bool) -> bool:
    """Whether the next commit, on top of `head` with so many `entries`, should name a checkpoint.

    `rebuilt`: this client had no local manifest, and has just read all that lies above the last checkpoint. Where
    nobody counted, there counts as none.
    """
    if head is None:
        return False
    known = since or SinceCheckpoint(diffs=head.sequence)
    if rebuilt and known.diffs > COSTLY_REBUILD:
        return True
    if known.diffs < FEWEST_DIFFS or (known.diffs - FEWEST_DIFFS) % TRIED_EVERY:
        return False
    if known.diffs >= MOST_DIFFS:
        return True
    size = entries + known.references // _REFERENCES_PER_ENTRY
    return known.changes * _SHARE >= size


def will_publish(plan: BackupPlan) -> bool:
    """Whether a plan is as good as certain to change something, so that its commit can name a checkpoint.

    Where contents have to be compared first, a checkpoint might be written for nothing, in every run anew.
    """
    return bool(plan.planned) or any(map(_differs, plan.candidates))


def _differs(candidate: Candidate) -> bool:
    before = candidate.previous
    if before is None or candidate.anew:
        return True
    return (candidate.size, candidate.mtime_ns, candidate.mode) != (before.size, before.mtime_ns, before.mode)
