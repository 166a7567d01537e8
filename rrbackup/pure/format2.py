"""Format 2 on the wire: diffs, claims, garbage lists, the local manifest and stored plans as bytes.

Of a diff whose `requires` names something unknown nothing is believed (docs/format.md).
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from attrs import frozen
from cattrs.errors import BaseValidationError

from rrbackup.errors import DamagedObject, LocalStateError, UnsupportedFormat
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.model import (
    Claim,
    Diff,
    Entry,
    HeadRef,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    SinceCheckpoint,
    VersionId,
    VersionRef,
)
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.wire import FORMAT as FORMAT
from rrbackup.pure.wire import MOST_SHOWN, SHAPES, converter, framed, parsed, record_in, structured

KNOWN_FEATURES: frozenset[str] = frozenset()
"""What a diff's `requires` may name for this version to read it."""


# --- objects in the store --------------------------------------------------------------------------------------


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encode_diff(diff: Diff, framing: Framing = PLAIN) -> bytes:
    return framed("diff", converter.unstructure(diff), framing)


def decode_diff(data: bytes, name: str, framing: Framing = PLAIN) -> Diff:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    diff = structured(record_in(data, "diff", name, framing), Diff, name)
    unknown = sorted(set(diff.requires) - KNOWN_FEATURES)
    if unknown:
        raise UnsupportedFormat(
            f"{name} requires {', '.join(unknown)}, which this version of rrbackup does not know",
            hint="use a newer version of rrbackup",
        )
    return diff


def encode_claim(claim: Claim, framing: Framing = PLAIN) -> bytes:
    return framed("claim", converter.unstructure(claim), framing)


def decode_claim(data: bytes, name: str, framing: Framing = PLAIN) -> Claim:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    return structured(record_in(data, "claim", name, framing), Claim, name)


def encode_garbage(refs: Iterable[VersionRef], framing: Framing = PLAIN) -> bytes:
    return framed("garbage", {"versions": [[ref.key, ref.version_id] for ref in refs]}, framing)


def decode_garbage(data: bytes, name: str, framing: Framing = PLAIN) -> tuple[VersionRef, ...]:
    """Raises DamagedObject or UnsupportedFormat, naming `name`."""
    rows = structured(record_in(data, "garbage", name, framing).get("versions"), tuple[tuple[str, ...], ...], name)
    if any(len(row) != 2 for row in rows):
        raise DamagedObject(f"{name} holds something else than pairs of a key and a version id")
    return tuple(VersionRef(key, VersionId(version_id)) for key, version_id in rows)


# --- the local manifest ----------------------------------------------------------------------------------------


@frozen
class _LocalHeader:
    format: int
    head: HeadRef | None = None
    since: SinceCheckpoint | None = None


def encode_local(manifest: LocalManifest) -> Iterator[bytes]:
    """One JSON document, one entry a line in path order, closed by the SHA-256 of all that stands before it.

    The first line has a digest of its own, so that a reader who wants only the head can believe it.
    """
    digest = hashlib.sha256()
    for line in _local_lines(manifest):
        digest.update(line)
        yield line
    yield _CLOSING + digest.hexdigest().encode() + b'"}\n'


_CLOSING = b'],"sha256":"'
_OPENING_DIGEST = b',"opening_sha256":"'


def _local_lines(manifest: LocalManifest) -> Iterator[bytes]:
    yield _first_line(orjson.dumps(converter.unstructure(_LocalHeader(FORMAT, manifest.head, manifest.since)))[:-1])
    last = len(manifest.entries) - 1
    for index, item in enumerate(manifest.entries):
        yield orjson.dumps(_local_fields(item)) + (b",\n" if index < last else b"\n")


def _first_line(opening: bytes) -> bytes:
    return opening + _OPENING_DIGEST + sha256_hex(opening).encode() + b'","entries":[\n'


def _local_fields(item: LocalEntry) -> dict[str, Any]:
    fields: dict[str, Any] = converter.unstructure(item.entry)
    if item.stamp is not None:
        fields["ctime_ns"], fields["inode"] = item.stamp.ctime_ns, item.stamp.inode
    if item.recent:
        fields["recent"] = True
    return fields


def decode_local(data: bytes, name: str) -> LocalManifest:
    """Raises LocalStateError where the file is damaged or of another version: it is then to be rebuilt."""
    lines, _, _ = data.rpartition(_CLOSING)
    if not lines or data != lines + _CLOSING + sha256_hex(lines).encode() + b'"}\n':
        raise LocalStateError(f"{name} is damaged, or from another version of rrbackup")
    try:
        document = parsed(data, name)
        header = structured(document, _LocalHeader, name)
        return LocalManifest(header.head, tuple(map(_local_entry, document["entries"])), header.since)
    except (DamagedObject, BaseValidationError, *SHAPES) as error:
        raise LocalStateError(f"{name} cannot be read: {str(error)[:MOST_SHOWN]}") from None


def decode_local_head(first_line: bytes) -> HeadRef | None:
    """The head in the first line of a local manifest; None where that cannot be told, or the line is damaged."""
    opening, _, _ = first_line.rpartition(_OPENING_DIGEST)
    if first_line != _first_line(opening):
        return None
    try:
        return structured(parsed(opening + b"}", ""), _LocalHeader, "").head
    except DamagedObject:
        return None


def _local_entry(fields: dict[str, Any]) -> LocalEntry:
    entry = converter.structure(fields, Entry)
    stamp = LocalStamp(fields["ctime_ns"], fields["inode"]) if "inode" in fields else None
    return LocalEntry(entry, stamp, fields.get("recent", False))


# --- stored plans -----------------------------------------------------------------------------------------------


def encode_plan(plan: BackupPlan) -> bytes:
    return orjson.dumps({"format": FORMAT, **converter.unstructure(plan)}, option=orjson.OPT_INDENT_2)


def decode_plan(data: bytes, name: str) -> BackupPlan:
    """Raises DamagedObject, naming `name`."""
    return structured(parsed(data, name), BackupPlan, name)
