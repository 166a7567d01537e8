"""Stored objects, opened with PyNaCl, zstandard and the standard library alone.

It follows the documents of the format and shares no code with what it checks. Whatever is not as it was written
raises `DoesNotOpen`.
"""

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import nacl.bindings as sodium
import nacl.exceptions
import nacl.pwhash.argon2i
import zstandard
from attrs import field, frozen

Fields = dict[str, Any]

NONCE_BYTES: Final = 24
OVERHEAD_BYTES: Final = 17
KEY_BYTES: Final = 32
SEALED: Final = "rrbackup-sealed"
CIPHER: Final = "xchacha20poly1305-secretstream"

_MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
_FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL


class DoesNotOpen(Exception):
    """An object is not what it should be, or the key is wrong."""


def _check(condition: bool, what: str) -> None:
    if not condition:
        raise DoesNotOpen(what)


# --- keys ----------------------------------------------------------------------------------------------------------


def hkdf(source: bytes, use: str) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, one block long."""
    extracted = hmac.digest(bytes(32), source, "sha256")
    return hmac.digest(extracted, b"rrbackup 2 " + use.encode() + b"\x01", "sha256")


@frozen
class Keys:
    """What a salt object holds."""

    repository: str
    master: bytes = field(repr=False)

    def subkey(self, use: str) -> bytes:
        return hkdf(self.master, use)


def open_salt(body: bytes, password: str) -> Keys:
    """The keys in a salt object, with the password that it was written with."""
    header, text, rest = split(body)
    kdf, payload = header["kdf"], json.loads(rest)
    _check((header["V"], header["kind"], header["pipeline"]) == ("2", "keys", []), "it is no salt object")
    _check(kdf["algorithm"] == "argon2i13", "another key derivation")
    check, wrapped = base64.b64decode(payload["check"]), base64.b64decode(payload["master"])
    _check(payload["sha256"] == salt_digest(text, payload), "another digest")
    kek = derive(password, kdf)
    expected = hmac.digest(hkdf(kek, "check"), b"rrbackup 2 password check", "sha256")
    _check(hmac.compare_digest(check, expected), "wrong password")
    return Keys(header["repository"], unsealed(wrapped, hkdf(kek, "wrap master"), text))


def salt_digest(text: bytes, payload: Mapping[str, str]) -> str:
    """What tells accidental damage of a salt object: `text` is that of its header."""
    wrapped = (base64.b64decode(payload[name]) for name in ("check", "master", "format1") if name in payload)
    return hashlib.sha256(text + b"".join(wrapped)).hexdigest()


def derive(password: str, kdf: Fields) -> bytes:
    """The key that a password makes, as a salt object asks for it."""
    salt, passes, memory = base64.b64decode(kdf["salt"]), kdf["opslimit"], kdf["memlimit"]
    return nacl.pwhash.argon2i.kdf(KEY_BYTES, password.encode(), salt, opslimit=passes, memlimit=memory)


def unsealed(sealed: bytes, key: bytes, associated: bytes) -> bytes:
    """A nonce and what XChaCha20-Poly1305 made of a message."""
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key)
    except (nacl.exceptions.CryptoError, ValueError):
        raise DoesNotOpen("a sealed value does not open") from None


def hashed_key(keys: Keys, path: str) -> str:
    """The object of a path whose name is hashed."""
    return f"files/%h/{hmac.digest(keys.subkey('names'), path.encode(), 'sha256').hex()}"


# --- frames --------------------------------------------------------------------------------------------------------


def split(body: bytes) -> tuple[Fields, bytes, bytes]:
    """The header of a framed object, as fields and as text, and what stands behind it."""
    _check(len(body) >= 4, "no frame")
    end = 4 + struct.unpack(">I", body[:4])[0]
    _check(end <= len(body), "no whole header")
    fields: Fields = json.loads(body[4:end])
    return fields, body[4:end], body[end:]


def framed(header: Mapping[str, object], payload: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack(">I", len(text)) + text + payload


def plain_record(kind: str, payload: Mapping[str, object]) -> bytes:
    """A record as somebody without the password can write it."""
    return framed({"V": "2", "kind": kind, "pipeline": []}, json.dumps(payload).encode())


def json_payload(body: bytes) -> Fields:
    """The payload of a record without pipeline."""
    header, _, payload = split(body)
    _check(header["pipeline"] == [], "not a plain record")
    fields: Fields = json.loads(payload)
    return fields


def stream_header(body: bytes) -> bytes:
    """The bytes that must never come twice under one key."""
    return split(body)[2][:NONCE_BYTES]


def open_stream(body: bytes, key: bytes) -> tuple[Fields, bytes]:
    """Header and content of an encrypted object."""
    header, text, rest = split(body)
    _check(header["cipher"] == CIPHER, "another cipher")
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, rest[:NONCE_BYTES], key)
    try:
        opened = [
            sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, text)
            for chunk in _cut(rest[NONCE_BYTES:], header["chunk_size"] + OVERHEAD_BYTES)
        ]
    except (nacl.exceptions.CryptoError, ValueError):
        raise DoesNotOpen("a chunk does not open") from None
    tags = [tag for _, tag in opened]
    _check(tags == [_MESSAGE] * (len(tags) - 1) + [_FINAL], f"tags {tags}")
    return header, b"".join(message for message, _ in opened)


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(frame: bytes) -> bytes:
    """The content of exactly one zstd frame that says how long that is."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    try:
        content = reader.decompress(frame)
    except zstandard.ZstdError:
        raise DoesNotOpen("no zstd frame") from None
    _check(reader.eof and not reader.unused_data, "not one whole frame")
    _check(zstandard.frame_content_size(frame) == len(content), "the frame does not say its content's size")
    return content


# --- objects -------------------------------------------------------------------------------------------------------


def open_file(body: bytes, key: str, applied: Sequence[str], keys: Keys) -> bytes:
    """The content of a file object at `key`, stored with the words `applied`."""
    content = body
    if "encrypt" in applied:
        header, content = open_stream(body, keys.subkey("streams"))
        _check_place(header, "file", key, keys)
        _check(header["pipeline"] == list(applied), f"another pipeline: {header['pipeline']}")
    return unpacked(content) if "compress" in applied else content


def open_record(body: bytes, kind: str, key: str, keys: Keys) -> Fields:
    """The payload of an encrypted metadata object."""
    header, content = open_stream(body, keys.subkey("metadata"))
    _check_place(header, kind, key, keys)
    pipeline = [word for word in header["pipeline"] if word != "encrypt"]
    _check(pipeline in ([], ["compress"]), f"another pipeline: {pipeline}")
    payload: Fields = json.loads(unpacked(content) if pipeline else content)
    return payload


def _check_place(header: Fields, kind: str, key: str, keys: Keys) -> None:
    found = (header["V"], header["kind"], header["repository"], header["key"])
    _check(found == ("2", kind, keys.repository, key), f"it belongs to {found}")


def open_labels(metadata: Mapping[str, str], key: str, keys: Keys) -> Fields:
    """What an object says of itself under seal, and says nothing else."""
    _check(set(metadata) == {SEALED}, f"user metadata {sorted(metadata)}")
    sealed = base64.b64decode(metadata[SEALED], validate=True)
    labels: Fields = json.loads(unsealed(sealed, keys.subkey("labels"), key.encode()))
    return labels


# --- where what stands ---------------------------------------------------------------------------------------------


@frozen
class Region:
    """Bytes `start` to `end` of an object."""

    name: str
    start: int
    end: int


def regions(body: bytes) -> tuple[Region, ...]:
    """The parts of an encrypted object in their order: length, header, nonce, and the chunks from 1."""
    header, text, rest = split(body)
    begin = 4 + len(text) + NONCE_BYTES
    size = header["chunk_size"] + OVERHEAD_BYTES
    starts = range(begin, begin + len(rest) - NONCE_BYTES, size)
    return (
        Region("length", 0, 4),
        Region("header", 4, 4 + len(text)),
        Region("nonce", 4 + len(text), begin),
        *(Region(f"chunk {n}", at, min(at + size, len(body))) for n, at in enumerate(starts, start=1)),
    )
