"""Every parser of what may be hostile as a target, and a coverage-guided fuzzer over them.

    pip install atheris
    python tests/fuzz.py TARGET [options of libFuzzer, such as -max_total_time=300]

atheris is no dependency of the project, and nothing else here needs it: `property/test_parsers.py` throws its own bytes
at the same targets. Anything but a value or an error of rrbackup's ends a run, and libFuzzer leaves the input behind.

What is encrypted or has a digest is sealed by the target itself: no fuzzer finds a way past an authenticator, but
whoever knows the password is not to be trusted with more than his files. Such targets take lines: the JSON header, and
what stands behind it.
"""

import bz2
import hashlib
import hmac
import importlib
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import orjson
from attrs import frozen

from rrbackup.errors import RRBackupError
from rrbackup.pure import (
    encryption,
    format1,
    format1_object,
    format2,
    header,
    journal_format,
    keys,
    local_format,
    names,
    salt_record,
    xchacha,
)
from rrbackup.pure.adoption import Receipt
from rrbackup.pure.checkpoint_format import decode_checkpoint
from rrbackup.pure.compression import compress, decompress
from rrbackup.pure.encryption import CIPHER, CipherHeader, Place, encrypt_bytes
from rrbackup.pure.format1_object import Kdf, Pull
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.header import Header, encode_frame
from rrbackup.pure.keys import SEALED_LABEL, Keyring, base64_text
from rrbackup.pure.model import ObjectRef, PathText, RepositoryId, TransactionId, VersionId, VersionRef, Word
from rrbackup.pure.secretstream import TAG_FINAL, TAG_MESSAGE, init_pull, init_push, pull, push

Parser = Callable[[bytes], object]

KEK = bytes(range(32, 64))
NONCE = bytes(range(24))
KEYRING = Keyring(RepositoryId("r0"), bytes(range(32)))
OBJECT_KEY = "files/a"
PLACE = Place(KEYRING.repository, OBJECT_KEY)
FRAMING = Framing(tuple(Word), unlock=lambda: KEYRING, nonce=lambda: NONCE, key="manifest_diffs")
ENCRYPTING = Framing((Word.ENCRYPT,), unlock=lambda: KEYRING, nonce=lambda: NONCE, key="manifest_diffs")
UNFOLDED = 1 << 20
"""To so many bytes compressed inputs may unfold here."""


@frozen
class Target:
    """`seeds` are inputs that parse."""

    parse: Parser
    seeds: tuple[bytes, ...]


# --- inputs to objects -----------------------------------------------------------------------------------------------


def framed(text: bytes, rest: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text + rest


def in_frame(kind: str, decode: Callable[[bytes, str, Framing], object]) -> Parser:
    """The input is the payload."""
    return lambda data: decode(encode_frame(Header(kind), data), "x", PLAIN)


def from_lines(data: bytes) -> bytes:
    """The frame of a header and a payload."""
    text, _, rest = data.partition(b"\n")
    return framed(text, rest)


def sealed_lines(data: bytes, key: bytes, tag: int = TAG_FINAL) -> bytes:
    """The encrypted object, in one chunk, of a header and what is behind it."""
    text, _, rest = data.partition(b"\n")
    chunk, _ = push(init_push(key, NONCE), rest, text, tag)
    return framed(text, NONCE + chunk)


def salt_object(data: bytes) -> bytes:
    """The input is header and payload, with everything right in it that has to be computed, where there is place."""
    text, _, rest = data.partition(b"\n")
    with suppress(orjson.JSONDecodeError, orjson.JSONEncodeError):
        fields = orjson.loads(rest)
        if isinstance(fields, dict):
            return framed(text, orjson.dumps(fields | _computed(text, fields)))
    return framed(text, rest)


def _computed(text: bytes, fields: dict[str, object]) -> dict[str, object]:
    check = hmac.digest(keys.subkey(KEK, "check"), b"rrbackup 2 password check", "sha256")
    digest, found = hashlib.sha256(text + check), {"check": base64_text(check)}
    for name, which in (("master", "master"), ("format1", "format 1")):
        if isinstance(value := fields.get(name), str):
            wrapped = xchacha.seal(keys.subkey(KEK, f"wrap {which}"), NONCE, value.encode(), text)
            digest.update(wrapped)
            found[name] = base64_text(wrapped)
    return {**found, "sha256": digest.hexdigest()}


def local_manifest(data: bytes) -> bytes:
    """The input is the JSON document without its digests; `entries` stands last in it."""
    opening, _, rows = data.removesuffix(b"]}").partition(b',"entries":[')
    first = opening + b',"opening_sha256":"' + hashlib.sha256(opening).hexdigest().encode() + b'","entries":[\n'
    lines = first + rows.replace(b"],[[", b"],\n[[") + b"\n"
    return lines + b'],"sha256":"' + hashlib.sha256(lines).hexdigest().encode() + b'"}\n'


def unlock(kdf: Kdf, stream_header: bytes) -> Pull:
    """Stands for the derivation of a key of format 1, which only bounded parameters may reach."""
    assert kdf.memory <= format1_object.MAX_KDF_MEMORY
    assert kdf.passes <= format1_object.MAX_KDF_PASSES
    state = init_pull(KEK, stream_header)

    def next_chunk(chunk: bytes, associated: bytes) -> tuple[bytes, int]:
        nonlocal state
        message, tag, state = pull(state, chunk, associated)
        return message, tag

    return next_chunk


# --- parsers ---------------------------------------------------------------------------------------------------------


def open_object(data: bytes) -> tuple[CipherHeader, bytes]:
    opened = encryption.open_stream(in_pieces(data), KEYRING.streams, "file", PLACE, "x")
    return opened.header, b"".join(opened.content)


def in_pieces(data: bytes) -> Iterator[bytes]:
    yield from (data[at : at + 40] for at in range(0, min(len(data), 400), 40))
    yield data[400:]


def open_salt(data: bytes) -> Keyring:
    record = salt_record.read_record(data, "x")
    salt_record.check_cost(record.kdf.cost)  # what is out of bounds must never get as far as the derivation
    return salt_record.open_record(record, KEK, "x")


def open_labels(text: str) -> dict[str, str]:
    return keys.open_labels({SEALED_LABEL: text}, KEYRING.labels, OBJECT_KEY)


def sealed_labels(data: bytes) -> str:
    return base64_text(xchacha.seal(KEYRING.labels, NONCE, data, OBJECT_KEY.encode()))


def any_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def read_names(data: bytes) -> None:
    for read in (names.unescape, names.path_bytes):
        with suppress(RRBackupError):
            read(PathText(any_text(data)))


def read_frame(data: bytes) -> dict[str, object]:
    text, _ = header.split_frame(data, "x")
    return header.header_fields(text, "diff", "x")


def read_old_frame(data: bytes) -> object:
    """`is_format1` raises nothing, whatever the bytes."""
    format1_object.is_format1(data)
    return format1_object.split(data, "x")


def read_old_metadata(data: bytes) -> bytes:
    return format1_object.read_metadata(data, unlock, "x", UNFOLDED)


def read_old_file(data: bytes) -> bytes:
    return b"".join(format1_object.read_file(in_pieces(data), unlock, "x"))


# --- seeds -----------------------------------------------------------------------------------------------------------

DIFF = (
    b'{"format":2,"repository":"r0","sequence":2,"parent":{"version_id":"v1","sha256":"ab"},"transaction":"t0",'
    b'"kind":"commit","created_ns":1800000000000000000,"host":"h","changes":[{"status":"new","path":"/a","size":3,'
    b'"mtime_ns":5,"mode":420,"sha256":"ab","object":{"key":"files/a","version_id":"v7","stored_size":3,"etag":"e",'
    b'"format":2,"asked":["compress","encrypt"],"applied":["encrypt"]}},{"status":"deleted","path":"/d",'
    b'"type":"directory","mtime_ns":5,"mode":493},{"status":"changed","path":"/l","type":"symlink","target":"../a"}],'
    b'"requires":[]}'
)
CLAIM = (
    b'{"format":2,"transaction":"t0","serial":1,"state":"open","host":"h","created_ns":17,"head":"v1",'
    b'"head_sequence":1,"keys":["files/a"],"keys_version":"v2","conditional_writes":null}'
)
GARBAGE = b'{"format":2,"versions":[["files/a","v7"],["files/b","v8"]]}'
CHECKPOINT = (
    b'{"format":2,"repository":"r0","sequence":2,"head":{"version_id":"v2","sha256":"ef"},"entries":['
    b'{"path":"/a","size":3,"sha256":"ab","object":{"key":"files/a","version_id":"v7","stored_size":3,"etag":"e"}},'
    b'{"path":"/b","type":"directory"}],"references":{"files/a":["v5","v6"]}}'
)
LOCAL = (
    b'{"format":3,"head":{"version_id":"v2","etag":"e","sha256":"ef","sequence":2,"repository":"r0"},"entries":['
    b'[["/a","file",3,5,420,null,9,4,true],{"sha256":"ab","object":{"key":"files/a","version_id":"v7","stored_size":3,'
    b'"etag":"e"}}],[["/l","symlink",0,5,511,"../a",null,null],{}]]}'
)
PLAN = (
    b'{"format":2,"head":{"version_id":"v2","etag":"e","sha256":"ef","sequence":2,"repository":"r0"},"candidates":['
    b'{"path":"/a","size":3,"mtime_ns":5,"mode":420,"reason":"size changed","previous":{"path":"/a"},"key":"files/a",'
    b'"asked":["encrypt"],"known_size":true}],"planned":[{"change":{"status":"deleted","path":"/d"},"reason":"gone",'
    b'"stamp":{"ctime_ns":1,"inode":2}}],"problems":[{"path":"/x","kind":"unreadable","detail":"d"}],'
    b'"unchanged":5,"scanned":7}'
)
OLD_DIFF = (
    b'[{"path":"/a/\\u00fc","status":"new","created":1.5,"last_mod":2.25,"hash":"' + b"ab" * 32 + b'",'
    b'"real_path":"/b","version_id":"v1"},{"path":"/e","status":"deleted","last_mod":1.0,"empty":true}]'
)
OLD_LOCAL = b'{"latest_remote_diff":{"version_id":"v1","last_modified":""},"files":%s}' % OLD_DIFF
OLD_SALT = b64encode(bytes(16))
OLD_CRYPTO = b'"E":{"A":"ARGON2I13","O":4,"M":33554432,"S":"%s","E":"sodssxcc20"}' % OLD_SALT
OLD_PLAIN = b'{"V":"1"}\n%s' % OLD_DIFF
OLD_SQUEEZED = b'{"V":"1","C":{"A":"bz2"}}\n' + bz2.compress(OLD_DIFF)
OLD_SEALED = b'{"V":"1",%s}\n%s' % (OLD_CRYPTO, OLD_DIFF)
OLD_FILE = b'{"V":"1","S":"64","C":""}\ncontent'
OLD_SEALED_FILE = b'{"V":"1","S":"64","C":"",%s}\ncontent' % OLD_CRYPTO

FRONT = b'{"V":"2","kind":"diff","pipeline":[]}'
SEALED_FRONT = (
    b'{"V":"2","kind":"%s","pipeline":["encrypt"],"cipher":"%s","chunk_size":65536,"repository":"r0","key":"%s"}'
)
FILE = SEALED_FRONT % (b"file", CIPHER.encode(), OBJECT_KEY.encode()) + b"\ncontent"
SALT = (
    b'{"V":"2","kind":"keys","pipeline":[],"repository":"r0","kdf":{"algorithm":"argon2i13","opslimit":6,'
    b'"memlimit":134217728,"salt":"%s"}}\n{"check":"","master":"%s","format1":"%s","sha256":""}'
) % (OLD_SALT, b"m" * 32, b"f" * 32)
LABELS = b'{"rrbackup-path":"/a","rrbackup-mtime-ns":"5","rrbackup-mode":"0644","rrbackup-sha256":"ab"}'
PLAIN_HEADER = CipherHeader("file", (Word.ENCRYPT,), PLACE, encryption.MIN_CHUNK_BYTES)
TWO_CHUNKS = encrypt_bytes(bytes(encryption.MIN_CHUNK_BYTES + 5), KEYRING.streams, PLAIN_HEADER, NONCE)
SEALED_DIFF = SEALED_FRONT % (b"diff", CIPHER.encode(), b"manifest_diffs") + b"\n" + DIFF
SEALED_SQUEEZED = SEALED_DIFF.removesuffix(DIFF).replace(b'["encrypt"]', b'["compress","encrypt"]') + compress(DIFF)

TARGETS = {
    "frame": Target(read_frame, (framed(FRONT, b"{}"),)),
    "record": Target(lambda data: PLAIN.unwrap(from_lines(data), "diff", "x"), (FRONT + b"\n" + DIFF,)),
    "compressed record": Target(
        lambda data: format2.decode_diff(encode_frame(Header("diff", (Word.COMPRESS,)), data), "x"), (compress(DIFF),)
    ),
    "encrypted record": Target(
        lambda data: format2.decode_diff(data, "x", FRAMING),
        tuple(framing.wrap("diff", DIFF) for framing in (PLAIN, FRAMING, ENCRYPTING)),
    ),
    "sealed record": Target(
        lambda data: format2.decode_diff(sealed_lines(data, KEYRING.metadata), "x", FRAMING),
        (SEALED_DIFF, SEALED_SQUEEZED),
    ),
    "diff": Target(in_frame("diff", format2.decode_diff), (DIFF,)),
    "claim": Target(in_frame("claim", format2.decode_claim), (CLAIM,)),
    "garbage": Target(in_frame("garbage", format2.decode_garbage), (GARBAGE,)),
    "checkpoint": Target(in_frame("checkpoint", decode_checkpoint), (CHECKPOINT,)),
    "local": Target(lambda data: local_format.decode_local(local_manifest(data), "x"), (LOCAL,)),
    "journal": Target(
        lambda data: journal_format.decode_journal(data.split(b"\n")),
        (
            journal_format.encode_transaction(TransactionId("t"))
            + b"\n"
            + journal_format.encode_receipt(
                Receipt(TransactionId("t"), "ab" * 32, 3, ObjectRef("k", VersionId("v"), 3, "", asked=(Word.COMPRESS,)))
            )
            + b"\n"
            + journal_format.encode_discarded(VersionRef("k", VersionId("v"))),
        ),
    ),
    "plan": Target(lambda data: format2.decode_plan(data, "x"), (PLAN,)),
    "object": Target(open_object, (sealed_lines(FILE, KEYRING.streams), TWO_CHUNKS)),
    "sealed object": Target(lambda data: open_object(sealed_lines(data, KEYRING.streams)), (FILE,)),
    "salt": Target(open_salt, (salt_object(SALT),)),
    "sealed salt": Target(lambda data: open_salt(salt_object(data)), (SALT,)),
    "labels": Target(lambda data: open_labels(any_text(data)), (sealed_labels(LABELS).encode(),)),
    "sealed labels": Target(lambda data: open_labels(sealed_labels(data)), (LABELS,)),
    "zstd": Target(
        lambda data: decompress(data, UNFOLDED, "x"),
        (compress(DIFF), compress(b"")),
    ),
    "names": Target(read_names, (b"/a%0A/b", b"../%FF")),
    "old frame": Target(lambda data: read_old_frame(from_lines(data)), (OLD_PLAIN, OLD_SEALED)),
    "old metadata": Target(lambda data: read_old_metadata(from_lines(data)), (OLD_PLAIN, OLD_SQUEEZED)),
    "old sealed metadata": Target(lambda data: read_old_metadata(sealed_lines(data, KEK, TAG_MESSAGE)), (OLD_SEALED,)),
    "old file": Target(lambda data: read_old_file(from_lines(data)), (OLD_FILE,)),
    "old sealed file": Target(lambda data: read_old_file(sealed_lines(data, KEK, TAG_MESSAGE)), (OLD_SEALED_FILE,)),
    "old diff": Target(lambda data: format1.decode_diff(data, "files", "x"), (OLD_DIFF,)),
    "old gc_log": Target(lambda data: format1.decode_gc_log(data, "files", "x"), (OLD_DIFF,)),
    "old garbage": Target(lambda data: format1.decode_garbage(data, "x"), (b'[["k","v"],[["k","v"]]]',)),
    "old local": Target(lambda data: format1.decode_local(data, "files", "x"), (OLD_LOCAL,)),
    "old salt": Target(lambda data: format1_object.decode_salt(data, "x"), (b"00" * 16,)),
}


def survives(target: Target, data: bytes) -> None:
    """Raises what is neither a value nor an error of ours."""
    with suppress(RRBackupError):
        target.parse(data)


# --- JSON with something exchanged -----------------------------------------------------------------------------------

DEEP = (b"[" * 1_000 + b"]" * 1_000, b'{"":' * 1_000 + b"0" + b"}" * 1_000)
"""Nearly as deep as orjson goes."""

ODD = (
    *(b"null", b"true", b"false", b"0", b"-1", b"7.5", b"1e300", b"1e999", b"NaN", b"9223372036854775808"),
    *(b"4294967296", b"1099511627776", b"-9223372036854775809", b"9" * 400, b'"%s"' % (b"9" * 400)),
    *(b"[]", b"{}", b"[[]]", b'[["",""]]', b'[{"":{}}]', b'{"":0,"":1}', b'["encrypt"]', b'["compress"]', b'""'),
    *(b'"x"', b'"1"', b'"2"', b'"AAAA"', b'"\\u0000"', b'"\\ud800"', b'"\\udcff"', b'"\xff"', b'"/../.."', b'"%2F"'),
    *(b'"%s"' % (b"x" * 70_000), b"[" + b"0," * 3_000 + b"0]", b"[" * 10_000, b'{"":' * 10_000, b""),
)
"""JSON to put in place of other JSON, and a few things that are none."""

_MARK = "@exchanged@"
_MARKED = orjson.dumps(_MARK)

Where = tuple[Any, ...]
"""The names and numbers that lead to a value in a JSON document."""


def exchanges(data: bytes, values: Iterable[bytes]) -> Iterator[bytes]:
    """The input with every value in its JSON lines exchanged for each of `values`, and left out."""
    for number, line in enumerate(data.split(b"\n")):
        document = loaded(line)
        for where in places(document):
            for value in values:
                yield _with_line(data, number, exchanged(document, where, value))
            yield _with_line(data, number, _left_out(document, where))


def exchanged(document: object, where: Where, value: bytes) -> bytes:
    if not where:
        return value
    copy: Any = orjson.loads(orjson.dumps(document))
    _holder(copy, where)[where[-1]] = _MARK
    return orjson.dumps(copy).replace(_MARKED, value)


def _left_out(document: object, where: Where) -> bytes:
    copy: Any = orjson.loads(orjson.dumps(document))
    if where:
        del _holder(copy, where)[where[-1]]
    return orjson.dumps(copy)


def _holder(document: Any, where: Where) -> Any:
    for step in where[:-1]:
        document = document[step]
    return document


def loaded(line: bytes) -> object:
    """The JSON value; None where it is none, or too deep to be written again."""
    try:
        value: object = orjson.loads(line)
        orjson.dumps(value)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    return value


def places(value: object) -> list[Where]:
    """Where values are in a document, the whole first; none in what is no document."""
    return [()] * isinstance(value, dict | list) + [where for where, _ in _inner(value)]


def _inner(value: object) -> Iterator[tuple[Where, object]]:
    for step, inner in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield (step,), inner
        yield from (((step, *where), found) for where, found in _inner(inner))


def _with_line(data: bytes, number: int, line: bytes) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join([*lines[:number], line, *lines[number + 1 :]])


def exchanged_at_random(data: bytes, random: Random, values: Sequence[bytes]) -> bytes | None:
    """Something in one of the JSON lines exchanged for one of `values`, or for another part of it; None without any."""
    documents = [(number, loaded(line)) for number, line in enumerate(data.split(b"\n"))]
    found = [(number, document) for number, document in documents if places(document)]
    if not found:
        return None
    number, document = random.choice(found)
    inner = [value for _, value in _inner(document)]
    value = orjson.dumps(random.choice(inner)) if inner and random.random() < 0.4 else random.choice(values)
    return _with_line(data, number, exchanged(document, random.choice(places(document)), value))


# --- the fuzzer ------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> None:
    if not arguments or arguments[0] not in TARGETS:
        sys.exit("give one of these targets: " + ", ".join(TARGETS))
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    target = TARGETS[arguments[0]]

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        """Half of the inputs stay JSON where they were: what is changed byte for byte seldom does."""
        random = Random(seed)
        odd = exchanged_at_random(data, random, ODD + DEEP) if random.random() < 0.5 else None
        if odd is None or len(odd) > max_size:
            odd = atheris.Mutate(data, max_size)
        return bytes(odd)

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        options = [sys.argv[0], *arguments[1:], corpus]
        atheris.Setup(options, lambda data: survives(target, data), custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
