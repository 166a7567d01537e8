"""What becomes of entries that the scan did not find: which stay as they were committed last.

The rule: a path that could not be read, and what lies below it, stays (design invariant 9), and so does what
`skip_delete` covers, with the entries of the folders that it lies in, unless something else has its place.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Protocol

from attrs import frozen

from rrbackup.pure.model import Entry, EntryType
from rrbackup.pure.scan import Scanned


class PathFilter(Protocol):
    """What names paths; false where it names none."""

    def __bool__(self) -> bool: ...

    def matches(self, path: str) -> bool: ...

    def covers(self, path: str) -> bool: ...


@frozen
class Keeper:
    """Decides about entries that the scan did not find."""

    ignore: PathFilter
    skip_delete: PathFilter
    scanned: Sequence[Scanned]
    unreadable: frozenset[str]

    def keeps(self, path: str) -> bool:
        return self._unread(path) or (self.skip_delete.covers(path) and not self.displaced(path))

    def staying(self, gone: Sequence[Entry]) -> frozenset[str]:
        """The paths of `gone`, which comes in path order, that stay."""
        stays: set[str] = set()
        around: set[str] = set()
        for entry in reversed(gone):
            if self.keeps(entry.path):
                stays.add(entry.path)
                if not self._unread(entry.path):
                    around.update(folders_above(entry.path))
            elif entry.path in around and not self.displaced(entry.path):
                stays.add(entry.path)
        return frozenset(stays)

    def _unread(self, path: str) -> bool:
        return path in self.unreadable or not self.unreadable.isdisjoint(folders_above(path))

    def displaced(self, path: str) -> bool:
        """Whether a folder now stands where the file was, or a file where its folder was."""
        return path in self._folders or not self._files.isdisjoint(folders_above(path))

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(s.path for s in self.scanned if s.type is not EntryType.DIRECTORY)

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(f for s in self.scanned for f in folders_above(s.path))


def folders_above(path: str) -> Iterator[str]:
    """`/a/b/c` gives `/a/b`, then `/a`."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
