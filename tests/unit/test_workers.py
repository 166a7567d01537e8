"""Threads that take items: all of them once, the results in order, and an end when one fails."""

from threading import Barrier, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.workers import side_by_side, workers


@given(st.integers(0, 40), st.integers(1, 5))
def test_every_item_is_taken_once_and_the_results_come_in_their_order(count: int, threads: int) -> None:
    taken, lock = list[int](), Lock()

    def work(item: int) -> int:
        with lock:
            taken.append(item)
        return item * item

    with workers(threads) as pool:
        assert side_by_side(pool, threads, work, range(count)) == [item * item for item in range(count)]
    assert sorted(taken) == list(range(count))


def test_as_many_are_at_work_as_there_are_threads() -> None:
    together = Barrier(4)
    with workers(4) as pool:
        assert sorted(side_by_side(pool, 4, lambda _: together.wait(timeout=60), range(4))) == [0, 1, 2, 3]


def test_after_a_failure_no_item_is_begun() -> None:
    begun = list[int]()

    def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise ValueError("third")

    with pytest.raises(ValueError, match="third"), workers(1) as pool:
        side_by_side(pool, 1, work, range(100))
    assert begun == [0, 1, 2]
