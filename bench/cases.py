"""The cases, by name. Each is a function from a lab to what was measured."""

import time
from collections.abc import Callable, Mapping

from attrs import frozen

from bench import data
from bench.backups import again, backed_up, committed, first, nothing_changed, restore
from bench.bounds import bounds
from bench.lab import Lab
from bench.lanes import measured
from bench.many import million_nothing, million_tree, tiny_nothing
from bench.results import CaseResult
from bench.starting import chain, start
from bench.tools import ALL_WORDS, Rclone, Restic, RRBackup, Tool

PLAIN = RRBackup()
VERSIONED = Rclone(name="rclone, versioned bucket", versioned=True)
"""What versions cost the server can be seen beside rclone as it is."""
ENCRYPTED = RRBackup("rrbackup, all words", ALL_WORDS)
STAMPS_S = 3.0
"""So long after a change no tool doubts any more whether the file's times tell all."""

LATENCY_S = 0.02


@frozen
class Case:
    """`usual`: part of a run that names no cases."""

    name: str
    title: str
    measure: Callable[[Lab], CaseResult]
    usual: bool = True


def _firsts(tree: str, *tools: Tool) -> Callable[[Lab, str, str], CaseResult]:
    def measure(lab: Lab, name: str, title: str) -> CaseResult:
        lanes = [first(lab, tool, tree) for tool in lab.there(tools)]
        return CaseResult(name, title, tuple(measured(lab, lanes)))

    return measure


def _nothing(tree: str, *tools: Tool) -> Callable[[Lab, str, str], CaseResult]:
    def measure(lab: Lab, name: str, title: str) -> CaseResult:
        source = lab.source(tree)
        there = lab.there(tools)
        rooms = [backed_up(lab, tool, source) for tool in there]
        lanes = [again(lab, tool, tree, source, room, nothing_changed) for tool, room in zip(there, rooms, strict=True)]
        return CaseResult(name, title, tuple(measured(lab, lanes)))

    return measure


def _changed(tree: str, part: float, *tools: Tool) -> Callable[[Lab, str, str], CaseResult]:
    def measure(lab: Lab, name: str, title: str) -> CaseResult:
        source = data.copied(lab.source(tree), lab.work / "changing")
        there = lab.there(tools)
        rooms = [backed_up(lab, tool, source) for tool in there]
        lanes = [again(lab, tool, tree, source, room, committed) for tool, room in zip(there, rooms, strict=True)]

        def change(number: int) -> None:
            data.change(lab.tree(tree), source, part, number)
            time.sleep(STAMPS_S)

        return CaseResult(name, title, tuple(measured(lab, lanes, change)))

    return measure


def _restores(tree: str, *tools: Tool) -> Callable[[Lab, str, str], CaseResult]:
    def measure(lab: Lab, name: str, title: str) -> CaseResult:
        lanes = [restore(lab, tool, tree) for tool in lab.there(tools)]
        return CaseResult(name, title, tuple(measured(lab, lanes)))

    return measure


def _latency(lab: Lab, name: str, title: str) -> CaseResult:
    tools = (PLAIN, *lab.there([Rclone(32)]))
    lanes = [
        first(lab, tool, "small", name=f"{tool.name}, {1000 * delay:.0f} ms", delay_s=delay)
        for delay in (LATENCY_S, 0.0)
        for tool in tools
    ]
    found = measured(lab, lanes)
    share = max(lane.median(lambda sample: sample.proxy_cpu_s / sample.wall_s) for lane in found[: len(tools)])
    note = (
        "All through the proxy of bench/proxy.py. The lines with 0 ms, beside those of small-first, show what it costs "
        f"by itself; at 20 ms it was busy for at most {100 * share:.0f} % of the time."
    )
    return CaseResult(name, title, tuple(found), (note,), {"proxy share": share})


def _case(name: str, title: str, measure: Callable[[Lab, str, str], CaseResult], *, usual: bool = True) -> Case:
    return Case(name, title, lambda lab: measure(lab, name, title), usual)


_ALL = (
    _case("small-first", "10,000 small files, first backup", _firsts("small", PLAIN, Rclone(), VERSIONED, Restic())),
    _case(
        "small-first-encrypted",
        "10,000 small files, first backup with all three words",
        _firsts("small", ENCRYPTED, PLAIN, Restic()),
    ),
    _case("small-nothing", "10,000 small files, nothing changed", _nothing("small", PLAIN, Restic(), Rclone())),
    _case("small-changed", "10,000 small files, 1 % changed", _changed("small", 0.01, PLAIN, Restic(), Rclone())),
    _case("small-restore", "10,000 small files, restore", _restores("small", PLAIN, Rclone(), Restic())),
    _case("big-first", "8 big files, first backup", _firsts("big", PLAIN, Rclone(), Restic())),
    _case("big-first-encrypted", "8 big files, first backup with all three words", _firsts("big", ENCRYPTED, Restic())),
    _case("big-restore", "8 big files, restore", _restores("big", PLAIN, ENCRYPTED, Restic(), Rclone())),
    _case("tiny-nothing", "200,000 tiny files, nothing changed", tiny_nothing),
    _case("million-nothing", "1,000,000 made-up entries, nothing changed", million_nothing),
    _case("million-tree", "1,000,000 tiny files, nothing changed", million_tree, usual=False),
    _case("bounds", "10,000 small files, only their requests", bounds),
    _case("chain-2000", "2,000 commits, on a machine that remembers nothing", chain),
    _case("start", "Short commands, on a repository of 10 commits", start),
    _case("latency-small-first", "10,000 small files, first backup, each request 20 ms later", _latency),
)

CASES: Mapping[str, Case] = {case.name: case for case in _ALL}
