"""Objects of format 1: what the reader makes of those of an independent writer, of odd ones, and of bent ones."""

import bz2
import json
import struct
from base64 import b64encode
from collections.abc import Iterator

import pytest

from rrbackup.errors import DamagedObject, UnsupportedFormat
from rrbackup.pure import format2
from rrbackup.pure.format1_object import (
    MAX_CHUNK_BYTES,
    MAX_HEADER_BYTES,
    MAX_KDF_MEMORY,
    Header,
    Kdf,
    Pull,
    content_size,
    decode_header,
    decode_salt,
    described,
    is_format1,
    read_file,
    read_metadata,
    split,
)
from rrbackup.pure.model import NOT_RECORDED, Entry, ObjectRef, PathText, VersionId, Word
from tests.format1_shell import no_password, puller, unlocker
from tests.format1_writer import Lock, compact, derive_key, file_object, framed, metadata_object, sealed

SALT = bytes(range(16))
LOCK = Lock(bytes(32), SALT)
RECORDS = [{"path": "/a", "status": "new", "hash": "ab" * 32}]


def unlock(kdf: Kdf, stream_header: bytes) -> Pull:
    """With the key of LOCK, which no password gives."""
    assert kdf == Kdf(4, 33_554_432, SALT)
    return puller(LOCK.key, stream_header)


# --- headers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"V":"1"}', {}),
        (b'{"V":"1","S":"5242880"}', {"chunk_size": 5_242_880}),
        (b'{"V":"1","S":"5242880","C":""}', {"chunk_size": 5_242_880}),
        (b'{"V":"1","C":{"A":"bz2"}}', {"compressed": True}),
        (b'{"V":"1","unknown":[1]}', {}),
        (
            b'{"V":"1","E":{"A":"ARGON2I13","O":4,"M":33554432,"S":"AAECAwQFBgcICQoLDA0ODw==","E":"sodssxcc20"}}',
            {"kdf": Kdf(4, 33_554_432, SALT)},
        ),
    ],
)
def test_headers(text: bytes, expected: dict[str, object]) -> None:
    assert decode_header(text, "x") == Header(text, **expected)  # type: ignore[arg-type]
    assert split(framed(text, b"rest"), "x")[1] == b"rest"


def encrypted(**other: object) -> bytes:
    return compact({"V": "1", "E": {**LOCK.header(), **other}})


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (b'{"V":"2"}', UnsupportedFormat, "format '2'"),
        (b'{"V":1}', UnsupportedFormat, "format 1, not 1"),
        (b"{}", UnsupportedFormat, "format None"),
        (b"[]", DamagedObject, "not a JSON object"),
        (b"\xff", DamagedObject, "does not hold JSON"),
        (b'{"V":"1","C":{"A":"zip"}}', UnsupportedFormat, "compressed with"),
        (b'{"V":"1","S":"0"}', DamagedObject, "chunk size"),
        (b'{"V":"1","S":"' + str(MAX_CHUNK_BYTES + 1).encode() + b'"}', DamagedObject, "chunk size"),
        (b'{"V":"1","S":true}', DamagedObject, "chunk size"),
        (b'{"V":"1","S":' + b"9" * 3000 + b"}", DamagedObject, "a huge number"),
        (b'{"V":"1","E":"yes"}', DamagedObject, "not a JSON object"),
        (encrypted(A="ARGON2ID13"), UnsupportedFormat, "encrypted with"),
        (encrypted(E="aes"), UnsupportedFormat, "encrypted with"),
        (encrypted(M=1 << 40), DamagedObject, "key derivation memory"),
        (encrypted(M=MAX_KDF_MEMORY + 1), DamagedObject, "key derivation memory"),
        (encrypted(O=1 << 30), DamagedObject, "passes"),
        (encrypted(O=None), DamagedObject, "passes"),
        (encrypted(S="?"), DamagedObject, "not base64"),
        (encrypted(S="é"), DamagedObject, "not base64"),
        (encrypted(S=b64encode(bytes(15)).decode()), DamagedObject, "15 bytes"),
    ],
)
def test_headers_that_are_refused(text: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        decode_header(text, "the object")


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\0", b'\0\0\0\x0a{"V":"1"}', struct.pack(">I", 2**32 - 1), struct.pack(">I", MAX_HEADER_BYTES + 1)],
)
def test_frames_that_are_refused(data: bytes) -> None:
    with pytest.raises(DamagedObject):
        split(data, "x")
    with pytest.raises(DamagedObject):
        b"".join(read_file([data], no_password, "x"))


def test_a_header_that_is_too_long_is_refused_even_if_it_is_there() -> None:
    longest = b'{"V":"1"}'.ljust(MAX_HEADER_BYTES)
    assert split(framed(longest, b"rest"), "x") == (Header(longest), b"rest")
    with pytest.raises(DamagedObject, match="does not begin with a header"):
        split(framed(longest + b" ", b"rest"), "x")


def test_the_formats_are_told_apart() -> None:
    assert is_format1(metadata_object([]))
    assert not is_format1(format2.encode_garbage([]))
    assert not is_format1(b"no header at all")


def test_the_salt_object() -> None:
    assert decode_salt(SALT.hex().encode(), "salt_file") == SALT
    assert decode_salt(SALT.hex().encode() + b"\n", "salt_file") == SALT
    for bent in (b"", SALT, SALT.hex()[:-2].encode(), b"zz" * 16):
        with pytest.raises(DamagedObject, match="salt_file"):
            decode_salt(bent, "salt_file")


# --- metadata ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("lock", [None, LOCK])
def test_metadata_objects(compress: bool, lock: Lock | None) -> None:
    stored = metadata_object(RECORDS, compress, lock)
    assert json.loads(read_metadata(stored, unlock, "x")) == RECORDS


def test_a_password_gives_the_key() -> None:
    lock = Lock(derive_key(b"secret", SALT), SALT)
    assert read_metadata(metadata_object([], lock=lock), unlocker(b"secret"), "x") == b"[]"
    with pytest.raises(DamagedObject):
        read_metadata(metadata_object([], lock=lock), unlocker(b"Secret"), "x")


def test_metadata_is_bound_to_its_header() -> None:
    stored = metadata_object([], lock=LOCK)
    header, payload = split(stored, "x")
    with pytest.raises(DamagedObject):
        read_metadata(framed(header.text + b" ", payload), unlock, "x")


def test_metadata_that_is_cut_off_or_goes_on() -> None:
    for compress, lock in ((True, None), (False, LOCK), (True, LOCK)):
        stored = metadata_object(RECORDS, compress, lock)
        for bent in (*(stored[:length] for length in range(len(stored))), stored + b"x"):
            with pytest.raises(DamagedObject):
                read_metadata(bent, unlock, "x")


def test_metadata_that_unfolds_to_too_much_is_refused() -> None:
    header = compact({"V": "1", "C": {"A": "bz2"}})
    assert len(read_metadata(framed(header, bz2.compress(bytes(1000))), no_password, "x", limit=1000)) == 1000
    with pytest.raises(DamagedObject, match="more than 1000 bytes"):
        read_metadata(framed(header, bz2.compress(bytes(1001))), no_password, "x", limit=1000)


# --- files ---------------------------------------------------------------------------------------------------------

CHUNK = 64


def in_blocks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("lock", [None, LOCK])
@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 1])
@pytest.mark.parametrize("block", [1, 17, 1 << 20])
def test_files_of_every_length_in_blocks_of_every_size(lock: Lock | None, length: int, block: int) -> None:
    content = bytes(number % 251 for number in range(length))
    stored = file_object(content, lock, CHUNK)
    assert b"".join(read_file(in_blocks(stored, block), unlock, "x")) == content
    assert content_size(split(stored, "x")[0], len(stored), "x") == length


def test_an_encrypted_file_is_read_chunk_by_chunk() -> None:
    blocks = in_blocks(file_object(bytes(10 * CHUNK), LOCK, CHUNK), 50)
    asked = []

    def watched() -> Iterator[bytes]:
        for block in blocks:
            asked.append(block)
            yield block

    assert len(next(read_file(watched(), unlock, "x"))) == CHUNK
    assert len(asked) < len(blocks) / 2


def bend(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def test_no_bit_of_an_encrypted_file_can_change() -> None:
    stored = file_object(bytes(2 * CHUNK + 5), LOCK, CHUNK)
    start = split(stored, "x")[0].frame_bytes - 24
    for position in range(start, len(stored)):
        with pytest.raises(DamagedObject):
            b"".join(read_file([bend(stored, position)], unlock, "x"))


def test_chunks_can_neither_be_exchanged_nor_left_out() -> None:
    stored = file_object(bytes(3 * CHUNK), LOCK, CHUNK)
    start = split(stored, "x")[0].frame_bytes
    head, chunks = stored[:start], in_blocks(stored[start:], CHUNK + 17)
    for order in ((1, 0, 2), (0, 2), (1, 2), (0, 0, 1, 2), (0, 1, 2, 2)):
        with pytest.raises(DamagedObject):
            b"".join(read_file([head, *(chunks[place] for place in order)], unlock, "x"))


def test_a_chunk_too_short_to_be_one_is_told_as_such() -> None:
    stored = file_object(bytes(2 * CHUNK), LOCK, CHUNK)
    with pytest.raises(DamagedObject, match="its last chunk has 16 bytes"):
        b"".join(read_file([stored[: -CHUNK - 1]], unlock, "x"))


def test_a_file_cut_between_chunks_is_short_and_only_its_hash_tells() -> None:
    stored = file_object(bytes(3 * CHUNK), LOCK, CHUNK)
    assert b"".join(read_file([stored[: -CHUNK - 17]], unlock, "x")) == bytes(2 * CHUNK)


def test_other_tags_than_those_of_1_0_are_refused() -> None:
    header = split(file_object(b"", LOCK, CHUNK), "x")[0].text
    with pytest.raises(DamagedObject, match="tag 3"):
        b"".join(read_file([framed(header, sealed(LOCK, header, [b"end"], tag=3))], unlock, "x"))


def test_files_that_1_0_never_wrote() -> None:
    with pytest.raises(UnsupportedFormat, match="compressed file"):
        read_file([metadata_object([], compress=True)], no_password, "x")
    with pytest.raises(DamagedObject, match="no chunk size"):
        b"".join(read_file([metadata_object([], lock=LOCK)], unlock, "x"))


@pytest.mark.parametrize("lock", [None, LOCK])
def test_size_and_words_come_from_listing_and_header(lock: Lock | None) -> None:
    recorded = Entry(PathText("/a"), size=NOT_RECORDED, object=ObjectRef("files/other", VersionId("v1"), -1, "", 1))
    stored = file_object(bytes(1000), lock, CHUNK)
    entry = described(recorded, split(stored, "x")[0], len(stored))
    words = () if lock is None else (Word.ENCRYPT,)
    assert entry.size == 1000
    assert entry.object == ObjectRef("files/other", VersionId("v1"), len(stored), "", 1, words, words)
    assert described(Entry(PathText("/e")), split(stored, "x")[0], 7) == Entry(PathText("/e"))


@pytest.mark.parametrize("lock", [None, LOCK])
def test_an_object_too_small_for_its_header(lock: Lock | None) -> None:
    header = split(file_object(b"", lock), "x")[0]
    assert content_size(header, header.frame_bytes, "x") == 0
    for stored_size in (0, header.frame_bytes - 1):
        with pytest.raises(DamagedObject):
            content_size(header, stored_size, "x")
