"""Reading a file of the tree: its bytes, their digest, and whether it held still meanwhile."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

from attrs import field, frozen

from rrbackup.effects.filesystem import SourceFile
from rrbackup.errors import SourceError
from rrbackup.pure.model import LocalStamp, PathText
from rrbackup.pure.outcomes import Content
from rrbackup.pure.plan import is_recent

CHUNK_BYTES = 1 << 20

Clock = Callable[[], int]
OnBytes = Callable[[int], None]


@frozen
class Whole:
    """A file read into memory."""

    data: bytes = field(repr=False)
    content: Content
    stable: bool


class Reader(Protocol):
    """One content that passes by; `content` and `stable` say afterwards what it was."""

    @property
    def size(self) -> int: ...

    def chunks(self) -> Iterator[bytes]: ...

    @property
    def stable(self) -> bool: ...

    @property
    def content(self) -> Content: ...


class SourceReader:
    """Streams one open file, hashing what passes; afterwards `content` and `stable` say what was read.

    `size` is what it had when it was opened, in bytes. As a context it closes the file.
    Reads at most what the file held when it was opened, plus one byte to notice that it grew.
    Raises SourceError where the file cannot be read.
    """

    def __init__(self, file: SourceFile, path: PathText, now: Clock, on_bytes: OnBytes) -> None:
        self.size = file.before.st_size
        self._file = file
        self._path = path
        self._now_ns = now()
        self._on_bytes = on_bytes
        self._digest = hashlib.sha256()
        self._count = 0
        self._grew = False
        self._same: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        while self._count <= self.size:
            asked = min(CHUNK_BYTES, self.size - self._count + 1)
            data = self._read(asked)
            self._grew = len(data) > self.size - self._count
            wanted = data[: self.size - self._count]
            if not wanted:
                return
            self._digest.update(wanted)
            self._count += len(wanted)
            self._on_bytes(len(wanted))
            yield wanted
            if self._grew or (self._count == self.size and len(data) < asked):
                return  # its end was seen, or that there is none where it was

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error

    def _status(self) -> os.stat_result:
        try:
            return self._file.now()
        except OSError as error:
            raise SourceError(f"cannot read {self._path}: {error.strerror}") from error

    @property
    def stable(self) -> bool:
        """Whether the file was the same after reading as before."""
        if self._same is None:
            self._same = _fingerprint(self._status()) == _fingerprint(self._file.before)
        return self._same and self._count == self.size and not self._grew

    @property
    def content(self) -> Content:
        """What was read, with the attributes that the file had before."""
        before = self._file.before
        return Content(
            self._count,
            self._digest.hexdigest(),
            before.st_mtime_ns,
            stat.S_IMODE(before.st_mode),
            LocalStamp(before.st_ctime_ns, before.st_ino),
            recent=is_recent(max(before.st_ctime_ns, before.st_mtime_ns), self._now_ns) or not self.stable,
            sparse=_has_holes(self._file),
        )


def _has_holes(file: SourceFile) -> bool:
    """Fewer blocks than bytes may also mean compression, so the file system is asked; one that cannot tell says no."""
    if file.before.st_blocks * 512 >= file.before.st_size:
        return False
    try:
        return file.first_hole() < file.before.st_size
    except OSError:
        return False


def _fingerprint(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def read_whole(reader: Reader) -> Whole:
    data = b"".join(reader.chunks())
    return Whole(data, reader.content, reader.stable)


def read_through(reader: Reader) -> Content:
    """Hash without keeping the bytes."""
    for _ in reader.chunks():
        pass
    return reader.content
