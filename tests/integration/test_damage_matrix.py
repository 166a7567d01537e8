"""Every kind of object, damaged in every way, under every command: it is found and named, or nothing is affected.

`EXPECTED` says how each command ends. Whatever it says, of every run it is required: no bug, no exit code without a
word that names the object or its path, nothing restored that is not what was committed, and no version deleted that a
commit refers to.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.damage import HARMS
from tests.format1_repositories import contents
from tests.integration import matrix_work
from tests.integration.matrix_work import FOLDERS, UNHARMED, Made, Ran, Run, files_in, judge_ending
from tests.integration.trees import Seen, look

COMMANDS = (
    *("list_versions", "list_files latest", "download latest OUT", "verify", "verify --read-data"),
    *("backup", "garbage_collect", "repair", "doctor", "heal --read-data"),
)

_FILE = {
    "deleted": "0 0 3 1 1 0 0 0 0 0",
    "truncated": "0 0 3 1 1 0 0 0 0 0",
    "a bit flipped": "0 0 3 0 1 0 0 0 0 0",
    "swapped": "0 0 3 1 1 0 0 0 0 0",
    "an older one on top": "0 0 0 0 0 0 0 0 0 0",
}
EXPECTED: dict[str, dict[str, str]] = {
    **{f"{name} file": _FILE for name in FOLDERS},
    "newest diff": {
        "deleted": "1 1 1 1 1 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1 1 1 1 1",
        "swapped": "1 1 1 1 1 1 11 1 1 1",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1",
    },
    "old diff": {
        "deleted": "1 0 0 1 1 0 0 1 1 0",
        "truncated": "1 0 0 1 1 0 1 1 1 0",
        "a bit flipped": "1 0 0 1 1 0 1 1 1 0",
        "swapped": "1 0 0 1 1 0 0 1 1 0",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1",
    },
    "checkpoint": {
        "deleted": "0 0 0 1 1 0 0 0 0 0",
        "truncated": "0 0 0 1 1 0 0 0 0 0",
        "a bit flipped": "0 0 0 1 1 0 0 0 0 0",
        "swapped": "1 1 1 1 1 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "claim": {
        "deleted": "0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 1 1 0 1 1",
        "a bit flipped": "0 0 0 0 0 0 0 0 0 0",
        "swapped": "0 0 0 0 0 1 1 0 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "garbage list": {
        "deleted": "0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 0 0 0 1 0",
        "a bit flipped": "0 0 0 0 0 0 0 0 1 0",
        "swapped": "0 0 0 0 0 1 1 0 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "salt": {
        "deleted": "12 12 12 12 12 12 12 0 1 12",
        "truncated": "1 1 1 1 1 1 1 0 1 1",
        "a bit flipped": "1 1 1 1 1 1 1 0 1 1",
        "swapped": "12 12 12 12 12 12 12 0 1 12",
        "an older one on top": "12 12 12 12 12 12 12 0 1 12",
    },
}
"""The exit codes of `COMMANDS`, in this order, for each kind of object and each harm."""

KINDS = tuple(EXPECTED)
made, run = matrix_work.made, matrix_work.run


def judge(made: Made, kind: str, harm: str, command: str, ran: Ran) -> None:
    judge_ending(made, kind, harm, ran)
    if command.startswith("download"):
        judge_restored(made.tree, ran.target, ran.document, ran.code)
    elif command in ("backup", "heal --read-data") and ran.code in (0, 3):
        judge_committed(made, ran)


def judge_restored(tree: dict[bytes, Seen], target: Path, document: Any, code: int) -> None:
    """Everything that was restored is right, and what was not is named."""
    restored = files_in(target)
    assert {path: seen for path, seen in restored.items() if tree.get(path) != seen} == {}
    if code in (0, 3):
        named = {problem["path"] for problem in document["problems"]}
        assert {f"/{path.decode()}" for path in tree.keys() - restored.keys()} == named
        assert (code == 0) is (named == set())


def judge_committed(made: Made, ran: Ran) -> None:
    """What the newest commit holds is what is on disk, as far as it comes back."""
    target = ran.target.with_name("after")
    problems = ran.bench.open().download("latest", target).problems
    disk = look(ran.bench.base)
    restored = files_in(target)
    assert {path: seen for path, seen in restored.items() if disk.get(path) != seen} == {}
    paths = {entry.path for entry in ran.bench.open().list_files()}
    assert {f"/{path.decode()}" for path in restored} == paths - {problem.path for problem in problems}


# --- the matrix ----------------------------------------------------------------------------------------------------


def codes(kind: str, harm: str) -> dict[str, int]:
    return dict(zip(COMMANDS, map(int, EXPECTED[kind][harm].split()), strict=True))


def cells() -> Iterator[Any]:
    """All; those of a diagonal in every run."""
    for i, kind in enumerate(KINDS):
        for j, harm in enumerate(HARMS):
            for k, command in enumerate(COMMANDS):
                quick = k == (3 * i + 2 * j) % len(COMMANDS)
                yield pytest.param(kind, harm, command, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize(("kind", "harm", "command"), list(cells()))
def test_damage_is_found_and_named_or_affects_nothing(kind: str, harm: str, command: str, made: Made, run: Run) -> None:
    ran = run(kind, harm, command)
    judge(made, kind, harm, command, ran)
    assert ran.code == codes(kind, harm)[command], ran.out


def test_nothing_is_committed_on_top_of_a_diff_that_is_damaged(made: Made, run: Run) -> None:
    """Although the client knows that diff, and would not have to read it."""
    ran = run("newest diff", "a bit flipped", "backup")
    assert (ran.code, ran.document["error"]["type"]) == (1, "DamagedObject")
    assert "repair" in ran.document["error"]["hint"]
    assert contents(ran.memory) == ran.before


@pytest.mark.parametrize("command", COMMANDS)
def test_without_damage_every_command_ends_well(command: str, made: Made, run: Run) -> None:
    ran = run("claim", UNHARMED, command)
    judge(made, "claim", UNHARMED, command, ran)
    assert ran.code == 0, ran.out
