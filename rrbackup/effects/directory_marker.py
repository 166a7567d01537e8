"""The file in the root of a directory store that makes it one, and tells a store from an empty mount point."""

import json
import os
import secrets

from attrs import frozen

from rrbackup.effects.directory_files import (
    Translated,
    clear_scratch,
    keeps_names,
    locked,
    make_folders,
    sync_folder,
    write_file,
)
from rrbackup.effects.directory_layout import MARKER, path_of, segment
from rrbackup.errors import StoreMissing, UnsupportedFormat

_LAYOUT = 1
_HINT = "If it is on a disk, mount that. To make a new store there, run `rrbackup init`."


@frozen
class Volume:
    """An opened store: its root folder, and whether every segment of a key is hashed there."""

    root: bytes
    hashed: bool

    def folder(self, key: str) -> bytes:
        return path_of(self.root, key, self.hashed)

    def make_folder(self, key: str) -> bytes:
        """Call it under the lock."""
        return make_folders(self.root, [segment(text, self.hashed) for text in key.split("/")])


def open_volume(root: bytes) -> Volume:
    """Raises `StoreMissing` where there is no store, `UnsupportedFormat` for one of a later layout."""
    shown = os.fsdecode(root)
    with Translated(f"open the store {shown}"):
        content = _content(root)
    if content is None:
        raise StoreMissing(f"{shown} is no rrbackup store", hint=_HINT)
    match _parsed(content):
        case {"layout": 1, "names": "plain" | "hashed" as names}:
            return Volume(root, hashed=names == "hashed")
        case _:
            raise UnsupportedFormat(
                f"{shown}: the file {MARKER.decode()} says {content!r}, which this version does not know",
                hint="Use the version of rrbackup that wrote it, or a later one.",
            )


def create_volume(root: bytes) -> tuple[str, ...]:
    """Make the folder a store unless it is one; says what was done. What the killed left in its root is removed."""
    shown = os.fsdecode(root)
    with Translated(f"prepare the store {shown}"):
        if _content(root) is not None:
            clear_scratch(root)
            return ()
        os.makedirs(root, exist_ok=True)
        with locked(root):
            return _mark(root, shown)


def _mark(root: bytes, shown: str) -> tuple[str, ...]:
    if _content(root) is not None:
        return ()
    names = "plain" if keeps_names(root) else "hashed"
    _write_durably(root, json.dumps({"layout": _LAYOUT, "names": names}).encode())
    how = "" if names == "plain" else ", with hashed names because the volume does not tell all names apart"
    return (f"made {shown} a store{how}",)


def _write_durably(root: bytes, content: bytes) -> None:
    path = os.path.join(root, MARKER)
    temporary = path + secrets.token_hex(4).encode()
    write_file(temporary, content)
    os.rename(temporary, path)
    sync_folder(root)
    sync_folder(os.path.dirname(root))


def _content(root: bytes) -> bytes | None:
    try:
        with open(os.path.join(root, MARKER), "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
