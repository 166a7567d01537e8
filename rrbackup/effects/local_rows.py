"""Reading the local manifest line by line: checked as a whole first, held in memory never.

The rule: the file is replaced and never changed, so whoever has it open reads what was checked.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rrbackup.errors import LocalStateError
from rrbackup.pure.local_format import BETWEEN_ROWS, CLOSING_BYTES, Rows, closing, decode_opening, split_rows
from rrbackup.pure.model import LocalManifest

_BLOCK = 1 << 20


class _OpenFile:
    """A file that stays open as long as somebody may read it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            block = os.pread(self._fd, min(_BLOCK, end - start), start)
            if not block:
                return
            start += len(block)
            yield block


class _FileRows:
    """The rows between two places of a file. Each iteration reads them again."""

    def __init__(self, file: _OpenFile, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for block in self._file.blocks(self._start, self._end):
            whole, between, rest = (rest + block).rpartition(BETWEEN_ROWS)
            if between:
                yield from whole.split(BETWEEN_ROWS)
        yield from split_rows(rest)


def read_local(path: Path) -> LocalManifest:
    """The manifest in a file. Raises OSError, and LocalStateError where it is damaged or of another version."""
    file = _OpenFile(path)
    end = max(file.size - CLOSING_BYTES, 0)
    digest, lines = hashlib.sha256(), 0
    for block in file.blocks(0, end):
        digest.update(block)
        lines += block.count(b"\n")
    if b"".join(file.blocks(end, file.size)) != closing(digest.hexdigest()):
        raise LocalStateError(f"the local manifest {path} is damaged, or from another version of rrbackup")
    first = _first_line(file, end)
    return decode_opening(first, Rows(_FileRows(file, len(first), end), lines - 1), f"the local manifest {path}")


def _first_line(file: _OpenFile, end: int) -> bytes:
    line = b""
    for block in file.blocks(0, end):
        before, newline, _ = block.partition(b"\n")
        line += before + newline
        if newline:
            break
    return line
