"""Reaching folders below a root by their descriptors, one name at a time.

The rule decided here: no path is ever handed to the system, only single names, so that no path is too long and
how a name is entered (through a link, never through a link, made if missing) is decided for each one.
"""

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Self

Enter = Callable[[int, bytes], int]
"""Opens the folder of that name in the folder with that descriptor."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY

FULL_TO_OWNER = 0o700

_KEPT_OPEN = 64


def enter(parent_fd: int, name: bytes) -> int:
    """Enter a folder or a link to one."""
    return os.open(name, FOLDER, dir_fd=parent_fd)


def enter_no_link(parent_fd: int, name: bytes) -> int:
    """Enter a folder, but no link."""
    return os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=parent_fd)


def open_up(parent_fd: int, name: bytes) -> None:
    """Let its owner into a folder that keeps him out, such as one that was restored before; not through a link."""
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=parent_fd)
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & FULL_TO_OWNER != FULL_TO_OWNER:
            with suppress(PermissionError):  # it is another's; what cannot be written is reported
                os.chmod(f"/proc/self/fd/{fd}", mode | FULL_TO_OWNER)
    finally:
        os.close(fd)


class Folders:
    """The folders below a root whose descriptor it takes over. Usable from several threads at once.

    The last few stay open, because whoever walks a tree asks for neighbours. Methods raise `OSError`.
    """

    def __init__(self, root_fd: int, how: Enter) -> None:
        self._root_fd = root_fd
        self._enter = how
        self._open: OrderedDict[bytes, int] = OrderedDict()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """After this `open` fails: the numbers of its descriptors may belong to others."""
        with self._lock:
            self._closed = True
            for fd in (self._root_fd, *self._open.values()):
                os.close(fd)

    def open(self, folder: bytes) -> int:
        """A descriptor for the caller to close; `folder` is relative to the root, empty for the root itself."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            # A copy, because another thread may push the kept one out.
            return os.dup(self._reach(folder))

    @contextmanager
    def opened(self, folder: bytes) -> Iterator[int]:
        """The same for the length of a `with` block."""
        fd = self.open(folder)
        try:
            yield fd
        finally:
            os.close(fd)

    def _reach(self, folder: bytes) -> int:
        above, names = folder, list[bytes]()
        while above and above not in self._open:
            above, _, name = above.rpartition(b"/")
            names.append(name)
        return self._descend(above, names)

    def _descend(self, folder: bytes, names: list[bytes]) -> int:
        """From a folder that is open down through `names`, of which the last comes first."""
        fd = self._kept(folder)
        while names:
            name = names.pop()
            fd = self._enter(fd, name)
            folder = folder + b"/" + name if folder else name
            self._keep(folder, fd)
        return fd

    def _kept(self, folder: bytes) -> int:
        if not folder:
            return self._root_fd
        self._open.move_to_end(folder)
        return self._open[folder]

    def _keep(self, folder: bytes, fd: int) -> None:
        self._open[folder] = fd
        if len(self._open) > _KEPT_OPEN:
            os.close(self._open.popitem(last=False)[1])
