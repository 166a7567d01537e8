"""An encrypted object: `u32be length | JSON header | 24-byte secretstream header | chunks` (docs/format.md).

The rule decided here: plaintext is given out only of a chunk that verified, under a header that names this very
object of this very repository, and the end of an object is where its last chunk says so. The header's bytes are the
associated data of every chunk. Every object may be hostile: nothing is allocated on its word that is beyond
`MAX_CHUNK_BYTES`, whatever sizes it claims.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

from rrbackup.errors import DamagedObject, UnsupportedFormat, UsageError
from rrbackup.pure.header import (
    LENGTH_BYTES,
    Header,
    encode_header,
    header_fields,
    header_length,
)
from rrbackup.pure.model import RepositoryId, Word
from rrbackup.pure.secretstream import (
    HEADER_BYTES,
    OVERHEAD_BYTES,
    TAG_FINAL,
    TAG_MESSAGE,
    Data,
    State,
    init_pull,
    init_push,
    pull,
    push_parts,
)
from rrbackup.pure.showing import brief

CIPHER: Final = "xchacha20poly1305-secretstream"
NONCE_BYTES: Final = HEADER_BYTES
DEFAULT_CHUNK_BYTES: Final = 5 << 20
MIN_CHUNK_BYTES: Final = 1 << 16
MAX_CHUNK_BYTES: Final = 1 << 26

_HINT = "Another version of the object may be sound; if none is, back the file up again."


@frozen
class Place:
    """Where an object belongs: it opens nowhere else. `key` is relative to the store's prefix."""

    repository: RepositoryId
    key: str


@frozen
class CipherHeader:
    """What the JSON header of an encrypted object says. `chunk_size` is in plaintext bytes.

    `pipeline` lists the words applied, in order, and `encrypt` is one of them.
    """

    kind: str
    pipeline: tuple[Word, ...]
    place: Place
    chunk_size: int = DEFAULT_CHUNK_BYTES


@frozen
class Opened:
    """What an object says of itself, and its content: the header is to be believed only once content has come."""

    header: CipherHeader
    content: Iterator[bytes]


# --- writing -----------------------------------------------------------------------------------------------------


def encrypt_stream(chunks: Iterable[bytes], key: bytes, header: CipherHeader, nonce: bytes) -> Iterator[bytes]:
    """The object that holds the bytes of `chunks`, in pieces; holds about two chunks in memory.

    `nonce` has `NONCE_BYTES` and must be drawn afresh for every attempt to store an object. Raises UsageError for a
    chunk size out of bounds or a pipeline without encrypt, before anything is read.
    """
    _check_writable(header)
    return _encrypted(_Source(chunks), _encode(header), init_push(key, nonce), nonce, header.chunk_size)


def encrypt_bytes(data: bytes, key: bytes, header: CipherHeader, nonce: bytes) -> bytes:
    """As `encrypt_stream`, for objects that fit into memory."""
    return b"".join(encrypt_stream((data,), key, header, nonce))


def sealed_size(size: int, header: CipherHeader) -> int:
    """The bytes of the object that holds `size` bytes."""
    chunks = max(1, -(-size // header.chunk_size))
    return len(_encode(header)) + NONCE_BYTES + size + chunks * OVERHEAD_BYTES


def _encrypted(source: "_Source", front: bytes, state: State, nonce: bytes, chunk_size: int) -> Iterator[bytes]:
    yield front + nonce
    associated, last = front[LENGTH_BYTES:], False
    while not last:
        message = source.take(chunk_size)
        last = source.ended()
        parts, state = push_parts(state, message, associated, TAG_FINAL if last else TAG_MESSAGE)
        yield from parts


def _encode(header: CipherHeader) -> bytes:
    return encode_header(
        Header(header.kind, header.pipeline),
        {
            "cipher": CIPHER,
            "chunk_size": header.chunk_size,
            "repository": header.place.repository,
            "key": header.place.key,
        },
    )


def _check_writable(header: CipherHeader) -> None:
    if not MIN_CHUNK_BYTES <= header.chunk_size <= MAX_CHUNK_BYTES:
        raise UsageError(
            f"a chunk size of {header.chunk_size} bytes is out of bounds",
            hint=f"chunk_size is at least {MIN_CHUNK_BYTES} and at most {MAX_CHUNK_BYTES} bytes",
        )
    if Word.ENCRYPT not in header.pipeline:
        raise UsageError(f"{header.place.key} is to be encrypted by a pipeline that does not ask for it")


# --- reading -----------------------------------------------------------------------------------------------------


def decrypt_stream(chunks: Iterable[bytes], key: bytes, kind: str, place: Place, name: str) -> Iterator[bytes]:
    """The content of the object that the bytes of `chunks` are, chunk by chunk as each verifies.

    An object that is cut off fails only at its end, so whoever writes the content down takes it back then. Raises
    DamagedObject or UnsupportedFormat, naming `name`.
    """
    yield from open_stream(chunks, key, kind, place, name).content


def decrypt_bytes(data: bytes, key: bytes, kind: str, place: Place, name: str) -> tuple[CipherHeader, bytes]:
    """As `open_stream`, for objects that fit into memory; both parts of the answer are verified."""
    opened = open_stream((data,), key, kind, place, name)
    return opened.header, b"".join(opened.content)


def open_stream(chunks: Iterable[bytes], key: bytes, kind: str, place: Place, name: str) -> Opened:
    """Read the header now, and the content as it is asked for.

    Raises DamagedObject where the object is not a `kind` of that place, or UnsupportedFormat.
    """
    source = _Source(chunks)
    text = _exactly(source, header_length(bytes(source.take(LENGTH_BYTES)), name), name)
    header = _decode(text, kind, name)
    _check_place(header.place, place, name)
    state = init_pull(key, _exactly(source, HEADER_BYTES, name))
    return Opened(header, _decrypted(source, text, state, header.chunk_size + OVERHEAD_BYTES, name))


def _decrypted(source: "_Source", associated: bytes, state: State, size: int, name: str) -> Iterator[bytes]:
    last, number = False, 0
    while not last:
        number += 1
        if source.ended():
            raise DamagedObject(f"{name} is cut off: it ends behind chunk {number - 1}, not the last", hint=_HINT)
        message, tag, state = _pulled(state, source.take(size), associated, f"chunk {number} of {name}")
        last = tag == TAG_FINAL
        if last and not source.ended():
            raise DamagedObject(f"{name} goes on behind its last chunk", hint=_HINT)
        yield message


def _pulled(state: State, chunk: Data, associated: bytes, name: str) -> tuple[bytes, int, State]:
    try:
        message, tag, following = pull(state, chunk, associated)
    except DamagedObject:
        raise DamagedObject(f"{name} is damaged or cut off, or belongs elsewhere", hint=_HINT) from None
    if tag not in (TAG_MESSAGE, TAG_FINAL):
        raise DamagedObject(f"{name} has the tag {tag}, which is never written")
    return message, tag, following


def _decode(text: bytes, kind: str, name: str) -> CipherHeader:
    fields = header_fields(text, kind, name)
    if fields.get("cipher") != CIPHER:
        raise _unsupported(f"{name} is not encrypted, or in another way: its cipher is {brief(fields.get('cipher'))}")
    place = Place(RepositoryId(_text(fields, "repository", name)), _text(fields, "key", name))
    return CipherHeader(kind, _pipeline(fields, name), place, _chunk_size(fields, name))


def _chunk_size(fields: dict[str, object], name: str) -> int:
    size = fields.get("chunk_size")
    if type(size) is not int or not MIN_CHUNK_BYTES <= size <= MAX_CHUNK_BYTES:
        raise DamagedObject(f"the header of {name} has a chunk size out of bounds: {brief(size)}")
    return size


def _pipeline(fields: dict[str, object], name: str) -> tuple[Word, ...]:
    words = fields.get("pipeline")
    if not isinstance(words, list) or Word.ENCRYPT not in words:
        raise DamagedObject(f"the header of {name} has no pipeline with encrypt: {brief(words)}")
    if not all(isinstance(word, str) and word in set(Word) for word in words):
        raise _unsupported(f"{name} was stored with a pipeline that this version does not know")
    return tuple(Word(word) for word in words)


def _text(fields: dict[str, object], field: str, name: str) -> str:
    value = fields.get(field)
    if not isinstance(value, str):
        raise DamagedObject(f"the header of {name} has no {field}")
    return value


def _unsupported(message: str) -> UnsupportedFormat:
    return UnsupportedFormat(message, hint="use a newer version of rrbackup")


def _check_place(found: Place, expected: Place, name: str) -> None:
    if found.repository != expected.repository:
        raise DamagedObject(
            f"{name} belongs to the repository {found.repository}, not {expected.repository}",
            hint="Somebody put it here from another repository.",
        )
    if found.key != expected.key:
        raise DamagedObject(
            f"{name} belongs at the key {found.key!r}, not {expected.key!r}",
            hint="An encrypted object opens only where it was stored; move it back.",
        )


def _exactly(source: "_Source", size: int, name: str) -> bytes:
    data = bytes(source.take(size))
    if len(data) < size:
        raise DamagedObject(f"{name} ends within its header", hint=_HINT)
    return data


class _Source:
    """Bytes that come in pieces of any size, taken in pieces of a chosen one."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")
        self._buffer = bytearray()

    def take(self, size: int) -> memoryview:
        """`size` bytes, or as many as are left, to be used before the next call: the buffer is used again.

        A fresh buffer for every chunk costs more in page faults than the copy into it.
        """
        first = self._next(size)
        return first if len(first) == size or self.ended() else self._assembled(first, size)

    def ended(self) -> bool:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._rest = memoryview(piece)
        return False

    def _assembled(self, first: memoryview, size: int) -> memoryview:
        if len(self._buffer) != size:
            self._buffer = bytearray(size)
        filled, part = 0, first
        while part:
            self._buffer[filled : filled + len(part)] = part
            filled += len(part)
            part = self._next(size - filled)
        return memoryview(self._buffer)[:filled]

    def _next(self, size: int) -> memoryview:
        """What is left of the current piece, at most `size` bytes; nothing only at the end, or for no bytes."""
        if self.ended():
            return self._rest
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
