"""Checkpoints as bytes: golden bytes, round trips, and refusal of everything else."""

import re
import struct
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject, RRBackupError, UnsupportedFormat
from rrbackup.pure import format2, framing, local_format
from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.checkpoint_format import decode_checkpoint, encode_checkpoint
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.header import Header, encode_frame
from rrbackup.pure.keys import Keyring
from rrbackup.pure.model import (
    CheckpointRef,
    Diff,
    DiffKind,
    Entry,
    EntryType,
    HeadRef,
    LocalManifest,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    SinceCheckpoint,
    TransactionId,
    VersionId,
    VersionRef,
    Word,
)
from rrbackup.pure.names import path_order

FILE = Entry(PathText("/a"), size=3, sha256="ab" * 32, object=ObjectRef("files/a", VersionId("v7"), 3, '"e"'))
FOLDER = Entry(PathText("/d"), EntryType.DIRECTORY, 0, 5, 0o755)
CHECKPOINT = Checkpoint(
    RepositoryId("r0"),
    2,
    ParentRef(VersionId("v1"), "cd" * 32),
    (FILE, FOLDER),
    frozenset(
        {
            VersionRef("files/é", VersionId("v3")),
            VersionRef("files/a", VersionId("v5")),
            VersionRef("files/a", VersionId("v2")),
        }
    ),
)
GOLDEN = (
    struct.pack(">I", 43)
    + b'{"V":"2","kind":"checkpoint","pipeline":[]}'
    + b'{"format":2,"repository":"r0","sequence":2,"head":{"version_id":"v1","sha256":"'
    + b"cd" * 32
    + b'"},"entries":[{"path":"/a","size":3,"sha256":"'
    + b"ab" * 32
    + b'","object":{"key":"files/a","version_id":"v7","stored_size":3,"etag":"\\"e\\""}},'
    b'{"path":"/d","type":"directory","mtime_ns":5,"mode":493}],'
    b'"references":{"files/a":["v2","v5"],"files/\xc3\xa9":["v3"]}}'
)

KEYS = Keyring(RepositoryId("r0"), bytes(range(32)))
ENCRYPTED = Framing((Word.COMPRESS, Word.ENCRYPT), unlock=lambda: KEYS, nonce=lambda: bytes(24), key="cp")


def test_the_bytes_of_a_checkpoint_never_change() -> None:
    assert encode_checkpoint(CHECKPOINT) == GOLDEN
    assert decode_checkpoint(GOLDEN, "x") == CHECKPOINT


ids = st.text("abc", min_size=1, max_size=2)
objects = st.builds(ObjectRef, ids, ids.map(VersionId), st.integers(0, 9), ids)
entries = st.builds(
    Entry, ids.map(lambda name: PathText(f"/{name}")), size=st.integers(0, 9), object=st.none() | objects
)
checkpoints = st.builds(
    Checkpoint,
    ids.map(RepositoryId),
    st.integers(1, 2**40),
    st.builds(ParentRef, ids.map(VersionId), ids),
    st.lists(entries, max_size=6, unique_by=lambda e: e.path).map(
        lambda found: tuple(sorted(found, key=lambda e: path_order(e.path)))
    ),
    st.frozensets(st.builds(VersionRef, ids, ids.map(VersionId)), max_size=6),
)


@given(checkpoints, st.sampled_from([PLAIN, Framing((Word.COMPRESS,)), ENCRYPTED]))
def test_what_was_written_is_read_again(checkpoint: Checkpoint, how: Framing) -> None:
    assert decode_checkpoint(encode_checkpoint(checkpoint, how), "x", how) == checkpoint


@pytest.mark.parametrize("how", [PLAIN, Framing((Word.COMPRESS,)), ENCRYPTED], ids=["plain", "compressed", "encrypted"])
def test_damage_at_any_byte_is_another_value_or_an_error_of_ours(how: Framing) -> None:
    data = encode_checkpoint(CHECKPOINT, how)
    for position in range(len(data)):
        for change in (1, 0x20, 0x80):
            damaged = data[:position] + bytes([data[position] ^ change]) + data[position + 1 :]
            with suppress(DamagedObject, UnsupportedFormat):
                decode_checkpoint(damaged, "x", how)
                assert how is not ENCRYPTED
        with pytest.raises(DamagedObject):
            decode_checkpoint(data[:position], "x", how)


@given(st.binary(max_size=200))
def test_noise_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(RRBackupError):
        decode_checkpoint(data, "x")
    with pytest.raises(RRBackupError):
        decode_checkpoint(encode_frame(Header("checkpoint"), data), "x")


def framed(**fields: object) -> bytes:
    sound: Any = orjson.loads(GOLDEN[47:])
    left = {key: value for key, value in {**sound, **fields}.items() if value is not ...}
    return encode_frame(Header("checkpoint"), orjson.dumps(left))


@pytest.mark.parametrize(
    "fields",
    [
        {"repository": ...},
        {"repository": 1},
        {"sequence": "2"},
        {"sequence": 2.0},
        {"sequence": True},
        {"sequence": ...},
        {"head": None},
        {"head": ...},
        {"head": []},
        {"head": {"version_id": "v1"}},
        {"entries": {}},
        {"entries": None},
        {"entries": "/a"},
        {"entries": [["/a"]]},
        {"entries": [{}]},
        {"entries": [{"path": 1}]},
        {"entries": [{"path": "/a", "type": "device"}]},
        {"entries": [{"path": "/a", "size": "1"}]},
        {"entries": [{"path": "/a", "object": {"key": "files/a"}}]},
        {"entries": [{"path": "/a"}, {"path": "/a"}]},
        {"entries": [{"path": "/b"}, {"path": "/a"}]},
        {"entries": [{"path": "/a.b"}, {"path": "/a/b"}]},
        {"references": None},
        {"references": []},
        {"references": "files/a"},
        {"references": {"files/a": "v1"}},
        {"references": {"files/a": ["v1", 2]}},
        {"references": {"files/a": {"v1": 1}}},
        {"references": {"files/a": None}},
    ],
    ids=str,
)
def test_values_of_another_shape_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(DamagedObject, match="the checkpoint x"):
        decode_checkpoint(framed(**fields), "the checkpoint x")


def test_fields_that_a_reader_does_not_know_are_passed_over() -> None:
    head = {"version_id": "v1", "sha256": "cd" * 32, "more": 1}
    assert decode_checkpoint(framed(later=[1], head=head), "x") == CHECKPOINT


def test_what_is_empty_is_left_out() -> None:
    empty = evolve(CHECKPOINT, entries=(), references=frozenset())
    assert b"entries" not in encode_checkpoint(empty)
    assert decode_checkpoint(framed(entries=..., references=...), "x") == empty


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (framed(format=3), UnsupportedFormat),
        (GOLDEN.replace(b'"V":"2"', b'"V":"3"'), UnsupportedFormat),
        (GOLDEN.replace(b'"kind":"checkpoint"', b'"kind":"checkpuint"'), DamagedObject),
        (encode_frame(Header("diff"), GOLDEN[47:]), DamagedObject),
        (encode_frame(Header("checkpoint"), b"[1]"), DamagedObject),
    ],
)
def test_another_format_or_kind_is_refused(data: bytes, error: type[RRBackupError]) -> None:
    with pytest.raises(error):
        decode_checkpoint(data, "x")


def test_an_encrypted_one_opens_only_under_its_own_name() -> None:
    data = encode_checkpoint(CHECKPOINT, ENCRYPTED)
    with pytest.raises(DamagedObject):
        decode_checkpoint(data, "x", ENCRYPTED.at("manifest_diffs"))


def test_one_that_grows_beyond_what_a_record_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = evolve(CHECKPOINT, references=frozenset(VersionRef("files/a", VersionId(f"v{n}")) for n in range(2000)))
    data = encode_checkpoint(many, Framing((Word.COMPRESS,)))
    assert decode_checkpoint(data, "x") == many
    monkeypatch.setattr(framing, "FREE_RECORD_BYTES", 1 << 10)
    monkeypatch.setattr(framing, "MAX_GROWTH", 1)
    with pytest.raises(DamagedObject):
        decode_checkpoint(data, "x")


# --- the example in docs/format.md ----------------------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^```(json example=[^\n]+)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE))


def shown(kind: str, example: str) -> bytes:
    """The object with the payload of an example, put together as the text says."""
    header = b'{"V":"2","kind":"%s","pipeline":[]}' % kind.encode()
    return struct.pack(">I", len(header)) + header + orjson.dumps(orjson.loads(SHOWN[f"json example={example}"]))


def test_the_checkpoint_of_the_format_is_that_of_its_two_diffs() -> None:
    data, second = shown("checkpoint", "checkpoint"), shown("diff", "diff-2")
    found = decode_checkpoint(data, "x")
    assert encode_checkpoint(found) == data
    assert f"whose object has {len(data)} bytes" in DOCUMENT
    first = format2.decode_diff(shown("diff", "diff-1"), "x")
    assert found.entries == tuple(change.entry for change in first.changes)
    assert (found.repository, found.sequence) == (first.repository, 2)
    assert found.head.sha256 == sha256(second).hexdigest()
    assert f"Its version id is `{found.head.version_id}`" in DOCUMENT


def test_the_third_diff_of_the_format_names_that_checkpoint() -> None:
    fields = orjson.loads(SHOWN["json example=diff-2"]) | orjson.loads(SHOWN["json example=naming"])
    third = format2.decode_diff(encode_frame(Header("diff"), orjson.dumps(fields)), "x")
    assert third.checkpoint is not None
    assert third.checkpoint.sha256 == sha256(shown("checkpoint", "checkpoint")).hexdigest()
    assert f"answered with version id `{third.checkpoint.version_id}`" in DOCUMENT


# --- where it is named, and what is remembered ---------------------------------------------------------------------


def test_a_diff_names_a_checkpoint_and_one_without_has_no_such_field() -> None:
    diff = Diff(RepositoryId("r"), 2, CHECKPOINT.head, TransactionId("t"), DiffKind.COMMIT, 0, "h")
    assert b"checkpoint" not in format2.encode_diff(diff)
    naming = evolve(diff, checkpoint=CheckpointRef(VersionId("c1"), "ef" * 32, 7))
    data = format2.encode_diff(naming)
    assert b'"checkpoint":{"version_id":"c1","sha256":"' + b"ef" * 32 + b'","references":7}' in data
    assert format2.decode_diff(data, "x") == naming


@pytest.mark.parametrize("since", [None, SinceCheckpoint(3, 10, 7), SinceCheckpoint(1)])
def test_the_local_manifest_remembers_what_was_counted(since: SinceCheckpoint | None) -> None:
    head = HeadRef(VersionId("v2"), '"e2"', "ef" * 32, 2, RepositoryId("r0"))
    manifest = LocalManifest(head, (), since)
    data = b"".join(local_format.encode_local(manifest))
    assert (b"since" in data) is (since is not None)
    assert local_format.decode_local(data, "x") == manifest
