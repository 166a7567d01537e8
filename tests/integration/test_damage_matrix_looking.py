"""The damage matrix of the commands that look into the history, read one file, copy it elsewhere or change little.

As in the matrix of the others, `EXPECTED` says how each command ends. Of every run is required as well: what a command
that ends well says is what it says without damage, a copy holds nothing that was never committed, and what only looks
changes nothing.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.damage import HARMS
from tests.format1_repositories import contents
from tests.integration import matrix_work
from tests.integration.matrix_work import (
    COMMITS,
    FOLDERS,
    NEW_PASSWORD,
    UNHARMED,
    Made,
    Ran,
    Run,
    bench_of,
    file_of,
    files_in,
    judge_ending,
    texts,
)

LOOKING = (
    *("cat latest FILE", "list_changes latest", "find *f", "history FILE", "diff latest~1", "stats", "explain FILE"),
    *("backup --dry-run", "copy --to TO --dry-run"),
)
COMMANDS = (*LOOKING, "copy --to TO", "clean_gc_log", "change_password --new-password-file NEW")

_FILE = {
    "deleted": "1 0 0 0 0 0 0 0 0 1 0 0",
    "truncated": "1 0 0 0 0 0 0 0 0 1 0 0",
    "a bit flipped": "1 0 0 0 0 0 0 0 0 1 0 0",
    "swapped": "1 0 0 0 0 0 0 0 0 1 0 0",
    "an older one on top": "0 0 0 0 0 0 0 0 0 0 0 0",
}
EXPECTED: dict[str, dict[str, str]] = {
    **{f"{name} file": _FILE for name in FOLDERS},
    "newest diff": {
        "deleted": "1 1 1 1 1 1 1 1 1 1 1 0",
        "truncated": "1 1 1 1 1 1 1 0 1 1 1 0",
        "a bit flipped": "1 1 1 1 1 1 1 0 1 1 1 0",
        "swapped": "1 1 1 1 1 1 1 0 1 1 11 0",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1 1 0",
    },
    "old diff": {
        "deleted": "0 0 1 1 0 1 0 0 1 1 0 0",
        "truncated": "0 0 1 1 0 1 0 0 1 1 1 0",
        "a bit flipped": "0 0 1 1 0 1 0 0 1 1 1 0",
        "swapped": "0 0 1 1 0 1 0 0 1 1 0 0",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1 1 0",
    },
    "checkpoint": {
        "deleted": "0 0 0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 0 0 0 0 0 0 0",
        "a bit flipped": "0 0 0 0 0 0 0 0 0 0 0 0",
        "swapped": "1 1 1 1 1 1 1 0 1 1 1 0",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0 0 0",
    },
    "claim": {
        "deleted": "0 0 0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 0 0 0 0 0 1 0",
        "a bit flipped": "0 0 0 0 0 0 0 0 0 0 0 0",
        "swapped": "0 0 0 0 0 0 0 0 0 0 1 0",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0 0 0",
    },
    "garbage list": {
        "deleted": "0 0 0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 0 0 0 0 0 1 0",
        "a bit flipped": "0 0 0 0 0 0 0 0 0 0 1 0",
        "swapped": "0 0 0 0 0 0 0 0 0 0 1 0",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0 0 0",
    },
    "salt": {
        "deleted": "12 12 12 12 12 12 12 12 12 12 12 12",
        "truncated": "1 1 1 1 1 1 1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1 1 1 1 1 1 1",
        "swapped": "12 12 12 12 12 12 12 12 12 12 12 12",
        "an older one on top": "12 12 12 12 12 12 12 12 12 12 12 12",
    },
}
"""The exit codes of `COMMANDS`, in this order, for each kind of object and each harm."""

KINDS = tuple(EXPECTED)
made, run = matrix_work.made, matrix_work.run


def judge(made: Made, kind: str, harm: str, command: str, ran: Ran, sound: Ran) -> None:
    """`sound` is the same command without damage."""
    judge_ending(made, kind, harm, ran)
    if command in LOOKING:
        assert contents(ran.memory) == ran.before
        assert ran.code != 0 or ran.out == sound.out
    if command.startswith("cat"):
        assert made.tree[file_of(kind)[1:].encode()].content.decode().startswith(ran.out)
    if command == "copy --to TO":
        judge_copied(made, ran)
    if command.startswith("change_password") and ran.code == 0:
        salts = bench_of(ran.bench.base.parent, ran.memory, NEW_PASSWORD).open().salt_versions()
        assert any(salt.current and salt.opens for salt in salts)


def judge_copied(made: Made, ran: Ran) -> None:
    """What was copied comes back as it was committed, or is told to be missing; all of it, if the copy says so."""
    with ran.copied.open() as repository:
        commits = repository.list_versions() if contents(repository._client.store) else []
        assert ran.code != 0 or len(commits) == COMMITS
        for commit in commits:
            turn = made.created.index(commit.created_ns) + 1
            target = ran.target / str(turn)
            problems = {problem.path for problem in repository.download(commit.version_id, target).problems}
            restored = {path.decode(): seen.content for path, seen in files_in(target).items()}
            assert restored.items() <= texts(turn).items()
            assert {f"/{path}" for path in texts(turn).keys() - restored.keys()} == problems
            assert ran.code != 0 or not problems


def codes(kind: str, harm: str) -> dict[str, int]:
    return dict(zip(COMMANDS, map(int, EXPECTED[kind][harm].split()), strict=True))


def cells() -> Iterator[Any]:
    """All; in every run half of the damages, each under one command, and every command twice."""
    for i, kind in enumerate(KINDS):
        for j, harm in enumerate(HARMS):
            for k, command in enumerate(COMMANDS):
                quick = (i + j) % 2 == 0 and k == 5 * ((i * len(HARMS) + j) // 2) % len(COMMANDS)
                yield pytest.param(kind, harm, command, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize(("kind", "harm", "command"), list(cells()))
def test_damage_is_found_and_named_or_what_is_said_is_true(
    kind: str, harm: str, command: str, made: Made, run: Run
) -> None:
    sound, ran = run(kind, UNHARMED, command), run(kind, harm, command)
    assert sound.code == 0, sound.out + sound.said
    judge(made, kind, harm, command, ran, sound)
    assert ran.code == codes(kind, harm)[command], ran.out + ran.said
