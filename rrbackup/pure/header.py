"""The frame of metadata objects: `u32be length | JSON header | payload` (docs/format.md, "Frame").

The header says how to read the payload: format version, what kind of record it is, and the pipeline that was
applied. A file object without pipeline has no frame; whether an object is framed is known from its entry.
"""

import struct
from collections.abc import Mapping

import orjson
from attrs import frozen

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure.model import Word
from rrbackup.pure.showing import brief

MAX_HEADER_BYTES = 65_536
"""Headers have a few hundred bytes; a length beyond this is damage, not a reason to allocate."""

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
FRONT_BYTES = LENGTH_BYTES + MAX_HEADER_BYTES
"""What a header can take of the beginning of an object."""
VERSION = "2"
_RECORDS = frozenset({"diff", "claim", "garbage", "checkpoint", "keys"})


@frozen
class Header:
    """`kind` keeps records of different objects apart; `pipeline` lists the words applied, in order."""

    kind: str
    pipeline: tuple[Word, ...] = ()


def encode_frame(header: Header, payload: bytes) -> bytes:
    return encode_header(header, {}) + payload


# --- the parts of it, for objects whose header says more ---------------------------------------------------------


def encode_header(header: Header, more: Mapping[str, object]) -> bytes:
    """What stands before the payload: the length, and the JSON header with the fields `more` behind the usual ones."""
    text = encode_fields({"V": VERSION, "kind": header.kind, "pipeline": list(header.pipeline), **more})
    return _LENGTH.pack(len(text)) + text


def split_frame(data: bytes, name: str) -> tuple[bytes, bytes]:
    """The JSON header's text, and the payload. Raises DamagedObject."""
    end = LENGTH_BYTES + header_length(data[:LENGTH_BYTES], name)
    if end > len(data):
        raise _no_header(name, end - LENGTH_BYTES)
    return data[LENGTH_BYTES:end], data[end:]


def header_length(start: bytes, name: str) -> int:
    """The bytes of the JSON header, from the first `LENGTH_BYTES` of an object. Raises DamagedObject."""
    if len(start) < LENGTH_BYTES:
        raise DamagedObject(f"{name} is too short to have a header ({len(start)} bytes)")
    length: int = _LENGTH.unpack(start)[0]
    if length > MAX_HEADER_BYTES:
        raise _no_header(name, length)
    return length


def header_fields(text: bytes, kind: str, name: str) -> dict[str, object]:
    """The fields of a JSON header of our format and of that kind. Raises DamagedObject or UnsupportedFormat."""
    fields = decode_fields(text, f"the header of {name}")
    if fields.get("V") != VERSION:
        raise UnsupportedFormat(
            f"{name} has format {brief(fields.get('V'))}, which this version of rrbackup does not read",
            hint="use a version of rrbackup that knows this format",
        )
    if fields.get("kind") != kind:
        raise DamagedObject(f"{name} holds a record of kind {brief(fields.get('kind'))}, not {kind!r}")
    return fields


def is_record(data: bytes) -> bool:
    """Whether this is one of the objects that hold a repository together, as far as its header tells."""
    try:
        return decode_fields(split_frame(data, "")[0], "").get("kind") in _RECORDS
    except DamagedObject:
        return False


def encode_fields(fields: Mapping[str, object]) -> bytes:
    return orjson.dumps(fields)


def decode_fields(text: bytes, name: str) -> dict[str, object]:
    """The JSON object that `name` is. Raises DamagedObject."""
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DamagedObject(f"{name} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise DamagedObject(f"{name} is not a JSON object")
    return fields


def _no_header(name: str, length: int) -> DamagedObject:
    return DamagedObject(f"{name} does not begin with a header: it claims one of {length} bytes")
