"""Parts of one object side by side: their order, what they may take of memory, and who is waited for when one fails."""

from collections.abc import Iterator
from threading import Barrier, Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.spare import Spare, side_by_side_or_here

LIMIT_S = 30


class Parts:
    """Counts the bytes of what is being worked on, and remembers their highest number."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way = 0
        self.most = 0

    def send(self, size: int) -> int:
        with self._lock:
            self._under_way += size
            self.most = max(self.most, self._under_way)
        with self._lock:
            self._under_way -= size
        return -size


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(0, 20))
def test_results_come_in_the_order_of_the_parts_and_memory_stays_within_its_bound(sizes: list[int], free: int) -> None:
    spare, parts = Spare(free), Parts()
    assert side_by_side_or_here(spare, abs, parts.send, sizes) == [-size for size in sizes]
    assert parts.most <= free + max(sizes, default=0)
    assert spare.borrow(free), "everything was given back"


def test_parts_are_under_way_together_where_there_is_memory_to_spare() -> None:
    together = Barrier(4, timeout=LIMIT_S)

    def send(_: int) -> None:
        together.wait()

    side_by_side_or_here(Spare(3), lambda _: 1, send, range(4))  # the fourth part is sent by this thread


def test_after_a_failed_part_none_is_begun() -> None:
    taken: list[int] = []
    spare = Spare(1)

    def parts() -> Iterator[int]:
        yield 0
        while not spare.borrow(1):  # given back when the first part has failed
            pass
        spare.give_back(1)
        yield 1

    def send(part: int) -> None:
        taken.append(part)
        raise LookupError

    with pytest.raises(LookupError):
        side_by_side_or_here(spare, lambda _: 1, send, parts())
    assert taken == [0]
    assert spare.borrow(1)


def test_an_error_in_the_thread_that_reads_waits_for_the_parts_under_way() -> None:
    ended: list[int] = []
    go = Event()

    def send(part: int) -> None:
        if part == 1:
            go.set()
            raise LookupError
        assert go.wait(LIMIT_S)
        ended.append(part)

    with pytest.raises(LookupError):
        side_by_side_or_here(Spare(1), lambda _: 1, send, [0, 1])
    assert ended == [0]
