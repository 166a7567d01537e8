"""What is left out of a backup although no pattern of `ignore_files` names it, and what is taken in again.

The rule, in this order: what `include_files` covers, a path or a folder above it, is backed up whatever the others
say; what `ignore_files` covers is left out; of a folder that a file in it marks, only that file is kept; then
`exclude_larger_than` decides. The base path itself cannot be marked: a file dropped there would empty the backup.
"""

from collections.abc import Mapping

from attrs import frozen

from rrbackup.pure.filters import Filters
from rrbackup.pure.reason import Reason

CACHE_TAG = "CACHEDIR.TAG"
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""What a tag begins with (bford.info/cachedir)."""

EXCLUDING_KEYS: Mapping[Reason, str] = {
    Reason.CACHE: "exclude_caches",
    Reason.MARKED: "exclude_if_present",
    Reason.LARGE: "exclude_larger_than",
}

_NONE = Filters()


@frozen
class Ignoring:
    """`ignore_files` without what `include_files` takes in again."""

    ignore: Filters
    include: Filters = _NONE

    def __bool__(self) -> bool:
        return bool(self.ignore)

    def matches(self, path: str) -> bool:
        return self.ignore.matches(path) and not self.include.covers(path)

    def covers(self, path: str) -> bool:
        return self.ignore.covers(path) and not self.include.covers(path)


@frozen
class Exclusions:
    """The keys `exclude_caches`, `exclude_if_present` and `exclude_larger_than`, and the `include_files` above them."""

    include: Filters = _NONE
    caches: bool = False
    if_present: frozenset[str] = frozenset()
    larger_than: int | None = None

    def __bool__(self) -> bool:
        """Whether any of them says something."""
        return bool(self.include or self.caches or self.if_present) or self.larger_than is not None

    def too_large(self, size: int) -> bool:
        return self.larger_than is not None and size > self.larger_than


def why_left_out(path: str, left_out: Mapping[str, Reason]) -> Reason | None:
    """Why the last scan left `path` out: for itself, or for a folder above it."""
    while path:
        if (reason := left_out.get(path)) is not None:
            return reason
        path = path.rpartition("/")[0]
    return None
