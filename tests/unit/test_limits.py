"""Limits on how fast contents move, on a clock that only waiting moves."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rrbackup
from rrbackup.effects.limited import LimitedContents, Limits, Meter
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import UsageError
from rrbackup.pure.pacing import Line, put_on
from rrbackup.pure.sizes import parse_size


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def meter(rate: int, clock: Clock) -> Meter:
    return Meter(rate, clock, clock.wait)


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 5)), max_size=20), st.integers(1, 500))
def test_no_stretch_of_time_takes_more_than_the_line_does(sent: list[tuple[int, float]], rate: int) -> None:
    line, now, began, through = Line(rate), 0.0, 0.0, 0.0
    total = 0
    for count, idle in sent:
        now = max(now, through) + idle
        if now > line.free_at:
            began, total = now, 0
        line, through = put_on(line, count, now)
        total += count
        assert through - began == pytest.approx(total / rate)


def test_a_content_takes_as_long_as_its_bytes_need_in_both_directions() -> None:
    clock, store = Clock(), MemoryStore()
    contents = LimitedContents(store, meter(100, clock), meter(50, clock))
    stored = contents.put("k", b"x" * 500)
    assert clock.now == 105.0
    assert contents.put("k", iter([b"x" * 300, b"y" * 200])).size == 500
    assert clock.now == 110.0
    with contents.read("k", stored.version_id) as chunks:
        assert b"".join(chunks) == b"x" * 500
    assert clock.now == 120.0


def test_nothing_more_is_asked_for_before_what_came_is_through() -> None:
    """However many threads ask: here they are readers that begin one after another."""
    clock, store = Clock(), MemoryStore()
    contents = LimitedContents(store, None, meter(100, clock))
    stored = store.put("k", b"x" * 500)
    begun: list[float] = []
    with ExitStack() as stack:
        for _ in range(4):
            chunks = stack.enter_context(contents.read("k", stored.version_id))
            begun.append(clock.now)
            next(chunks)
            clock.now = begun[-1]  # the others do not wait for this one
    assert begun == pytest.approx([100, 104.9, 109.9, 114.9])


@given(st.lists(st.lists(st.integers(1, 700_000), max_size=5), max_size=8), st.integers(1_000, 10_000_000))
def test_answers_take_as_long_as_their_bytes_need(answers: list[list[int]], rate: int) -> None:
    """What was expected and did not come counts for nothing."""
    clock = Clock()
    metered = meter(rate, clock)
    for sizes in answers:
        chunks = (bytes(size) for size in sizes)
        assert [len(chunk) for chunk in metered.received(chunks, metered.turn())] == sizes
    assert clock.now - 100 == pytest.approx(sum(map(sum, answers)) / rate)


def test_without_a_limit_nobody_waits() -> None:
    contents = LimitedContents(MemoryStore(), None, None)
    stored = contents.put("k", b"x" * 500)
    with contents.read("k", stored.version_id, start=499) as chunks:
        assert b"".join(chunks) == b"x"


@pytest.mark.parametrize("limit", [0, -1, "5MB", 0.5, 2e6, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError):
        Limits(upload=limit)
    with pytest.raises(UsageError):
        Limits(download=limit)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("17", 17), ("17B", 17), ("1KB", 1000), ("1.5 kib", 1536), ("2MiB", 2 << 20), (" 3GB ", 3_000_000_000)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "B", "x", "-1", "1e3", "1 XB", "\u0661", "1KBB", "1.B"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no number of bytes"):
        parse_size(text)


def test_backups_and_downloads_keep_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[int] = []

    def put_on(self: Meter, count: int) -> float:
        passed.append(count)
        return 0.0

    monkeypatch.setattr(Meter, "_put_on", put_on)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a").write_bytes(b"x" * 500)
    settings = {
        "base_path": str(tmp_path / "base"),
        "local_manifest_file": str(tmp_path / "m"),
        "local_lock_file": str(tmp_path / "l"),
        "directory": {"path": str(tmp_path / "store")},
    }
    config = rrbackup.parse_config(json.dumps(settings), "test")
    with rrbackup.open_repository(config, limits=Limits(upload=10_000, download=10_000)) as repository:
        repository.backup()
        assert sum(passed) == 500
        repository.download("latest", tmp_path / "out")
        assert sum(passed) == 1000
    with rrbackup.open_repository(config) as repository:
        repository.download("latest", tmp_path / "again")
    assert sum(passed) == 1000


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, "8"])
def test_a_number_of_threads_that_is_none_is_refused(threads: Any, tmp_path: Path) -> None:
    config = rrbackup.Config(
        base_path=str(tmp_path),
        local_manifest_file="m",
        local_lock_file="l",
        directory=rrbackup.DirectorySettings(path="d"),
    )
    with pytest.raises(UsageError, match="from 1 to 256"):
        rrbackup.open_repository(config, store=MemoryStore(), threads=threads)
