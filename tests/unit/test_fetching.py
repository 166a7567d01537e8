"""Big objects in stretches: which requests are made, that the bytes come in order, and that memory is given back."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from threading import Barrier, Lock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.fetching import FAST_ENOUGH, fetched_ahead
from rrbackup.effects.spare import CROWD, Spare
from rrbackup.errors import StoreUnavailable
from rrbackup.pure.ranges import LONG, RANGE_BYTES, WHOLE, WHOLE_BYTES, Stretch, is_whole, joined, stretches

LIMIT_S = 30
BIG = WHOLE_BYTES + 3 * RANGE_BYTES + 7
CHUNKS = 2


class Fetches:
    """A store that answers each stretch with a few words on it, and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Stretch] = []
        self._lock = Lock()

    def __call__(self, stretch: Stretch) -> Iterator[bytes]:
        with self._lock:
            self.asked.append(stretch)
        return (_word(number, stretch) for number in range(CHUNKS))


def _word(number: int, stretch: Stretch) -> bytes:
    return f"{number} of {stretch};".encode()


def words(*wanted: Stretch) -> bytes:
    return b"".join(_word(number, stretch) for stretch in wanted for number in range(CHUNKS))


def slow() -> float:
    """A clock on which everything takes long."""
    return next(_HOURS)


_HOURS = (3600.0 * hour for hour in count())


def still() -> float:
    """A clock on which nothing takes any time."""
    return 0.0


# --- which stretches ---------------------------------------------------------------------------------------------


@given(st.integers(WHOLE_BYTES + 1, 20 * WHOLE_BYTES))
def test_stretches_follow_one_another_and_the_last_has_no_end(size: int) -> None:
    *others, last = stretches(size)
    assert [stretch.start for stretch in (*others, last)] == list(range(0, size, RANGE_BYTES))
    assert {stretch.length for stretch in others} == {RANGE_BYTES}
    assert last.length is None
    assert 0 < size - last.start <= RANGE_BYTES


@pytest.mark.parametrize("size", [-1, 0, 1, WHOLE_BYTES])
def test_what_is_small_or_of_unknown_size_is_one_request(size: int) -> None:
    assert is_whole(size)
    assert stretches(size) == (WHOLE,)


# --- fetching them -----------------------------------------------------------------------------------------------


@given(st.integers(0, 6))
def test_on_a_slow_line_all_stretches_come_in_order_whatever_is_to_spare(ranges_to_spare: int) -> None:
    spare, fetches = Spare(ranges_to_spare * RANGE_BYTES), Fetches()
    assert b"".join(fetched_ahead(spare, fetches, BIG, slow)) == words(*stretches(BIG))
    assert sorted(fetches.asked, key=lambda stretch: stretch.start) == list(stretches(BIG))
    assert spare.borrow(ranges_to_spare * RANGE_BYTES), "everything was given back"


def test_on_a_fast_line_the_rest_is_one_request() -> None:
    fetches = Fetches()
    wanted = [Stretch(0, RANGE_BYTES), Stretch(RANGE_BYTES)]
    assert b"".join(fetched_ahead(Spare(), fetches, BIG, still)) == words(*wanted)
    assert fetches.asked == wanted


@pytest.mark.parametrize(("faster", "requests"), [(1.01, 2), (0.99, len(stretches(BIG)))])
def test_what_is_fast_is_a_rate(faster: float, requests: int) -> None:
    """Each look at the clock is half of the time of one of the chunks and the end of the stretch."""
    looks = count()
    step = RANGE_BYTES / FAST_ENOUGH / faster / (CHUNKS + 1)
    fetches = Fetches()
    list(fetched_ahead(Spare(), fetches, BIG, lambda: (next(looks) + 1) // 2 * step))
    assert len(fetches.asked) == requests


def test_stretches_are_under_way_together() -> None:
    together = Barrier(3, timeout=LIMIT_S)

    def fetch(stretch: Stretch) -> Iterator[bytes]:
        if stretch.start in (RANGE_BYTES, 2 * RANGE_BYTES, 3 * RANGE_BYTES):
            together.wait()
        yield b"x"

    assert len(list(fetched_ahead(Spare(2 * RANGE_BYTES), fetch, BIG, slow))) == len(stretches(BIG))


def test_in_a_crowd_the_rest_comes_in_few_requests() -> None:
    size = (LONG + 2) * RANGE_BYTES
    first, *others = stretches(size)
    spare, fetches = Spare(), Fetches()
    with ExitStack() as stack:
        for _ in range(CROWD - 1):
            stack.enter_context(spare.sharing())
        list(fetched_ahead(spare, fetches, size, slow))
    assert fetches.asked == [first, Stretch(RANGE_BYTES, LONG * RANGE_BYTES), Stretch(others[-1].start)]


def test_who_is_left_of_a_crowd_fetches_side_by_side() -> None:
    size = (2 * LONG + 2) * RANGE_BYTES
    spare, fetches = Spare(), Fetches()
    with ExitStack() as stack:
        for _ in range(CROWD - 1):
            stack.enter_context(spare.sharing())
        reading = fetched_ahead(spare, fetches, size, slow)
        for _ in range(CHUNKS + 1):
            next(reading)
    list(reading)
    long = Stretch(RANGE_BYTES, LONG * RANGE_BYTES)
    assert fetches.asked[:2] == [stretches(size)[0], long]
    assert sorted(fetches.asked[2:], key=lambda stretch: stretch.start) == list(stretches(size)[1 + LONG :])


@given(st.integers(WHOLE_BYTES + 1, 20 * WHOLE_BYTES), st.data())
def test_joined_stretches_are_as_long_as_their_parts(size: int, data: st.DataObject) -> None:
    parts = stretches(size)
    begin = data.draw(st.integers(0, len(parts) - 1))
    end = data.draw(st.integers(begin + 1, len(parts)))
    whole = joined(parts[begin:end])
    assert whole.start == parts[begin].start
    assert whole.length == (None if end == len(parts) else (end - begin) * RANGE_BYTES)


def test_whoever_reads_no_further_gives_everything_back() -> None:
    spare = Spare(3 * RANGE_BYTES)
    reading = fetched_ahead(spare, Fetches(), BIG, slow)
    for _ in range(2 * CHUNKS + 1):
        next(reading)
    assert not spare.borrow(3 * RANGE_BYTES)
    reading.close()  # type: ignore[attr-defined]
    assert _comes_back(spare, 3 * RANGE_BYTES)


def test_a_stretch_that_fails_is_told_in_its_turn() -> None:
    def fetch(stretch: Stretch) -> Iterator[bytes]:
        if stretch.start == 2 * RANGE_BYTES:
            raise StoreUnavailable("gone")
        yield _word(0, stretch)

    spare, got = Spare(3 * RANGE_BYTES), list[bytes]()
    with pytest.raises(StoreUnavailable):
        got.extend(fetched_ahead(spare, fetch, BIG, slow))
    assert spare.borrow(3 * RANGE_BYTES)


def _comes_back(spare: Spare, size: int) -> bool:
    return any(spare.borrow(size) for _ in range(1_000_000))
