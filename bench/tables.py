"""Results as Markdown, which is also what a terminal shows."""

from collections.abc import Iterable, Sequence

from bench.results import CaseResult, LaneResult, Results
from bench.targets import Verdict, verdicts

MB = 1_000_000
FOREIGN_CORES = 0.2
"""With more than that busy beside, a case is not to be trusted."""

_HEADER = ("", "wall s", "spread", "ratio", "CPU s", "peak MB", "server CPU s", "requests", "sent MB", "received MB")


def document(results: Results) -> str:
    """The whole of RESULTS.md."""
    parts = [
        "# Results of the benchmark",
        "Written by `make bench`; [README.md](README.md) says how to read it.",
        _caveat(results),
        table(("", ""), [[key, value] for key, value in results.machine.items()]),
        "## Targets",
        targets(results),
        *(case_section(case) for case in results.cases),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caveat(results: Results) -> str:
    text = f"{results.made}, medians of {results.rounds} rounds."
    return text + (" Small sizes (--quick): these numbers say nothing." if results.quick else "")


def targets(results: Results, *, only_measured: bool = False) -> str:
    found = [verdict for verdict in verdicts(results) if verdict.measured is not None or not only_measured]
    if not found:
        return ""
    return table(("case", "what", "at most", "measured", ""), [_target_row(verdict) for verdict in found])


def _target_row(verdict: Verdict) -> list[str]:
    target = verdict.target
    measured = "" if verdict.measured is None else _number(verdict.measured, target.unit)
    return [target.case, target.text, _number(target.at_most, target.unit), measured, verdict.word]


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if not unit else f"{value:.2f}"
    return f"{text} {unit}".rstrip()


def case_section(case: CaseResult) -> str:
    lines = [f"## {case.name}", f"{case.title}.", table(_HEADER, _lane_rows(case))]
    return "\n\n".join([*lines, *case.notes, *_busy(case)])


def _lane_rows(case: CaseResult) -> Iterable[list[str]]:
    timed = [lane for lane in case.lanes if lane.samples]
    return [_lane_row(lane, timed[0]) for lane in timed]


def _lane_row(lane: LaneResult, base: LaneResult) -> list[str]:
    walls = [sample.wall_s for sample in lane.samples]
    traffic = lane.traffic
    return [
        lane.name,
        _seconds(lane.wall_s),
        f"{_seconds(min(walls))} to {_seconds(max(walls))}",
        f"{lane.wall_s / base.wall_s:.2f}",
        _seconds(lane.cpu_s),
        f"{lane.peak_bytes / MB:.0f}",
        f"{lane.median(lambda sample: sample.server_cpu_s):.2f}",
        f"{traffic.total:,}" if traffic else "",
        f"{traffic.sent_bytes / MB:.2f}" if traffic else "",
        f"{traffic.received_bytes / MB:.2f}" if traffic else "",
    ]


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _busy(case: CaseResult) -> list[str]:
    """A warning where something else was at work on the machine."""
    worst = max((lane.median(lambda sample: sample.foreign) for lane in case.lanes if lane.samples), default=0.0)
    if worst < FOREIGN_CORES:
        return []
    return [f"Something else kept {worst:.1f} cores busy meanwhile: take these numbers for rough ones."]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In columns of equal width, so that it can be read as it is."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "| " + " | ".join("-" * max(3, width) for width in widths) + " |"
    return "\n".join([texts[0], rule, *texts[1:]])
