"""Temporary names for one download, and removing what downloads that were killed have left in a target.

The rule of `pure.unfinished`, carried out: a download marks the target before its first file and takes the mark away
at its end. The lock on the mark belongs to the open descriptor, so it ends with the process, however that ends. Where
a target takes no mark or no lock, a download goes on without, and nobody ever removes what it may leave.
"""

import fcntl
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Lock

from rrbackup.effects.folders import FOLDER, Folders, enter_no_link
from rrbackup.pure.unfinished import (
    MARKER_BYTES,
    belongs_to,
    marked_run,
    marker_content,
    marker_name,
    temporary_name,
)

_MACHINE = Path("/etc/machine-id")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_PRIVATE = 0o600


def this_machine() -> str:
    with suppress(OSError):
        if known := _MACHINE.read_text().strip():
            return known
    return socket.gethostname()


class Run:
    """A download into the folder `root_fd`. A name costs no request to the system but for the first one, which marks
    the target. Usable from several threads."""

    def __init__(self, root_fd: int) -> None:
        self._root_fd = os.dup(root_fd)
        self._run = secrets.token_hex(8)
        self._numbers = count()
        self._lock = Lock()
        self._begun = False
        self._marker: int | None = None

    def name(self) -> bytes:
        """A temporary name that nothing has yet."""
        if not self._begun:
            with self._lock:
                if not self._begun:
                    self._mark()
                    self._begun = True
        return temporary_name(self._run, next(self._numbers))

    def _mark(self) -> None:
        name = marker_name(self._run)
        try:
            fd = os.open(name, _NEW, _PRIVATE, dir_fd=self._root_fd)
        except OSError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(fd, marker_content(self._run, this_machine()))
        except OSError:
            os.close(fd)
            _remove(self._root_fd, name)
            return
        self._marker = fd

    def end(self) -> None:
        """Everything has its own name by now, or none."""
        with self._lock:
            self._begun = True
            if self._marker is not None:
                _remove(self._root_fd, marker_name(self._run))
                os.close(self._marker)
                self._marker = None
            os.close(self._root_fd)


def clear_dead(root_fd: int) -> int:
    """Remove what downloads into this folder left that were killed; how many files that were.

    All of the target is gone through, but only where such a download is found; mounted folders are not. What cannot be
    looked at stays, and with it the mark, for the next one.
    """
    with suppress(OSError):  # a folder may be written to and not listed
        runs = [run for name in os.listdir(root_fd) if (run := marked_run(name))]
        return sum(_clear(root_fd, run) for run in runs)
    return 0


def _clear(root_fd: int, run: str) -> int:
    marker = marker_name(run)
    with _held(root_fd, marker, run) as dead:
        if not dead:
            return 0
        removed, everywhere = _remove_all(root_fd, run)
        if everywhere:
            _remove(root_fd, marker)
        return removed


@contextmanager
def _held(root_fd: int, name: bytes, run: str) -> Iterator[bool]:
    """Whether the run of that mark is dead, as far as can be proved; then its mark stays locked meanwhile."""
    try:
        fd = os.open(name, _READ, dir_fd=root_fd)
    except OSError:
        yield False
        return
    try:
        yield _is_dead(fd, run)
    finally:
        os.close(fd)


def _is_dead(fd: int, run: str) -> bool:
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.read(fd, MARKER_BYTES + 1) == marker_content(run, this_machine())
    except OSError:
        return False


def _remove_all(root_fd: int, run: str) -> tuple[int, bool]:
    """How many files went, and whether every folder was looked into."""
    device, removed, everywhere = os.fstat(root_fd).st_dev, 0, True
    with closing(Folders(os.open(".", FOLDER, dir_fd=root_fd), enter_no_link)) as folders:
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            try:
                with folders.opened(folder) as fd:
                    if os.fstat(fd).st_dev != device:
                        everywhere = False
                        continue
                    removed += _remove_in(fd, run)
                    waiting.extend(_folders_in(fd, folder))
            except OSError:
                everywhere = False
    return removed, everywhere


def _remove_in(fd: int, run: str) -> int:
    names = [name for name in os.listdir(fd) if belongs_to(name, run)]
    for name in names:
        os.unlink(name, dir_fd=fd)
    return len(names)


def _folders_in(fd: int, folder: bytes) -> list[bytes]:
    above = folder + b"/" if folder else b""
    with os.scandir(fd) as entries:
        return [above + os.fsencode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _remove(folder_fd: int, name: bytes) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder_fd)
