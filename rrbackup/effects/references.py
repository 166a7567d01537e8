"""What any version of the manifest object refers to, in the chain or not: the list of what must never be deleted.

The rule decided here: one version that cannot be read, and nothing may be deleted, for nobody knows what it refers to.
Only what a repair has set aside may be unreadable: a person has said that it is of no use. What of it can be read still
counts. Which checkpoints are named is known only where the listing holds the whole chain, from the head down: of a file
object a checkpoint tells what diffs that are gone referred to, but of a checkpoint nothing does.
"""

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from rrbackup.effects.store import Fetched
from rrbackup.effects.survey import Reading
from rrbackup.effects.workers import FETCH_THREADS, workers
from rrbackup.errors import DamagedChain, DamagedObject, RRBackupError, WrongPassword
from rrbackup.pure.format1_object import is_format1
from rrbackup.pure.manifest import referred_by
from rrbackup.pure.model import Diff, VersionId, VersionRef
from rrbackup.pure.soundness import FINDINGS


@frozen
class _Seen:
    """One version: what it refers to, or why that cannot be told."""

    version_id: VersionId
    old: bool
    refs: frozenset[VersionRef] = frozenset()
    fault: RRBackupError | None = None
    diff: Diff | None = None


@frozen
class Referred:
    """What was read of all versions of the manifest object."""

    seen: tuple[_Seen, ...]

    @property
    def files(self) -> frozenset[VersionRef]:
        return frozenset(ref for one in self.seen for ref in one.refs)

    def checkpoints(self, head: VersionId) -> frozenset[VersionId] | None:
        """All that any diff names; None where the chain below `head` has a gap. Diffs of rrbackup 1.0 end it: they and
        what is below them name none."""
        by_id = {one.version_id: one for one in self.seen}
        at = by_id.pop(head, None)
        while at is not None and at.diff is not None and at.diff.parent is not None:
            at = by_id.pop(at.diff.parent.version_id, None)
        if at is None or at.fault is not None:
            return None
        diffs = [one.diff for one in self.seen if one.diff is not None]
        return frozenset(diff.checkpoint.version_id for diff in diffs if diff.checkpoint is not None)


def read_references(
    newest_first: Sequence[VersionId],
    fetch: Callable[[VersionId], Fetched],
    reading: Reading,
    set_aside: Callable[[], frozenset[VersionId]],
) -> Referred:
    """`set_aside` says what the sound chain has set aside; it is asked only where something cannot be read."""
    with workers(FETCH_THREADS) as pool:
        seen = list(pool.map(lambda version_id: _look(fetch(version_id), reading), newest_first))
    faults = _faults(seen)
    if faults:
        allowed = set_aside()
        for version_id, fault in faults:
            if version_id not in allowed:
                raise fault
    return Referred(tuple(seen))


def _look(fetched: Fetched, reading: Reading) -> _Seen:
    found = partial(_Seen, fetched.info.version_id)
    if is_format1(fetched.body):
        try:
            return found(True, referred_by(reading.old(fetched).changes))
        except (DamagedObject, DamagedChain, WrongPassword) as error:
            return found(True, fault=error)
    if (locked_out := reading.locked_out(fetched)) is not None:
        return found(False, fault=locked_out)
    try:
        diff = reading.diff(fetched).diff
        return found(False, referred_by(diff.changes), diff=diff)
    except FINDINGS as error:
        return found(False, fault=error)


def _faults(seen: Sequence[_Seen]) -> list[tuple[VersionId, RRBackupError]]:
    """Raises WrongPassword for a diff of rrbackup 1.0, but not where one of this version lies below it: then it was put
    there against the rules, and may be encrypted with whatever key."""
    last_new = max((place for place, one in enumerate(seen) if not one.old), default=-1)
    for place, one in enumerate(seen):
        if isinstance(one.fault, WrongPassword) and place > last_new:
            raise one.fault
    return [(one.version_id, one.fault) for one in seen if one.fault is not None]
