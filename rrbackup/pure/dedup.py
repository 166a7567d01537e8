"""Which stored contents a new file may refer to instead of being uploaded.

The rule: content is shared only between files that ask for the same words (design invariant 8), and nothing new refers
to what rrbackup 1.0 stored.
"""

from collections.abc import Iterable

from rrbackup.pure.model import LocalEntry, ObjectRef, VersionRef, Word

DedupKey = tuple[str, tuple[Word, ...]]


def dedup_key(sha256: str, asked: tuple[Word, ...]) -> DedupKey:
    """Content and what was asked for it."""
    return (sha256, asked)


def may_be_shared(ref: ObjectRef) -> bool:
    """Only compression may be missing of what was asked for; an entry that says otherwise was not written by us."""
    missing = frozenset(ref.asked) - frozenset(ref.applied)
    return ref.format >= 2 and missing <= {Word.COMPRESS}


def catalogue(entries: Iterable[LocalEntry], damaged: frozenset[VersionRef] = frozenset()) -> dict[DedupKey, ObjectRef]:
    """The stored contents of a manifest that a new file may refer to: none of those that are known to be damaged."""
    found = ((e.entry.sha256, e.entry.object) for e in entries)
    return {
        dedup_key(sha256, ref.asked): ref
        for sha256, ref in found
        if ref is not None and sha256 is not None and may_be_shared(ref) and ref.ref not in damaged
    }
