"""The cases of many files with nothing changed: on a tree, and with made-up entries."""

import json
from pathlib import Path

from bench.backups import again, backed_up, nothing_changed
from bench.lab import Lab
from bench.lanes import Lane, Run, measured
from bench.processes import Command, run
from bench.results import CaseResult
from bench.tools import Restic, Room, RRBackup, python_command

PLAIN = RRBackup()
FEW, MANY = "200,000 entries", "1,000,000 entries"
"""The names of the lanes, whatever the sizes in a quick run."""


def tiny_nothing(lab: Lab, name: str, title: str) -> CaseResult:
    return _on_a_tree(lab, name, title, "tiny", peers=True)


def million_tree(lab: Lab, name: str, title: str) -> CaseResult:
    return _on_a_tree(lab, name, title, "million", peers=False)


def _on_a_tree(lab: Lab, name: str, title: str, tree: str, *, peers: bool) -> CaseResult:
    source = lab.source(tree)
    lanes = [again(lab, PLAIN, tree, source, _remembering(lab, source), nothing_changed), _find(source)]
    others = lab.there([Restic()] if peers else [])
    lanes += [again(lab, tool, tree, source, backed_up(lab, tool, source)) for tool in others]
    notes = (
        "rrbackup's local manifest was written without uploading the files (bench/generated.py); restic's first backup "
        "was a real one.",
    )
    return CaseResult(name, title, tuple(measured(lab, lanes)), notes)


def _remembering(lab: Lab, source: Path) -> Room:
    """A room in which a commit of one file is the head, and the tree is what is remembered of it."""
    room = lab.room(PLAIN)
    PLAIN.prepare(room)
    one = room.folder / "one"
    one.mkdir()
    (one / "file").write_text("one\n")
    PLAIN.configure(room, one, lab.server.endpoint)
    run(python_command("bench.generated", "tree", str(PLAIN.configuration(room)), str(source)))
    return room


def _find(source: Path) -> Lane:
    command = Command(("find", str(source), "-printf", r"%p %s %T@ %C@ %i %m\n"))
    return Lane("find -printf", lambda _: Run(command), local=True)


def million_nothing(lab: Lab, name: str, title: str) -> CaseResult:
    few, many = (1_000, 5_000) if lab.setting.quick else (200_000, 1_000_000)
    lanes = [
        _made_up(lab, FEW, few),
        _made_up(lab, MANY, many),
        _local("their scan alone", python_command("bench.generated", "scan", str(many)), many),
    ]
    notes = (
        "The whole backup but for the scan, whose entries are made up, and the uploads, of which there are none; the "
        "store is a folder. The last line is what making up the entries takes, which is part of the line above.",
    )
    return CaseResult(name, title, tuple(measured(lab, lanes)), notes)


def _made_up(lab: Lab, name: str, count: int) -> Lane:
    folder = lab.folder("made-up")
    base, configuration = folder / "base", folder / "configuration.json"
    base.mkdir()
    (base / "one").write_text("one\n")
    settings = {
        "base_path": str(base),
        "local_manifest_file": str(folder / "manifest"),
        "local_lock_file": str(folder / "lock"),
        "directory": {"path": str(folder / "store")},
    }
    configuration.write_text(json.dumps(settings))
    run(python_command("bench.generated", "entries", str(configuration), str(count)))
    return _local(name, python_command("bench.generated", "nothing", str(configuration), str(count)), count)


def _local(name: str, command: Command, items: int) -> Lane:
    return Lane(name, lambda _: Run(command), items, local=True)
