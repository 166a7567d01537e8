"""How a repository grew: what each commit added, and what all of them refer to together.

The rule: only what the chain says counts, nothing is listed or read. The bytes of a commit's new and changed files are
*new* where they are in a version that no commit before referred to, *shared* where they were stored already. What
rrbackup 1.0 did not record is counted, not guessed.
"""

from collections.abc import Sequence

from attrs import field, frozen

from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.manifest import check_fits
from rrbackup.pure.model import NOT_RECORDED, Entry, Link, ObjectRef, PathText, Status, VersionRef, Word
from rrbackup.pure.report import Version
from rrbackup.pure.soundness import Lost, ManifestState

_ORDER = tuple(Word)


@frozen
class CommitStats:
    """`bytes_new` and `bytes_shared` are the sizes of the new and changed files; they add up to `version.counts.bytes`.

    `stored_new` is what the commit added to the store, `stored` what it and those before it refer to; `entries` and
    `bytes` are what the commit holds.
    """

    version: Version
    bytes_new: int
    bytes_shared: int
    stored_new: int
    stored: int
    entries: int
    bytes: int


@frozen
class PipelineStats:
    """The versions that are stored with these words: `bytes` of content in `stored` bytes."""

    applied: tuple[Word, ...]
    versions: int = 0
    bytes: int = 0
    stored: int = 0


@frozen
class RepositoryStats:
    """`commits` come oldest first. `objects` have different keys, `versions` are what commits refer to.

    Of `unrecorded` versions no size is known: rrbackup 1.0 stored them, or only a checkpoint names them. `lost` is what
    could not be looked at, `state` what lies on top and does not count.
    """

    commits: tuple[CommitStats, ...]
    objects: int
    versions: int
    unrecorded: int
    pipelines: tuple[PipelineStats, ...]
    lost: Lost | None = None
    state: ManifestState | None = field(default=None, repr=False)

    @property
    def stored(self) -> int:
        """Bytes of all versions of which the size is known."""
        return sum(pipeline.stored for pipeline in self.pipelines)


def statistics(
    commits: Sequence[Link], base: Checkpoint | None, lost: Lost | None, state: ManifestState | None = None
) -> RepositoryStats:
    """`commits` come oldest first, above the state `base`. Raises DamagedChain where a change does not fit."""
    tally = _Tally(base)
    rows = tuple(map(tally.take, commits))
    objects = {ref.key for ref in tally.seen}
    pipelines = sorted(tally.pipelines.items(), key=lambda item: [_ORDER.index(word) for word in item[0]])
    stats = tuple(pipeline for _, pipeline in pipelines)
    return RepositoryStats(rows, len(objects), len(tally.seen), tally.unrecorded, stats, lost, state)


class _Tally:
    """What was seen from the beginning up to some commit."""

    def __init__(self, base: Checkpoint | None) -> None:
        self.seen: set[VersionRef] = set()
        self._unknown: set[VersionRef] = set()
        self.pipelines: dict[tuple[Word, ...], PipelineStats] = {}
        self._stored = 0
        self._bytes = 0
        self._sizes: dict[PathText, int] = {}
        for entry in base.entries if base else ():
            self._put(entry)
        if base is not None:
            self._unknown |= base.references - self.seen
            self.seen |= base.references

    @property
    def unrecorded(self) -> int:
        return len(self._unknown)

    def take(self, link: Link) -> CommitStats:
        stored, new, shared = 0, 0, 0
        for change in link.diff.changes:
            check_fits(change, present=change.entry.path in self._sizes)
            if change.status is Status.DELETED:
                self._drop(change.entry.path)
            elif self._put(change.entry):
                new += size_of(change.entry)
                stored += stored_size_of(change.entry)
            else:
                shared += size_of(change.entry)
        return CommitStats(Version.of(link), new, shared, stored, self._stored, len(self._sizes), self._bytes)

    def _drop(self, path: PathText) -> None:
        self._bytes -= self._sizes.pop(path)

    def _put(self, entry: Entry) -> bool:
        """Whether its content is in a version that was not seen before."""
        if entry.path in self._sizes:
            self._drop(entry.path)
        self._sizes[entry.path] = size_of(entry)
        self._bytes += size_of(entry)
        if entry.object is None:
            return False
        ref = entry.object.ref
        known = ref in self.seen
        if not known or ref in self._unknown:
            self._count(entry.object, size_of(entry))
        self.seen.add(ref)
        return not known

    def _count(self, ref: ObjectRef, size: int) -> None:
        if ref.stored_size == NOT_RECORDED:
            self._unknown.add(ref.ref)
            return
        self._unknown.discard(ref.ref)
        self._stored += ref.stored_size
        so_far = self.pipelines.get(ref.applied, PipelineStats(ref.applied))
        self.pipelines[ref.applied] = PipelineStats(
            ref.applied, so_far.versions + 1, so_far.bytes + size, so_far.stored + ref.stored_size
        )


def size_of(entry: Entry) -> int:
    """0 where it was not recorded."""
    return max(0, entry.size)


def stored_size_of(entry: Entry) -> int:
    """0 where it was not recorded."""
    return max(0, entry.object.stored_size) if entry.object is not None else 0
