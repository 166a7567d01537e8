"""Durable files and folders for the directory store, and what an OSError there means.

A file counts as written only when it and the folder that names it have reached the disk. Folders come and go
under one lock for the whole store, so that nobody removes a folder that another is about to write into.
"""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from time import time_ns

from rrbackup.effects.directory_layout import NAME, Segment, is_leftover, is_scratch
from rrbackup.effects.retelling import Retelling
from rrbackup.errors import AccessDenied, StoreError, StoreUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP})
_HARD_NAMES = ("Aa", "\u00e9", 'x:?*"<>|', "dot.", "space ")
_CONFUSABLE = ("aA", "e\u0301", "dot", "space")


class Translated(Retelling):
    """Raises an OSError in here as a `StoreError` whose message says what was being done."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def retold(self, error: BaseException) -> Exception | None:
        return meaning(error, self._doing) if isinstance(error, OSError) else None


def meaning(error: OSError, doing: str) -> StoreError:
    """The error of ours for an OSError that came up while `doing`."""
    said = f"could not {doing}: {error.strerror or error}"
    if error.errno in _DENIED:
        return AccessDenied(said, hint="Check the owner and rights of the folder, and how it is mounted.")
    if error.errno in _FULL:
        return StoreUnavailable(said, hint="Make room on the volume, then run it again.")
    return StoreUnavailable(said, hint="Check that the disk is connected and healthy, then run it again.")


@contextmanager
def locked(root: bytes) -> Iterator[None]:
    """Keep every other writer of this store out, in this process and in others."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_folder(path: bytes) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def write_file(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def make_folders(root: bytes, segments: Iterable[Segment]) -> bytes:
    """The folder of a key, made where it is missing; call it under the lock."""
    path = root
    for segment in segments:
        parent, path = path, os.path.join(path, segment.stored)
        _make_folder(parent, path, segment)
    return path


def _make_folder(parent: bytes, path: bytes, segment: Segment) -> None:
    with suppress(FileExistsError):
        os.mkdir(path)
        sync_folder(parent)
    if segment.renamed and not os.path.exists(os.path.join(path, NAME)):
        write_file(os.path.join(path, NAME), segment.text.encode())
        sync_folder(path)


def prune(root: bytes, path: bytes) -> bytes:
    """Remove a key's folder, and those above it, if nothing is left in them; call it under the lock.

    Gives the folder that stays, which is the one to sync.
    """
    while path != root and _emptied(path):
        path = os.path.dirname(path)
    return path


def _emptied(path: bytes) -> bool:
    try:
        names = os.listdir(path)
        if not all(is_leftover(name) for name in names):
            return False
        for name in names:
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except FileNotFoundError:
        return True
    return True


def remove(path: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_upload(temporary: bytes) -> None:
    """An unfinished upload with its metadata; these first, because only the upload itself is found again."""
    remove(temporary + b"m")
    remove(temporary)


def volume_clock_ns(root: bytes) -> int:
    """The clock of the volume, as it stamps a fresh file; on one that we may not write to, our own.

    Where the volume can do it, that file never has a name, so that nothing is left of it if we are killed.
    """
    try:
        with tempfile.TemporaryFile(prefix=b"%t", dir=root) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return time_ns()


def clear_scratch(root: bytes) -> None:
    """Remove what somebody left in the root who was killed there.

    Nobody misses a file with which the clock was read, and everything else of that kind is made under the lock.
    """
    if any(map(is_scratch, os.listdir(root))):
        with locked(root):
            for name in filter(is_scratch, os.listdir(root)):
                _clear(os.path.join(root, name))


def _clear(path: bytes) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        remove(path)


def keeps_names(root: bytes) -> bool:
    """Whether the volume keeps names as they are: case, accents and all characters. Found out by trying."""
    scratch = tempfile.mkdtemp(prefix=b"%t", dir=root)
    try:
        return _tells_apart(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tells_apart(scratch: bytes) -> bool:
    wanted = {name.encode() for name in _HARD_NAMES}
    try:
        for name in wanted:
            write_file(os.path.join(scratch, name), b"")
    except OSError as error:
        if error.errno in _FULL | _DENIED:
            raise
        return False
    confused = any(os.path.lexists(os.path.join(scratch, name.encode())) for name in _CONFUSABLE)
    return set(os.listdir(scratch)) == wanted and not confused
