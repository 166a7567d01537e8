"""The test vectors of docs/format.md, computed again with PyNaCl, argon2-cffi and hashlib alone, in both directions.

`sodium_reads` and `sodium_writes` are what a program would do that has the document and libsodium, and no rrbackup.
They also meet rrbackup at every length from 0 to 130 and around the borders of chunks.
"""

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import nacl.bindings as sodium
import pytest
import zstandard
from argon2.low_level import Type, hash_secret_raw

from rrbackup.effects.keys import derive
from rrbackup.pure import format2
from rrbackup.pure.encryption import MIN_CHUNK_BYTES, CipherHeader, Place, decrypt_bytes, encrypt_bytes, open_stream
from rrbackup.pure.framing import Framing
from rrbackup.pure.keys import SEALED_LABEL, Keyring, hashed_name, open_labels, seal_labels, subkey
from rrbackup.pure.labels import object_labels
from rrbackup.pure.model import PathText, RepositoryId, Word
from rrbackup.pure.salt_record import INTERACTIVE, Cost, Kdf, open_record, read_record, seal_record
from rrbackup.pure.xchacha import seal, unseal
from tests import vectors

FORMAT = vectors.shown((Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8"))
MADE = vectors.blocks()

NONCE_BYTES = 24
FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
KEY = bytes(range(32))
NONCE = bytes(range(100, 124))
CHUNK = MIN_CHUNK_BYTES

SHORT = range(131)
BORDERS = [chunks * CHUNK + offset for chunks in (1, 2, 3) for offset in (-17, -16, -15, -1, 0, 1, 15, 16, 17)]


def block(name: str) -> str:
    """The block `name` of the document."""
    kind = next(kind for kind in ("json", "hex", "text") if f"{kind} example=vector-{name}" in FORMAT)
    return FORMAT[f"{kind} example=vector-{name}"]


def fields(name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(block(name))
    return found


def key(name: str) -> bytes:
    return bytes.fromhex({**fields("password"), **fields("master")}[name])


def whole(name: str) -> bytes:
    """The object in the blocks `name`-header and `name`-rest, put together as the document says."""
    return framed(block(f"{name}-header").rstrip("\n").encode(), bytes.fromhex(block(f"{name}-rest")))


def framed(header: bytes, rest: bytes) -> bytes:
    return struct.pack(">I", len(header)) + header + rest


def hkdf(source: bytes, use: str) -> bytes:
    """RFC 5869 with SHA-256, written out: extract without salt, and one block of expand."""
    extracted = hmac.digest(bytes(32), source, "sha256")
    return hmac.digest(extracted, b"rrbackup 2 " + use.encode() + b"\1", "sha256")


def unsealed(sealed: bytes, under: bytes, associated: bytes) -> bytes:
    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, under)


def sealed(message: bytes, under: bytes, associated: bytes, nonce: bytes = NONCE) -> bytes:
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(message, associated, nonce, under)


def noise(size: int) -> bytes:
    return hashlib.shake_128(b"noise").digest(size)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- encrypted objects, with libsodium alone -----------------------------------------------------------------------


def sodium_reads(data: bytes, under: bytes) -> tuple[dict[str, object], bytes]:
    """Header and content. Fails where a chunk does not open, or another than the last is marked as the last."""
    end = 4 + struct.unpack(">I", data[:4])[0]
    text, stream, chunks = data[4:end], data[end : end + NONCE_BYTES], data[end + NONCE_BYTES :]
    header = json.loads(text)
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, stream, under)
    opened = [
        sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, text)
        for chunk in cut(chunks, header["chunk_size"] + 17)
    ]
    assert [tag for _, tag in opened] == [MESSAGE] * (len(opened) - 1) + [FINAL]
    return header, b"".join(message for message, _ in opened)


def sodium_writes(text: bytes, content: bytes, under: bytes) -> bytes:
    """The object with this JSON header. libsodium draws the stream's header itself."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    parts = [sodium.crypto_secretstream_xchacha20poly1305_init_push(state, under)]
    *others, last = cut(content, json.loads(text)["chunk_size"]) or [b""]
    for message, tag in [*((message, MESSAGE) for message in others), (last, FINAL)]:
        parts.append(sodium.crypto_secretstream_xchacha20poly1305_push(state, message, text, tag))
    return framed(text, b"".join(parts))


# --- the document --------------------------------------------------------------------------------------------------


def test_the_document_shows_what_the_script_makes() -> None:
    assert {title: content for title, content in FORMAT.items() if "example=vector-" in title} == MADE


def test_the_password_gives_the_kek_by_libsodium_and_by_argon2() -> None:
    shown = json.loads(block("password"))
    password, salt = shown["password"].encode(), bytes.fromhex(shown["salt"])
    passes, memory = shown["opslimit"], shown["memlimit"]
    algorithm = sodium.crypto_pwhash_ALG_ARGON2I13
    assert sodium.crypto_pwhash_alg(32, password, salt, passes, memory, algorithm) == key("kek")
    assert hash_secret_raw(password, salt, passes, memory // 1024, 1, 32, Type.I, 0x13) == key("kek")
    assert derive(shown["password"], Kdf(Cost(passes, memory), salt)) == key("kek")


def test_every_subkey_is_hkdf_by_the_book() -> None:
    uses = {("kek", use) for use in ("check", "wrap master", "wrap format 1")}
    uses |= {("master", use) for use in ("streams", "metadata", "names", "labels")}
    for source, use in uses:
        assert key(use) == hkdf(key(source), use) == subkey(key(source), use)


def test_the_hashed_name_is_an_hmac() -> None:
    path, shown = block("name").split()
    digest = hmac.new(key("names"), path.encode(), hashlib.sha256).hexdigest()
    assert shown == f"files/%h/{digest}"
    assert hashed_name(key("names"), PathText(path)) == digest


def test_the_salt_object_opens_by_other_means() -> None:
    header, payload = block("salt-header").rstrip("\n").encode(), fields("salt-payload")
    check, wrapped = base64.b64decode(payload["check"]), base64.b64decode(payload["master"])
    assert check == hmac.digest(key("check"), b"rrbackup 2 password check", "sha256")
    assert unsealed(wrapped, key("wrap master"), header) == key("master")
    assert payload["sha256"] == hashlib.sha256(header + check + wrapped).hexdigest()
    kdf, shown = json.loads(header)["kdf"], json.loads(block("password"))
    assert (kdf["algorithm"], kdf["opslimit"], kdf["memlimit"]) == ("argon2i13", shown["opslimit"], shown["memlimit"])
    assert base64.b64decode(kdf["salt"]).hex() == shown["salt"]


def test_the_salt_object_made_by_other_means_is_that_of_the_document() -> None:
    header, nonce = block("salt-header").rstrip("\n").encode(), base64.b64decode(fields("salt-payload")["master"])[:24]
    check = hmac.digest(hkdf(key("kek"), "check"), b"rrbackup 2 password check", "sha256")
    wrapped = sealed(key("master"), hkdf(key("kek"), "wrap master"), header, nonce)
    digest = hashlib.sha256(header + check + wrapped).hexdigest()
    texts = [base64.b64encode(data).decode() for data in (check, wrapped)]
    payload = json.dumps({"check": texts[0], "master": texts[1], "sha256": digest}, separators=(",", ":"))
    assert payload == block("salt-payload").rstrip("\n")
    record = read_record(framed(header, payload.encode()), "x")
    assert open_record(record, key("kek"), "x") == Keyring(vectors.REPOSITORY, key("master"))


def test_the_file_opens_by_other_means() -> None:
    data = bytes.fromhex(block("file"))
    assert data.startswith(framed(block("file-header").rstrip("\n").encode(), b""))
    assert sodium_reads(data, key("streams")) == (fields("file-header"), b"Hello, world\n")


def test_the_compressed_file_opens_by_other_means() -> None:
    header, frame = sodium_reads(whole("compressed"), key("streams"))
    assert (header["pipeline"], header["key"]) == (["hash_names", "compress", "encrypt"], block("name").split()[1])
    assert frame == bytes.fromhex("28 b5 2f fd 20 64 23 03 00 61")
    assert zstandard.get_frame_parameters(frame).content_size == 100
    assert zstandard.ZstdDecompressor().decompress(frame) == b"a" * 100


def test_the_claim_opens_by_other_means() -> None:
    """What comes out is the payload of the record that the document shows in the clear."""
    plain = bytes.fromhex(FORMAT["hex example=idle-claim"])
    assert sodium_reads(whole("claim"), key("metadata")) == (fields("claim-header"), plain[4 + 0x26 :])


def test_the_labels_open_by_other_means() -> None:
    text = unsealed(base64.b64decode(fields("labels")["rrbackup-sealed"]), key("labels"), b"files/notes/todo.txt")
    assert json.loads(text) == json.loads(FORMAT["json example=labels"]) | {"rrbackup-path": "/notes/todo.txt"}


def test_the_file_in_chunks_opens_by_other_means() -> None:
    content = bytes(number % 251 for number in range(131_073))
    header = block("chunked-header").rstrip("\n").encode()
    place = Place(vectors.REPOSITORY, json.loads(header)["key"])
    stream = bytes(range(0xC0, 0xD8))
    data = encrypt_bytes(content, key("streams"), CipherHeader("file", (Word.ENCRYPT,), place, CHUNK), stream)
    assert block("chunked").split() == [str(len(data)), hashlib.sha256(data).hexdigest()]
    assert data.startswith(framed(header, stream))
    assert sodium_reads(data, key("streams")) == (json.loads(header), content)


@pytest.mark.parametrize(("name", "under", "kind"), [("compressed", "streams", "file"), ("claim", "metadata", "claim")])
def test_objects_of_the_document_open_with_rrbackup(name: str, under: str, kind: str) -> None:
    place = Place(vectors.REPOSITORY, fields(f"{name}-header")["key"])
    _, content = decrypt_bytes(whole(name), key(under), kind, place, "x")
    assert content == sodium_reads(whole(name), key(under))[1]


def test_the_record_and_the_labels_of_the_document_are_read() -> None:
    keyring = Keyring(vectors.REPOSITORY, key("master"))
    assert format2.decode_claim(whole("claim"), "x", Framing(unlock=lambda: keyring, key="gc_log")) == vectors.CLAIM
    labels = open_labels(fields("labels"), keyring.labels, "files/notes/todo.txt")
    sha256 = hashlib.sha256(b"Hello, world\n").hexdigest()
    assert labels == object_labels(PathText("/notes/todo.txt"), 1_767_225_001_123_456_789, 0o644, sha256)


# --- at every length -----------------------------------------------------------------------------------------------

PLACE = Place(RepositoryId("r0"), "files/a")
HEADER = CipherHeader("file", (Word.ENCRYPT,), PLACE, CHUNK)
TEXT = json.dumps(
    {
        "V": "2",
        "kind": "file",
        "pipeline": ["encrypt"],
        "cipher": "xchacha20poly1305-secretstream",
        "chunk_size": CHUNK,
        "repository": "r0",
        "key": "files/a",
    }
).encode()
KEYRING = Keyring(RepositoryId("r0"), KEY)
FRAMING = Framing((Word.ENCRYPT,), unlock=lambda: KEYRING, nonce=lambda: NONCE, key="manifest_diffs")
RECORD = TEXT.replace(b'"file"', b'"diff"').replace(b'"files/a"', b'"manifest_diffs"')


def assert_objects_agree(content: bytes) -> None:
    """Ours with theirs, theirs with ours, in one piece and in many."""
    ours = encrypt_bytes(content, KEY, HEADER, NONCE)
    assert sodium_reads(ours, KEY) == (json.loads(TEXT), content)
    theirs = sodium_writes(TEXT, content, KEY)
    assert decrypt_bytes(theirs, KEY, "file", PLACE, "x") == (HEADER, content)
    assert b"".join(open_stream(pieces(theirs), KEY, "file", PLACE, "x").content) == content


def pieces(data: bytes) -> Iterator[bytes]:
    """Pieces that no header and no chunk fits."""
    yield from cut(data, max(7, len(data) // 50))


@pytest.mark.parametrize("length", SHORT)
def test_objects_of_every_short_length_agree_with_libsodium(length: int) -> None:
    assert_objects_agree(noise(length))


@pytest.mark.parametrize("length", BORDERS)
def test_objects_around_the_borders_of_chunks_agree_with_libsodium(length: int) -> None:
    assert_objects_agree(noise(length))


@pytest.mark.parametrize("length", [*SHORT, *BORDERS])
def test_encrypted_records_of_every_length_agree_with_libsodium(length: int) -> None:
    payload = noise(length)
    header, found = sodium_reads(FRAMING.wrap("diff", payload), hkdf(KEY, "metadata"))
    assert (header["kind"], header["key"], found) == ("diff", "manifest_diffs", payload)
    assert FRAMING.unwrap(sodium_writes(RECORD, payload, hkdf(KEY, "metadata")), "diff", "x") == payload


def test_compressed_records_agree_with_libsodium() -> None:
    both = Framing(tuple(Word), unlock=FRAMING.unlock, nonce=FRAMING.nonce, key=FRAMING.key)
    payload = b"[" + b"0," * 50_000 + b"0]"
    header, frame = sodium_reads(both.wrap("diff", payload), hkdf(KEY, "metadata"))
    assert header["pipeline"] == ["compress", "encrypt"]
    assert zstandard.ZstdDecompressor().decompress(frame) == payload
    text = RECORD.replace(b'["encrypt"]', b'["compress", "encrypt"]')
    theirs = sodium_writes(text, zstandard.ZstdCompressor().compress(payload), hkdf(KEY, "metadata"))
    assert FRAMING.unwrap(theirs, "diff", "x") == payload


@pytest.mark.parametrize("length", SHORT)
def test_sealed_values_of_every_short_length_agree_with_libsodium(length: int) -> None:
    message, associated = noise(length), noise(130 - length)
    assert unsealed(seal(KEY, NONCE, message, associated), KEY, associated) == message
    assert unseal(KEY, sealed(message, KEY, associated), associated) == message


@pytest.mark.parametrize("length", SHORT)
def test_sealed_labels_of_every_short_length_agree_with_libsodium(length: int) -> None:
    labels, at = {"rrbackup-path": "/" + "ä" * length}, b"files/a"
    ours = seal_labels(labels, KEYRING.labels, "files/a", NONCE)
    assert json.loads(unsealed(base64.b64decode(ours[SEALED_LABEL]), KEYRING.labels, at)) == labels
    theirs = base64.b64encode(sealed(json.dumps(labels).encode(), KEYRING.labels, at)).decode()
    assert open_labels({SEALED_LABEL: theirs}, KEYRING.labels, "files/a") == labels


@pytest.mark.parametrize("password", ["", "x", "pass phrase", "päßwörd 😀", "0" * 300])
def test_salt_objects_open_with_what_libsodium_derives(password: str) -> None:
    """The interactive cost is the least that there is; each of the two derivations takes a tenth of a second."""
    kdf = Kdf(INTERACTIVE, noise(16))
    kek = sodium.crypto_pwhash_alg(
        32, password.encode(), kdf.salt, kdf.cost.passes, kdf.cost.memory, sodium.crypto_pwhash_ALG_ARGON2I13
    )
    assert derive(password, kdf) == kek
    record = read_record(seal_record(KEYRING, kdf, kek, (NONCE, b"")), "x")
    assert unsealed(record.master, hkdf(kek, "wrap master"), record.text) == KEY
