"""Keys and the salt object: golden bytes made by other means, round trips, and which error each fault is."""

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Mapping

import nacl.bindings as sodium
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject, RRBackupError, UnsupportedFormat, UsageError, WrongPassword
from rrbackup.pure.keys import NONCE_BYTES, SEALED_LABEL, Keyring, hashed_name, open_labels, seal_labels, subkey
from rrbackup.pure.labels import MAX_METADATA_BYTES, object_labels
from rrbackup.pure.model import PathText, RepositoryId
from rrbackup.pure.salt_record import (
    INTERACTIVE,
    MAX_MEMORY_BYTES,
    MAX_PASSES,
    MAX_RECORD_BYTES,
    MODERATE,
    Cost,
    Kdf,
    check_cost,
    open_record,
    read_record,
    seal_record,
)

MASTER = bytes(range(32))
FORMAT1 = bytes(range(32, 64))
KEK = bytes(range(64, 96))
NONCES = (b"m" * NONCE_BYTES, b"f" * NONCE_BYTES)
KDF = Kdf(MODERATE, bytes(range(16)))
KEYRING = Keyring(RepositoryId("r0"), MASTER)
WITH_FORMAT1 = Keyring(RepositoryId("r0"), MASTER, FORMAT1)
HEADER = (
    b'{"V":"2","kind":"keys","pipeline":[],"repository":"r0","kdf":{"algorithm":"argon2i13","opslimit":6,'
    b'"memlimit":134217728,"salt":"AAECAwQFBgcICQoLDA0ODw=="}}'
)

Fields = dict[str, object]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hkdf(key: bytes, use: str) -> bytes:
    """RFC 5869 with SHA-256, written out: extract, and one block of expand."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, b"rrbackup 2 " + use.encode() + b"\1", "sha256")


def wrapped(key: bytes, which: str, nonce: bytes, header: bytes = HEADER) -> bytes:
    kek = hkdf(KEK, f"wrap {which}")
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(key, header, nonce, kek)


CHECK = hmac.digest(hkdf(KEK, "check"), b"rrbackup 2 password check", "sha256")
WRAPPED_MASTER = wrapped(MASTER, "master", NONCES[0])
WRAPPED_FORMAT1 = wrapped(FORMAT1, "format 1", NONCES[1])


def record(
    header: bytes = HEADER, check: bytes = CHECK, master: bytes = WRAPPED_MASTER, format1: bytes | None = None
) -> bytes:
    """A salt object as a program with nothing of rrbackup writes it, whatever is in it."""
    fields = {"check": b64(check), "master": b64(master)}
    if format1 is not None:
        fields["format1"] = b64(format1)
    fields["sha256"] = hashlib.sha256(header + check + master + (format1 or b"")).hexdigest()
    return struct.pack(">I", len(header)) + header + json.dumps(fields, separators=(",", ":")).encode()


def opened(data: bytes, kek: bytes = KEK) -> Keyring:
    return open_record(read_record(data, "the salt"), kek, "the salt")


# --- keys --------------------------------------------------------------------------------------------------------


def test_subkeys_are_hkdf_by_the_book() -> None:
    uses = {"streams": KEYRING.streams, "metadata": KEYRING.metadata, "names": KEYRING.names, "labels": KEYRING.labels}
    assert uses == {use: hkdf(MASTER, use) for use in uses}
    assert len({MASTER, *uses.values()}) == 5
    assert subkey(KEK, "check") == hkdf(KEK, "check")


def test_a_keyring_shows_no_key() -> None:
    assert repr(WITH_FORMAT1) == "Keyring(repository='r0')"


def test_records_show_no_key() -> None:
    assert repr(read_record(record(), "x")) == f"SaltRecord(repository='r0', kdf={KDF!r})"


def test_names_are_hashed_with_their_key() -> None:
    path = PathText("/päth")
    assert hashed_name(KEYRING.names, path) == hmac.new(KEYRING.names, "/päth".encode(), "sha256").hexdigest()
    assert hashed_name(KEYRING.names, path) != hashed_name(Keyring(RepositoryId("r0"), KEK).names, path)


# --- sealed labels -----------------------------------------------------------------------------------------------

LABELS = object_labels(PathText("/ä b"), 5, 0o644, "ab" * 32)
NONCE = b"n" * NONCE_BYTES
SEALED = seal_labels(LABELS, KEYRING.labels, "files/a", NONCE)


def test_labels_come_back_and_give_nothing_away() -> None:
    assert list(SEALED) == [SEALED_LABEL]
    assert all(value.isascii() and value.isprintable() for value in SEALED.values())
    assert open_labels(SEALED, KEYRING.labels, "files/a") == LABELS


def test_libsodium_opens_sealed_labels() -> None:
    sealed = base64.b64decode(SEALED[SEALED_LABEL])
    nonce, ciphertext = sealed[:24], sealed[24:]
    text = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, b"files/a", nonce, KEYRING.labels)
    assert (nonce, json.loads(text)) == (NONCE, LABELS)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_any_labels_come_back(labels: dict[str, str]) -> None:
    assert open_labels(seal_labels(labels, KEYRING.labels, "k", NONCE), KEYRING.labels, "k") == labels


def test_labels_that_do_not_fit_are_left_out_whole() -> None:
    sizes = []
    for length in range(1_400, 1_600):
        sealed = seal_labels({"p": "x" * length}, KEYRING.labels, "k", NONCE)
        sizes.append(sum(len(name) + len(value) for name, value in sealed.items()))
    fitting = [size for size in sizes if size]
    assert MAX_METADATA_BYTES - 4 < max(fitting) <= MAX_METADATA_BYTES
    assert 0 in sizes
    assert sizes == fitting + [0] * (len(sizes) - len(fitting))


def test_an_object_without_sealed_labels_has_none() -> None:
    assert open_labels(LABELS, KEYRING.labels, "files/a") == {}


@pytest.mark.parametrize(
    ("metadata", "key", "object_key"),
    [
        (SEALED, KEYRING.labels, "files/b"),
        (SEALED, KEYRING.names, "files/a"),
        ({SEALED_LABEL: SEALED[SEALED_LABEL][4:]}, KEYRING.labels, "files/a"),
        ({SEALED_LABEL: SEALED[SEALED_LABEL][:-4]}, KEYRING.labels, "files/a"),
        ({SEALED_LABEL: "AAAA"}, KEYRING.labels, "files/a"),
        ({SEALED_LABEL: ""}, KEYRING.labels, "files/a"),
        ({SEALED_LABEL: "no base64!"}, KEYRING.labels, "files/a"),
        ({SEALED_LABEL: "ä"}, KEYRING.labels, "files/a"),
    ],
)
def test_labels_that_were_not_sealed_for_this_object(metadata: Mapping[str, str], key: bytes, object_key: str) -> None:
    with pytest.raises(DamagedObject, match=f"the user metadata of {object_key}"):
        open_labels(metadata, key, object_key)


# --- the salt object ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyring", "golden"), [(KEYRING, record()), (WITH_FORMAT1, record(format1=WRAPPED_FORMAT1))], ids=["2", "1 and 2"]
)
def test_golden_bytes(keyring: Keyring, golden: bytes) -> None:
    assert seal_record(keyring, KDF, KEK, NONCES) == golden
    assert opened(golden) == keyring
    assert read_record(golden, "x").kdf == KDF


def test_a_wrong_password_is_told_from_damage() -> None:
    with pytest.raises(WrongPassword, match="wrong password for the salt"):
        opened(record(), bytes(32))


def test_every_flipped_bit_is_damage_and_no_wrong_password() -> None:
    data = record(format1=WRAPPED_FORMAT1)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            keyring = opened(bytes(flipped))
        except (DamagedObject, UnsupportedFormat):
            continue
        assert keyring == WITH_FORMAT1, "at most a bit that base64 does not use"


def test_every_beginning_is_damage() -> None:
    data = record()
    for length in range(len(data)):
        with pytest.raises(DamagedObject):
            opened(data[:length])


@pytest.mark.parametrize(
    "forged",
    [
        record(HEADER.replace(b'"r0"', b'"r1"')),
        record(HEADER.replace(b'"opslimit":6', b'"opslimit":7')),
        record(HEADER + b" "),
        record(master=wrapped(MASTER, "master", NONCES[0], b"another header")),
        record(master=WRAPPED_FORMAT1, format1=WRAPPED_MASTER),
        record(format1=WRAPPED_MASTER),
        record(master=WRAPPED_MASTER[:-1]),
        record(master=b""),
        record(master=wrapped(MASTER + b"x", "master", NONCES[0])),
        record(format1=b""),
    ],
)
def test_a_record_put_together_without_the_password(forged: bytes) -> None:
    with pytest.raises(DamagedObject, match=r"the password is right, but the (master|format 1) key does not open"):
        opened(forged)


def header_with(**changes: object) -> bytes:
    return json.dumps({**json.loads(HEADER), **changes}).encode()


def kdf_with(**changes: object) -> bytes:
    return header_with(kdf={**json.loads(HEADER)["kdf"], **changes})


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (kdf_with(memlimit=MAX_MEMORY_BYTES + 1), DamagedObject),
        (kdf_with(memlimit=1 << 40), DamagedObject),
        (kdf_with(memlimit=INTERACTIVE.memory - 1), DamagedObject),
        (kdf_with(memlimit=-1), DamagedObject),
        (kdf_with(memlimit="134217728"), DamagedObject),
        (kdf_with(memlimit=134217728.0), DamagedObject),
        (kdf_with(opslimit=MAX_PASSES + 1), DamagedObject),
        (kdf_with(opslimit=INTERACTIVE.passes - 1), DamagedObject),
        (kdf_with(opslimit=True), DamagedObject),
        (kdf_with(opslimit=None), DamagedObject),
        (kdf_with(salt=""), DamagedObject),
        (kdf_with(salt=b64(bytes(15))), DamagedObject),
        (kdf_with(salt="!"), DamagedObject),
        (kdf_with(salt=None), DamagedObject),
        (kdf_with(algorithm="argon2id13"), UnsupportedFormat),
        (header_with(kdf=None), DamagedObject),
        (header_with(kdf=[]), DamagedObject),
        (header_with(repository=None), DamagedObject),
        (header_with(kind="diff"), DamagedObject),
        (header_with(V="3"), UnsupportedFormat),
        (b"[]", DamagedObject),
    ],
)
def test_headers_that_are_refused_before_a_key_is_derived(header: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="the salt"):
        read_record(record(header), "the salt")


def without(field: str) -> Callable[[Fields], Fields]:
    return lambda fields: {name: value for name, value in fields.items() if name != field}


def with_value(field: str, value: object) -> Callable[[Fields], Fields]:
    return lambda fields: {**fields, field: value}


@pytest.mark.parametrize(
    "change",
    [
        without("check"),
        without("master"),
        without("sha256"),
        without("format1"),
        with_value("check", 7),
        with_value("master", "*"),
        with_value("format1", None),
        with_value("sha256", None),
    ],
)
def test_payloads_that_are_refused(change: Callable[[Fields], Fields]) -> None:
    data = record(format1=WRAPPED_FORMAT1)
    start = 4 + len(HEADER)
    with pytest.raises(DamagedObject, match="the salt"):
        read_record(data[:start] + json.dumps(change(json.loads(data[start:]))).encode(), "the salt")


@given(st.binary(max_size=200))
def test_noise_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises((DamagedObject, UnsupportedFormat)):
        read_record(data, "x")


def test_a_record_too_large_is_not_looked_at() -> None:
    with pytest.raises(DamagedObject, match="too many"):
        read_record(record() + b" " * MAX_RECORD_BYTES, "x")


@pytest.mark.parametrize("data", [b"0123456789abcdef0123456789ABCDEF", b"00" * 16 + b"\n"])
def test_the_salt_of_version_1_is_told_apart(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"the salt is the salt of rrbackup 1\.0") as caught:
        read_record(data, "the salt")
    assert "--upgrade" in caught.value.hint


@pytest.mark.parametrize("cost", [INTERACTIVE, MODERATE, Cost(MAX_PASSES, MAX_MEMORY_BYTES)])
def test_costs_within_bounds(cost: Cost) -> None:
    check_cost(cost)
    assert read_record(seal_record(KEYRING, Kdf(cost, KDF.salt), KEK, NONCES), "x").kdf.cost == cost


@pytest.mark.parametrize(
    "cost",
    [
        evolve(INTERACTIVE, passes=3),
        evolve(INTERACTIVE, memory=INTERACTIVE.memory - 1),
        evolve(MODERATE, passes=MAX_PASSES + 1),
        evolve(MODERATE, memory=MAX_MEMORY_BYTES + 1),
    ],
)
def test_costs_out_of_bounds_are_not_written(cost: Cost) -> None:
    with pytest.raises(UsageError, match="out of bounds"):
        seal_record(KEYRING, Kdf(cost, KDF.salt), KEK, NONCES)


def test_no_message_holds_a_key() -> None:
    keys = [MASTER, FORMAT1, KEK, KEYRING.streams, KEYRING.names]
    texts = []
    for data, kek in [(record(), bytes(32)), (record(HEADER + b" "), KEK), (record()[:-1], KEK)]:
        with pytest.raises(RRBackupError) as caught:
            opened(data, kek)
        texts.append(f"{caught.value} {caught.value.hint} {caught.value!r}")
    shapes = [shape for key in keys for shape in (key.hex(), b64(key), repr(key)[2:-1])]
    assert not [(shape, text) for shape in shapes for text in texts if shape in text]
