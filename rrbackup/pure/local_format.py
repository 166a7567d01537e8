"""The local manifest as bytes: one JSON document with one entry a line, sorted by path (docs/format.md, "Local files").

The rule: what a scan tells stands first in a line, as one array. So an entry that has not changed is recognised by how
its line begins, and stays undecoded: a *row* is either such a line, or an entry.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from operator import itemgetter

import orjson
from attrs import frozen
from cattrs.errors import BaseValidationError

from rrbackup.errors import DamagedObject, LocalStateError
from rrbackup.pure.attributes import Extra
from rrbackup.pure.model import (
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    PathText,
    SinceCheckpoint,
)
from rrbackup.pure.scan import Scanned
from rrbackup.pure.wire import MOST_SHOWN, SHAPES, converter, parsed, structured

LOCAL_FORMAT = 3
"""Another one is rebuilt from the store: the file is this client's own."""

BETWEEN_ROWS = b",\n"
_OPENING_DIGEST = b',"opening_sha256":"'
_ENTRIES = b'","entries":[\n'
_CLOSING = b'],"sha256":"'
_END = b'"}\n'
CLOSING_BYTES = len(_CLOSING) + 64 + len(_END)
"""So long is what stands behind the last entry."""

Row = bytes | LocalEntry

_SEEN_FROM = 1
"""A line is `[[what a scan tells],{what else there is}]`."""
_PATH = re.compile(rb'\[\[("(?:[^"\\]|\\.)*")')
_EXTRA = b'"extra":'
_SEEN = ("path", "type", "size", "mtime_ns", "mode", "target")
_plain_seen = itemgetter(*map(Scanned._fields.index, _SEEN))
_file_seen = itemgetter(*map(Scanned._fields.index, (*_SEEN, "ctime_ns", "inode")))


@frozen(eq=False)
class Rows(Collection[LocalEntry]):
    """Entries that are decoded when they are asked for. `rows` can be gone through again and again."""

    rows: Iterable[Row]
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[LocalEntry]:
        return map(entry_in, self.rows)

    def __contains__(self, item: object) -> bool:
        return any(item == entry for entry in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def rows_of(entries: Collection[LocalEntry]) -> Iterable[Row]:
    return entries.rows if isinstance(entries, Rows) else entries


def entry_in(row: Row) -> LocalEntry:
    """Raises LocalStateError for a line that no version of rrbackup wrote."""
    if isinstance(row, LocalEntry):
        return row
    try:
        (path, kind, size, mtime_ns, mode, target, ctime_ns, inode, *recent), rest = orjson.loads(row)
        fields = {"path": path, "type": kind, "size": size, "mtime_ns": mtime_ns, "mode": mode, "target": target}
        entry = converter.structure(rest | fields, Entry)
        stamp = None if inode is None else converter.structure({"ctime_ns": ctime_ns, "inode": inode}, LocalStamp)
        return LocalEntry(entry, stamp, bool(recent))
    except (BaseValidationError, orjson.JSONDecodeError, *SHAPES) as error:
        raise LocalStateError(
            f"an entry of the local manifest cannot be read: {str(error)[:MOST_SHOWN]}",
            hint="remove the local manifest: it is rebuilt from the store",
        ) from None


def path_in(row: Row) -> PathText:
    """Raises LocalStateError."""
    if isinstance(row, LocalEntry):
        return row.entry.path
    found = _PATH.match(row)
    path: PathText = orjson.loads(found[1]) if found else entry_in(row).entry.path
    return path


# --- encoding ----------------------------------------------------------------------------------------------------


def says(row: Row, found: Scanned) -> bool:
    """Whether a line says that this disk held, when it was last seen, just what was found, and nothing else.

    What else is known stands last, so it is looked for from there, and a quote within a text is escaped. Holes no scan
    tells of, so those are looked at.
    """
    if not isinstance(row, bytes):
        return False
    seen = _file_seen(found) if found.type is EntryType.FILE else (*_plain_seen(found), None, None)
    if not row.startswith(orjson.dumps(seen), _SEEN_FROM):
        return False
    return row.rfind(_EXTRA) < 0 if found.extra is None else row.endswith(_extra_bytes(found.extra))


@lru_cache
def _extra_bytes(extra: Extra) -> bytes:
    return _EXTRA + orjson.dumps(converter.unstructure(extra)) + b"}]"


def _line(item: LocalEntry) -> bytes:
    entry, stamp = item.entry, item.stamp
    seen = [getattr(entry, name) for name in _SEEN]
    seen += [stamp.ctime_ns, stamp.inode] if stamp is not None else [None, None]
    if item.recent:
        seen.append(True)  # no scan tells that, so the line is decoded and the file looked at again
    rest = {name: value for name, value in converter.unstructure(entry).items() if name not in _SEEN}
    return orjson.dumps((seen, rest))


@frozen
class _Opening:
    format: int
    head: HeadRef | None = None
    since: SinceCheckpoint | None = None


def encode_local(manifest: LocalManifest) -> Iterator[bytes]:
    """The document, closed by the SHA-256 of all that stands before it.

    The first line has a digest of its own, so that a reader who wants only the head can believe it.
    """
    digest = hashlib.sha256()
    for line in _lines(manifest):
        digest.update(line)
        yield line
    yield closing(digest.hexdigest())


def closing(sha256: str) -> bytes:
    """The last line, behind bytes with this digest."""
    return _CLOSING + sha256.encode() + _END


def _lines(manifest: LocalManifest) -> Iterator[bytes]:
    opening = _Opening(LOCAL_FORMAT, manifest.head, manifest.since)
    yield _first_line(orjson.dumps(converter.unstructure(opening))[:-1])
    last = len(manifest.entries) - 1
    for index, row in enumerate(rows_of(manifest.entries)):
        yield (row if isinstance(row, bytes) else _line(row)) + (BETWEEN_ROWS if index < last else b"\n")


def _first_line(opening: bytes) -> bytes:
    return opening + _OPENING_DIGEST + hashlib.sha256(opening).hexdigest().encode() + _ENTRIES


# --- decoding ----------------------------------------------------------------------------------------------------


def decode_local(data: bytes, name: str) -> LocalManifest:
    """The whole document. Raises LocalStateError where it is damaged or of another version: it is to be rebuilt."""
    body = data[:-CLOSING_BYTES]
    if data[len(body) :] != closing(hashlib.sha256(body).hexdigest()):
        raise _damaged(name)
    first, _, rest = body.partition(b"\n")
    rows = tuple(split_rows(rest))
    decoded = tuple(map(entry_in, rows))
    return decode_opening(first + b"\n", decoded, name)


def split_rows(lines: bytes) -> list[bytes]:
    """The rows of whole lines, without what stands between them."""
    return lines.rstrip(BETWEEN_ROWS).split(BETWEEN_ROWS) if lines else []


def decode_opening(first_line: bytes, entries: Collection[LocalEntry], name: str) -> LocalManifest:
    """The manifest with these entries below the first line. Raises LocalStateError."""
    found = _opening(first_line)
    if found is None or found.format != LOCAL_FORMAT:
        raise _damaged(name)
    return LocalManifest(found.head, entries, found.since)


def decode_local_head(first_line: bytes) -> HeadRef | None:
    """The head in the first line of a local manifest; None where that cannot be told, or the line is damaged."""
    found = _opening(first_line)
    return found.head if found else None


def _opening(first_line: bytes) -> _Opening | None:
    opening, _, _ = first_line.rpartition(_OPENING_DIGEST)
    if first_line != _first_line(opening):
        return None
    try:
        return structured(parsed(opening + b"}", ""), _Opening, "")
    except DamagedObject:
        return None


def _damaged(name: str) -> LocalStateError:
    return LocalStateError(f"{name} is damaged, or from another version of rrbackup")
