"""The lanes of backups and restores of a tree: fresh ones, repeated ones, and bringing it back."""

import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.lab import Lab
from bench.lanes import Check, Lane, Run, nothing, unchecked
from bench.processes import BenchError, Ran, run
from bench.tools import Room, Tool

MANY = 1_000


def first(lab: Lab, tool: Tool, tree: str, *, name: str = "", delay_s: float | None = None) -> Lane:
    """A backup into a bucket that was empty; each run has a fresh one."""
    source = lab.source(tree)

    def begin(endpoint: str) -> Run:
        room = lab.room(tool)
        tool.prepare(room)
        return Run(tool.back_up(room, source, endpoint), tidy=lambda: lab.leave(room))

    return Lane(name or tool.name, begin, lab.tree(tree).files, delay_s)


def backed_up(lab: Lab, tool: Tool, source: Path) -> Room:
    """A room in which the tool has backed up the tree once."""
    lab.setting.say(f"  {tool.name}: a first backup, not measured")
    room = lab.room(tool)
    tool.prepare(room)
    run(tool.back_up(room, source, lab.server.endpoint))
    return room


def again(lab: Lab, tool: Tool, tree: str, source: Path, room: Room, check: Check = unchecked) -> Lane:
    """Another backup where there has been one."""

    def begin(endpoint: str) -> Run:
        return Run(tool.back_up(room, source, endpoint), check if tool.program == "rrbackup" else unchecked)

    return Lane(tool.name, begin, lab.tree(tree).files)


def restore(lab: Lab, tool: Tool, tree: str) -> Lane:
    """Into an empty folder. Names and sizes are compared each time, contents once.

    Many files that were restored stay until the case is over: ext4 looks for other inodes than those that were freed a
    short time ago, and that search would be most of what the next run is measured by. Big ones go at once: the next run
    then has the memory that they took of the page cache. Memory that nobody has used yet may have to be had from a
    hypervisor, at a second or more for a gigabyte, and that would fall on some of the runs only.
    """
    source = lab.source(tree)
    room = backed_up(lab, tool, source)
    stays = lab.tree(tree).files > MANY

    def begin(endpoint: str) -> Run:
        target = lab.folder("restored")

        def check(_: Ran, thorough: bool) -> None:
            compare(source, tool.restored(target, source), contents=thorough)

        return Run(tool.restore(room, target, endpoint), check, nothing if stays else partial(shutil.rmtree, target))

    return Lane(tool.name, begin, lab.tree(tree).files)


def compare(source: Path, found: Path, *, contents: bool) -> None:
    """Raises BenchError where the trees differ."""
    wanted, there = dict(files_of(source)), dict(files_of(found))
    if wanted != there:
        raise BenchError(f"{len(wanted)} files were to be restored, {len(wanted.items() & there.items())} are right")
    if contents:
        _, wrong, failed = filecmp.cmpfiles(source, found, list(wanted), shallow=False)
        if wrong or failed:
            raise BenchError(f"{len(wrong) + len(failed)} restored files have another content")


def files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Relative paths and sizes."""
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            yield str(path.relative_to(folder)), path.stat().st_size


def nothing_changed(ran: Ran, _: bool) -> None:
    """Raises BenchError where rrbackup has committed something."""
    document = _document(ran)
    if document["version_id"] is not None:
        raise BenchError(f"a backup was to find nothing changed, but says: {document}")


def committed(ran: Ran, _: bool) -> None:
    document = _document(ran)
    if document["version_id"] is None:
        raise BenchError(f"a backup was to find changes, but says: {document}")


def _document(ran: Ran) -> dict[str, object]:
    document = json.loads(ran.output)
    assert isinstance(document, dict)
    return document
