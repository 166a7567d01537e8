"""The frame of metadata objects: `u32be length | JSON header | payload` (docs/format.md, "Frame").

The header says how to read the payload: format version, what kind of record it is, and the pipeline that was
applied. A file object without pipeline has no frame; whether an object is framed is known from its entry.
"""

import struct

import orjson
from attrs import frozen

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure.model import Word

MAX_HEADER_BYTES = 65_536
"""Headers have a few hundred bytes; a length beyond this is damage, not a reason to allocate."""

_LENGTH = struct.Struct(">I")
VERSION = "2"


@frozen
class Header:
    """`kind` keeps records of different objects apart; `pipeline` lists the words applied, in order."""

    kind: str
    pipeline: tuple[Word, ...] = ()


def encode_frame(header: Header, payload: bytes) -> bytes:
    text = orjson.dumps({"V": VERSION, "kind": header.kind, "pipeline": list(header.pipeline)})
    return _LENGTH.pack(len(text)) + text + payload


def decode_frame(data: bytes, kind: str, name: str) -> bytes:
    """The payload of the record `kind` in object `name` (for messages).

    Raises DamagedObject, or UnsupportedFormat for a format version or pipeline that this version cannot read.
    """
    text, payload = _split(data, name)
    fields = _fields(text, name)
    if fields.get("V") != VERSION:
        raise UnsupportedFormat(
            f"{name} has format {fields.get('V')!r}, which this version of rrbackup does not read",
            hint="use a version of rrbackup that knows this format",
        )
    if fields.get("kind") != kind:
        raise DamagedObject(f"{name} holds a record of kind {fields.get('kind')!r}, not {kind!r}")
    if fields.get("pipeline") != []:
        raise UnsupportedFormat(
            f"{name} was stored with the pipeline {fields.get('pipeline')!r}, which this version cannot undo",
            hint="use a newer version of rrbackup",
        )
    return payload


def _split(data: bytes, name: str) -> tuple[bytes, bytes]:
    if len(data) < _LENGTH.size:
        raise DamagedObject(f"{name} is too short to have a header ({len(data)} bytes)")
    (length,) = _LENGTH.unpack_from(data)
    if length > MAX_HEADER_BYTES or _LENGTH.size + length > len(data):
        raise DamagedObject(f"{name} does not begin with a header: it claims one of {length} bytes")
    end = _LENGTH.size + length
    return data[_LENGTH.size : end], data[end:]


def _fields(text: bytes, name: str) -> dict[str, object]:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DamagedObject(f"the header of {name} is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise DamagedObject(f"the header of {name} is not a JSON object")
    return fields
