"""Writing all of some bytes: in calls of bounded size, whatever the system takes of each."""

import os
from pathlib import Path

import pytest

from rrbackup.effects.writing import AT_ONCE, write_all

DATA = os.urandom(3 * AT_ONCE + 5)


@pytest.mark.parametrize("size", [0, 1, AT_ONCE, AT_ONCE + 1, len(DATA)])
@pytest.mark.parametrize("taken", [AT_ONCE, AT_ONCE // 2 + 1])
def test_all_is_written_in_bounded_calls(
    size: int, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = os.write, list[int]()

    def write_some(fd: int, data: memoryview) -> int:
        asked.append(len(data))
        return real(fd, data[:taken])

    monkeypatch.setattr(os, "write", write_some)
    fd = os.open(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
    try:
        assert write_all(fd, DATA[:size]) == size
    finally:
        os.close(fd)
    assert (tmp_path / "new").read_bytes() == DATA[:size]
    assert all(0 < count <= AT_ONCE for count in asked)
