"""What differs between two manifests, with renames.

The rule: a file that is gone and a new one with the same content are one file that was renamed; where several could be
meant, those of the same name go together first, then in path order. Empty files are all alike, so they are never taken
for renamed.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import field, frozen

from rrbackup.pure.manifest import check_fits
from rrbackup.pure.model import Entry, Link, PathText, Status
from rrbackup.pure.names import path_order
from rrbackup.pure.report import Version
from rrbackup.pure.soundness import ManifestState

Pair = tuple[Entry | None, Entry | None]
"""What is at a path before and after; at least one of the two is there, and they differ."""


def folded_pairs(before: Mapping[PathText, Entry], links: Iterable[Link]) -> Iterator[Pair]:
    """What `links`, which follow the manifest `before`, oldest first, come to together.

    Raises DamagedChain where a change does not fit, before the first pair.
    """
    after: dict[PathText, Entry | None] = {}
    for link in links:
        for change in link.diff.changes:
            path = change.entry.path
            check_fits(change, present=after.get(path, before.get(path)) is not None)
            after[path] = None if change.status is Status.DELETED else change.entry
    return ((before.get(path), entry) for path, entry in after.items() if before.get(path) != entry)


def pairs(before: Mapping[PathText, Entry], after: Mapping[PathText, Entry]) -> Iterator[Pair]:
    yield from ((entry, None) for path, entry in before.items() if path not in after)
    yield from ((before.get(path), entry) for path, entry in after.items() if before.get(path) != entry)


def turned(found: Iterable[Pair]) -> Iterator[Pair]:
    """The same, looked at from the other side."""
    return ((after, before) for before, after in found)


class DifferenceKind(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    DELETED = "deleted"
    RENAMED = "renamed"


@frozen
class Difference:
    """One path that differs; for a renamed file two, whose attributes may differ as well."""

    before: Entry | None
    after: Entry | None

    @property
    def kind(self) -> DifferenceKind:
        if self.before is None:
            return DifferenceKind.NEW
        if self.after is None:
            return DifferenceKind.DELETED
        return DifferenceKind.CHANGED if self.before.path == self.after.path else DifferenceKind.RENAMED

    @property
    def entry(self) -> Entry:
        """What is there after; what was there before, if it is gone."""
        entry = self.after or self.before
        assert entry is not None
        return entry


@frozen
class Comparison:
    """What differs between two commits, in path order, made while it is asked for.

    `state` tells, where `latest` was asked for, what lies on top of the newest sound commit and does not count.
    """

    before: Version
    after: Version
    _pairs: Sequence[Pair] = field(repr=False)
    state: ManifestState | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Difference]:
        return (Difference(*pair) for pair in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)


def compare(before: Version, after: Version, found: Iterable[Pair]) -> Comparison:
    return Comparison(before, after, tuple(sorted(_with_renames(list(found)), key=_order)))


def _order(pair: Pair) -> str:
    before, after = pair
    entry = after or before
    assert entry is not None
    return path_order(entry.path)


# --- renames -------------------------------------------------------------------------------------------------------


def _with_renames(found: Sequence[Pair]) -> Iterator[Pair]:
    gone = _contents(before for before, after in found if after is None)
    new = _contents(after for before, after in found if before is None)
    renamed = _renamed(gone, new)
    whence = {after.path: before for before, after in renamed}
    left = frozenset(before.path for before, _ in renamed)
    for before, after in found:
        if after is not None:
            yield before or whence.get(after.path), after
        elif before is not None and before.path not in left:
            yield before, None


def _contents(entries: Iterable[Entry | None]) -> list[Entry]:
    found = (entry for entry in entries if entry is not None and entry.size and entry.sha256)
    return sorted(found, key=lambda entry: path_order(entry.path))


def _renamed(gone: Sequence[Entry], new: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    found = _matched(gone, new, lambda entry: (entry.sha256, entry.path.rpartition("/")[2]))
    taken = frozenset(entry.path for pair in found for entry in pair)
    rest = [[entry for entry in side if entry.path not in taken] for side in (gone, new)]
    return found + _matched(rest[0], rest[1], lambda entry: entry.sha256)


def _matched(gone: Sequence[Entry], new: Sequence[Entry], key: Callable[[Entry], object]) -> list[tuple[Entry, Entry]]:
    """Each of `new` with the first of `gone` that has the same key and is not taken yet."""
    waiting: defaultdict[object, deque[Entry]] = defaultdict(deque)
    for entry in gone:
        waiting[key(entry)].append(entry)
    return [(waiting[key(entry)].popleft(), entry) for entry in new if waiting[key(entry)]]
