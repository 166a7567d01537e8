"""Trees on disk for tests: making them, and looking at them without rrbackup's own scanner."""

import os
import stat
from pathlib import Path

from attrs import frozen


@frozen
class Seen:
    """What a restore must give back of one path."""

    kind: str
    mode: int = 0
    mtime_ns: int = 0
    content: bytes = b""


def look(base: Path, *, follow: bool = True) -> dict[bytes, Seen]:
    """Files, links (unless followed) and empty folders below `base`, by their raw relative path."""
    seen: dict[bytes, Seen] = {}
    root = os.fsencode(base)
    for folder, names, files in os.walk(root, followlinks=follow):
        if not names and not files and folder != root:
            seen[os.path.relpath(folder, root)] = _look_at(folder, follow)
        for name in (*files, *(n for n in names if not follow and os.path.islink(os.path.join(folder, n)))):
            path = os.path.join(folder, name)
            seen[os.path.relpath(path, root)] = _look_at(path, follow)
    return seen


def _look_at(path: bytes, follow: bool) -> Seen:
    found = os.stat(path, follow_symlinks=follow)
    mode, mtime_ns = stat.S_IMODE(found.st_mode), found.st_mtime_ns
    if stat.S_ISLNK(found.st_mode):
        return Seen("link", 0, mtime_ns, os.readlink(path))
    if stat.S_ISDIR(found.st_mode):
        return Seen("folder", mode, mtime_ns)
    with open(path, "rb") as file:
        return Seen("file", mode, mtime_ns, file.read())


def write(base: Path, tree: dict[str, bytes]) -> None:
    for name, content in tree.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


ODD_NAMES: tuple[bytes, ...] = (
    b"plain.txt",
    b"with space",
    b" leading and trailing ",
    b"new\nline",
    b"tab\there",
    b"back\\slash",
    b"per%cent",
    b"%41",
    b"%v1-deadbeef",
    b"%h",
    b"%rrbackup",
    b"latin1-\xe9\xff",
    "ünï-é́.txt".encode(),
    "\u2028\ufeff\U0001f600".encode(),
    b"\xef\xbf\xbe\xef\xbf\xbf",
    b"\x01\x02\x7f",
    b"\xc2\x85",
    b"quote'\"<&>",
    b"?#;=+*[!]{}|^`~,:@$()",
    b"-rf",
    b".hidden",
    b"..dots",
    b"n" * 255,
    b"\xff" * 255,
    b"x.versions",
    b".uploads",
    b"con.",
)


def write_odd(base: Path) -> None:
    """Files and folders with names that file systems allow and stores mangle, and a path over 1,024 bytes."""
    root = os.fsencode(base)
    for index, name in enumerate(ODD_NAMES):
        folder = os.path.join(root, b"as-folder", name)
        os.makedirs(folder)
        _put(os.path.join(folder, b"inside"), b"%d inside" % index)
        _put(os.path.join(root, name), b"%d file" % index)
    deep = os.path.join(root, b"deep", *[b"d" * 200] * 7)
    os.makedirs(deep)
    _put(os.path.join(deep, b"leaf"), b"deep leaf")
    os.makedirs(os.path.join(root, b"empty", b"folder"))


def _put(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
