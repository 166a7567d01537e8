"""From a file's content to its object's body, and back: the words of a pipeline, carried out on streams.

The rule: words are applied in the order of `Word` and undone in reverse; of what was asked for, only compression may be
left out, where it does not shrink the content (design invariant 8).
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from attrs import frozen

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure.compression import SAMPLE_BYTES, compress, compressed, decompressed, shrinks
from rrbackup.pure.model import Entry, ObjectRef, Word

CAN_DO = frozenset({Word.HASH_NAMES, Word.COMPRESS})
"""The words that can be carried out. What asks for another is refused, never stored with less."""


@frozen
class Encoded:
    """An object's body, about how long it is, and the words that made it."""

    body: bytes | Iterable[bytes]
    size_hint: int
    applied: tuple[Word, ...]


@frozen
class Coder:
    """`level` is that of zstd."""

    level: int

    def whole(self, asked: tuple[Word, ...], data: bytes) -> Encoded:
        """A content that is in memory."""
        if Word.COMPRESS not in asked:
            return Encoded(data, len(data), asked)
        smaller = compress(data, self.level)
        if len(smaller) >= len(data):
            return Encoded(data, len(data), without_compression(asked))
        return Encoded(smaller, len(smaller), asked)

    def stream(self, asked: tuple[Word, ...], chunks: Iterator[bytes], size: int) -> Encoded:
        """A content of `size` bytes that passes by. Its beginning decides whether compression is worth trying."""
        if Word.COMPRESS not in asked:
            return Encoded(chunks, size, asked)
        sample = _sample(chunks)
        rest = chain(sample, chunks)
        if not shrinks(b"".join(sample)[:SAMPLE_BYTES], self.level):
            return Encoded(rest, size, without_compression(asked))
        return Encoded(compressed(rest, size, self.level), size, asked)


def without_compression(words: tuple[Word, ...]) -> tuple[Word, ...]:
    return tuple(word for word in words if word is not Word.COMPRESS)


def _sample(chunks: Iterator[bytes]) -> list[bytes]:
    sample: list[bytes] = []
    while sum(map(len, sample)) < SAMPLE_BYTES and (chunk := next(chunks, b"")):
        sample.append(chunk)
    return sample


def decoded(entry: Entry, ref: ObjectRef, body: Iterable[bytes]) -> Iterator[bytes]:
    """A file's content from its object's body. Raises DamagedObject or UnsupportedFormat, naming path and object."""
    name = f"{entry.path} ({ref.key} version {ref.version_id})"
    missing = frozenset(ref.applied) - CAN_DO
    if ref.format != 2 or missing:
        raise UnsupportedFormat(
            f"{name} is stored as format {ref.format} with {' '.join(ref.applied) or 'no pipeline'}, "
            "which this version of rrbackup cannot undo",
            hint="use a newer version of rrbackup",
        )
    whole = _of_size(body, ref.stored_size, name)
    return decompressed(whole, entry.size, name) if Word.COMPRESS in ref.applied else whole


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
