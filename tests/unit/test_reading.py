"""Reading one file: what is read of one that changes meanwhile, and with how many system calls."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects import reading
from rrbackup.effects.filesystem import SourceFile
from rrbackup.effects.reading import SourceReader, read_whole
from rrbackup.pure.model import PathText

CHUNK = 8


class Scripted(SourceFile):
    """A file that is said to have `size` bytes and has `content`, in which every look finds it as before."""

    def __init__(self, size: int, content: bytes) -> None:
        times = {"st_mtime_ns": 5, "st_ctime_ns": 6, "st_blocks": size}
        super().__init__(-1, os.stat_result((0o100644, 1, 1, 1, 0, 0, size, 0, 0, 0), times))
        self._rest = content
        self.calls = 0

    def read(self, size: int) -> bytes:
        self.calls += 1
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def now(self) -> os.stat_result:
        self.calls += 1
        return self.before


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", CHUNK)


def reader_of(file: SourceFile) -> SourceReader:
    return SourceReader(file, PathText("/a"), lambda: 10**18, lambda count: None)


@given(st.integers(0, 4 * CHUNK), st.integers(0, 5 * CHUNK))
def test_no_more_is_taken_than_the_file_had_when_it_was_opened(size: int, there: int) -> None:
    content = bytes(range(there))
    whole = read_whole(reader_of(Scripted(size, content)))
    assert whole.data == content[:size]
    assert whole.stable == (size == there)
    assert whole.content.size == len(whole.data)
    assert whole.content.sha256 == hashlib.sha256(whole.data).hexdigest()


@pytest.mark.parametrize(
    ("size", "reads"), [(0, 1), (1, 1), (CHUNK - 1, 1), (CHUNK, 2), (CHUNK + 1, 2), (2 * CHUNK - 1, 2), (2 * CHUNK, 3)]
)
def test_a_file_takes_one_call_for_each_chunk_and_one_more_look(size: int, reads: int) -> None:
    file = Scripted(size, bytes(size))
    read_whole(reader_of(file))
    assert file.calls == reads + 1


def test_short_reads_are_read_on() -> None:
    class Slow(Scripted):
        def read(self, size: int) -> bytes:
            return super().read(min(size, 3))

    whole = read_whole(reader_of(Slow(20, bytes(range(20)))))
    assert whole.data == bytes(range(20))
    assert whole.stable
