"""Which stored versions of files are damaged, as far as a listing tells, and which commits and paths that touches.

The rules decided here:

- A version is damaged if it is not listed, or not with the size or the etag that a commit recorded of it. What a commit
  did not record (rrbackup 1.0 recorded neither) is not compared.
- A path is touched from the commit that made it refer to the version up to the last one before it was changed again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import field, frozen

from rrbackup.pure.chain import commits
from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.model import (
    NOT_RECORDED,
    Entry,
    Link,
    ListedVersion,
    ObjectRef,
    PathText,
    Status,
    VersionId,
    VersionRef,
)

Said = Mapping[VersionRef, tuple[Entry, ...]]
"""What commits say of each version: one entry of each kind, mostly one; none where only a checkpoint knows of it."""


class DamageKind(StrEnum):
    MISSING = "missing"
    SIZE = "wrong size"
    ETAG = "wrong etag"
    CONTENT = "wrong content"


@frozen
class Fault:
    """What is wrong with one version; `detail` is a sentence without its subject."""

    kind: DamageKind
    detail: str


@frozen
class Touched:
    """A path that refers to a damaged version in so many `commits` in a row. `latest`: the newest is among them."""

    path: PathText
    first: VersionId
    last: VersionId
    commits: int
    latest: bool


@frozen
class Damage:
    """A damaged version of a file object, and what it touches; nothing where only commits hold it that are lost."""

    ref: VersionRef
    kind: DamageKind
    detail: str
    touches: tuple[Touched, ...] = field(default=(), repr=lambda t: f"<{len(t)} paths>")

    def __str__(self) -> str:
        return f"{self.ref.key} version {self.ref.version_id}: {self.detail}"


# --- what is said of versions --------------------------------------------------------------------------------------


def said_of(entries: Iterable[Entry], known: Iterable[VersionRef] = ()) -> Said:
    """What `entries` say of the versions they refer to; `known` are versions of which nothing else is known."""
    said: dict[VersionRef, dict[object, Entry]] = {ref: {} for ref in known}
    for entry in entries:
        if entry.object is not None:
            said.setdefault(entry.object.ref, {}).setdefault((entry.object, entry.size, entry.sha256), entry)
    return {ref: tuple(found.values()) for ref, found in said.items()}


def entries_of(links: Iterable[Link], base: Checkpoint | None) -> Iterator[Entry]:
    """Every entry that was ever recorded."""
    for link in links:
        yield from (change.entry for change in link.diff.changes)
    if base is not None:
        yield from base.entries


# --- what a listing tells ------------------------------------------------------------------------------------------


def faults(said: Said, listed: Mapping[VersionRef, ListedVersion]) -> dict[VersionRef, Fault]:
    """The damage that shows in the rows `listed`."""
    found = ((ref, _fault(entries, listed.get(ref))) for ref, entries in said.items())
    return {ref: fault for ref, fault in found if fault is not None}


def _fault(entries: Sequence[Entry], row: ListedVersion | None) -> Fault | None:
    if row is None or row.marker:
        return Fault(DamageKind.MISSING, "it is not in the store")
    return next((fault for entry in entries if entry.object and (fault := _differs(entry.object, row))), None)


def _differs(ref: ObjectRef, row: ListedVersion) -> Fault | None:
    if ref.stored_size not in (NOT_RECORDED, row.size):
        return Fault(DamageKind.SIZE, f"it has {row.size} bytes, and {ref.stored_size} were stored")
    if ref.etag and ref.etag != row.etag:
        return Fault(DamageKind.ETAG, f"its etag is {row.etag}, and {ref.etag} was stored: it was exchanged")
    return None


# --- what is touched -----------------------------------------------------------------------------------------------


def damages(
    found: Mapping[VersionRef, Fault], links_newest_first: Sequence[Link], base: Checkpoint | None
) -> tuple[Damage, ...]:
    """The faults with what they touch, by key. `base` is what the oldest link builds on, where that is a checkpoint."""
    if not found:
        return ()
    touched = _Spans(found.keys(), links_newest_first, base).found
    order = sorted(found, key=lambda ref: (ref.key, ref.version_id))
    return tuple(Damage(ref, found[ref].kind, found[ref].detail, tuple(touched.get(ref, ()))) for ref in order)


class _Spans:
    """Which path refers to which damaged version, from which commit to which."""

    def __init__(self, refs: Iterable[VersionRef], links: Sequence[Link], base: Checkpoint | None) -> None:
        self._refs = frozenset(refs)
        self._ids = [link.version_id for link in reversed(commits(links))]
        self._open: dict[PathText, tuple[VersionRef, int]] = {}
        self.found: dict[VersionRef, list[Touched]] = {}
        for entry in base.entries if base is not None else ():
            self._begin(entry, 0)
        for number, link in enumerate(reversed(commits(links))):
            for change in link.diff.changes:
                self._take(change.entry, change.status, number)
        for path in list(self._open):
            self._end(path, len(self._ids))

    def _take(self, entry: Entry, status: Status, number: int) -> None:
        before = self._open.get(entry.path)
        same = before is not None and entry.object is not None and entry.object.ref == before[0]
        if same and status is not Status.DELETED:
            return
        if before is not None:
            self._end(entry.path, number)
        if status is not Status.DELETED:
            self._begin(entry, number)

    def _begin(self, entry: Entry, number: int) -> None:
        if entry.object is not None and entry.object.ref in self._refs:
            self._open[entry.path] = (entry.object.ref, number)

    def _end(self, path: PathText, number: int) -> None:
        """Commit `number` is the first one without it."""
        ref, first = self._open.pop(path)
        if number > first:
            latest = number == len(self._ids)
            span = Touched(path, self._ids[first], self._ids[number - 1], number - first, latest)
            self.found.setdefault(ref, []).append(span)
