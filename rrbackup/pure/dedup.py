"""Which stored contents a new file may refer to instead of being uploaded.

The rule: content is shared only between files that ask for the same words (design invariant 8), and nothing new refers
to what rrbackup 1.0 stored.
"""

from collections.abc import Iterable

from rrbackup.pure.model import LocalEntry, ObjectRef, Word

DedupKey = tuple[str, tuple[Word, ...]]


def dedup_key(sha256: str, asked: tuple[Word, ...]) -> DedupKey:
    """Content and what was asked for it."""
    return (sha256, asked)


def catalogue(entries: Iterable[LocalEntry]) -> dict[DedupKey, ObjectRef]:
    """The stored contents of a manifest that a new file may refer to."""
    return {
        dedup_key(e.entry.sha256, e.entry.object.asked): e.entry.object
        for e in entries
        if e.entry.object is not None and e.entry.sha256 is not None and e.entry.object.format >= 2
    }
