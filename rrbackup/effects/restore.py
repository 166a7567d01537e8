"""Writing files, folders and links below the target of a restore, and nowhere else.

The rule decided here: every step is taken relative to the descriptor of a folder below the target, one name at a
time and never through a link, so no manifest, however hostile, and no link in the target leads out of it. What
stands under a file's name is replaced in one step (rename), and only once the file is complete. Whoever leaves the
target while others still write leaves no unfinished file behind; what a killed process left there goes when the same
target is entered again (`unfinished`). Permissions that were not recorded are those of any
new file. Blocks of zeros of a file that had holes become holes.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from rrbackup.effects.attributes import attempt, give
from rrbackup.effects.folders import FOLDER, FULL_TO_OWNER, Borrowed, Folders, enter_no_link, open_up
from rrbackup.effects.retelling import Retelling
from rrbackup.effects.unfinished import Run, clear_dead
from rrbackup.effects.writing import write_all
from rrbackup.errors import RestoredWithout, SourceError
from rrbackup.pure.giving import Given
from rrbackup.pure.model import NOT_RECORDED, PathText
from rrbackup.pure.names import path_bytes, unescape

# Needs no right to read or write the file; /proc then leads to exactly this file, whatever its name stands for by then.
_ATTRIBUTES = os.O_PATH | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

_PRIVATE = 0o600
_OF_NEW_FILES = 0o666
_OF_NEW_FOLDERS = 0o777
_BLOCK = 4096
_ZEROS = bytes(_BLOCK)

_NO_LINKS = (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOENT, errno.ENOSYS)
"""The file system has none, or no more of them, or the first name is not there."""

_IN_THE_WAY = {
    errno.ENOTDIR: "a file or a link stands where a folder is needed",
    errno.ELOOP: "a link stands where a folder is needed",
    errno.EISDIR: "a folder stands in its place",
}


class FileWriter:
    """A file under a temporary name, which `commit` gives its own.

    Leaving its `with` block without that leaves what was there before. Not to be shared between threads, but any may
    `remove` it.
    """

    def __init__(
        self,
        folder: Borrowed,
        names: tuple[bytes, bytes],
        path: PathText,
        permissions: int,
        sparse: bool,
        left: "Callable[[FileWriter], None]",
    ) -> None:
        self._temporary, self._name = names
        self._folder = folder
        self._path = path
        self._sparse = sparse
        self._left = left
        self.committed = False
        with _Naming(path):
            self._fd = os.open(self._temporary, _NEW_FILE, permissions, dir_fd=folder.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left(self)
        self._give_up()
        self._folder.give_back()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append to the file. Raises `SourceError`, for instance when the disk is full."""
        with _Naming(self._path):
            if self._sparse:
                self._write_blocks(memoryview(data))
            else:
                write_all(self._fd, data)

    def _write_blocks(self, data: memoryview) -> None:
        """Passes over blocks of zeros, as they lie in the file."""
        while data:
            block = data[: _BLOCK - self._position() % _BLOCK]
            if block == _ZEROS[: len(block)]:
                os.lseek(self._fd, len(block), os.SEEK_CUR)
            else:
                write_all(self._fd, block)
            data = data[len(block) :]

    def _position(self) -> int:
        return os.lseek(self._fd, 0, os.SEEK_CUR)

    def commit(self, given: Given) -> None:
        """Set what is `given`, then put the file in its place. Raises SourceError also where only that was not all
        set.
        """
        with _Naming(self._path):
            if self._sparse:
                os.ftruncate(self._fd, self._position())
            failed = give(self._fd, given)
            self._close()  # some file systems only now say that the disk is full
            _put_in_place(self._folder.fd, self._temporary, self._name)
        self.committed = True
        _complain(self._path, failed)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _give_up(self) -> None:
        """Whatever has not been committed."""
        if self.committed:
            return
        with suppress(OSError):
            self._close()
        self.remove()

    def remove(self) -> None:
        """Take the temporary name away: what is written from now on goes nowhere, and `commit` fails."""
        _remove(self._folder.fd, self._temporary)


class Target:
    """The folder to restore into, made with its parents if missing. Usable from several threads at once.

    Every method takes path texts as a backup writes them. Raises `SourceError` naming the path for whatever
    cannot be written, and `DamagedObject` for a path or link text that no backup writes. `cleared` counts the
    unfinished files of downloads that were killed, which were removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._left = False
        self._under_way: set[FileWriter] = set()
        self.cleared = 0

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            root_fd = os.open(self._folder, FOLDER)
            self.cleared = clear_dead(root_fd)
            self._run = Run(root_fd)
            self._folders = Folders(root_fd, _enter_or_make)
        except OSError as error:
            raise SourceError(f"cannot restore into {self._folder}: {_reason(error)}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folders.close()
        with self._lock:
            self._left = True
            for writer in self._under_way:
                writer.remove()
        self._run.end()

    def file(self, path: PathText, mode: int = 0, *, sparse: bool = False) -> FileWriter:
        """A writer for the file at `path`, for a `with` block.

        Only its owner can read the file before it is committed, unless `mode` says that its permissions were not
        recorded.
        """
        permissions = _OF_NEW_FILES if mode == NOT_RECORDED else _PRIVATE
        above, _, name = path_bytes(path).rpartition(b"/")
        folder = self._lent(path, above)
        try:
            writer = FileWriter(folder, (self._run.name(), name), path, permissions, sparse, self._ended)
        except SourceError:
            folder.give_back()
            raise
        with self._lock:
            self._under_way.add(writer)
            if self._left:
                writer.remove()
        return writer

    def _ended(self, writer: FileWriter) -> None:
        with self._lock:
            self._under_way.remove(writer)

    def directory(self, path: PathText, mode: int = NOT_RECORDED) -> None:
        """Make a folder, with those above it; one that exists is left alone.

        Where `mode` says that `finish_directory` will set its permissions, only its owner can enter a new one before
        that, and may write into one that exists.
        """
        finished = mode != NOT_RECORDED
        with self._parent(path) as (folder_fd, name), _Naming(path):
            try:
                os.mkdir(name, FULL_TO_OWNER if finished else _OF_NEW_FOLDERS, dir_fd=folder_fd)
            except FileExistsError:
                if finished:
                    open_up(folder_fd, name)
        with self._opened(path):
            pass

    def finish_directory(self, path: PathText, given: Given) -> None:
        """Set what is `given` on a folder, after all writing below it."""
        with self._opened(path) as folder_fd, _Naming(path):
            failed = give(folder_fd, given)
        _complain(path, failed)

    def update(self, path: PathText, given: Given) -> None:
        """Set what is `given` on a file that is there, never through a link."""
        with self._parent(path) as (folder_fd, name), _Naming(path):
            fd = os.open(name, _ATTRIBUTES, dir_fd=folder_fd)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(errno.ESTALE, "something else has taken its place")
                failed = give(f"/proc/self/fd/{fd}", given)
            finally:
                os.close(fd)
        _complain(path, failed)

    def link(self, path: PathText, first: PathText) -> bool:
        """Make `path` another name of the file `first`; false where the file system will not have it."""
        with self._parent(first) as (first_fd, first_name), self._parent(path) as (folder_fd, name), _Naming(path):
            temporary = self._run.name()
            try:
                os.link(first_name, temporary, src_dir_fd=first_fd, dst_dir_fd=folder_fd, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return False
                raise
            try:
                _put_in_place(folder_fd, temporary, name)
            finally:
                _remove(folder_fd, temporary)  # a rename onto another name of the same file does nothing
        return True

    def remove(self, path: PathText, *, folder: bool) -> None:
        """Remove a file or link, or a folder that is empty by now; what is gone already is fine."""
        with self._parent(path) as (folder_fd, name), _Naming(path), suppress(FileNotFoundError):
            if folder:
                os.rmdir(name, dir_fd=folder_fd)
            else:
                os.unlink(name, dir_fd=folder_fd)

    def symlink(self, path: PathText, target_text: str, given: Given) -> None:
        """Make a link to wherever `target_text` says (escaped like a path); nothing is ever written through it."""
        target, temporary = unescape(target_text), self._run.name()
        times = (given.mtime_ns, given.mtime_ns)
        failed: tuple[str, ...] = ()
        with self._parent(path) as (folder_fd, name), _Naming(path):
            os.symlink(target, temporary, dir_fd=folder_fd)
            try:
                if given.ids is not None:
                    own = partial(os.chown, temporary, *given.ids, dir_fd=folder_fd, follow_symlinks=False)
                    failed = tuple(attempt("its owner", own))
                os.utime(temporary, ns=times, dir_fd=folder_fd, follow_symlinks=False)
                _put_in_place(folder_fd, temporary, name)
            except BaseException:
                _remove(folder_fd, temporary)
                raise
        _complain(path, failed)

    @contextmanager
    def _parent(self, path: PathText) -> Iterator[tuple[int, bytes]]:
        above, _, name = path_bytes(path).rpartition(b"/")
        with self._lent(path, above) as folder_fd:
            yield folder_fd, name

    def _opened(self, path: PathText) -> Borrowed:
        return self._lent(path, path_bytes(path))

    def _lent(self, path: PathText, folder: bytes) -> Borrowed:
        with _Naming(path):
            return self._folders.opened(folder)


def _enter_or_make(parent_fd: int, name: bytes) -> int:
    try:
        return enter_no_link(parent_fd, name)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent_fd)
        return enter_no_link(parent_fd, name)


def _complain(path: PathText, failed: tuple[str, ...]) -> None:
    if failed:
        raise RestoredWithout(f"{path} is restored, but without {', '.join(failed)}")


def _put_in_place(folder_fd: int, temporary: bytes, name: bytes) -> None:
    os.replace(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)


def _remove(folder_fd: int, name: bytes) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder_fd)


class _Naming(Retelling):
    """Raises what the file system says in here as a SourceError that names the path."""

    __slots__ = ("_path",)

    def __init__(self, path: PathText) -> None:
        self._path = path

    def retold(self, error: BaseException) -> Exception | None:
        if isinstance(error, OSError):
            hint = "Move it away, or restore into another folder." if error.errno in _IN_THE_WAY else ""
            return SourceError(f"cannot write {self._path}: {_reason(error)}", hint=hint)
        if isinstance(error, OverflowError):
            return SourceError(f"cannot write {self._path}: its modification time is out of range")
        return None


def _reason(error: OSError) -> str:
    return _IN_THE_WAY.get(error.errno or 0) or error.strerror or str(error)
