"""The trees that are backed up, the same on every machine: names, sizes, contents and times come from a seed.

A tree is made once and kept in the work folder; nobody changes it there. What changes, changes in a copy.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from attrs import frozen

SEED = 2026
MTIME_S = 1_700_000_000
"""Well in the past, as most files of a backup are."""

_WORDS = b"time level request path status user session bytes from to error warning info cache index commit backup"


@frozen
class Tree:
    """A kind of tree in a size. `sizes` are drawn by `kind`: see `_sizes`."""

    name: str
    kind: str
    files: int
    size: int
    folders: int


FULL = {
    "small": Tree("small", "varied", 10_000, 105_000_000, 200),
    "big": Tree("big", "big", 8, 893_000_000, 1),
    "tiny": Tree("tiny", "tiny", 200_000, 20_000_000, 2_000),
    "million": Tree("million", "tiny", 1_000_000, 100_000_000, 10_000),
}

QUICK = {
    "small": Tree("quick-small", "varied", 200, 2_000_000, 10),
    "big": Tree("quick-big", "big", 8, 30_000_000, 1),
    "tiny": Tree("quick-tiny", "tiny", 1_000, 100_000, 20),
    "million": Tree("quick-million", "tiny", 2_000, 200_000, 40),
}


def sizes(tree: Tree) -> list[int]:
    """The sizes of the files, with `tree.size` as their sum: log-normal, or nearly all alike."""
    random = Random(SEED)
    spread = {"varied": 1.2, "big": 0.4, "tiny": 0.2}[tree.kind]
    drawn = [random.lognormvariate(0, spread) for _ in range(tree.files)]
    scale = tree.size / sum(drawn)
    found = [max(1, int(size * scale)) for size in drawn]
    largest = found.index(max(found))
    found[largest] += tree.size - sum(found)
    return found


def paths(tree: Tree) -> Iterator[str]:
    for number in range(tree.files):
        folder = number % tree.folders
        yield f"f{folder // 100:03}/d{folder % 100:02}/file-{number:07}"


def content(number: int, size: int) -> Iterator[bytes]:
    """Every second file is lines of text, which shrink to about a third; the others do not shrink. No two are equal."""
    random = Random(SEED * 1_000_003 + number)
    if number % 2:
        block = _text(random, min(size, 1 << 20))
        yield from _repeated(block, size, random)
        return
    for start in range(0, size, 1 << 20):
        yield random.randbytes(min(1 << 20, size - start))


def _text(random: Random, size: int) -> bytes:
    words = _WORDS.split()
    lines: list[bytes] = []
    length = 0
    while length < size:
        line = b"%s %d %s=%08x\n" % (
            random.choice(words),
            random.randrange(10**6),
            random.choice(words),
            random.getrandbits(32),
        )
        lines.append(line)
        length += len(line)
    return b"".join(lines)


def _repeated(block: bytes, size: int, random: Random) -> Iterator[bytes]:
    """The block again and again, each time under a key of its own, so that no two pieces of a file are equal."""
    written = 0
    while written < size:
        piece = (b"%016x\n" % random.getrandbits(64) + block.translate(_shifted(random)))[: size - written]
        written += len(piece)
        yield piece


def _shifted(random: Random) -> bytes:
    letters = bytearray(range(97, 123))
    random.shuffle(letters)
    return bytes.maketrans(bytes(range(97, 123)), bytes(letters))


def made(tree: Tree, cache: Path) -> Path:
    """The folder of the tree, written now unless an earlier run has."""
    folder = cache / f"{tree.name}-{SEED}"
    if not folder.exists():
        unfinished = cache / f"{folder.name}.{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(tree, unfinished)
        unfinished.rename(folder)
    return folder


def _write(tree: Tree, folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, (path, size) in enumerate(zip(paths(tree), sizes(tree), strict=True)):
        file = folder / path
        if number < tree.folders:
            file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            opened.writelines(content(number, size))
        os.utime(file, (MTIME_S + number, MTIME_S + number))
    os.sync()


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target


def change(tree: Tree, folder: Path, part: float, seed: int) -> int:
    """Overwrite the beginning of so many of the files, keeping their sizes; how many that were."""
    chosen = Random(f"{SEED} {seed}").sample(list(paths(tree)), max(1, int(tree.files * part)))
    for path in chosen:
        with (folder / path).open("r+b") as file:
            file.write(json.dumps([seed, path]).encode()[: (folder / path).stat().st_size])
    return len(chosen)
