"""Metadata records in their frames: the words of `meta_pipeline`, applied to a payload and undone again.

The header says which words were applied, so a reader needs no configuration (docs/format.md, "Frame"). Compression is
left out where it does not shrink the record.
"""

from attrs import frozen

from rrbackup.errors import UnsupportedFormat
from rrbackup.pure.compression import DEFAULT_LEVEL, compress, decompress
from rrbackup.pure.header import Header, encode_frame, header_fields, split_frame
from rrbackup.pure.model import Word

MAX_RECORD_BYTES = 1 << 30
"""So much a record may hold once it is decompressed."""


@frozen
class Framing:
    """How this client writes records; it reads those of every other as well."""

    words: tuple[Word, ...] = ()
    level: int = DEFAULT_LEVEL

    def wrap(self, kind: str, payload: bytes) -> bytes:
        if Word.COMPRESS in self.words:
            smaller = compress(payload, self.level)
            if len(smaller) < len(payload):
                return encode_frame(Header(kind, (Word.COMPRESS,)), smaller)
        return encode_frame(Header(kind), payload)

    def unwrap(self, data: bytes, kind: str, name: str) -> bytes:
        """The payload of the record `kind` in object `name` (for messages).

        Raises DamagedObject, or UnsupportedFormat for a format version or pipeline that this version cannot read.
        """
        text, payload = split_frame(data, name)
        pipeline = header_fields(text, kind, name).get("pipeline")
        if pipeline == []:
            return payload
        if pipeline == [Word.COMPRESS.value]:
            return decompress(payload, MAX_RECORD_BYTES, name)
        raise UnsupportedFormat(
            f"{name} was stored with the pipeline {pipeline!r}, which this version cannot undo",
            hint="use a newer version of rrbackup",
        )


PLAIN = Framing()
