"""The number of threads that finds itself, against the best fixed number, on simulated lines."""

from itertools import chain, cycle, repeat

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from rrbackup.pure import concurrency
from rrbackup.pure.concurrency import WINDOW_ITEMS, WINDOW_S, Climb, Done, after, begin
from rrbackup.pure.threads import FIRST_THREADS, MOST_THREADS
from tests.simulated_line import KB, Line, Run, fixed_rate

MANY = 1 << 40
LINES = {
    "localhost": Line(0.0005, cpu_s=0.0009, hand_over=0.002),
    "20 ms": Line(0.020, cpu_s=0.0009),
    "20 ms, fast client": Line(0.020, cpu_s=0.0003),
    "100 ms": Line(0.100, 10e6),
    "100 ms, 20 Mbit/s": Line(0.100, 2.5e6),
    "ADSL, 1 Mbit/s": Line(0.040, 125e3),
    "throttled to 300 a second": Line(0.020, per_second=300),
    "throttled to 1200 a second": Line(0.020, per_second=1200),
}
FIXED = (1, 2, 4, 8, 16, 24, 32, 48, 64)
SETTLED_AFTER_WINDOWS = 12

on_each_line = pytest.mark.parametrize("line", LINES.values(), ids=LINES)


def adaptive() -> Climb:
    return begin(None, MANY)


def windows_s(line: Line, count: int) -> float:
    """How long so many windows may take at most, with what comes in between."""
    slowest = min(fixed_rate(line, FIRST_THREADS), fixed_rate(line, MOST_THREADS)) / concurrency.worth(10 * KB)
    return count * max(WINDOW_S + MOST_THREADS / slowest, (WINDOW_ITEMS + 2) * MOST_THREADS / slowest)


@on_each_line
def test_it_comes_near_the_best_fixed_number_within_a_few_windows(line: Line) -> None:
    run = Run(line, adaptive()).until(windows_s(line, SETTLED_AFTER_WINDOWS))
    best = max(fixed_rate(line, threads) for threads in FIXED)
    assert fixed_rate(line, run.climb.settled) >= 0.85 * best


@on_each_line
def test_over_a_while_it_moves_nearly_as_much_as_the_best_fixed_number(line: Line) -> None:
    seconds = windows_s(line, 5 * SETTLED_AFTER_WINDOWS)
    run = Run(line, adaptive()).until(seconds)
    assert run.done.worth / run.done.at >= 0.85 * max(fixed_rate(line, threads) for threads in FIXED)


@on_each_line
@pytest.mark.parametrize("noise", [0, 0.1])
def test_it_does_not_swing(line: Line, noise: float) -> None:
    """Once settled it stays, however often it looks again; with noise it may go a step at most."""
    run = Run(evolve(line, noise=noise), adaptive()).until(windows_s(line, 8 * SETTLED_AFTER_WINDOWS))
    assert run.settled[: len(set(run.settled))] == sorted(set(run.settled))
    assert len(run.settled) <= len(set(run.settled)) + (1 if noise else 0)


@given(st.integers(0, 10_000))
def test_noise_does_not_make_it_climb_for_nothing(seed: int) -> None:
    line = evolve(LINES["localhost"], hand_over=0, noise=0.1, seed=seed)
    assert Run(line, adaptive()).until(6).settled == [FIRST_THREADS]


@pytest.mark.parametrize("sizes", [(10 * KB, 4000 * KB), (4000 * KB, 10 * KB)], ids=["big last", "small last"])
@pytest.mark.parametrize("line", [Line(0.001, 50e6), LINES["ADSL, 1 Mbit/s"], LINES["localhost"]])
@pytest.mark.parametrize("at", range(60, 400, 20))
def test_a_run_of_other_sizes_is_no_gain(line: Line, sizes: tuple[int, int], at: int) -> None:
    """The line is full as it is, whichever window the change falls into."""
    run = Run(line, adaptive(), chain(repeat(sizes[0], at), repeat(sizes[1])))
    for _ in range(20):
        run.until(run.done.at + WINDOW_S)
    assert run.settled == [FIRST_THREADS]


def test_sizes_that_change_all_the_time_do_not_hide_a_gain() -> None:
    sizes = cycle([KB] * 7 + [300 * KB] + [20 * KB] * 9 + [90 * KB])
    assert Run(LINES["100 ms"], adaptive(), sizes).until(20).settled[-1] == MOST_THREADS


@pytest.mark.parametrize("latency_s", [0.02, 0.1])
def test_what_a_step_down_would_cost_is_not_given_up(latency_s: float) -> None:
    """With half as many it would be nine tenths as fast."""
    climb = evolve(adaptive(), settled=32, tried=16, up=False)
    assert Run(Line(latency_s, cpu_s=latency_s / 17), climb).until(20).climb.settled == 32


def test_a_step_down_that_costs_half_ends_after_one_window() -> None:
    climb = evolve(adaptive(), settled=64, tried=32, up=False, since=Done(), rates=(1000.0,))
    worth = int(500 * 2 * WINDOW_S)
    assert after(climb, Done(1000, worth, 2 * WINDOW_S)).threads == 64
    assert after(climb, Done(1000, worth, 2 * WINDOW_S)).rests_until is not None


def test_the_measure_is_bytes_and_a_worth_for_each_item() -> None:
    """So neither an item without bytes nor one of unknown size counts for nothing, nor a big one for one."""
    assert concurrency.worth(0) == concurrency.worth(-1) == concurrency.ITEM_WORTH
    assert concurrency.worth(1 << 20) == concurrency.ITEM_WORTH + (1 << 20)


def test_when_the_line_changes_it_is_noticed() -> None:
    run = Run(LINES["100 ms"], adaptive()).until(10)
    assert run.climb.settled == MOST_THREADS
    run.line = LINES["throttled to 300 a second"]
    assert run.until(120).climb.settled == FIRST_THREADS
    run.line = LINES["100 ms"]
    assert run.until(240).climb.settled == MOST_THREADS


@given(st.integers(17, 1000), st.lists(st.tuples(st.integers(0, 300), st.floats(0, 5), st.integers(0, 1 << 30))))
@example(17, [(100, 1.0, 1)] * 40)
def test_it_never_leaves_its_bounds(items: int, steps: list[tuple[int, float, int]]) -> None:
    climb, done = begin(None, items), Done()
    for count, seconds, worth in steps:
        done = Done(done.items + count, done.worth + worth, done.at + seconds)
        climb = after(climb, done)
        assert FIRST_THREADS <= climb.settled <= climb.most
        assert FIRST_THREADS <= climb.threads <= min(MOST_THREADS, items)
        assert climb.look_at > done.items, "it is not asked for every item"


@given(st.integers(1, 300), st.integers(0, 300))
def test_a_fixed_number_stays_and_is_no_more_than_there_are_items(threads: int, items: int) -> None:
    climb = begin(threads, items)
    assert climb.threads == min(threads, items)
    assert climb.look_at > MANY


@given(st.integers(0, FIRST_THREADS))
def test_few_items_need_no_search(items: int) -> None:
    assert begin(None, items).threads == items
    assert begin(None, items).look_at > MANY
