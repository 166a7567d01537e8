"""Format 2 on the wire: golden bytes, round trips, and refusal of everything else."""

import hashlib
import struct
from contextlib import suppress

import orjson
import pytest
import zstandard
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import DamagedObject, LocalStateError, PasswordMissing, UnsupportedFormat
from rrbackup.pure import format2, framing
from rrbackup.pure.attributes import Extra, Owner, XAttr
from rrbackup.pure.compression import compress
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.header import MAX_HEADER_BYTES, Header, encode_frame
from rrbackup.pure.local_format import decode_local, decode_local_head, encode_local
from rrbackup.pure.model import (
    Change,
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    ObjectRef,
    ParentRef,
    PathText,
    Problem,
    ProblemKind,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
    Word,
)
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason

OBJECT = ObjectRef("files/a", VersionId("v7"), 3, '"etag"')
FILE = Entry(PathText("/a"), EntryType.FILE, 3, 1_700_000_000_123_456_789, 0o644, None, "ab" * 32, OBJECT)
FOLDER = Entry(PathText("/d"), EntryType.DIRECTORY, 0, 5, 0o755)
LINK = Entry(PathText("/l"), EntryType.SYMLINK, 0, 6, 0o777, "../a%0A")
DIFF = Diff(
    RepositoryId("r0"),
    2,
    ParentRef(VersionId("v1"), "cd" * 32),
    TransactionId("t0"),
    DiffKind.COMMIT,
    1_800_000_000_000_000_000,
    "host",
    (Change(Status.NEW, FILE), Change(Status.DELETED, FOLDER), Change(Status.CHANGED, LINK)),
)
CLAIM = Claim(TransactionId("t0"), 1, ClaimState.OPEN, "host", 17, VersionId("v1"), 1, ("files/a", "files/b"))
HEAD = HeadRef(VersionId("v2"), '"e2"', "ef" * 32, 2, RepositoryId("r0"))

GOLDEN_DIFF = (
    struct.pack(">I", 37)
    + b'{"V":"2","kind":"diff","pipeline":[]}'
    + b'{"format":2,"repository":"r0","sequence":2,"parent":{"version_id":"v1","sha256":"'
    + b"cd" * 32
    + b'"},'
    b'"transaction":"t0","kind":"commit","created_ns":1800000000000000000,"host":"host","changes":['
    b'{"status":"new","path":"/a","size":3,"mtime_ns":1700000000123456789,"mode":420,"sha256":"' + b"ab" * 32 + b'",'
    b'"object":{"key":"files/a","version_id":"v7","stored_size":3,"etag":"\\"etag\\""}},'
    b'{"status":"deleted","path":"/d","type":"directory","mtime_ns":5,"mode":493},'
    b'{"status":"changed","path":"/l","type":"symlink","mtime_ns":6,"mode":511,"target":"../a%0A"}]}'
)
GOLDEN_CLAIM = (
    struct.pack(">I", 38) + b'{"V":"2","kind":"claim","pipeline":[]}'
    b'{"format":2,"transaction":"t0","serial":1,"state":"open","host":"host","created_ns":17,"head":"v1",'
    b'"head_sequence":1,"keys":["files/a","files/b"]}'
)
GOLDEN_GARBAGE = (
    struct.pack(">I", 40) + b'{"V":"2","kind":"garbage","pipeline":[]}' + b'{"format":2,"versions":[["files/a","v7"]]}'
)
GOLDEN_OPENING = (
    b'{"format":3,"head":{"version_id":"v2","etag":"\\"e2\\"","sha256":"' + b"ef" * 32 + b'","sequence":2,'
    b'"repository":"r0"}'
)
GOLDEN_LOCAL = (
    GOLDEN_OPENING + b',"opening_sha256":"' + hashlib.sha256(GOLDEN_OPENING).hexdigest().encode() + b'","entries":[\n'
    b'[["/a","file",3,1700000000123456789,420,null,9,4,true],{"sha256":"' + b"ab" * 32 + b'",'
    b'"object":{"key":"files/a","version_id":"v7","stored_size":3,"etag":"\\"etag\\""}}],\n'
    b'[["/d","directory",0,5,493,null,null,null],{}]\n'
    b'],"sha256":"'
)


def test_golden_diff() -> None:
    assert format2.encode_diff(DIFF) == GOLDEN_DIFF
    assert format2.decode_diff(GOLDEN_DIFF, "x") == DIFF


EXTRA = Extra(Owner(1000, 100, "ann"), (XAttr("user.%0A", "AP8="),), "/a", True)
GOLDEN_EXTRA = (
    b'"extra":{"owner":{"uid":1000,"gid":100,"user":"ann"},"xattrs":[{"name":"user.%0A","value":"AP8="}],'
    b'"hardlink":"/a","sparse":true}'
)


def test_golden_extra() -> None:
    """A field without anything in it is not written."""
    diff = evolve(DIFF, changes=(Change(Status.NEW, evolve(FOLDER, extra=EXTRA)),))
    golden = b'{"status":"new","path":"/d","type":"directory","mtime_ns":5,"mode":493,' + GOLDEN_EXTRA + b"}]}"
    assert format2.encode_diff(diff).endswith(golden)
    assert format2.decode_diff(format2.encode_diff(diff), "x") == diff


def test_a_reader_passes_over_what_it_does_not_know_of_an_extra() -> None:
    newer = GOLDEN_DIFF.replace(b'"mode":493}', b'"mode":493,"extra":{"sparse":true,"flags":7}}')
    (_, change, _) = format2.decode_diff(newer, "x").changes
    assert change.entry.extra == Extra(sparse=True)


@pytest.mark.parametrize(
    "extra",
    [b'{"owner":7}', b'{"owner":{"uid":"0","gid":0}}', b'{"xattrs":[["a","b"]]}', b'{"sparse":1}', b'{"hardlink":7}'],
)
def test_an_extra_of_another_shape_is_damage(extra: bytes) -> None:
    with pytest.raises(DamagedObject):
        format2.decode_diff(GOLDEN_DIFF.replace(b'"mode":493}', b'"mode":493,"extra":' + extra + b"}"), "x")


def test_golden_claim() -> None:
    assert format2.encode_claim(CLAIM) == GOLDEN_CLAIM
    assert format2.decode_claim(GOLDEN_CLAIM, "x") == CLAIM


def test_golden_garbage() -> None:
    refs = (VersionRef("files/a", VersionId("v7")),)
    assert format2.encode_garbage(refs) == GOLDEN_GARBAGE
    assert format2.decode_garbage(GOLDEN_GARBAGE, "x") == refs


def test_golden_local_manifest() -> None:
    manifest = LocalManifest(HEAD, (LocalEntry(FILE, LocalStamp(9, 4), recent=True), LocalEntry(FOLDER)))
    data = b"".join(encode_local(manifest))
    assert data[: len(GOLDEN_LOCAL)] == GOLDEN_LOCAL
    assert decode_local(data, "x") == manifest
    assert orjson.loads(data)["entries"][1][0][0] == "/d"


def test_an_empty_local_manifest() -> None:
    assert decode_local(b"".join(encode_local(LocalManifest(None))), "x") == LocalManifest(None)


# --- strategies ------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=12)
paths = texts.map(lambda text: PathText("/" + text))
numbers = st.integers(0, 2**63 - 1)
words = st.sets(st.sampled_from(Word)).map(lambda found: tuple(sorted(found)))
objects = st.builds(ObjectRef, texts, texts.map(VersionId), numbers, texts, st.sampled_from([1, 2]), words, words)
entries = st.builds(
    Entry,
    paths,
    st.sampled_from(EntryType),
    numbers,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 0o7777),
    st.none() | texts,
    st.none() | texts,
    st.none() | objects,
)
changes = st.builds(Change, st.sampled_from(Status), entries)
diffs = st.builds(
    Diff,
    texts.map(RepositoryId),
    st.integers(1, 2**31),
    st.none() | st.builds(ParentRef, texts.map(VersionId), texts),
    texts.map(TransactionId),
    st.sampled_from(DiffKind),
    numbers,
    texts,
    st.lists(changes, max_size=3).map(tuple),
)
claims = st.builds(
    Claim,
    texts.map(TransactionId),
    numbers,
    st.sampled_from(ClaimState),
    texts,
    numbers,
    st.none() | texts.map(VersionId),
    numbers,
    st.lists(texts, max_size=3).map(tuple),
    st.none() | texts.map(VersionId),
    st.booleans(),
)
stamps = st.none() | st.builds(LocalStamp, numbers, st.integers(0, 2**64 - 1))
heads = st.builds(HeadRef, texts.map(VersionId), texts, texts, numbers, texts.map(RepositoryId))
manifests = st.builds(
    LocalManifest,
    st.none() | heads,
    st.lists(st.builds(LocalEntry, entries, stamps, st.booleans()), max_size=3).map(tuple),
)


@given(diffs)
def test_diffs_round_trip(diff: Diff) -> None:
    assert format2.decode_diff(format2.encode_diff(diff), "x") == diff


@given(claims)
def test_claims_round_trip(claim: Claim) -> None:
    assert format2.decode_claim(format2.encode_claim(claim), "x") == claim


@given(manifests)
def test_local_manifests_round_trip(manifest: LocalManifest) -> None:
    assert decode_local(b"".join(encode_local(manifest)), "x") == manifest


@given(diffs, st.data())
def test_a_damaged_diff_is_an_error_of_ours(diff: Diff, data: st.DataObject) -> None:
    whole = format2.encode_diff(diff)
    position = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from([whole[:position], whole[:position] + b"\xff" + whole[position + 1 :], whole[position:]])
    )
    with suppress(DamagedObject, UnsupportedFormat):
        format2.decode_diff(damaged, "x")


@given(st.binary(max_size=200))
def test_noise_is_an_error_of_ours(noise: bytes) -> None:
    with pytest.raises((DamagedObject, UnsupportedFormat)):
        format2.decode_diff(noise, "x")
    with pytest.raises(LocalStateError):
        decode_local(noise, "x")


FIELDS = [
    *("format", "repository", "sequence", "parent", "transaction", "kind", "created_ns", "host", "changes"),
    *("requires", "status", "path", "object", "key", "versions"),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
)


@given(json_values)
def test_any_json_is_a_value_or_an_error_of_ours(value: object) -> None:
    payload = orjson.dumps({"format": 2, **value} if isinstance(value, dict) else value)
    decoders = {"diff": format2.decode_diff, "claim": format2.decode_claim, "garbage": format2.decode_garbage}
    for kind, decode in decoders.items():
        with suppress(DamagedObject, UnsupportedFormat):
            decode(encode_frame(Header(kind), payload), "x")


# --- what is refused -------------------------------------------------------------------------------------------


def framed(fields: dict[str, object], kind: str = "diff") -> bytes:
    return encode_frame(Header(kind), orjson.dumps(fields))


def diff_fields(**other: object) -> dict[str, object]:
    fields: dict[str, object] = orjson.loads(format2.encode_diff(DIFF)[41:])
    return {**fields, **other}


def test_fields_that_are_not_known_are_passed_over() -> None:
    assert format2.decode_diff(framed(diff_fields(color="blue")), "x") == DIFF


def test_a_diff_that_requires_something_unknown_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="requires time_travel"):
        format2.decode_diff(framed(diff_fields(requires=["time_travel"])), "x")


def test_another_format_is_refused() -> None:
    with pytest.raises(UnsupportedFormat, match="format 3"):
        format2.decode_diff(framed(diff_fields(format=3)), "x")


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b'{"V":"1"}', UnsupportedFormat),
        (b'{"V":"3","kind":"diff","pipeline":[]}', UnsupportedFormat),
        (b'{"V":"2","kind":"diff","pipeline":["zip"]}', UnsupportedFormat),
        (b'{"V":"2","kind":"claim","pipeline":[]}', DamagedObject),
        (b"[]", DamagedObject),
        (b"{", DamagedObject),
    ],
)
def test_headers_that_cannot_be_read(header: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="the object"):
        PLAIN.unwrap(struct.pack(">I", len(header)) + header + b"{}", "diff", "the object")


def test_an_encrypted_record_needs_the_password() -> None:
    header = b'{"V":"2","kind":"diff","pipeline":["encrypt"]}'
    with pytest.raises(PasswordMissing):
        PLAIN.unwrap(struct.pack(">I", len(header)) + header + b"{}", "diff", "the object")


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0\0\0\x05{}", struct.pack(">I", 2**32 - 1) + b"{}"])
def test_frames_that_are_too_short(data: bytes) -> None:
    with pytest.raises(DamagedObject):
        PLAIN.unwrap(data, "diff", "x")


def test_a_header_that_claims_too_much_is_not_read() -> None:
    data = struct.pack(">I", MAX_HEADER_BYTES + 1) + b" " * (MAX_HEADER_BYTES + 1)
    with pytest.raises(DamagedObject, match="does not begin with a header"):
        PLAIN.unwrap(data, "diff", "x")


def test_every_flipped_bit_in_the_local_manifest_is_noticed() -> None:
    manifest = LocalManifest(HEAD, (LocalEntry(FILE, LocalStamp(9, 4)), LocalEntry(FOLDER), LocalEntry(LINK)))
    data = b"".join(encode_local(manifest))
    for position in range(len(data)):
        damaged = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(LocalStateError):
            decode_local(damaged, "x")
        with pytest.raises(LocalStateError):
            decode_local(data[:position], "x")


def test_the_first_line_of_the_local_manifest_tells_the_head_and_every_flipped_bit_in_it_is_noticed() -> None:
    manifest = LocalManifest(HEAD, (LocalEntry(FILE), LocalEntry(FOLDER)))
    line = next(iter(encode_local(manifest)))
    assert decode_local_head(line) == HEAD
    for position in range(len(line)):
        assert decode_local_head(line[:position] + bytes([line[position] ^ 1]) + line[position + 1 :]) is None
        assert decode_local_head(line[:position]) is None


def test_a_first_line_without_a_digest_of_its_own_tells_no_head() -> None:
    assert decode_local_head(GOLDEN_OPENING + b',"entries":[\n') is None


def test_the_local_manifest_of_version_1_is_told_apart() -> None:
    old = b'{"latest_remote_diff":{"version_id":"x","last_modified":"y"},"files":[]}'
    with pytest.raises(LocalStateError, match="another version"):
        decode_local(old, "the local manifest")


# --- compressed records ----------------------------------------------------------------------------------------


def test_a_compressed_record_says_so_and_is_a_zstd_frame() -> None:
    many = evolve(DIFF, changes=DIFF.changes * 20)
    data = format2.encode_diff(many, Framing((Word.COMPRESS,)))
    header = b'{"V":"2","kind":"diff","pipeline":["compress"]}'
    assert data[: 4 + len(header)] == struct.pack(">I", len(header)) + header
    assert zstandard.ZstdDecompressor().decompress(data[4 + len(header) :]).startswith(b'{"format":2,')
    assert len(data) < len(format2.encode_diff(many))
    assert format2.decode_diff(data, "x") == many, "a reader needs no configuration"


def test_a_record_that_does_not_shrink_is_left_as_it_is() -> None:
    assert format2.encode_garbage((), Framing((Word.COMPRESS,))) == format2.encode_garbage(())


def test_a_bomb_in_a_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_RECORD_BYTES", 1 << 20)
    data = encode_frame(Header("diff", (Word.COMPRESS,)), compress(b" " * (1 << 21)))
    with pytest.raises(DamagedObject, match="more than"):
        format2.decode_diff(data, "x")


# --- plans ------------------------------------------------------------------------------------------------------


def test_plans_round_trip() -> None:
    candidate = Candidate(PathText("/a"), 3, 5, 0o644, Reason.SIZE, FILE, "files/a", (Word.ENCRYPT,), known_size=True)
    plan = BackupPlan(
        HEAD,
        (candidate, evolve(candidate, previous=None)),
        (Planned(Change(Status.DELETED, FOLDER), Reason.GONE, LocalStamp(1, 2)),),
        (Problem(PathText("/x"), ProblemKind.UNREADABLE, "denied"),),
        5,
        7,
    )
    assert format2.decode_plan(format2.encode_plan(plan), "x") == plan
