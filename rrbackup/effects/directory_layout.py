"""Where a directory store keeps what: keys to folders, versions to file names, and back.

A key is a folder, its segments are nested folders, and the files in the key's folder are its versions:

- `%v<n>-<8 hex>`: a version; `<n>-<8 hex>` is its version id. n counts up per key; the random half makes sure that
  an id is never used again, also when the newest version was deleted.
- `%d<n>-<8 hex>`: a delete marker.  `%m<n>-<8 hex>`: the user metadata of that version, JSON.
- `%t<16 hex>`: an unfinished upload; `%t<16 hex>m`: its metadata to be.
- `%l<sha256>`: the folder of a segment whose name the volume cannot keep; its file `%name` holds the real one.

An escaped path has upper-case hexadecimal digits after every `%`, so no segment of a key looks like these.
Names are bytes here, because what the locale says about file names must not change where an object is found.
"""

import hashlib
import heapq
import os
import re
from collections.abc import Iterator

from attrs import frozen

from rrbackup.errors import UsageError
from rrbackup.pure.model import VersionId

MARKER = b"%rrbackup"
NAME = b"%name"
MAX_PLAIN_SEGMENT = 200

_RESERVED = re.compile(r"%[vdtmlnr]")
_VERSION_FILE = re.compile(rb"%([vd])((\d+)-[0-9a-f]{8})")
_UPLOAD_FILE = re.compile(rb"%t([0-9a-f]{16})")
_SCRATCH = re.compile(rb"%t[0-9a-z_]{8}|%rrbackup[0-9a-f]{8}")
_LEFTOVER = re.compile(rb"%name|%m\d+-[0-9a-f]{8}|%t[0-9a-f]{16}m")
_VERSION_ID = re.compile(r"\d+-[0-9a-f]{8}", re.ASCII)
_UPLOAD_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


@frozen
class Segment:
    """One segment of a key: its text, and the name of its folder."""

    text: str
    stored: bytes

    @property
    def renamed(self) -> bool:
        return self.stored != self.text.encode()


@frozen
class Held:
    """A version or delete marker, known by its file name alone."""

    number: int
    version_id: VersionId
    marker: bool

    @property
    def file(self) -> bytes:
        return (b"%d" if self.marker else b"%v") + self.version_id.encode()

    @property
    def etag(self) -> str:
        return f'"{self.version_id}"'


@frozen
class Folder:
    """What lies in one folder: versions newest first, ids of unfinished uploads, folders of longer keys."""

    path: bytes
    versions: tuple[Held, ...]
    uploads: tuple[str, ...]
    children: tuple[tuple[str, bytes], ...]


def segment(text: str, hashed: bool) -> Segment:
    """Raises `UsageError` for a text that would lead elsewhere, or that the layout uses itself."""
    if text in ("", ".", ".."):
        raise UsageError(f"{text!r} cannot be a key segment in the directory store")
    if _RESERVED.match(text):
        raise UsageError(f"key segment {text!r} begins with {text[:2]!r}, which the directory store uses itself")
    plain = text.encode()
    if hashed or len(plain) > MAX_PLAIN_SEGMENT:
        return Segment(text, b"%l" + hashlib.sha256(plain).hexdigest().encode())
    return Segment(text, plain)


def path_of(root: bytes, key: str, hashed: bool) -> bytes:
    """The folder of a key."""
    return os.path.join(root, *(segment(text, hashed).stored for text in key.split("/")))


def version_file(version_id: str, kind: bytes = b"%v") -> bytes | None:
    """The file name of a version id, or None for a text that cannot be one."""
    return kind + version_id.encode() if _VERSION_ID.fullmatch(version_id) else None


def upload_file(upload_id: str) -> bytes | None:
    return b"%t" + upload_id.encode() if _UPLOAD_ID.fullmatch(upload_id) else None


def metadata_file(version_id: str) -> bytes:
    return b"%m" + version_id.encode()


def is_leftover(name: bytes) -> bool:
    """Whether a file has no meaning without a version or an upload beside it."""
    return _LEFTOVER.fullmatch(name) is not None


def is_scratch(name: bytes) -> bool:
    """Whether a file in the root was made to try the volume, to read its clock, or to become the marker."""
    return _SCRATCH.fullmatch(name) is not None


def look(path: bytes) -> Folder:
    """What lies in a folder; an absent one is empty."""
    try:
        with os.scandir(path) as found:
            entries = [(entry.name, entry.is_dir()) for entry in found]
    except (FileNotFoundError, NotADirectoryError):
        entries = []
    files = [name for name, is_folder in entries if not is_folder]
    return Folder(
        path,
        versions=tuple(sorted(_versions(files), key=lambda held: held.number, reverse=True)),
        uploads=tuple(match[1].decode() for name in files if (match := _UPLOAD_FILE.fullmatch(name))),
        children=tuple(_children(path, (name for name, is_folder in entries if is_folder))),
    )


def walk(parent: Folder, before: str, beginning: str = "") -> Iterator[tuple[str, Folder]]:
    """Every key below a folder with the folder of its own, keys ascending by their UTF-8 bytes.

    `before` stands before the names of the children, which must begin with `beginning`. A key `a` comes before
    `a-b`, and that before `a/b`; so a folder waits twice in the queue, for itself and for what is below it.
    """
    waiting: list[tuple[bytes, str, bytes, Folder | None]] = [
        (text.encode(), text, path, None) for text, path in parent.children if text.startswith(beginning)
    ]
    heapq.heapify(waiting)
    while waiting:
        order, text, path, seen = heapq.heappop(waiting)
        if seen is not None:
            yield from walk(seen, f"{before}{text}/")
            continue
        folder = look(path)
        yield before + text, folder
        if folder.children:
            heapq.heappush(waiting, (order + b"/", text, path, folder))


def _versions(files: list[bytes]) -> Iterator[Held]:
    for name in files:
        if match := _VERSION_FILE.fullmatch(name):
            yield Held(int(match[3]), VersionId(match[2].decode()), marker=match[1] == b"d")


def _children(path: bytes, names: Iterator[bytes]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        child = os.path.join(path, name)
        text = _real_name(child) if name.startswith(b"%l") else _decoded(name)
        if text is not None:
            yield text, child


def _real_name(folder: bytes) -> str | None:
    """None for a folder whose making was cut off: nothing can be in it."""
    try:
        with open(os.path.join(folder, NAME), "rb") as file:
            return _decoded(file.read())
    except FileNotFoundError:
        return None


def _decoded(name: bytes) -> str | None:
    try:
        return name.decode() or None
    except UnicodeDecodeError:
        return None
