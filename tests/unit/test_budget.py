"""Bytes in memory at once: who waits for whom, and who does not."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition, Event, Lock
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.budget import ByteBudget

LIMIT_S = 30
T = TypeVar("T")


class Watched(Condition):
    """Says when somebody waits."""

    def __init__(self) -> None:
        super().__init__(Lock())
        self.waiting = Event()

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        self.waiting.set()
        return super().wait_for(predicate, timeout)


def watched(most: int) -> tuple[ByteBudget, Watched]:
    budget = ByteBudget(most)
    budget._changed = condition = Watched()
    return budget, condition


def test_what_fits_goes_at_once() -> None:
    budget, condition = watched(100)
    with budget.taken(60), budget.taken(40), budget.taken(0):
        assert not condition.waiting.is_set()


def test_one_may_always_go_whatever_its_size() -> None:
    budget, condition = watched(100)
    for _ in range(2):
        with budget.taken(1000):
            assert not condition.waiting.is_set()


@pytest.mark.parametrize("error", [None, LookupError])
def test_what_does_not_fit_waits_until_bytes_come_back(error: type[Exception] | None) -> None:
    budget, condition = watched(100)
    told: list[str] = []

    def late() -> None:
        with budget.taken(50):
            told.append("late")

    def early() -> None:
        with budget.taken(60):
            pool.submit(late)
            assert condition.waiting.wait(LIMIT_S)
            told.append("early")
            if error:
                raise error

    with ThreadPoolExecutor(1) as pool:
        if error:
            with pytest.raises(error):
                early()
        else:
            early()
    assert told == ["early", "late"]


def test_once_it_is_ended_nobody_waits() -> None:
    budget, condition = watched(100)
    with ThreadPoolExecutor(1) as pool, budget.taken(100):
        waiting = pool.submit(lambda: budget.taken(50).__enter__())
        assert condition.waiting.wait(LIMIT_S)
        budget.end()
        waiting.result(LIMIT_S)
        with budget.taken(70):
            pass


@given(st.lists(st.integers(0, 150), max_size=40))
def test_no_more_than_that_is_held_and_all_come_through(sizes: list[int]) -> None:
    budget, lock, held = ByteBudget(100), Lock(), list[int]()

    def hold(size: int) -> int:
        with budget.taken(size):
            with lock:
                held.append(size)
                most = sum(held) if len([other for other in held if other]) > 1 else 0
            with lock:
                held.remove(size)
        return most

    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(hold, sizes), default=0) <= 100
