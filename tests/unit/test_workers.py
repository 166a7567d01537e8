"""Threads with requests under way: an error waits for them, an interruption does not."""

from collections.abc import Iterator
from threading import Event

import pytest

from rrbackup.effects.workers import workers

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
