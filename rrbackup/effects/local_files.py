"""Files of one's own on the local disk: replaced atomically, locked, or appended to line by line.

The rule decided here: whoever reads such a file sees it as it was before or as it is after, whenever the power
goes. Every failure raises `LocalStateError` with the path. Files are made readable by their owner only,
because they name the files of the backup, unless it is said otherwise.
"""

import errno
import fcntl
import mmap
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from rrbackup.effects.retelling import Retelling
from rrbackup.errors import LocalLockHeld, LocalStateError, UsageError

_PRIVATE = 0o600


def write_atomically(path: Path, chunks: Iterable[bytes], mode: int = _PRIVATE) -> None:
    """Replace the file by these bytes, durably. If anything fails, the old file stays as it was.

    `mode` is for a file that others are meant to read.
    """
    temporary = path.with_name(f".rrbackup-{secrets.token_hex(8)}")
    with _Naming("write", path):
        try:
            _write_new(temporary, chunks, mode)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path)


def _write_new(path: Path, chunks: Iterable[bytes], mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(fd, "wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(fd)


class LocalLock:
    """Keeps a second rrbackup of this machine out, without waiting: `LocalLockHeld`.

    The lock belongs to the open descriptor, so it ends with the process however that ends; the file stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        with _Naming("lock", self._path):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, _PRIVATE)
            try:
                self._take()
            except BaseException:
                os.close(self._fd)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def _take(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalLockHeld(
                f"another process{self._holder()} holds the lock {self._path}",
                hint="Wait for the other rrbackup to end. The lock ends with it; the file need not be deleted.",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def _holder(self) -> str:
        pid = os.pread(self._fd, 20, 0).strip()
        return f" (pid {pid.decode()})" if pid.isdigit() else ""


class Journal:
    """A file that lines are appended to, from any thread. A line is there whole or, after a crash, not at all."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self._path = path
        self._file = file
        self._length = _size(file)
        self._lock = Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open to append, making the file if there is none; a last line that was cut off is removed."""
        with _Naming("open", path):
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _PRIVATE), "r+b")
            file.truncate(_complete_length(file))
        return cls(path, file)

    def append(self, line: bytes, *, sync: bool) -> None:
        """Append one line (without its newline); with `sync` it is on the disk when this returns."""
        self.append_all((line,), sync=sync)

    def append_all(self, lines: Iterable[bytes], *, sync: bool) -> None:
        """Append lines like `append`; after a crash those at the end may be missing."""
        data = b"".join(map(_ended, lines))
        with self._lock, _Naming("write", self._path):
            self._append_whole(data)
            if sync:
                os.fsync(self._file.fileno())

    def _append_whole(self, data: bytes) -> None:
        rest = data
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self._length)
            raise
        self._length += len(data)

    def close(self) -> None:
        """Stop appending; the lines stay."""
        self._file.close()

    def drop(self) -> None:
        """Close and delete the journal, durably."""
        self.close()
        with _Naming("delete", self._path):
            self._path.unlink(missing_ok=True)
            _sync_folder(self._path)


def _ended(line: bytes) -> bytes:
    if b"\n" in line:
        raise UsageError("a journal line cannot contain a newline")
    return line + b"\n"


def read_journal(path: Path) -> tuple[bytes, ...]:
    """The complete lines of a journal, without their newlines; none if there is no such file."""
    with _Naming("read", path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return ()
    return tuple(data.split(b"\n")[:-1])


def _complete_length(file: FileIO) -> int:
    if _size(file) == 0:
        return 0  # nothing cannot be mapped
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.rfind(b"\n") + 1


def _size(file: FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _sync_folder(path: Path) -> None:
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class _Naming(Retelling):
    __slots__ = ("_path", "_what")

    def __init__(self, what: str, path: Path) -> None:
        self._what = what
        self._path = path

    def retold(self, error: BaseException) -> Exception | None:
        if not isinstance(error, OSError):
            return None
        missing = error.errno == errno.ENOENT and not self._path.parent.is_dir()
        hint = f"Make the folder {self._path.parent} first." if missing else ""
        return LocalStateError(f"cannot {self._what} {self._path}: {error.strerror}", hint=hint)
