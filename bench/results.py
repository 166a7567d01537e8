"""What was measured, as values, and its JSON. Times are seconds, memory and traffic bytes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from attrs import evolve, field, frozen
from cattrs.preconf.json import make_converter

FORMAT = 1


@frozen
class Sample:
    """One timed run. `server_cpu_s` is what the S3 server used meanwhile, `proxy_cpu_s` a proxy that adds latency,
    `foreign` how many cores were busy with what has nothing to do with the benchmark."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    server_cpu_s: float = 0.0
    proxy_cpu_s: float = 0.0
    foreign: float = 0.0


@frozen
class Traffic:
    """What went through the counting proxy in one run: requests by kind, bytes with their heads in each direction."""

    requests: Mapping[str, int]
    sent_bytes: int
    received_bytes: int
    connections: int = 0

    @property
    def total(self) -> int:
        return sum(self.requests.values())


@frozen
class LaneResult:
    """One way to do what a case asks for: a tool with its settings. `items` is how many files or entries it handled."""

    name: str
    samples: tuple[Sample, ...] = ()
    traffic: Traffic | None = None
    items: int = 0

    def median(self, of: Callable[[Sample], float]) -> float:
        return median(map(of, self.samples))

    @property
    def wall_s(self) -> float:
        return self.median(lambda sample: sample.wall_s)

    @property
    def cpu_s(self) -> float:
        return self.median(lambda sample: sample.cpu_s)

    @property
    def peak_bytes(self) -> float:
        return self.median(lambda sample: sample.peak_bytes)


@frozen
class CaseResult:
    """`notes` says what the reader has to know; `facts` are numbers that belong to no lane."""

    name: str
    title: str
    lanes: tuple[LaneResult, ...]
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float] = field(factory=dict)

    def lane(self, name: str) -> LaneResult | None:
        return next((lane for lane in self.lanes if lane.name == name and lane.samples), None)


@frozen
class Results:
    made: str
    rounds: int
    quick: bool
    machine: Mapping[str, str]
    cases: tuple[CaseResult, ...] = ()

    def case(self, name: str) -> CaseResult | None:
        return next((case for case in self.cases if case.name == name), None)


def merged(old: Results, new: Results) -> Results:
    """`new`, with the cases of `old` that were not measured again in their places."""
    fresh = {case.name: case for case in new.cases}
    kept = tuple(fresh.pop(case.name, case) for case in old.cases)
    return evolve(new, cases=(*kept, *fresh.values()))


_converter = make_converter()


def encode(results: Results) -> str:
    return json.dumps({"format": FORMAT, **_converter.unstructure(results)}, indent=1) + "\n"


def decode(text: str) -> Results:
    """Raises ValueError for results of another format."""
    document = json.loads(text)
    if document.get("format") != FORMAT:
        raise ValueError(f"these results have format {document.get('format')}, not {FORMAT}")
    return _converter.structure(document, Results)


def read(path: Path) -> Results | None:
    return decode(path.read_text()) if path.exists() else None
