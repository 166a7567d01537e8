"""What a scan of the disk says about one path, as a value that a plan can be made from.

Kept apart from `model.Entry` because it holds what only this disk knows (ctime, inode) and lacks what only
reading the content tells.
"""

from typing import NamedTuple

from rrbackup.pure.attributes import Extra
from rrbackup.pure.model import EntryType, PathText
from rrbackup.pure.reason import Reason


class Scanned(NamedTuple):
    """A file, a folder or a link as found on disk. A tuple, because there may be millions.

    `size` is in bytes and 0 for folders and links, times are nanoseconds since the Unix epoch, `mode` holds
    the permission bits with set-id and sticky bits, `target` is the link's text, percent-escaped like a path.
    `shared` identifies a file that has several names on its disk.
    """

    path: PathText
    type: EntryType
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    mode: int
    target: str | None = None
    shared: tuple[int, int] | None = None
    extra: Extra | None = None


class LeftOut(NamedTuple):
    """A file that is too large, or a folder of which only the file `marker` is kept."""

    path: PathText
    reason: Reason
    marker: str | None = None
