"""Metadata records in their frames: the words of `meta_pipeline`, applied to a payload and undone again.

The rule decided here: the header says which words were applied, so a reader needs no configuration (docs/format.md,
"Frame"), and an encrypted record opens only under the key it was written for. Compression is left out where it does not
shrink the record, or shrinks it more than a reader believes.
"""

from collections.abc import Callable

from attrs import evolve, field, frozen

from rrbackup.errors import DamagedObject, PasswordMissing, UnsupportedFormat
from rrbackup.pure.compression import DEFAULT_LEVEL, compress, decompress
from rrbackup.pure.encryption import CipherHeader, Place, decrypt_bytes, encrypt_bytes
from rrbackup.pure.header import Header, decode_fields, encode_frame, header_fields, split_frame
from rrbackup.pure.keys import Keyring
from rrbackup.pure.model import Word
from rrbackup.pure.showing import brief

MAX_RECORD_BYTES = 1 << 30
FREE_RECORD_BYTES = 1 << 24
MAX_GROWTH = 64
"""Once decompressed, a record may hold a GiB, but beyond 16 MiB only so many times what is stored."""

Unlock = Callable[[], Keyring]
"""Gives the keys, or raises what is right where they cannot be had (WrongPassword, DamagedObject)."""


def locked() -> Keyring:
    """The keys of those who have none."""
    raise PasswordMissing("this needs a password, and none was given")


def _no_nonce() -> bytes:
    raise NotImplementedError


def most(stored: int) -> int:
    """What a record of so many compressed bytes may hold; a writer that has more of it leaves compression out."""
    return min(MAX_RECORD_BYTES, max(FREE_RECORD_BYTES, MAX_GROWTH * stored))


@frozen
class Framing:
    """How this client writes records; it reads those of every other as well.

    `nonce` draws the 24 bytes that every encrypted record needs afresh; `key` is the object, relative to the prefix.
    """

    words: tuple[Word, ...] = ()
    level: int = DEFAULT_LEVEL
    unlock: Unlock = field(default=locked, repr=False)
    nonce: Callable[[], bytes] = field(default=_no_nonce, repr=False)
    key: str = ""

    def at(self, key: str) -> "Framing":
        """The same for the object `key`."""
        return evolve(self, key=key)

    def wrap(self, kind: str, payload: bytes) -> bytes:
        words, body = self._compressed(payload)
        if Word.ENCRYPT not in self.words:
            return encode_frame(Header(kind, words), body)
        keys = self.unlock()
        header = CipherHeader(kind, (*words, Word.ENCRYPT), Place(keys.repository, self.key))
        return encrypt_bytes(body, keys.metadata, header, self.nonce())

    def _compressed(self, payload: bytes) -> tuple[tuple[Word, ...], bytes]:
        if Word.COMPRESS in self.words:
            smaller = compress(payload, self.level)
            if len(smaller) < len(payload) <= most(len(smaller)):
                return (Word.COMPRESS,), smaller
        return (), payload

    def unwrap(self, data: bytes, kind: str, name: str) -> bytes:
        """The payload of the record `kind` in object `name` (for messages).

        Raises DamagedObject, UnsupportedFormat for a format version or pipeline that this version cannot read, and
        what `unlock` raises.
        """
        text, body = split_frame(data, name)
        pipeline = header_fields(text, kind, name).get("pipeline")
        if _encrypts(pipeline):
            keys = self.unlock()
            header, body = decrypt_bytes(data, keys.metadata, kind, Place(keys.repository, self.key), name)
            pipeline = [word for word in header.pipeline if word is not Word.ENCRYPT]
        if pipeline == []:
            return body
        if pipeline == [Word.COMPRESS]:
            return decompress(body, most(len(body)), name)
        raise UnsupportedFormat(
            f"{name} was stored with the pipeline {brief(pipeline)}, which this version cannot undo",
            hint="use a newer version of rrbackup",
        )


def is_encrypted(data: bytes) -> bool:
    """What the header of a record says, of either format; False where there is none to be read."""
    try:
        fields = decode_fields(split_frame(data, "")[0], "")
    except DamagedObject:
        return False
    return _encrypts(fields.get("pipeline")) or bool(fields.get("E"))


def _encrypts(pipeline: object) -> bool:
    return isinstance(pipeline, list) and Word.ENCRYPT.value in pipeline


PLAIN = Framing()
