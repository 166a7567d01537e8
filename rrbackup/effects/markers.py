"""Files that mark the folder they are in: CACHEDIR.TAG, and the names of `exclude_if_present`.

The rule decided here: a tag is an ordinary file, no link, that begins with the signature; a tag that cannot be read
marks nothing, so that in doubt more is backed up. Of several marks, the tag counts first, then the first name by order
of the alphabet.
"""

import os
import stat
from collections.abc import Container

from rrbackup.pure.exclusions import CACHE_SIGNATURE, CACHE_TAG, Exclusions
from rrbackup.pure.model import PathText
from rrbackup.pure.reason import Reason
from rrbackup.pure.scan import LeftOut

_TAG = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def mark_in(folder: PathText, names: Container[str], fd: int, exclusions: Exclusions) -> LeftOut | None:
    """What marks the folder with these names and this descriptor, if anything."""
    if exclusions.caches and CACHE_TAG in names and _is_tag(fd):
        return LeftOut(folder, Reason.CACHE, CACHE_TAG)
    marks = (name for name in sorted(exclusions.if_present) if name in names and _is_file(name, fd))
    name = next(marks, None)
    return LeftOut(folder, Reason.MARKED, name) if name is not None else None


def _is_file(name: str, fd: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=fd).st_mode)
    except OSError:
        return False


def _is_tag(folder_fd: int) -> bool:
    try:
        fd = os.open(CACHE_TAG, _TAG, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and os.read(fd, len(CACHE_SIGNATURE)) == CACHE_SIGNATURE
    except OSError:
        return False
    finally:
        os.close(fd)
