"""Threads with requests under way: an error waits for them, an interruption does not; who takes which item."""

from collections.abc import Iterator
from threading import Barrier, Event, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.workers import side_by_side, workers

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
