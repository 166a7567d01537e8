"""Reaching folders below a root by their descriptors, one name at a time.

The rule decided here: no path is ever handed to the system, only single names, so that no path is too long and
how a name is entered (through a link, never through a link, made if missing) is decided for each one.
"""

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
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


class _Open:
    """A descriptor, how many use it, and whether it is closed once nobody does."""

    __slots__ = ("fd", "given_up", "users")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.users = 0
        self.given_up = False

    def give_up(self) -> None:
        self.given_up = True
        self._close_if_unused()

    def leave(self) -> None:
        self.users -= 1
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self.given_up and not self.users:
            os.close(self.fd)


class Borrowed:
    """The descriptor `fd` of a folder, until the end of a `with` block or `give_back`, whichever comes first."""

    __slots__ = ("_folders", "_open", "fd")

    def __init__(self, folders: "Folders", used: _Open) -> None:
        self._folders = folders
        self._open: _Open | None = used
        self.fd = used.fd

    def give_back(self) -> None:
        used, self._open = self._open, None
        if used is not None:
            self._folders.take_back(used)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()


class Folders:
    """The folders below a root whose descriptor it takes over. Usable from several threads at once.

    The last few stay open, because whoever walks a tree asks for neighbours. Methods raise `OSError`.
    """

    def __init__(self, root_fd: int, how: Enter) -> None:
        self._root = _Open(root_fd)
        self._enter = how
        self._kept: OrderedDict[bytes, _Open] = OrderedDict()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """After this nothing is lent any more; what is still borrowed stays open until it is given back."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for kept in (self._root, *self._kept.values()):
                kept.give_up()

    def opened(self, folder: bytes) -> Borrowed:
        """`folder` is relative to the root, empty for the root itself."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            used = self._reach(folder)
            used.users += 1
        return Borrowed(self, used)

    def take_back(self, used: _Open) -> None:
        with self._lock:
            used.leave()

    def _reach(self, folder: bytes) -> _Open:
        above, names = folder, list[bytes]()
        while above and above not in self._kept:
            above, _, name = above.rpartition(b"/")
            names.append(name)
        return self._descend(above, names)

    def _descend(self, folder: bytes, names: list[bytes]) -> _Open:
        """From a folder that is open down through `names`, of which the last comes first."""
        found = self._known(folder)
        while names:
            name = names.pop()
            found = _Open(self._enter(found.fd, name))
            folder = folder + b"/" + name if folder else name
            self._keep(folder, found)
        return found

    def _known(self, folder: bytes) -> _Open:
        if not folder:
            return self._root
        self._kept.move_to_end(folder)
        return self._kept[folder]

    def _keep(self, folder: bytes, found: _Open) -> None:
        self._kept[folder] = found
        if len(self._kept) > _KEPT_OPEN:
            self._kept.popitem(last=False)[1].give_up()
