"""The cases, by name. Each is a function from a lab to what was measured."""

import time
from collections.abc import Callable, Mapping

from attrs import frozen

from bench import data
from bench.backups import again, backed_up, committed, first, nothing_changed, restore
from bench.lab import Lab
from bench.lanes import measured
from bench.results import CaseResult
from bench.tools import ALL_WORDS, Rclone, Restic, RRBackup, Tool

PLAIN = RRBackup()
ENCRYPTED = RRBackup("rrbackup, all words", ALL_WORDS)
STAMPS_S = 3.0
"""So long after a change no tool doubts any more whether the file's times tell all."""


@frozen
class Case:
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


def _case(name: str, title: str, measure: Callable[[Lab, str, str], CaseResult]) -> Case:
    return Case(name, title, lambda lab: measure(lab, name, title))


_ALL = (
    _case("small-first", "10,000 small files, first backup", _firsts("small", PLAIN, Rclone(), Restic())),
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
)

CASES: Mapping[str, Case] = {case.name: case for case in _ALL}
