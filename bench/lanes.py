"""Running lanes in turn: first once through the counting proxy, then so many rounds without it.

The counted run is not timed; it warms the page cache for all, and is checked more thoroughly. In the rounds the order
of the lanes is turned by one each time, so that none always runs after the same other one. What was written is flushed
to disk before every run.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from attrs import frozen

from bench.lab import Lab
from bench.processes import Beside, Command, Proxy, Ran, proxy, run
from bench.results import LaneResult, Sample, Traffic

Check = Callable[[Ran, bool], None]
"""Raises BenchError if a run has not done its work; the flag asks for a thorough look."""


def unchecked(_: Ran, __: bool) -> None:
    """For a command whose exit code says enough."""


def nothing() -> None:
    """There is nothing to do."""


@frozen
class Run:
    """A command that is ready to run, and what comes after it, untimed."""

    command: Command
    check: Check = unchecked
    tidy: Callable[[], None] = nothing


@frozen
class Lane:
    """`begin` makes a run ready against an endpoint. With `delay_s`, the timed runs go through a proxy that adds it.

    `local` is for what makes no requests at all, so that counting would be idle.
    """

    name: str
    begin: Callable[[str], Run]
    items: int = 0
    delay_s: float | None = None
    local: bool = False


def measured(lab: Lab, lanes: Sequence[Lane], before_round: Callable[[int], None] = lambda _: None) -> list[LaneResult]:
    """All lanes, once counted and then timed; `before_round` is told the number of the round, 0 for the counted one."""
    with ExitStack() as stack:
        delays = {lane.delay_s for lane in lanes if lane.delay_s is not None}
        slow = {delay: stack.enter_context(proxy(lab.server.endpoint, delay)) for delay in delays}
        before_round(0)
        traffic = {lane.name: _counted(lab, lane) for lane in lanes}
        samples: dict[str, list[Sample]] = {lane.name: [] for lane in lanes}
        for number in range(lab.setting.rounds):
            before_round(number + 1)
            for lane in turned(lanes, number):
                samples[lane.name].append(_timed(lab, lane, slow))
    return [LaneResult(lane.name, tuple(samples[lane.name]), traffic[lane.name], lane.items) for lane in lanes]


def turned(lanes: Sequence[Lane], number: int) -> list[Lane]:
    start = number % len(lanes)
    return [*lanes[start:], *lanes[:start]]


def counted(lab: Lab, lane: Lane) -> Traffic:
    """What one run of a lane asks of the store."""
    with proxy(lab.server.endpoint, 0.0) as counting:
        _once(lab, lane, counting.endpoint, Beside(), thorough=True)
        return counting.take()


def _counted(lab: Lab, lane: Lane) -> Traffic | None:
    if lane.local:
        _once(lab, lane, lab.server.endpoint, Beside(), thorough=True)
        return None
    return counted(lab, lane)


def _timed(lab: Lab, lane: Lane, slow: Mapping[float, Proxy]) -> Sample:
    through = slow[lane.delay_s] if lane.delay_s is not None else None
    beside = Beside(lab.server.pid, through.group if through else 0)
    sample = _once(lab, lane, through.endpoint if through else lab.server.endpoint, beside, thorough=False)
    lab.setting.say(f"  {lane.name:34} {sample.wall_s:8.2f} s  {sample.cpu_s:8.2f} s CPU")
    return sample


def _once(lab: Lab, lane: Lane, endpoint: str, beside: Beside, *, thorough: bool) -> Sample:
    made_ready = lane.begin(endpoint)
    os.sync()
    ran = run(made_ready.command, beside)
    made_ready.check(ran, thorough)
    made_ready.tidy()
    return ran.sample
