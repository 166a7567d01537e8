"""Objects of format 1: their header, and the way from their bytes to their content.

The rule decided here: an object is read only as its own header says, within bounds. Every object may be hostile:
whatever its bytes, the answer is a value or an error of ours, and memory stays in proportion to the bytes stored, or
to `MAX_METADATA_BYTES`. Deriving keys and opening chunks is passed in.
"""

import binascii
import bz2
from collections.abc import Callable, Iterable, Iterator

from attrs import evolve, field, frozen

from rrbackup.errors import DamagedObject, PasswordMissing, UnsupportedFormat, WrongPassword
from rrbackup.pure.format1_json import mapping, number, parse, string
from rrbackup.pure.model import Entry, Word
from rrbackup.pure.showing import brief

MAX_HEADER_BYTES = 65_536
MAX_METADATA_BYTES = 1 << 28
"""Of a diff once decompressed: about 800,000 changes."""
MAX_CHUNK_BYTES = 1 << 28
MAX_KDF_MEMORY = 1 << 30
"""Bytes: twice libsodium's "sensitive" limit for Argon2i."""
MAX_KDF_PASSES = 64

LENGTH_BYTES = 4
STREAM_HEADER_BYTES = 24
CHUNK_OVERHEAD = 17
"""What encryption adds to a chunk: the tag's byte and the authenticator."""
_TAG_MESSAGE = 0
_SALT_BYTES = 16


@frozen
class Kdf:
    """How Argon2i 1.3 makes the key from the password. `memory` is in bytes."""

    passes: int
    memory: int
    salt: bytes = field(repr=False)


@frozen
class Header:
    """`text` is the associated data of every chunk; `chunk_size` (plaintext bytes) is None in metadata objects."""

    text: bytes
    chunk_size: int | None = None
    compressed: bool = False
    kdf: Kdf | None = None

    @property
    def frame_bytes(self) -> int:
        """What stands before the content: length, header and, where there is one, the stream's header."""
        return LENGTH_BYTES + len(self.text) + (STREAM_HEADER_BYTES if self.kdf else 0)


Pull = Callable[[bytes, bytes], tuple[bytes, int]]
"""(chunk, associated data) → (plaintext, tag), as libsodium's secretstream; DamagedObject where it does not open."""
Unlock = Callable[[Kdf, bytes], Pull]
"""(parameters of the key, 24-byte stream header) → the stream. Raises what is right where there is no password."""


def locked_old(kdf: Kdf, stream_header: bytes) -> Pull:
    """The keys of those who have none."""
    raise PasswordMissing("this was encrypted by rrbackup 1.0; it needs the password, and none was given")


# --- header and frame ----------------------------------------------------------------------------------------------


def header_length(data: bytes, name: str) -> int:
    """The bytes of the JSON header, from the first four bytes of an object. Raises DamagedObject."""
    length = int.from_bytes(data[:LENGTH_BYTES], "big")
    if len(data) < LENGTH_BYTES or length > MAX_HEADER_BYTES:
        raise DamagedObject(f"{name} does not begin with a header of format 1")
    return length


def decode_header(text: bytes, name: str) -> Header:
    """Raises DamagedObject, or UnsupportedFormat for a version, compression or cipher that 1.0 did not know."""
    fields = mapping(parse(text, f"the header of {name}"), f"the header of {name}")
    if fields.get("V") != "1":
        raise _unsupported(f"{name} has format {brief(fields.get('V'))}, not 1")
    chunk_size = number(fields["S"], 1, MAX_CHUNK_BYTES, f"chunk size of {name}") if "S" in fields else None
    return Header(text, chunk_size, _is_compressed(fields.get("C"), name), _kdf(fields.get("E"), name))


def split(data: bytes, name: str) -> tuple[Header, bytes]:
    """A whole object as its header and what follows. Raises DamagedObject or UnsupportedFormat."""
    end = LENGTH_BYTES + header_length(data, name)
    if end > len(data):
        raise DamagedObject(f"{name} ends within its header")
    return decode_header(data[LENGTH_BYTES:end], name), data[end:]


def is_format1(data: bytes) -> bool:
    """Whether a metadata object says that it has format 1: then it is read here, else by `format2`."""
    try:
        end = LENGTH_BYTES + header_length(data, "")
        return mapping(parse(data[LENGTH_BYTES:end], ""), "").get("V") == "1"
    except DamagedObject:
        return False


def _unsupported(message: str) -> UnsupportedFormat:
    return UnsupportedFormat(message, hint="use a version of rrbackup that knows this format")


def _is_compressed(value: object, name: str) -> bool:
    if not value:
        return False  # 1.0 wrote "C":"" for files that it left alone
    if value != {"A": "bz2"}:
        raise _unsupported(f"{name} is compressed with {brief(value)}")
    return True


def _kdf(value: object, name: str) -> Kdf | None:
    if value is None or value == "":
        return None
    fields = mapping(value, f"the encryption header of {name}")
    if fields.get("A") != "ARGON2I13" or fields.get("E", "sodssxcc20") != "sodssxcc20":
        raise _unsupported(f"{name} is encrypted with {brief(value)}")
    passes = number(fields.get("O"), 3, MAX_KDF_PASSES, f"number of key derivation passes of {name}")
    memory = number(fields.get("M"), 8192, MAX_KDF_MEMORY, f"key derivation memory of {name}")
    return Kdf(passes, memory, _checked_salt(_base64(string(fields.get("S"), f"the salt of {name}"), name), name))


def decode_salt(data: bytes, name: str) -> bytes:
    """The 16 bytes of the salt object, which is not framed. Raises DamagedObject."""
    try:
        return _checked_salt(binascii.unhexlify(data.strip()), name)
    except ValueError:
        raise DamagedObject(f"{name} is not a salt in hexadecimal digits") from None


def _base64(text: str, name: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise DamagedObject(f"the salt of {name} is not base64") from None


def _checked_salt(salt: bytes, name: str) -> bytes:
    if len(salt) != _SALT_BYTES:
        raise DamagedObject(f"the salt of {name} has {len(salt)} bytes, not {_SALT_BYTES}")
    return salt


# --- content -------------------------------------------------------------------------------------------------------


def read_metadata(data: bytes, unlock: Unlock, name: str, limit: int = MAX_METADATA_BYTES) -> bytes:
    """The JSON in a metadata object: one chunk, compressed before it was encrypted.

    Raises DamagedObject, also where it would have more than `limit` bytes, or UnsupportedFormat.
    """
    header, payload = split(data, name)
    if header.kdf is not None:
        pull = _open(header.kdf, payload[:STREAM_HEADER_BYTES], unlock, name)
        payload = _pulled(pull, payload[STREAM_HEADER_BYTES:], header, name)
    return _decompress(payload, limit, name) if header.compressed else payload


def read_file(blocks: Iterable[bytes], unlock: Unlock, name: str) -> Iterator[bytes]:
    """The content of a file object, given in blocks of any size; holds one chunk at a time.

    The last chunk is not marked, so an object cut off between two chunks gives a shorter file: only the hash in the
    manifest tells. Raises DamagedObject or UnsupportedFormat.
    """
    source = _Source(blocks)
    header = decode_header(_exactly(source, header_length(source.take(LENGTH_BYTES), name), name), name)
    if header.compressed:
        raise _unsupported(f"{name} is a compressed file, which rrbackup 1.0 never wrote")
    return source.rest() if header.kdf is None else _decrypted(source, header, header.kdf, unlock, name)


def _decrypted(source: "_Source", header: Header, kdf: Kdf, unlock: Unlock, name: str) -> Iterator[bytes]:
    if header.chunk_size is None:
        raise DamagedObject(f"the header of {name} has no chunk size")
    pull = _open(kdf, source.take(STREAM_HEADER_BYTES), unlock, name)
    while chunk := source.take(header.chunk_size + CHUNK_OVERHEAD):
        yield _pulled(pull, chunk, header, name)


def content_size(header: Header, stored_size: int, name: str) -> int:
    """The bytes of a file whose object has `stored_size` bytes. Raises DamagedObject where that cannot be."""
    content = stored_size - header.frame_bytes
    if header.kdf is not None and header.chunk_size is not None:
        chunks = -(-content // (header.chunk_size + CHUNK_OVERHEAD))
        content -= chunks * CHUNK_OVERHEAD
    if content < 0:
        raise DamagedObject(f"{name} has {stored_size} bytes, too few for its header")
    return content


def described(entry: Entry, header: Header, stored_size: int) -> Entry:
    """`entry` with what the diff does not record but the listing (`stored_size`, bytes) and the header do."""
    if entry.object is None:
        return entry
    words = (Word.ENCRYPT,) if header.kdf else ()
    found = evolve(entry.object, stored_size=stored_size, asked=words, applied=words)
    return evolve(entry, size=content_size(header, stored_size, found.key), object=found)


def _open(kdf: Kdf, stream_header: bytes, unlock: Unlock, name: str) -> Pull:
    if len(stream_header) != STREAM_HEADER_BYTES:
        raise DamagedObject(f"{name} ends within the header of its encrypted stream")
    return unlock(kdf, stream_header)


def _pulled(pull: Pull, chunk: bytes, header: Header, name: str) -> bytes:
    if len(chunk) < CHUNK_OVERHEAD:
        raise DamagedObject(f"{name} is cut off: its last chunk has {len(chunk)} bytes")
    try:
        plain, tag = pull(chunk, header.text)
    except DamagedObject as error:
        raise DamagedObject(f"{name} does not open: {error}") from None
    except WrongPassword as error:
        error.hint = f"if it is the right one, {name}, which was read first, is damaged"
        raise
    if tag != _TAG_MESSAGE:
        raise DamagedObject(f"{name} has a chunk with the tag {tag}, which rrbackup 1.0 never wrote")
    return plain


def _decompress(data: bytes, limit: int, name: str) -> bytes:
    machine = bz2.BZ2Decompressor()
    try:
        plain = machine.decompress(data, max_length=limit + 1)
    except OSError as error:
        raise DamagedObject(f"{name} cannot be decompressed: {error}") from None
    if len(plain) > limit:
        raise DamagedObject(f"{name} has more than {limit} bytes once decompressed; no metadata object is that large")
    if not machine.eof or machine.unused_data:
        raise DamagedObject(f"{name} is {'followed by something else' if machine.eof else 'cut off'}")
    return plain


class _Source:
    """Blocks of any size, taken in pieces of a chosen one."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = bytearray()

    def take(self, count: int) -> bytes:
        """`count` bytes, or as many as are left."""
        while len(self._held) < count and (block := next(self._blocks, None)) is not None:
            self._held += block
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def rest(self) -> Iterator[bytes]:
        yield bytes(self._held)
        yield from self._blocks


def _exactly(source: _Source, count: int, name: str) -> bytes:
    data = source.take(count)
    if len(data) < count:
        raise DamagedObject(f"{name} ends within its header")
    return data
