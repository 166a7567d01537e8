"""The pace that many threads share towards one store, on a clock that moves only when somebody waits."""

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.back_off import BackOff
from rrbackup.pure import pacing
from rrbackup.pure.pacing import FIRST_INTERVAL_S, LONGEST_INTERVAL_S, LONGEST_PAUSE_S, Pace, faster, slower, turn


@define
class Time:
    now: float = 1_000.0
    waited: list[float] = field(factory=list)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def test_nobody_waits_as_long_as_the_store_takes_everything() -> None:
    pace = Pace()
    for _ in range(100):
        pace, start = turn(pace, 5.0)
        assert start == 5.0
        pace = faster(pace)
    assert pace.interval == 0


def test_requests_line_up_after_a_refusal() -> None:
    pace = slower(Pace(), sent=4.0, now=5.0)
    starts = []
    for _ in range(4):
        pace, start = turn(pace, 5.0)
        starts.append(start)
    assert starts == pytest.approx([5.0 + FIRST_INTERVAL_S * n for n in (1, 2, 3, 4)])


def test_many_refusals_at_once_count_as_one() -> None:
    pace = slower(Pace(), sent=4.0, now=5.0)
    assert slower(slower(pace, sent=4.5, now=5.1), sent=5.0, now=5.2) == pace
    assert slower(pace, sent=5.05, now=5.3).interval == 2 * pace.interval


def test_the_interval_is_bounded_and_ends_with_good_answers() -> None:
    pace = Pace()
    for second in range(50):
        pace = slower(pace, sent=second + 0.5, now=second + 1.0)
    assert pace.interval == LONGEST_INTERVAL_S
    answers = 0
    while pace.interval:
        pace, answers = faster(pace), answers + 1
    assert answers < 100


@given(st.integers(1, 60), st.booleans(), st.floats(0, 1))
def test_a_pause_is_bounded(failures: int, throttled: bool, chance: float) -> None:
    assert 0 <= pacing.pause(failures, throttled, chance) <= LONGEST_PAUSE_S


def test_pauses_double_and_are_longer_where_the_store_has_too_much_to_do() -> None:
    pauses = [pacing.pause(n, False, 1.0) for n in range(1, 5)]
    assert pauses == [pauses[0] * 2**n for n in range(4)]
    assert pacing.pause(1, True, 1.0) > pauses[0]


def test_a_back_off_spreads_what_comes_after_a_refusal() -> None:
    time = Time()
    back_off = BackOff(lambda: time.now, lambda: 1.0, time.wait)
    back_off.take_turn()
    time.now += 0.01
    back_off.answered(throttled=True)
    for _ in range(3):
        back_off.take_turn()
    assert len(time.waited) == 3
    back_off.pause(1)
    assert time.waited[-1] == pacing.pause(1, False, 1.0)
