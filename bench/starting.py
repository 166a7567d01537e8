"""The cases of short commands: a long history on a fresh machine, and how long it takes to start at all."""

import shutil
import sys
from itertools import pairwise
from pathlib import Path

from attrs import evolve

from bench.lab import Lab
from bench.lanes import Lane, Run, counted, measured
from bench.processes import Command, run
from bench.results import CaseResult
from bench.tools import Room, RRBackup, python_command, rrbackup_command

PLAIN = RRBackup()
POINTS = 20
"""At so many lengths of the history the requests are counted."""

LIST_FILES, LIST_VERSIONS, DOWNLOAD = "list_files latest", "list_versions", "download latest"


def _base(room: Room) -> Path:
    return room.folder / "base"


def _with_commits(lab: Lab) -> Room:
    """A room whose repository has no commits yet."""
    room = lab.room(PLAIN)
    PLAIN.prepare(room)
    _base(room).mkdir()
    PLAIN.configure(room, _base(room), lab.server.endpoint, follow_symlinks=False)
    return room


def _commit(room: Room, first: int, last: int) -> None:
    run(python_command("bench.history", str(PLAIN.configuration(room)), str(first), str(last)))


def chain(lab: Lab, name: str, title: str) -> CaseResult:
    room = _with_commits(lab)
    commits = 100 if lab.setting.quick else 2_000
    listing = _fresh(lab, room, LIST_FILES, "list_files", "latest")
    facts: dict[str, float] = {}
    for first, last in pairwise((0, *lengths(commits))):
        _commit(room, first, last)
        facts[f"requests at {last}"] = counted(lab, listing).total
    lanes = [listing, _fresh(lab, room, LIST_VERSIONS, "list_versions"), _restored(lab, room)]
    found = measured(lab, lanes)
    return CaseResult(name, title, tuple(found), (_told(facts),), {**facts, GROWTH: growth([*facts.values()])})


def lengths(commits: int) -> list[int]:
    """Where requests are counted: spread evenly, but not in step with anything that happens every so many commits."""
    step = commits // POINTS
    return [step * number - number * 37 % 100 * step // 200 for number in range(1, POINTS)] + [commits]


GROWTH = "growth"


def growth(requests: list[float]) -> float:
    """The mean of the later half over that of the earlier one: about 3 where requests grow with the commits."""
    middle = len(requests) // 2
    return (sum(requests[middle:]) / len(requests[middle:])) / (sum(requests[:middle]) / middle)


def _told(facts: dict[str, float]) -> str:
    numbers = ", ".join(f"{requests:.0f}" for requests in facts.values())
    return f"Requests of list_files at {len(facts)} lengths of the history, from short to long: {numbers}."


def _fresh(lab: Lab, room: Room, name: str, *words: str) -> Lane:
    """A command on a machine that has nothing but the configuration."""

    def begin(endpoint: str) -> Run:
        new = evolve(room, folder=lab.folder("fresh"))
        PLAIN.configure(new, new.folder / "no-tree", endpoint)
        return Run(PLAIN.command(new, *words), tidy=lambda: shutil.rmtree(new.folder))

    return Lane(name, begin)


def _restored(lab: Lab, room: Room) -> Lane:
    def begin(endpoint: str) -> Run:
        new = evolve(room, folder=lab.folder("fresh"))
        return Run(PLAIN.restore(new, new.folder / "restored", endpoint), tidy=lambda: shutil.rmtree(new.folder))

    return Lane(DOWNLOAD, begin)


HELP, PYTHON = "rrbackup -h", "python -c pass"


def start(lab: Lab, name: str, title: str) -> CaseResult:
    room = _with_commits(lab)
    _commit(room, 0, 10)

    def listing(endpoint: str) -> Run:
        PLAIN.configure(room, _base(room), endpoint)
        return Run(PLAIN.command(room, "list_versions"))

    python = Command((sys.executable, "-c", "pass"))
    lanes = [
        Lane(HELP, lambda _: Run(rrbackup_command("-h")), local=True),
        Lane(LIST_VERSIONS, listing),
        Lane(PYTHON, lambda _: Run(python), local=True),
    ]
    return CaseResult(name, title, tuple(measured(lab, lanes)))
