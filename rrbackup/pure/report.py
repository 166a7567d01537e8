"""What operations report: small values made from diffs, plans and results."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

from attrs import field, frozen

from rrbackup.pure.model import NOT_RECORDED, Change, Link, Problem, Status, VersionId, VersionRef
from rrbackup.pure.outcomes import FileResult, Settled


@frozen
class Counts:
    """Of the changes of one commit; `bytes` is the size of the new and changed files.

    `unrecorded` of them have no size: rrbackup 1.0 did not record it.
    """

    new: int = 0
    changed: int = 0
    deleted: int = 0
    bytes: int = 0
    unrecorded: int = 0

    @classmethod
    def of(cls, changes: Iterable[Change]) -> "Counts":
        new = changed = deleted = size = unrecorded = 0
        for change in changes:
            new += change.status is Status.NEW
            changed += change.status is Status.CHANGED
            deleted += change.status is Status.DELETED
            if change.status is not Status.DELETED:
                unrecorded += change.entry.size == NOT_RECORDED
                size += max(0, change.entry.size)
        return cls(new, changed, deleted, size, unrecorded)


@frozen
class Version:
    """One commit. `created_ns` is the client's clock when the transaction began, `sequence` the order."""

    version_id: VersionId
    sequence: int
    created_ns: int
    host: str
    counts: Counts

    @classmethod
    def of(cls, link: Link) -> "Version":
        diff = link.diff
        return cls(link.version_id, diff.sequence, diff.created_ns, diff.host, Counts.of(diff.changes))


T = TypeVar("T")


@frozen
class Listing(Sequence[T]):
    """The items of one commit, and which commit it is."""

    version: Version
    items: tuple[T, ...] = field(repr=lambda items: f"<{len(items)} items>")

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)


@frozen
class BackupResult:
    """What a backup did. `version_id` is None where nothing had changed.

    `unchanged` counts entries, `uploaded_files` and `uploaded_bytes` what was sent (duplicates are not).
    """

    version_id: VersionId | None
    sequence: int | None
    counts: Counts
    unchanged: int
    uploaded_files: int
    uploaded_bytes: int
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the commit holds everything that was asked for."""
        return not any(problem.kind.incomplete for problem in self.problems)


def backup_result(
    link: Link | None, unchanged: int, results: Iterable[FileResult], problems: tuple[Problem, ...]
) -> BackupResult:
    results = tuple(results)
    settled = [r for r in results if isinstance(r, Settled)]
    sent = [r for r in settled if r.uploaded]
    changed = {change.entry.path for change in link.diff.changes} if link else set()
    return BackupResult(
        link.version_id if link else None,
        link.diff.sequence if link else None,
        Counts.of(link.diff.changes) if link else Counts(),
        unchanged + sum(r.path not in changed for r in settled),
        len(sent),
        sum(r.content.size for r in sent),
        (*problems, *(r.problem for r in results if r.problem is not None)),
    )


@frozen
class DownloadResult:
    """What a download wrote: `files` entries, `bytes` of file content.

    `left` entries stayed as they were in the target, `removed` paths went from it.
    """

    version_id: VersionId
    files: int
    bytes: int
    problems: tuple[Problem, ...] = ()
    left: int = 0
    removed: int = 0

    @property
    def complete(self) -> bool:
        return not any(problem.kind.incomplete for problem in self.problems)


@frozen
class CollectResult:
    """The versions that a collection deleted."""

    deleted: tuple[VersionRef, ...] = ()
