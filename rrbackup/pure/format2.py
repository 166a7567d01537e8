"""Format 2 on the wire: diffs, claims, garbage lists and stored plans as bytes.

Of a diff whose `requires` names something unknown nothing is believed (docs/format.md).
"""

import hashlib
from collections.abc import Iterable

import orjson

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.model import (
    Claim,
    Diff,
    VersionId,
    VersionRef,
)
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.wire import FORMAT as FORMAT
from rrbackup.pure.wire import converter, framed, parsed, record_in, structured

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


# --- stored plans -----------------------------------------------------------------------------------------------


def encode_plan(plan: BackupPlan) -> bytes:
    return orjson.dumps({"format": FORMAT, **converter.unstructure(plan)}, option=orjson.OPT_INDENT_2)


def decode_plan(data: bytes, name: str) -> BackupPlan:
    """Raises DamagedObject, naming `name`."""
    return structured(parsed(data, name), BackupPlan, name)
