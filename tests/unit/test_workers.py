"""Threads with requests under way: an error waits for them, an interruption does not; who takes which item."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from itertools import accumulate, chain, count
from threading import Barrier, Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.workers import side_by_side, workers
from rrbackup.pure import concurrency
from rrbackup.pure.concurrency import Climb, Done
from rrbackup.pure.threads import FIRST_THREADS, MOST_THREADS

LIMIT_S = 30


class Request:
    """One that is under way until it is `answered`."""

    def __init__(self) -> None:
        self.begun, self.answered, self.ended = Event(), Event(), Event()

    def send(self) -> None:
        self.begun.set()
        assert self.answered.wait(LIMIT_S)
        self.ended.set()


@pytest.fixture
def request_under_way() -> Iterator[Request]:
    request = Request()
    yield request
    request.answered.set()
    assert request.ended.wait(LIMIT_S)


def fail_meanwhile(request: Request, error: BaseException, begun: list[str]) -> None:
    """Fail while `request` is under way and another one waits; its answer comes when the other is called off."""
    with workers(1) as pool:
        pool.submit(request.send)
        other = pool.submit(begun.append, "the other")
        if isinstance(error, Exception):
            other.add_done_callback(lambda _: request.answered.set())
        assert request.begun.wait(LIMIT_S)
        raise error


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
def test_an_interruption_waits_for_nobody(request_under_way: Request, interruption: BaseException) -> None:
    with pytest.raises(type(interruption)):
        fail_meanwhile(request_under_way, interruption, [])
    assert not request_under_way.ended.is_set()


def test_an_error_waits_for_what_is_under_way_and_begins_nothing_more(request_under_way: Request) -> None:
    begun: list[str] = []
    with pytest.raises(LookupError):
        fail_meanwhile(request_under_way, LookupError(), begun)
    assert request_under_way.ended.is_set()
    assert begun == []


@given(st.integers(0, 40), st.none() | st.integers(1, 5))
def test_every_item_is_taken_once_and_the_results_come_in_their_order(count: int, threads: int | None) -> None:
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


# --- a number that finds itself ----------------------------------------------------------------------------------


@given(st.integers(100, 1500), st.lists(st.floats(0, 2), max_size=20), st.integers(0, 1500))
def test_whatever_the_number_does_all_items_are_done(items: int, steps: list[float], failing: int) -> None:
    ticks = accumulate(chain(steps, (0.1 * n for n in count())))

    def work(item: int) -> int:
        if item == failing:
            raise LookupError
        return item * item

    if failing < items:
        with pytest.raises(LookupError), workers(None) as pool:
            side_by_side(pool, None, work, range(items), clock=lambda: next(ticks))
    else:
        with workers(None) as pool:
            found = side_by_side(pool, None, work, range(items), clock=lambda: next(ticks))
        assert found == [item * item for item in range(items)]


def settles_on(number: int, patch: pytest.MonkeyPatch, first: int = FIRST_THREADS) -> None:
    """At the first look; `first` are at work before."""
    patch.setattr(concurrency, "begin", lambda threads, items: Climb(first, MOST_THREADS, look_at=1))
    patch.setattr(concurrency, "after", lambda climb, done: Climb(number, number, look_at=sys.maxsize))


def test_where_more_help_more_come(monkeypatch: pytest.MonkeyPatch) -> None:
    settles_on(40, monkeypatch)
    together = Barrier(40)
    with workers(None) as pool:
        side_by_side(pool, None, lambda item: item == 0 or together.wait(LIMIT_S), range(41))
    assert not together.broken


def test_where_fewer_do_the_others_end_with_their_item(monkeypatch: pytest.MonkeyPatch) -> None:
    settles_on(1, monkeypatch, first=4)
    together, gone, ended = Barrier(4), Event(), count(1)

    def work(item: int) -> bool:
        if item < 4:
            return together.wait(LIMIT_S) >= 0
        return gone.wait(LIMIT_S)

    with workers(None) as pool:
        submit = pool.submit

        def noted(worker: Callable[[], None]) -> Future[None]:
            future = submit(worker)
            future.add_done_callback(lambda _: gone.set() if next(ended) == 3 else None)
            return future

        monkeypatch.setattr(pool, "submit", noted)
        assert all(side_by_side(pool, None, work, range(6)))


def test_a_number_that_was_asked_for_stays_and_the_clock_is_not_looked_at() -> None:
    reads = count()
    with workers(20) as pool:
        side_by_side(pool, 20, abs, range(3000), clock=lambda: float(next(reads)))
    assert next(reads) <= 1


def test_the_worth_of_an_item_comes_from_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Done]()

    def look(climb: Climb, done: Done) -> Climb:
        seen.append(done)
        return Climb(1, 1, sys.maxsize)

    monkeypatch.setattr(concurrency, "begin", lambda threads, items: Climb(1, 1, look_at=3))
    monkeypatch.setattr(concurrency, "after", look)
    ticks = count(5)
    with workers(None) as pool:
        side_by_side(pool, None, abs, [10, 20, 30, 40], lambda item: item, lambda: float(next(ticks)))
    assert [(done.items, done.worth, done.at) for done in seen] == [(3, 3 * concurrency.ITEM_WORTH + 60, 1.0)]
