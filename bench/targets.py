"""What the measurements are held against: each target is a number that must not be exceeded."""

from collections.abc import Callable

from attrs import frozen

from bench.many import FEW, MANY
from bench.results import CaseResult, LaneResult, Results
from bench.starting import GROWTH, HELP, LIST_FILES, LIST_VERSIONS

Measure = Callable[[CaseResult], float | None]
"""None where the lanes that it takes were not measured."""


@frozen
class Target:
    case: str
    text: str
    at_most: float
    measure: Measure
    unit: str = "x"


@frozen
class Verdict:
    target: Target
    measured: float | None

    @property
    def word(self) -> str:
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.target.at_most else "**not met**"


def ratio(ours: str, theirs: str) -> Measure:
    """Median wall time of a lane over that of another."""

    def measure(case: CaseResult) -> float | None:
        one, other = case.lane(ours), case.lane(theirs)
        return None if one is None or other is None else one.wall_s / other.wall_s

    return measure


def of(lane: str, value: Callable[[LaneResult], float]) -> Measure:
    def measure(case: CaseResult) -> float | None:
        found = case.lane(lane)
        return None if found is None else value(found)

    return measure


def seconds(lane: LaneResult) -> float:
    return lane.wall_s


def requests(lane: LaneResult) -> float:
    return float(lane.traffic.total) if lane.traffic else float("nan")


def fact(name: str) -> Measure:
    return lambda case: case.facts.get(name)


OURS, ENCRYPTED = "rrbackup", "rrbackup, all words"


def linear(case: CaseResult) -> float | None:
    """Wall time for each entry of many over that for each of few."""
    few, many = case.lane(FEW), case.lane(MANY)
    return None if few is None or many is None else (many.wall_s / many.items) / (few.wall_s / few.items)


def peak_gb(lane: LaneResult) -> float:
    return lane.peak_bytes / 1e9


TARGETS = (
    Target("small-first", "wall time over rclone's, 16 transfers", 0.7, ratio(OURS, "rclone")),
    Target("small-first", "CPU a file", 0.5, of(OURS, lambda lane: 1000 * lane.cpu_s / lane.items), "ms"),
    Target("small-first-encrypted", "wall time over that of the plain run", 1.3, ratio(ENCRYPTED, OURS)),
    Target("small-nothing", "wall time over restic's", 0.5, ratio(OURS, "restic")),
    Target("small-nothing", "requests", 3, of(OURS, requests), ""),
    Target("tiny-nothing", "wall time over restic's", 0.3, ratio(OURS, "restic")),
    Target("tiny-nothing", "wall time over that of `find -printf`", 4, ratio(OURS, "find -printf")),
    Target("million-nothing", "wall time an entry over that of 200,000", 1.1, linear),
    Target("million-nothing", "peak memory", 1.0, of(MANY, peak_gb), "GB"),
    Target("small-restore", "wall time over rclone's", 0.6, ratio(OURS, "rclone")),
    Target("big-first-encrypted", "wall time over restic's", 1.0, ratio(ENCRYPTED, "restic")),
    Target("big-restore", "wall time over restic's, plain", 1.0, ratio(OURS, "restic")),
    Target("big-restore", "wall time over restic's, encrypted", 1.0, ratio(ENCRYPTED, "restic")),
    Target("chain-2000", "list_files latest", 3, of(LIST_FILES, seconds), "s"),
    Target("chain-2000", "requests: later half of the history over earlier half", 1.5, fact(GROWTH)),
    Target("start", "rrbackup -h", 0.15, of(HELP, seconds), "s"),
    Target("start", "list_versions", 0.5, of(LIST_VERSIONS, seconds), "s"),
    Target(
        "latency-small-first", "wall time over rclone's, 32 transfers", 1.3, ratio(f"{OURS}, 20 ms", "rclone, 20 ms")
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """One for each target, in their order; those of cases that were not measured too."""
    return [_verdict(target, results.case(target.case)) for target in TARGETS]


def _verdict(target: Target, case: CaseResult | None) -> Verdict:
    return Verdict(target, target.measure(case) if case is not None else None)
