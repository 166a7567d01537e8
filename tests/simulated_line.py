"""A line to a store in virtual time: answering time, bandwidth, one processor, and how many items the store takes."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import repeat
from random import Random

from attrs import define, field, frozen

from rrbackup.pure import concurrency
from rrbackup.pure.concurrency import Climb, Done
from rrbackup.pure.threads import FIRST_THREADS

KB = 1000
_WEATHER_S = 0.2
"""So often the noise changes, for all that is under way."""


@frozen
class Line:
    """`cpu_s` is what an item costs the processor, `per_second` how many the store takes, `hand_over` what each thread
    more adds to the cost of an item."""

    latency_s: float
    bytes_per_second: float = 1e9
    cpu_s: float = 0.0005
    per_second: float = 1e9
    hand_over: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def weather(self) -> Callable[[float], float]:
        """A factor for all times, by the time."""
        if not self.noise:
            return lambda _: 1.0
        return lambda now: 1 + Random(f"{self.seed} {now // _WEATHER_S}").uniform(-self.noise, self.noise)


@define
class Run:
    """Moves items over a line, with as many threads as the climb says."""

    line: Line
    climb: Climb
    sizes: Iterator[int] = field(factory=lambda: repeat(10 * KB))
    done: Done = field(factory=Done)
    settled: list[int] = field(factory=lambda: [FIRST_THREADS])
    """Each number that was settled on, in turn."""
    _ready: list[tuple[float, int]] = field(factory=list)
    _free: list[float] = field(factory=lambda: [0.0, 0.0, 0.0])

    def until(self, seconds: float) -> "Run":
        weather, factor, changes_at = self.line.weather(), 1.0, 0.0
        while self.done.at < seconds:
            while len(self._ready) < self.climb.threads:
                self._send(self.done.at, factor)
            if self.done.at >= changes_at:
                factor, changes_at = weather(self.done.at), (self.done.at // _WEATHER_S + 1) * _WEATHER_S
            now, size = heappop(self._ready)
            self.done = Done(self.done.items + 1, self.done.worth + concurrency.worth(size), now)
            if self.done.items >= self.climb.look_at:
                self.climb = concurrency.after(self.climb, self.done)
                self._note(self.climb.settled)
            if len(self._ready) < self.climb.threads:
                self._send(now, factor)
        return self

    def _send(self, now: float, factor: float) -> None:
        """One item through the processor, over the line and into the store, each of which takes one after another."""
        line, size = self.line, next(self.sizes)
        cpu_s = line.cpu_s * (1 + line.hand_over * self.climb.threads)
        for at, cost in enumerate((cpu_s, size / line.bytes_per_second, 1 / line.per_second)):
            self._free[at] = now = max(now, self._free[at]) + cost * factor
        heappush(self._ready, (now + line.latency_s * factor, size))

    def _note(self, settled: int) -> None:
        if self.settled[-1] != settled:
            self.settled.append(settled)


def fixed_rate(line: Line, threads: int, sizes: Iterator[int] | None = None, seconds: float = 5.0) -> float:
    """Worth a second that a fixed number of threads moves."""
    run = Run(line, concurrency.begin(threads, 1 << 60), sizes or repeat(10 * KB)).until(seconds)
    return run.done.worth / run.done.at
