"""Manifests: applying diffs to them, and telling how a remembered one stands to the head in the store.

The rule: a manifest is the fold of the chain. A change that does not fit (a new path that is there, a deleted
one that is not) means that the chain is damaged, never something to be guessed around.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto

from attrs import evolve

from rrbackup.errors import DamagedChain, StoreWentBack
from rrbackup.pure.chain import check_encryption
from rrbackup.pure.checkpoint import counted
from rrbackup.pure.extras import with_holes
from rrbackup.pure.local_format import Row, Rows, entry_in, path_in, rows_of
from rrbackup.pure.model import (
    Change,
    Entry,
    EntryType,
    HeadRef,
    Link,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    PathText,
    SinceCheckpoint,
    Status,
    VersionRef,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.outcomes import FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate


def sort_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: path_order(change.entry.path)))


def fold(entries: Mapping[PathText, LocalEntry], changes: Sequence[Change]) -> dict[PathText, LocalEntry]:
    """The manifest after `changes`. Local knowledge of a changed path is dropped.

    Raises DamagedChain where a change does not fit the manifest.
    """
    result: dict[PathText, Row] = dict(entries)
    _apply(result, changes)
    return {path: entry_in(row) for path, row in result.items()}


def _apply(entries: dict[PathText, Row], changes: Sequence[Change]) -> None:
    """In place: a copy for every one of many diffs would cost more than the changes do."""
    for change in changes:
        path = change.entry.path
        check_fits(change, present=path in entries)
        if change.status is Status.DELETED:
            del entries[path]
        else:
            entries[path] = LocalEntry(change.entry)


def check_fits(change: Change, *, present: bool) -> None:
    """Raise DamagedChain where a change does not fit what was there of its path in the commit before."""
    if present is (change.status is Status.NEW):
        raise DamagedChain(
            f"the manifest says that {change.entry.path} is {change.status.value}, "
            f"but the commit before it {'has' if present else 'does not have'} it",
            hint="the chain of diffs is damaged at this commit; earlier commits are not affected",
        )


def first_misfit(base: Iterable[Entry], oldest_first: Iterable[Link]) -> tuple[Link, DamagedChain] | None:
    """The first link above the manifest `base` that has a change that does not fit, and what is said of it."""
    present = {entry.path for entry in base}
    for link in oldest_first:
        for change in link.diff.changes:
            path = change.entry.path
            try:
                check_fits(change, present=path in present)
            except DamagedChain as error:
                return link, error
            (present.discard if change.status is Status.DELETED else present.add)(path)
    return None


def referred_by(changes: Iterable[Change]) -> frozenset[VersionRef]:
    """The versions of files that changes refer to."""
    return frozenset(change.entry.object.ref for change in changes if change.entry.object is not None)


def fold_links(start: LocalManifest, links_newest_first: Sequence[Link]) -> LocalManifest:
    """`start` brought forward by links that follow it without a gap."""
    if not links_newest_first:
        return start
    entries = {path_in(row): row for row in rows_of(start.entries)}
    since = SinceCheckpoint() if start.head is None else start.since
    for link in reversed(links_newest_first):
        _apply(entries, link.diff.changes)
        since = counted(since, link)
    return LocalManifest(links_newest_first[0].head, _in_order(entries), since)


def _in_order(entries: Mapping[PathText, Row]) -> Rows:
    return Rows(tuple(entries[path] for path in sorted(entries, key=path_order)), len(entries))


# --- how a remembered manifest stands to the store -----------------------------------------------------------


class Standing(Enum):
    CURRENT = auto()
    BEHIND = auto()
    UNKNOWN = auto()


def standing(local: HeadRef | None, head: HeadRef | None, manifest_file: str) -> Standing:
    """Compare the remembered head with the store's. UNKNOWN: there is nothing to build on, read the whole chain.

    Raises StoreWentBack if the store no longer holds what this client has seen.
    """
    if local is None:
        return Standing.UNKNOWN
    if head is not None and head.version_id == local.version_id and head.sha256 == local.sha256:
        return Standing.CURRENT
    if head is None or head.repository != local.repository or head.sequence <= local.sequence:
        raise went_back(local, head, manifest_file)
    check_encryption(head, local.version_id, local.encrypted)
    return Standing.BEHIND


def went_back(local: HeadRef, head: HeadRef | None, manifest_file: str) -> StoreWentBack:
    found = "no commits at all" if head is None else f"commit {head.sequence} ({head.version_id}) as the newest"
    if head is not None and head.repository != local.repository:
        found = f"another repository ({head.repository})"
    return StoreWentBack(
        f"the store holds {found}, but this client has seen commit {local.sequence} ({local.version_id}): "
        "the store has been set back or exchanged",
        hint=f"if that is meant, remove the local manifest {manifest_file} and run again: "
        "it is rebuilt from what the store holds",
    )


def check_follows(local: HeadRef, oldest: Link, manifest_file: str) -> None:
    """Raise StoreWentBack unless `oldest` is the diff right after the remembered head.

    Raises DamagedChain where the remembered one is encrypted and `oldest` is not.
    """
    if oldest.diff.parent != local.as_parent:
        raise went_back(local, oldest.head, manifest_file)
    check_encryption(oldest, local.version_id, local.encrypted)


def check_remembered(local: HeadRef | None, links: Sequence[Link], manifest_file: str) -> None:
    """Raise StoreWentBack unless the remembered head is among `links`, the whole chain."""
    if local is not None and local.as_parent not in (link.as_parent for link in links):
        raise went_back(local, links[0].head if links else None, manifest_file)


# --- from results to a diff, and to the next local manifest ---------------------------------------------------


def entry_of(candidate: Candidate, result: Settled) -> Entry:
    """What a commit records of a file: what was read, not what the scan saw."""
    content = result.content
    if candidate.copied is not None:
        return evolve(candidate.copied, size=content.size, object=result.object)
    return Entry(
        candidate.path,
        EntryType.FILE,
        content.size,
        content.mtime_ns,
        content.mode,
        None,
        content.sha256,
        result.object,
        with_holes(candidate.extra, content.sparse),
    )


def changes_of(plan: BackupPlan, results: Iterable[FileResult]) -> tuple[Change, ...]:
    """The changes to publish: the planned ones, and the candidates that proved new or different."""
    candidates = {candidate.path: candidate for candidate in plan.candidates}
    read = (_change(candidates[r.path], r) for r in results if isinstance(r, Settled))
    return sort_changes([*(p.change for p in plan.planned), *(change for change in read if change is not None)])


def _change(candidate: Candidate, result: Settled) -> Change | None:
    entry = entry_of(candidate, result)
    if candidate.previous is None:
        return Change(Status.NEW, entry)
    return None if candidate.previous == entry else Change(Status.CHANGED, entry)


def stamped(manifest: LocalManifest, plan: BackupPlan, results: Iterable[FileResult]) -> LocalManifest:
    """`manifest` with what this run learned about the files on this disk."""
    learned = dict(_learned(plan, results))
    if not learned:
        return manifest
    rows = tuple(_stamp(row, learned) for row in rows_of(manifest.entries))
    return evolve(manifest, entries=Rows(rows, len(rows)))


def _learned(
    plan: BackupPlan, results: Iterable[FileResult]
) -> Iterator[tuple[PathText, tuple[LocalStamp | None, bool]]]:
    for planned in plan.planned:
        yield planned.change.entry.path, (planned.stamp, False)
    for result in results:
        if isinstance(result, Settled):
            yield result.path, (result.content.stamp, result.content.recent)


def _stamp(row: Row, learned: Mapping[PathText, tuple[LocalStamp | None, bool]]) -> Row:
    path = path_in(row)
    if path not in learned:
        return row
    stamp, recent = learned[path]
    return LocalEntry(entry_in(row).entry, stamp, recent)
