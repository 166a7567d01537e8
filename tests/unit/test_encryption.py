"""Encrypted objects: opened here by libsodium and there by us, and refused in every other shape."""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

import nacl.bindings as sodium
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject, UnsupportedFormat, UsageError
from rrbackup.pure.encryption import (
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    NONCE_BYTES,
    CipherHeader,
    Place,
    decrypt_bytes,
    decrypt_stream,
    encrypt_bytes,
    encrypt_stream,
    open_stream,
    sealed_size,
)
from rrbackup.pure.header import MAX_HEADER_BYTES
from rrbackup.pure.model import RepositoryId, Word

KEY = bytes(range(32))
NONCE = bytes(range(50, 50 + NONCE_BYTES))
PLACE = Place(RepositoryId("r0"), "files/a")
CHUNK = MIN_CHUNK_BYTES
HEADER = CipherHeader("file", (Word.COMPRESS, Word.ENCRYPT), PLACE, CHUNK)
TEXT = (
    b'{"V":"2","kind":"file","pipeline":["compress","encrypt"],"cipher":"xchacha20poly1305-secretstream",'
    b'"chunk_size":65536,"repository":"r0","key":"files/a"}'
)
FRONT = struct.pack(">I", len(TEXT)) + TEXT
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5]

FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
REKEY = sodium.crypto_secretstream_xchacha20poly1305_TAG_REKEY


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def encrypted(content: bytes, header: CipherHeader = HEADER) -> bytes:
    return encrypt_bytes(content, KEY, header, NONCE)


def decrypted(data: bytes, place: Place = PLACE, key: bytes = KEY) -> bytes:
    return b"".join(decrypt_stream([data], key, "file", place, "the object"))


def by_sodium(text: bytes, messages: Sequence[tuple[bytes, int]], bound_to: bytes | None = None) -> bytes:
    """An object as a program with nothing but libsodium writes it."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    parts = [struct.pack(">I", len(text)), text, sodium.crypto_secretstream_xchacha20poly1305_init_push(state, KEY)]
    associated = text if bound_to is None else bound_to
    parts += [sodium.crypto_secretstream_xchacha20poly1305_push(state, m, associated, tag) for m, tag in messages]
    return b"".join(parts)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- the format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_libsodium_opens_what_we_write(size: int) -> None:
    data = encrypted(noise(size))
    assert data.startswith(FRONT + NONCE)
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, NONCE, KEY)
    chunks = cut(data[len(FRONT + NONCE) :], CHUNK + 17)
    opened = [sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, TEXT) for chunk in chunks]
    assert b"".join(message for message, _ in opened) == noise(size)
    assert [tag for _, tag in opened] == [MESSAGE] * (len(chunks) - 1) + [FINAL]
    assert len(chunks) == max(1, -(-size // CHUNK))


@pytest.mark.parametrize("size", SIZES)
def test_the_size_of_an_object_is_known_beforehand(size: int) -> None:
    assert sealed_size(size, HEADER) == len(encrypted(noise(size)))


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_libsodium_writes(size: int) -> None:
    messages = [(chunk, MESSAGE) for chunk in cut(noise(size), CHUNK)] or [(b"", MESSAGE)]
    data = by_sodium(TEXT, [*messages[:-1], (messages[-1][0], FINAL)])
    assert decrypted(data) == noise(size)
    assert decrypt_bytes(data, KEY, "file", PLACE, "x") == (HEADER, noise(size))


def test_fields_that_are_not_known_are_passed_over() -> None:
    text = json.dumps({**json.loads(TEXT), "color": "blue"}).encode()
    assert decrypted(by_sodium(text, [(b"content", FINAL)])) == b"content"


@settings(max_examples=50)
@given(st.integers(0, 3 * CHUNK), st.lists(st.integers(0, 3 * CHUNK), max_size=8))
def test_it_makes_no_difference_in_which_pieces_bytes_come(size: int, cuts: list[int]) -> None:
    content = noise(size)
    data = b"".join(encrypt_stream(pieces(content, cuts), KEY, HEADER, NONCE))
    assert data == encrypted(content)
    assert b"".join(decrypt_stream(pieces(data, cuts), KEY, "file", PLACE, "x")) == content


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    ends = sorted(min(at, len(data)) for at in cuts)
    for begin, end in zip([0, *ends], [*ends, len(data)], strict=True):
        yield data[begin:end]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_small_pieces_are_put_together(size: int) -> None:
    content = noise(CHUNK + 100)
    data = b"".join(encrypt_stream(cut(content, size), KEY, HEADER, NONCE))
    assert b"".join(decrypt_stream(cut(data, size), KEY, "file", PLACE, "x")) == content


def test_reading_runs_no_further_ahead_than_a_chunk_and_a_piece() -> None:
    taken = 0

    def source(data: bytes) -> Iterator[bytes]:
        nonlocal taken
        for piece in cut(data, 1000):
            taken += len(piece)
            yield piece

    given_out = 0
    for part in encrypt_stream(source(noise(5 * CHUNK)), KEY, HEADER, NONCE):
        given_out += len(part)
        assert taken <= given_out + CHUNK + 1000
    taken = given_out = 0
    for part in decrypt_stream(source(encrypted(noise(5 * CHUNK))), KEY, "file", PLACE, "x"):
        given_out += len(part)
        assert taken <= given_out + CHUNK + 2000


def test_a_large_chunk_size_costs_nothing_where_there_are_few_bytes() -> None:
    header = evolve(HEADER, chunk_size=MAX_CHUNK_BYTES)
    assert decrypted(encrypted(b"few", header)) == b"few"


# --- what is refused ---------------------------------------------------------------------------------------------

CONTENT = noise(3 * CHUNK - 5)
WHOLE = encrypted(CONTENT)
START = len(FRONT + NONCE)
CHUNKS = cut(WHOLE[START:], CHUNK + 17)


def of_chunks(*numbers: int) -> bytes:
    return WHOLE[:START] + b"".join(CHUNKS[number] for number in numbers)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (of_chunks(), "cut off: it ends behind chunk 0"),
        (of_chunks(0), "cut off: it ends behind chunk 1"),
        (of_chunks(0, 1), "cut off: it ends behind chunk 2"),
        (of_chunks(0, 2), "chunk 2 of the object is damaged"),
        (of_chunks(1, 0, 2), "chunk 1 of the object is damaged"),
        (of_chunks(0, 0, 1, 2), "chunk 2 of the object is damaged"),
        (of_chunks(2), "chunk 1 of the object is damaged"),
        (of_chunks(0, 1, 2, 2), "damaged"),
        (WHOLE + b"x", "damaged"),
        (WHOLE[:-1], "chunk 3 of the object is damaged"),
        (of_chunks(0) + b"few", "chunk 2 of the object is damaged"),
        (encrypted(noise(CHUNK)) + b"x", "goes on behind its last chunk"),
        (encrypted(noise(CHUNK)) + encrypted(b"more"), "goes on behind its last chunk"),
    ],
)
def test_chunks_that_are_missing_moved_or_added(data: bytes, problem: str) -> None:
    with pytest.raises(DamagedObject, match=problem):
        decrypted(data)


@pytest.mark.parametrize("length", [*range(START + 18), len(FRONT) + CHUNK, START + CHUNK + 16])
def test_a_beginning_is_no_object(length: int) -> None:
    with pytest.raises(DamagedObject, match="the object"):
        decrypted(WHOLE[:length])


def test_every_flipped_bit_is_noticed() -> None:
    data = encrypted(b"short")
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((DamagedObject, UnsupportedFormat), match="the object"):
            decrypted(bytes(flipped))


def test_what_came_before_the_damage_is_right_and_nothing_else_comes() -> None:
    damaged = bytearray(WHOLE)
    damaged[START + CHUNK + 100] ^= 1
    content = decrypt_stream([bytes(damaged)], KEY, "file", PLACE, "the object")
    assert next(content) == CONTENT[:CHUNK]
    with pytest.raises(DamagedObject, match="chunk 2"):
        next(content)
    assert list(content) == []


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        (Place(RepositoryId("r1"), "files/a"), "the object belongs to the repository r0, not r1"),
        (Place(RepositoryId("r0"), "files/b"), "the object belongs at the key 'files/a', not 'files/b'"),
    ],
)
def test_an_object_opens_only_where_it_belongs(place: Place, problem: str) -> None:
    with pytest.raises(DamagedObject, match=problem):
        decrypted(WHOLE, place)


def test_a_header_that_was_exchanged_to_fit_does_not_open() -> None:
    elsewhere = Place(RepositoryId("r0"), "files/b")
    front = encrypted(b"", evolve(HEADER, place=elsewhere))[: -NONCE_BYTES - 17]
    moved = front + encrypted(b"content")[len(FRONT) :]
    with pytest.raises(DamagedObject, match="damaged or cut off, or belongs elsewhere"):
        decrypted(moved, elsewhere)


def test_another_key_does_not_open() -> None:
    with pytest.raises(DamagedObject, match="chunk 1 of the object is damaged"):
        decrypted(WHOLE, key=bytes(32))


def test_another_kind_is_refused() -> None:
    with pytest.raises(DamagedObject, match="holds a record of kind 'file', not 'diff'"):
        decrypt_bytes(WHOLE, KEY, "diff", PLACE, "x")


def test_a_tag_that_is_never_written_is_refused() -> None:
    with pytest.raises(DamagedObject, match=f"has the tag {REKEY}"):
        decrypted(by_sodium(TEXT, [(noise(CHUNK), REKEY), (b"", FINAL)]))


def test_a_header_is_bound_byte_for_byte() -> None:
    with pytest.raises(DamagedObject):
        decrypted(by_sodium(TEXT + b" ", [(b"content", FINAL)], bound_to=TEXT))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"V": "1"}, UnsupportedFormat),
        ({"V": 2}, UnsupportedFormat),
        ({"cipher": "rot13"}, UnsupportedFormat),
        ({"cipher": None}, UnsupportedFormat),
        ({"pipeline": ["fold", "encrypt"]}, UnsupportedFormat),
        ({"pipeline": [["encrypt"], "encrypt"]}, UnsupportedFormat),
        ({"pipeline": ["compress"]}, DamagedObject),
        ({"pipeline": "encrypt"}, DamagedObject),
        ({"pipeline": None}, DamagedObject),
        ({"repository": 7}, DamagedObject),
        ({"repository": None}, DamagedObject),
        ({"key": ["files/a"]}, DamagedObject),
        ({"chunk_size": MIN_CHUNK_BYTES - 1}, DamagedObject),
        ({"chunk_size": MAX_CHUNK_BYTES + 1}, DamagedObject),
        ({"chunk_size": 0}, DamagedObject),
        ({"chunk_size": -65536}, DamagedObject),
        ({"chunk_size": 1 << 62}, DamagedObject),
        ({"chunk_size": "65536"}, DamagedObject),
        ({"chunk_size": True}, DamagedObject),
        ({"chunk_size": 65536.0}, DamagedObject),
    ],
)
def test_headers_that_are_refused(changes: dict[str, object], error: type[Exception]) -> None:
    text = json.dumps({**json.loads(TEXT), **changes}).encode()
    with pytest.raises(error, match="the object"):
        decrypted(by_sodium(text, [(b"content", FINAL)]))


@pytest.mark.parametrize("claim", [MAX_HEADER_BYTES + 1, 2**32 - 1])
def test_a_header_that_claims_too_much_is_not_read(claim: int) -> None:
    def source() -> Iterator[bytes]:
        yield struct.pack(">I", claim)
        pytest.fail("read on")

    with pytest.raises(DamagedObject, match="does not begin with a header"):
        open_stream(source(), KEY, "file", PLACE, "the object")


@given(st.binary(max_size=300))
def test_noise_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises((DamagedObject, UnsupportedFormat)):
        decrypted(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=3) | st.sampled_from(["encrypt", "file"]),
    lambda inner: st.lists(inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(TEXT))), json_values))
def test_any_header_is_a_value_or_an_error_of_ours(fields: dict[str, object]) -> None:
    text = json.dumps({**json.loads(TEXT), **fields}).encode()
    with suppress(DamagedObject, UnsupportedFormat):
        assert decrypted(by_sodium(text, [(b"content", FINAL)])) == b"content"


# --- what is not written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        evolve(HEADER, chunk_size=MIN_CHUNK_BYTES - 1),
        evolve(HEADER, chunk_size=MAX_CHUNK_BYTES + 1),
        evolve(HEADER, pipeline=(Word.COMPRESS,)),
    ],
)
def test_what_could_not_be_read_is_not_written(header: CipherHeader) -> None:
    with pytest.raises(UsageError):
        encrypt_stream([], KEY, header, NONCE)


def test_a_source_that_fails_fails_the_object() -> None:
    def source() -> Iterator[bytes]:
        yield noise(CHUNK)
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(encrypt_stream(source(), KEY, HEADER, NONCE))
