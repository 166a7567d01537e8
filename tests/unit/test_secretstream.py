"""The stream cipher against libsodium, by way of PyNaCl, in both directions; and that nothing else opens."""

import hashlib
from collections.abc import Sequence
from typing import cast

import nacl.bindings as sodium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject
from rrbackup.pure import secretstream, xchacha
from rrbackup.pure.secretstream import (
    HEADER_BYTES,
    OVERHEAD_BYTES,
    TAG_FINAL,
    TAG_MESSAGE,
    TAG_PUSH,
    TAG_REKEY,
    State,
    init_pull,
    init_push,
    pull,
    push,
)

KEY = bytes(range(32))
HEADER = bytes(range(100, 124))
TAGS = [TAG_MESSAGE, TAG_PUSH, TAG_REKEY, TAG_FINAL]
ASSOCIATED = [b"", b"a", b"b" * 16, b'{"V":"2"}' * 30]
CHUNK = 5 << 20

Step = tuple[bytes, bytes, int]
"""Message, associated data, tag."""


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def sodium_pull_state(header: bytes = HEADER) -> sodium.crypto_secretstream_xchacha20poly1305_state:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, header, KEY)
    return state


def encrypted_by_sodium(steps: Sequence[Step]) -> tuple[bytes, list[bytes]]:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    header = sodium.crypto_secretstream_xchacha20poly1305_init_push(state, KEY)
    return header, [sodium.crypto_secretstream_xchacha20poly1305_push(state, m, ad, tag) for m, ad, tag in steps]


def decrypted_by_sodium(header: bytes, ciphertexts: Sequence[bytes], associated: Sequence[bytes]) -> list[Step]:
    state = sodium_pull_state(header)
    opened = []
    for ciphertext, ad in zip(ciphertexts, associated, strict=True):
        message, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(state, ciphertext, ad)
        opened.append((message, ad, tag))
    return opened


def encrypted(steps: Sequence[Step]) -> list[bytes]:
    state, ciphertexts = init_push(KEY, HEADER), []
    for message, associated, tag in steps:
        ciphertext, state = push(state, message, associated, tag)
        ciphertexts.append(ciphertext)
    return ciphertexts


def decrypted(header: bytes, ciphertexts: Sequence[bytes], associated: Sequence[bytes]) -> list[Step]:
    state, opened = init_pull(KEY, header), []
    for ciphertext, ad in zip(ciphertexts, associated, strict=True):
        message, tag, state = pull(state, ciphertext, ad)
        opened.append((message, ad, tag))
    return opened


def assert_both_ways(steps: Sequence[Step]) -> None:
    associated = [ad for _, ad, _ in steps]
    ours = encrypted(steps)
    assert [len(c) for c in ours] == [len(m) + OVERHEAD_BYTES for m, _, _ in steps]
    assert decrypted_by_sodium(HEADER, ours, associated) == list(steps)
    header, theirs = encrypted_by_sodium(steps)
    assert decrypted(header, theirs, associated) == list(steps)


# --- against libsodium -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("associated", ASSOCIATED, ids=len)
def test_every_short_length_agrees_with_libsodium(associated: bytes) -> None:
    for length in range(131):
        assert_both_ways([(noise(length), associated, TAG_FINAL)])


def test_every_short_length_agrees_in_one_long_chain() -> None:
    assert_both_ways([(noise(length), b"ad" * length, TAG_MESSAGE) for length in range(131)])


@pytest.mark.parametrize("length", [CHUNK - 17, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 8, CHUNK + 17])
def test_lengths_around_a_chunk_agree_with_libsodium(length: int) -> None:
    assert_both_ways([(noise(length), b"header", TAG_MESSAGE), (b"rest", b"header", TAG_FINAL)])


@pytest.mark.parametrize("tag", range(256))
def test_every_tag_agrees_with_libsodium_and_so_does_what_follows_it(tag: int) -> None:
    assert_both_ways([(b"one", b"", tag), (b"two", b"x", tag), (b"three", b"", TAG_FINAL)])


@given(st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=40), st.sampled_from(TAGS)), max_size=6))
def test_chains_agree_with_libsodium(steps: list[Step]) -> None:
    assert_both_ways(steps)


def test_the_counter_wraps_into_a_new_key_as_in_libsodium() -> None:
    ours = State(init_push(KEY, HEADER).key, HEADER[16:], count=2**32 - 2)
    theirs = sodium_pull_state()
    # the counter stands behind the key
    cast("bytearray", theirs.statebuf)[32:36] = (2**32 - 2).to_bytes(4, "little")
    for number in range(5):
        ciphertext, ours = push(ours, noise(number * 9), b"ad", TAG_MESSAGE)
        opened, _ = sodium.crypto_secretstream_xchacha20poly1305_pull(theirs, ciphertext, b"ad")
        assert opened == noise(number * 9)
    assert ours.count == 4


def test_an_agreed_new_key_is_that_of_libsodium() -> None:
    theirs = sodium_pull_state()
    sodium.crypto_secretstream_xchacha20poly1305_rekey(theirs)
    ciphertext, _ = push(secretstream.rekey(init_push(KEY, HEADER)), b"message")
    assert sodium.crypto_secretstream_xchacha20poly1305_pull(theirs, ciphertext)[0] == b"message"


def test_no_associated_data_is_the_same_as_empty() -> None:
    ciphertext, _ = push(init_push(KEY, HEADER), b"message")
    assert sodium.crypto_secretstream_xchacha20poly1305_pull(sodium_pull_state(), ciphertext, None)[0] == b"message"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_is_taken(kind: type[bytes]) -> None:
    ciphertext, _ = push(init_push(KEY, HEADER), kind(noise(50)), b"ad")
    message, _, _ = pull(init_pull(KEY, HEADER), kind(ciphertext), b"ad")
    assert (message, type(message)) == (noise(50), bytes)


# --- what does not open ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 8, 15, 16, 40])
def test_every_flipped_bit_is_noticed(length: int) -> None:
    ciphertext, _ = push(init_push(KEY, HEADER), noise(length), b"ad", TAG_FINAL)
    for bit in range(8 * len(ciphertext)):
        flipped = bytearray(ciphertext)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedObject):
            pull(init_pull(KEY, HEADER), flipped, b"ad")


def test_every_truncation_is_noticed() -> None:
    ciphertext, _ = push(init_push(KEY, HEADER), noise(40), b"ad", TAG_FINAL)
    for length in range(len(ciphertext)):
        with pytest.raises(DamagedObject):
            pull(init_pull(KEY, HEADER), ciphertext[:length], b"ad")


@pytest.mark.parametrize(
    ("key", "header", "associated"),
    [
        (bytes(32), HEADER, b"ad"),
        (KEY, bytes(24), b"ad"),
        (KEY, HEADER[:16] + bytes(8), b"ad"),
        (KEY, HEADER, b"AD"),
        (KEY, HEADER, b"ad\0"),
        (KEY, HEADER, b""),
    ],
)
def test_another_key_header_or_associated_data_does_not_open(key: bytes, header: bytes, associated: bytes) -> None:
    ciphertext, _ = push(init_push(KEY, HEADER), b"message", b"ad")
    with pytest.raises(DamagedObject, match="does not verify"):
        pull(init_pull(key, header), ciphertext, associated)


def test_messages_open_in_their_order_only() -> None:
    first, second = encrypted([(b"one", b"", TAG_MESSAGE), (b"two", b"", TAG_MESSAGE)])
    start = init_pull(KEY, HEADER)
    _, _, behind = pull(start, first)
    with pytest.raises(DamagedObject):
        pull(start, second)
    with pytest.raises(DamagedObject):
        pull(behind, first)
    assert pull(behind, second)[0] == b"two"


@pytest.mark.parametrize(("key", "header"), [(KEY[:31], HEADER), (KEY, HEADER[:23]), (KEY + b"x", HEADER)])
def test_keys_and_headers_of_a_wrong_length_are_refused(key: bytes, header: bytes) -> None:
    with pytest.raises(ValueError, match=f"{HEADER_BYTES}"):
        init_push(key, header)


def test_a_state_does_not_show_its_key() -> None:
    state = init_push(KEY, HEADER)
    assert repr(state) == "State(count=1)"


# --- XChaCha20-Poly1305 ------------------------------------------------------------------------------------------


def test_hchacha20_gives_the_vector_of_the_draft() -> None:
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    assert xchacha.hchacha20(KEY, nonce).hex() == expected


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=24, max_size=24), st.binary(), st.binary())
def test_xchacha20_poly1305_is_that_of_libsodium(key: bytes, nonce: bytes, message: bytes, associated: bytes) -> None:
    ours = xchacha.encrypt(key, nonce, message, associated)
    assert ours == sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(message, associated, nonce, key)
    assert xchacha.decrypt(key, nonce, ours, associated) == message


def test_a_damaged_value_does_not_open() -> None:
    sealed = xchacha.encrypt(KEY, HEADER, b"message", b"ad")
    for position in range(len(sealed)):
        flipped = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(DamagedObject, match="does not verify"):
            xchacha.decrypt(KEY, HEADER, flipped, b"ad")
        with pytest.raises(DamagedObject, match="does not verify"):
            xchacha.decrypt(KEY, HEADER, sealed[:position], b"ad")
