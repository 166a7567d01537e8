"""What became of each candidate file: read and stored, read and already known, or not readable."""

from attrs import frozen

from rrbackup.pure.model import LocalStamp, ObjectRef, PathText, Problem, VersionRef


@frozen
class Content:
    """What was read of a file: `size` bytes with this digest, and the inode's data while they were read.

    `recent` says that the file changed so shortly before that a later change might bear the same times, `sparse` that
    it has holes.
    """

    size: int
    sha256: str
    mtime_ns: int
    mode: int
    stamp: LocalStamp | None
    recent: bool = False
    sparse: bool = False


@frozen
class Settled:
    """The content is in the store: `object` holds it (None for an empty file).

    `uploaded` tells whether this transaction put it there. `leftovers` are versions of ours that are not to be
    kept; `doubtful` means that a request was repeated, so that a version without receipt may exist. A `problem`
    is something to report although the content is safe, such as a file that would not hold still.
    """

    path: PathText
    content: Content
    object: ObjectRef | None
    uploaded: bool = False
    leftovers: tuple[VersionRef, ...] = ()
    doubtful: bool = False
    problem: Problem | None = None


@frozen
class Failed:
    """The file could not be read; its last committed state stays."""

    path: PathText
    problem: Problem
    leftovers: tuple[VersionRef, ...] = ()
    doubtful: bool = False


FileResult = Settled | Failed
