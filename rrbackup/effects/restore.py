"""Writing files, folders and links below the target of a restore, and nowhere else.

The rule decided here: every step is taken relative to the descriptor of a folder below the target, one name at a
time and never through a link, so no manifest, however hostile, and no link in the target leads out of it. What
stands under a file's name is replaced in one step (rename), and only once the file is complete. Set-user-id and
set-group-id bits are not given back to files: owners are not restored, so the bits would lend out the rights of
whoever restores. Permissions that were not recorded are those of any new file.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from rrbackup.effects.folders import FOLDER, Folders, enter_no_link
from rrbackup.errors import SourceError
from rrbackup.pure.model import NOT_RECORDED, PathText
from rrbackup.pure.names import path_bytes, unescape

# Needs no right to read or write the file; /proc then leads to exactly this file, whatever its name stands for by then.
_ATTRIBUTES = os.O_PATH | os.O_NOFOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW

_PERMISSIONS = 0o7777
_PRIVATE = 0o600
_OF_NEW_FILES = 0o666
_SET_ID = stat.S_ISUID | stat.S_ISGID

_IN_THE_WAY = {
    errno.ENOTDIR: "a file or a link stands where a folder is needed",
    errno.ELOOP: "a link stands where a folder is needed",
    errno.EISDIR: "a folder stands in its place",
}


class FileWriter:
    """A file under a temporary name, which `commit` gives its own. Not to be shared between threads."""

    def __init__(self, folder_fd: int, name: bytes, path: PathText, permissions: int) -> None:
        self._folder_fd = folder_fd
        self._name = name
        self._path = path
        self._temporary = _temporary_name()
        self._committed = False
        with _naming(path):
            self._file = FileIO(os.open(self._temporary, _NEW_FILE, permissions, dir_fd=folder_fd), "wb")

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append to the file. Raises `SourceError`, for instance when the disk is full."""
        rest = memoryview(data)
        with _naming(self._path):
            while rest:
                rest = rest[self._file.write(rest) :]

    def commit(self, mode: int, mtime_ns: int) -> None:
        """Set permissions and modification time (nanoseconds), then put the file in its place."""
        with _naming(self._path):
            _stamp(self._file.fileno(), mode if mode == NOT_RECORDED else mode & ~_SET_ID, mtime_ns)
            self._file.close()  # some file systems only now say that the disk is full
            _put_in_place(self._folder_fd, self._temporary, self._name)
        self._committed = True

    def close(self) -> None:
        """Give up whatever has not been committed."""
        if self._committed:
            return
        with suppress(OSError):
            self._file.close()
        _remove(self._folder_fd, self._temporary)


class Target:
    """The folder to restore into, made with its parents if missing. Usable from several threads at once.

    Every method takes path texts as a backup writes them. Raises `SourceError` naming the path for whatever
    cannot be written, and `DamagedObject` for a path or link text that no backup writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folders = Folders(os.open(self._folder, FOLDER), _enter_or_make)
        except OSError as error:
            raise SourceError(f"cannot restore into {self._folder}: {_reason(error)}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folders.close()

    @contextmanager
    def file(self, path: PathText, mode: int = 0) -> Iterator[FileWriter]:
        """A writer for the file at `path`; leaving without `commit` leaves what was there before.

        Only its owner can read the file before that, unless `mode` says that its permissions were not recorded.
        """
        with self._parent(path) as (folder_fd, name):
            writer = FileWriter(folder_fd, name, path, _OF_NEW_FILES if mode == NOT_RECORDED else _PRIVATE)
            try:
                yield writer
            finally:
                writer.close()

    def directory(self, path: PathText) -> None:
        """Make a folder, with those above it; one that exists is left alone."""
        with self._opened(path):
            pass

    def finish_directory(self, path: PathText, mode: int, mtime_ns: int) -> None:
        """Set a folder's permissions and modification time (nanoseconds), after all writing below it."""
        with self._opened(path) as folder_fd, _naming(path):
            _stamp(folder_fd, mode, mtime_ns)

    def update(self, path: PathText, mode: int, mtime_ns: int) -> None:
        """Set the permissions and modification time of a file that is there, never through a link."""
        with self._parent(path) as (folder_fd, name), _naming(path):
            fd = os.open(name, _ATTRIBUTES, dir_fd=folder_fd)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(errno.ESTALE, "something else has taken its place")
                _stamp_path(f"/proc/self/fd/{fd}", mode, mtime_ns)
            finally:
                os.close(fd)

    def remove(self, path: PathText, *, folder: bool) -> None:
        """Remove a file or link, or a folder that is empty by now; what is gone already is fine."""
        with self._parent(path) as (folder_fd, name), _naming(path), suppress(FileNotFoundError):
            if folder:
                os.rmdir(name, dir_fd=folder_fd)
            else:
                os.unlink(name, dir_fd=folder_fd)

    def symlink(self, path: PathText, target_text: str, mtime_ns: int) -> None:
        """Make a link to wherever `target_text` says (escaped like a path); nothing is ever written through it."""
        target, temporary = unescape(target_text), _temporary_name()
        with self._parent(path) as (folder_fd, name), _naming(path):
            os.symlink(target, temporary, dir_fd=folder_fd)
            try:
                os.utime(temporary, ns=(mtime_ns, mtime_ns), dir_fd=folder_fd, follow_symlinks=False)
                _put_in_place(folder_fd, temporary, name)
            except BaseException:
                _remove(folder_fd, temporary)
                raise

    @contextmanager
    def _parent(self, path: PathText) -> Iterator[tuple[int, bytes]]:
        folder, _, name = path_bytes(path).rpartition(b"/")
        with self._opened(path, folder) as folder_fd:
            yield folder_fd, name

    @contextmanager
    def _opened(self, path: PathText, folder: bytes | None = None) -> Iterator[int]:
        with _naming(path):
            folder_fd = self._folders.open(path_bytes(path) if folder is None else folder)
        try:
            yield folder_fd
        finally:
            os.close(folder_fd)


def _enter_or_make(parent_fd: int, name: bytes) -> int:
    try:
        return enter_no_link(parent_fd, name)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent_fd)
        return enter_no_link(parent_fd, name)


def _stamp(fd: int, mode: int, mtime_ns: int) -> None:
    if mode != NOT_RECORDED:
        os.fchmod(fd, mode & _PERMISSIONS)
    os.utime(fd, ns=(mtime_ns, mtime_ns))


def _stamp_path(name: str, mode: int, mtime_ns: int) -> None:
    if mode != NOT_RECORDED:
        os.chmod(name, mode & _PERMISSIONS & ~_SET_ID)
    os.utime(name, ns=(mtime_ns, mtime_ns))


def _put_in_place(folder_fd: int, temporary: bytes, name: bytes) -> None:
    os.replace(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)


def _remove(folder_fd: int, name: bytes) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=folder_fd)


def _temporary_name() -> bytes:
    return b".rrbackup-" + secrets.token_hex(8).encode()


@contextmanager
def _naming(path: PathText) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "Move it away, or restore into another folder." if error.errno in _IN_THE_WAY else ""
        raise SourceError(f"cannot write {path}: {_reason(error)}", hint=hint) from error
    except OverflowError as error:
        raise SourceError(f"cannot write {path}: its modification time is out of range") from error


def _reason(error: OSError) -> str:
    return _IN_THE_WAY.get(error.errno or 0) or error.strerror or str(error)
