"""The folders of the clients in long histories: edits as people make them, and what a backup must find.

The tree is read back from the disk here without rrbackup's own scanner. A link that leads nowhere stands for whatever
cannot be read: its path, and what lay below it, must stay as it was committed last.
"""

import os
import random
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from attrs import frozen

NAMES = ("a", "b.x", "d", "d/e", "d/f.x", "ü 50%")
CONTENTS: Mapping[str, bytes] = {
    "nothing": b"",
    "one": b"1",
    "two": b"2",
    "text": b"text that shrinks " * 30,
    "noise": random.Random(7).randbytes(300),
    "parts": random.Random(8).randbytes(9_000),
}
"""The last one is sent in several parts by a store with the threshold of these histories."""

PARTS_FROM = 4_096
UNRECORDED = -1
"""The mode of what rrbackup 1.0 wrote."""


@frozen
class Seen:
    """What a restore must give back of one path."""

    kind: str
    content: bytes
    mode: int
    mtime_ns: int

    @property
    def facts(self) -> tuple[str, str, int, int]:
        """What an entry records of it: kind, digest, mode and time."""
        return self.kind, sha256(self.content).hexdigest() if self.kind == "file" else "", self.mode, self.mtime_ns

    def restored_as(self, other: "Seen") -> bool:
        mode = other.mode if self.mode == UNRECORDED else self.mode
        return (self.kind, self.content, mode, self.mtime_ns) == (
            other.kind,
            other.content,
            other.mode,
            other.mtime_ns,
        )


Tree = Mapping[str, Seen]
"""By path text."""


@frozen
class Look:
    """Files and empty folders, and the paths that cannot be read."""

    tree: Tree
    unread: frozenset[str]

    def committed(self, before: Tree) -> Tree:
        """What a commit on top of `before` must record."""
        kept = {path: seen for path, seen in before.items() if not self.unread.isdisjoint(_path_and_above(path))}
        return {**kept, **self.tree}

    @property
    def bare(self) -> bool:
        return not self.tree and not self.unread


def _path_and_above(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:length]) for length in range(2, len(parts) + 1)}


def path_text(name: str) -> str:
    """For the few names that occur here."""
    return "/" + name.replace("%", "%25")


def look(base: Path) -> Look:
    tree: dict[str, Seen] = {}
    unread: set[str] = set()
    for folder, folders, files in os.walk(base):
        if not folders and not files and Path(folder) != base:
            tree[_text(base, folder)] = _seen(Path(folder), "folder")
        for name in files:
            place = Path(folder, name)
            if place.is_symlink():
                unread.add(_text(base, place))
            else:
                tree[_text(base, place)] = _seen(place, "file")
    return Look(tree, frozenset(unread))


def _text(base: Path, place: str | Path) -> str:
    return path_text(os.path.relpath(place, base))


def _seen(place: Path, kind: str) -> Seen:
    found = place.stat()
    return Seen(kind, place.read_bytes() if kind == "file" else b"", found.st_mode & 0o777, found.st_mtime_ns)


class Disk:
    """A base folder. Every edit that can be made is; each gives a time of its own."""

    def __init__(self, base: Path) -> None:
        base.mkdir(parents=True)
        self.base = base
        self.edits = 0

    def edit(self, what: str, name: str, other: str, content: str) -> bool:
        """Whether anything could be done."""
        place, target = self.base / name, self.base / other
        if what in ("write", "folder", "break"):
            self._make(what, place, CONTENTS[content])
        elif what == "clear":
            for child in list(self.base.iterdir()):
                _remove(child)
        elif not place.exists() or place.is_symlink() or not self._change(what, place, target):
            return False
        self.edits += 1
        return True

    def _make(self, what: str, place: Path, content: bytes) -> None:
        self._clear(place)
        if what == "write":
            place.write_bytes(content)
            place.chmod(0o644)
        elif what == "folder":
            place.mkdir()
            place.chmod(0o755)
        else:
            place.symlink_to("nowhere")
        self._stamp(place)

    def _change(self, what: str, place: Path, target: Path) -> bool:
        if what == "remove":
            _remove(place)
        elif what == "touch":
            self._stamp(place)
        elif what == "chmod":
            place.chmod(place.stat().st_mode & 0o777 ^ 0o044)
        elif target == place or place in target.parents or target in place.parents:
            return False
        elif what == "rename":
            self._clear(target)
            place.rename(target)
        else:
            self._clear(target)
            _copy(place, target)
        return True

    def _clear(self, place: Path) -> None:
        """Nothing is left at a place, and its folder is one."""
        parent = place.parent
        if parent != self.base and not (parent.is_dir() and not parent.is_symlink()):
            _remove(parent)
            parent.mkdir()
        _remove(place)

    def _stamp(self, place: Path) -> None:
        self.edits += 1
        seconds = 1_600_000_000 + self.edits
        os.utime(place, (seconds, seconds), follow_symlinks=False)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _copy(place: Path, target: Path) -> None:
    if place.is_dir():
        shutil.copytree(place, target, symlinks=True)
    else:
        shutil.copy2(place, target)
