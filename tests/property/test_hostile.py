"""Hostile input: whatever the bytes, every parser gives a value or one of its own errors, in bounded memory."""

import bz2
import json
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject, LocalStateError, UnsupportedFormat
from rrbackup.pure import format1, format1_json, format1_object, format2, journal_format, local_format
from rrbackup.pure.format1_object import Kdf, Pull
from rrbackup.pure.header import Header, encode_frame
from rrbackup.pure.model import LocalManifest
from tests import format1_writer as writer
from tests.format1_shell import puller
from tests.fuzz import local_manifest

LOCK = writer.Lock(bytes(32), bytes(16))
MEBIBYTE = 1 << 20

Parser = Callable[[bytes], object]


def unlock(kdf: Kdf, stream_header: bytes) -> Pull:
    """Stands for the derivation of a key, which only bounded parameters may reach."""
    assert kdf.memory <= format1_object.MAX_KDF_MEMORY
    assert kdf.passes <= format1_object.MAX_KDF_PASSES
    return puller(LOCK.key, stream_header)


def read_metadata(data: bytes) -> bytes:
    return format1_object.read_metadata(data, unlock, "x")


def read_file(data: bytes) -> bytes:
    return b"".join(format1_object.read_file([data], unlock, "x"))


STORED_PARSERS: dict[str, Parser] = {
    "format 1 header": lambda data: format1_object.decode_header(data, "x"),
    "format 1 frame": lambda data: format1_object.split(data, "x"),
    "format 1 salt": lambda data: format1_object.decode_salt(data, "x"),
    "format 1 metadata": read_metadata,
    "format 1 file": read_file,
    "format 1 diff": lambda data: format1.decode_diff(data, "files", "x"),
    "format 1 gc_log": lambda data: format1.decode_gc_log(data, "files", "x"),
    "format 1 garbage": lambda data: format1.decode_garbage(data, "x"),
    "format 2 diff": lambda data: format2.decode_diff(data, "x"),
    "format 2 claim": lambda data: format2.decode_claim(data, "x"),
    "format 2 garbage": lambda data: format2.decode_garbage(data, "x"),
    "format 2 plan": lambda data: format2.decode_plan(data, "x"),
}
LOCAL_PARSERS: dict[str, Parser] = {
    "format 1 local manifest": lambda data: format1.decode_local(data, "files", "x"),
    "format 2 local manifest": lambda data: local_format.decode_local(data, "x"),
}


def parse_all(data: bytes) -> None:
    for parse in STORED_PARSERS.values():
        with suppress(DamagedObject, UnsupportedFormat):
            parse(data)
    for parse in LOCAL_PARSERS.values():
        with suppress(LocalStateError):
            parse(data)
    format1_object.is_format1(data)
    journal_format.decode_journal(data.split(b"\n"))


# --- what is thrown at them ----------------------------------------------------------------------------------------

FIELDS = [
    *("V", "S", "C", "E", "A", "O", "M", "path", "status", "created", "last_mod", "hash", "real_path", "version_id"),
    *("empty", "latest_remote_diff", "files", "format", "kind", "pipeline", "repository", "sequence", "parent"),
    *("transaction", "changes", "requires", "object", "key", "versions", "head", "entries", "state", "serial", "keys"),
]
WORDS = ["1", "2", "5242880", "new", "deleted", "/a", "/\ud800", "\udcff", "bz2", "ARGON2I13", "ab" * 32, "AAAA"]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(st.characters(), max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=20,
)
changes = st.fixed_dictionaries(
    {"path": st.sampled_from(WORDS), "status": st.sampled_from(["new", "changed", "deleted"])},
    optional=dict.fromkeys(("last_mod", "hash", "real_path", "version_id", "empty"), scalars),
)
documents = (values | st.lists(changes, max_size=3)).map(lambda value: json.dumps(value).encode())
headers = st.fixed_dictionaries(
    {"V": st.sampled_from(["1", "2"])},
    optional={
        "S": scalars,
        "C": st.just({"A": "bz2"}) | values,
        "E": st.just(LOCK.header()) | st.just(LOCK.header(E="sodssxcc20")) | values,
        "kind": st.sampled_from(["diff", "claim", "garbage"]),
        "pipeline": st.just([]) | values,
    },
).map(lambda value: json.dumps(value).encode())
payloads = st.binary(max_size=80) | documents | documents.map(bz2.compress)
frames = st.builds(writer.framed, headers, payloads)
sealed = st.builds(
    lambda header, payload: writer.framed(header, writer.sealed(LOCK, header, [payload])), headers, payloads
)


@given(st.one_of(st.binary(max_size=200), documents, headers, frames, sealed))
def test_anything_is_a_value_or_an_error_of_ours(data: bytes) -> None:
    parse_all(data)


@given(values, st.sampled_from(["diff", "claim", "garbage"]))
def test_any_json_in_a_frame_of_format_2(value: object, kind: str) -> None:
    text = json.dumps({"format": 2, **value} if isinstance(value, dict) else value)
    parse_all(encode_frame(Header(kind), text.encode()))


@given(values)
def test_any_json_in_a_local_manifest_with_the_right_digest(value: object) -> None:
    data = local_manifest(json.dumps({"format": 3, "entries": [value]}, separators=(",", ":")).encode())
    with suppress(LocalStateError):
        local_format.decode_local(data, "x")


RECORD = {
    "path": "/a/ü",
    "status": "new",
    "created": 1.5,
    "last_mod": 2.25,
    "hash": "ab" * 32,
    "real_path": "/b",
    "version_id": "v1",
}
VALID = [
    writer.metadata_object([RECORD, RECORD]),
    writer.metadata_object([RECORD], compress=True),
    writer.metadata_object([RECORD], compress=True, lock=LOCK),
    writer.file_object(bytes(100), LOCK, 64),
    writer.compact([RECORD, {"path": "/e", "status": "deleted", "last_mod": 1.0, "empty": True}]),
    writer.compact({"latest_remote_diff": {"version_id": "v1", "last_modified": ""}, "files": [RECORD]}),
    writer.compact([["files/a", "v1"], [["files/b", "v2"]]]),
    format2.encode_garbage([]),
    b"".join(local_format.encode_local(LocalManifest(None))),
]


@given(st.data())
def test_valid_objects_with_something_exchanged(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(VALID))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    parse_all(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


# --- memory --------------------------------------------------------------------------------------------------------


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Fails where more than `count` bytes are held at once, beyond what there was before."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= count


HUGE = 4_294_967_295
KDF = {"A": "ARGON2I13", "O": 4, "M": 1 << 40, "S": "AAAAAAAAAAAAAAAAAAAAAA=="}
CLAIMS = {
    "header of 4 GB": struct.pack(">I", HUGE) + b'{"V":"1"}',
    "chunks of 4 GB": writer.framed(writer.compact({"V": "1", "S": str(HUGE), "E": LOCK.header()}), bytes(1000)),
    "key derivation in 1 TB": writer.framed(writer.compact({"V": "1", "S": "64", "E": KDF}), bytes(1000)),
    "key derivation for ever": writer.framed(
        writer.compact({"V": "1", "S": "64", "E": {**KDF, "M": 8192, "O": 1 << 31}}), bytes(1000)
    ),
    "a number of a megabyte": b'{"V":"1","S":' + b"9" * MEBIBYTE + b"}",
    "nesting": writer.framed(b'{"V":"1"}', b"[" * MEBIBYTE),
    "nesting in a header": writer.framed(b'{"V":' * 10_000, b""),
}


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_what_an_object_claims_is_not_allocated(data: bytes) -> None:
    with at_most(16 * MEBIBYTE):
        parse_all(data)
        with pytest.raises((DamagedObject, UnsupportedFormat)):
            format1.decode_diff(read_metadata(data), "files", "x")
        with pytest.raises((DamagedObject, UnsupportedFormat)):
            format2.decode_diff(data, "x")


def test_chunks_that_may_be_large_take_only_what_is_there() -> None:
    largest = format1_object.MAX_CHUNK_BYTES
    header = writer.compact({"V": "1", "S": str(largest), "E": LOCK.header()})
    with at_most(MEBIBYTE), pytest.raises(DamagedObject):
        read_file(writer.framed(header, bytes(100_000)))


def bomb(plain: bytes) -> bytes:
    return writer.framed(writer.compact({"V": "1", "C": {"A": "bz2"}}), bz2.compress(plain))


def test_a_compression_bomb_is_unfolded_up_to_the_limit_only() -> None:
    data, limit = bomb(bytes(64 * MEBIBYTE)), MEBIBYTE
    assert len(data) < 1000
    with at_most(8 * limit), pytest.raises(DamagedObject, match="once decompressed"):
        format1_object.read_metadata(data, unlock, "x", limit)


def test_lists_are_read_element_by_element() -> None:
    payload = b"[" + b",".join([b'[["k","v"]]'] * 50_000) + b"]"
    with at_most(MEBIBYTE):
        assert sum(1 for _ in format1_json.elements(payload, "x")) == 50_000


UNFOLDING = {
    "empty lists": b"[" + b"[]," * 5_000_000 + b"[]]",
    "one list of empty lists": b"[[" + b"[]," * 5_000_000 + b"[]]]",
    "one change with many fields": b"[{" + b'"":[],' * 3_000_000 + b'"":0}]',
    "one long text": b'["' + b"x" * (15 * MEBIBYTE) + b'"]',
}


@pytest.mark.parametrize("payload", UNFOLDING.values(), ids=UNFOLDING)
def test_json_that_unfolds_in_memory_is_refused_before_it_does(payload: bytes) -> None:
    with at_most(250 * MEBIBYTE), pytest.raises(DamagedObject):
        format1.decode_diff(payload, "files", "x")


def test_a_frame_of_format_2_takes_memory_in_proportion() -> None:
    payload = orjson.dumps({"format": 2, "changes": [[]] * 300_000})
    with at_most(64 * MEBIBYTE), pytest.raises(DamagedObject):
        format2.decode_diff(encode_frame(Header("diff"), payload), "x")
