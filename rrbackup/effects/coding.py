"""From a file's content to its object's body, and back: the words of a pipeline, carried out on streams.

The rule: words are applied in the order of `Word` and undone in reverse; of what was asked for, only compression may be
left out, where it does not shrink the content (design invariant 8). An object that is encrypted, or whose name is
hashed, says what it is only under seal.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from attrs import evolve, field, frozen

from rrbackup.effects.keychain import Keychain
from rrbackup.errors import DamagedObject, PasswordMissing, UnsupportedFormat
from rrbackup.pure import format1, format2
from rrbackup.pure.compression import SAMPLE_BYTES, compress, compressed, decompressed, shrinks
from rrbackup.pure.encryption import CipherHeader, Place, encrypt_bytes, encrypt_stream, open_stream, sealed_size
from rrbackup.pure.format1_object import read_file
from rrbackup.pure.keys import NONCE_BYTES, Keyring, seal_labels
from rrbackup.pure.model import NOT_RECORDED, Entry, ObjectRef, Word

KIND = "file"
"""What the header of an encrypted file object says that it is."""


class Tally:
    """Passes chunks on and counts their bytes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk


@frozen
class Encoded:
    """An object's body, about how long it is, and the words that made it.

    `compressed` counts the compressed bytes of a stream; None where it was not compressed, or is known to be smaller.
    """

    body: bytes | Iterable[bytes]
    size_hint: int
    applied: tuple[Word, ...]
    compressed: Tally | None = None


@frozen
class Coder:
    """`level` is that of zstd, `chunk_size` in plaintext bytes of an encrypted chunk; `entropy` gives random bytes.

    Without `keys`, nothing may ask for encrypt.
    """

    level: int
    keys: Keyring | None
    chunk_size: int
    entropy: Callable[[int], bytes] = field(repr=False)

    def whole(self, asked: tuple[Word, ...], data: bytes, key: str) -> Encoded:
        """A content that is in memory, for the object `key`."""
        encoded = Encoded(data, len(data), without_compression(asked))
        if Word.COMPRESS in asked and len(smaller := compress(data, self.level)) < len(data):
            encoded = Encoded(smaller, len(smaller), asked)
        return self._sealed(encoded, key)

    def stream(self, asked: tuple[Word, ...], chunks: Iterator[bytes], size: int, key: str) -> Encoded:
        """A content of `size` bytes that passes by. Its beginning decides whether compression is worth trying."""
        return self._sealed(self._maybe_compressed(asked, chunks, size), key)

    def labels(self, asked: tuple[Word, ...], labels: Mapping[str, str], key: str) -> Mapping[str, str]:
        """The user metadata for the object `key`."""
        if not {Word.ENCRYPT, Word.HASH_NAMES}.intersection(asked):
            return labels
        return seal_labels(labels, self.keys.labels, key, self.entropy(NONCE_BYTES)) if self.keys and labels else {}

    def _maybe_compressed(self, asked: tuple[Word, ...], chunks: Iterator[bytes], size: int) -> Encoded:
        if Word.COMPRESS not in asked:
            return Encoded(chunks, size, asked)
        sample = _sample(chunks)
        rest = chain(sample, chunks)
        if not shrinks(b"".join(sample)[:SAMPLE_BYTES], self.level):
            return Encoded(rest, size, without_compression(asked))
        tally = Tally(compressed(rest, size, self.level))
        return Encoded(tally, size, asked, tally)

    def _sealed(self, encoded: Encoded, key: str) -> Encoded:
        if Word.ENCRYPT not in encoded.applied:
            return encoded
        keys, nonce = self._needed_keys(), self.entropy(NONCE_BYTES)
        header = CipherHeader(KIND, encoded.applied, Place(keys.repository, key), self.chunk_size)
        body = encoded.body
        sealed = (
            encrypt_bytes(body, keys.streams, header, nonce)
            if isinstance(body, bytes)
            else encrypt_stream(body, keys.streams, header, nonce)
        )
        return evolve(encoded, body=sealed, size_hint=sealed_size(encoded.size_hint, header))

    def _needed_keys(self) -> Keyring:
        if self.keys is None:
            raise PasswordMissing("encrypt was asked for, and there are no keys")
        return self.keys


def without_compression(words: tuple[Word, ...]) -> tuple[Word, ...]:
    return tuple(word for word in words if word is not Word.COMPRESS)


def _sample(chunks: Iterator[bytes]) -> list[bytes]:
    sample: list[bytes] = []
    while sum(map(len, sample)) < SAMPLE_BYTES and (chunk := next(chunks, b"")):
        sample.append(chunk)
    return sample


# --- back --------------------------------------------------------------------------------------------------------


def decoded(entry: Entry, ref: ObjectRef, body: Iterable[bytes], keys: Keychain) -> Iterator[bytes]:
    """A file's content from its object's body. An object that was cut off shows only at its end.

    Raises DamagedObject or UnsupportedFormat, naming path and object, and WrongPassword.
    """
    name = f"{entry.path} ({ref.key} version {ref.version_id})"
    whole = body if ref.stored_size == NOT_RECORDED else _of_size(body, ref.stored_size, name)
    if ref.format == format1.FORMAT:
        return read_file(whole, keys.unlock_old, name)
    if ref.format != format2.FORMAT:
        raise UnsupportedFormat(f"{name} is stored as format {ref.format}", hint="use a newer version of rrbackup")
    plain = _decrypted(ref, whole, keys, name) if Word.ENCRYPT in ref.applied else iter(whole)
    return decompressed(plain, entry.size, name) if Word.COMPRESS in ref.applied else plain


def _decrypted(ref: ObjectRef, body: Iterable[bytes], keys: Keychain, name: str) -> Iterator[bytes]:
    keyring = keys.keyring()
    opened = open_stream(body, keyring.streams, KIND, Place(keyring.repository, ref.key), name)
    if opened.header.pipeline != ref.applied:
        raise DamagedObject(f"{name} was stored with another pipeline than the commit says: it was exchanged")
    return opened.content


def _of_size(body: Iterable[bytes], size: int, name: str) -> Iterator[bytes]:
    """The body, if it has exactly the size that was stored."""
    count = 0
    for data in body:
        count += len(data)
        if count > size:
            break
        yield data
    if count != size:
        raise DamagedObject(f"{name} does not have the {size} bytes that were stored")
