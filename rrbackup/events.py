"""What a long operation tells its caller while it runs: typed values, handed to the `on_event` callback.

Events come from worker threads, but one at a time. A callback that raises stops the operation.
"""

from collections.abc import Callable

from attrs import frozen

from rrbackup.pure.model import PathText, Problem, VersionId

__all__ = [
    "BytesMoved",
    "CheckPlanned",
    "CommitCopied",
    "Comparing",
    "CopyPlanned",
    "DownloadPlanned",
    "Event",
    "FileDone",
    "Notice",
    "OnEvent",
    "PlanMade",
    "ProblemFound",
    "Published",
    "Scanning",
]


@frozen
class Scanning:
    """The tree below `base`, which is backed up or restored to, is being read; `found` entries so far."""

    base: str
    found: int


@frozen
class PlanMade:
    """`files` files with `size` bytes are to be looked at; `unchanged` entries are not."""

    files: int
    size: int
    unchanged: int


@frozen
class DownloadPlanned:
    """`files` files with `size` bytes are to be written; links and folders are not counted."""

    files: int
    size: int


@frozen
class Comparing:
    """Of files in a target only the content tells whether they differ: `files` and `size` bytes were read so far."""

    files: int
    size: int


@frozen
class CheckPlanned:
    """The contents of `files` stored versions are to be read, which give `size` bytes as far as that was recorded."""

    files: int
    size: int


@frozen
class CopyPlanned:
    """`commits` commits are to be copied, and for them `files` contents with `size` bytes to be stored."""

    commits: int
    files: int
    size: int


@frozen
class BytesMoved:
    """`count` more bytes of a file were read (backup, copy, check) or written (download)."""

    path: PathText
    count: int


@frozen
class FileDone:
    """A file is settled. `uploaded` is false where its content was known already."""

    path: PathText
    size: int
    uploaded: bool


@frozen
class ProblemFound:
    problem: Problem


@frozen
class Notice:
    """Something that a person should know, such as a recovery that took place."""

    text: str


@frozen
class Published:
    """The commit exists from this moment on."""

    version_id: VersionId
    sequence: int


@frozen
class CommitCopied:
    """The commit `original` of the source exists in the target from this moment on."""

    original: VersionId
    version_id: VersionId
    sequence: int


Event = (
    Scanning
    | Comparing
    | PlanMade
    | DownloadPlanned
    | CheckPlanned
    | CopyPlanned
    | BytesMoved
    | FileDone
    | ProblemFound
    | Notice
    | Published
    | CommitCopied
)
OnEvent = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """The callback of those who do not listen."""
