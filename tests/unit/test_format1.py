"""Format 1: what its reader makes of diffs, their order, the claim, the garbage list and the local manifest."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedChain, DamagedObject, LocalStateError
from rrbackup.pure import format1, format2
from rrbackup.pure.format1 import FoundDiff
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Entry,
    Link,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    Status,
    VersionId,
    VersionRef,
)
from rrbackup.pure.names import path_bytes
from tests.format1_shell import no_password, read_chain
from tests.format1_writer import File, Format1Writer, compact

HASH = "ab" * 32
RECORD = {
    "path": "/a",
    "status": "new",
    "created": 1.5,
    "last_mod": 2.25,
    "hash": HASH,
    "real_path": "/other",
    "version_id": "v1",
}
EMPTY = {"path": "/e", "status": "new", "created": 1.5, "last_mod": 2.25, "hash": HASH, "empty": True}


def decode(*records: dict[str, object]) -> tuple[Change, ...]:
    return format1.decode_diff(compact(list(records)), "files", "the diff")


# --- diffs ---------------------------------------------------------------------------------------------------------


def test_a_change_with_an_object() -> None:
    ref = ObjectRef("files/other", VersionId("v1"), NOT_RECORDED, "", 1)
    entry = Entry(PathText("/a"), size=-1, mtime_ns=2_250_000_000, mode=-1, sha256=HASH, object=ref)
    assert decode(RECORD, {**RECORD, "status": "deleted"}) == (
        Change(Status.NEW, entry),
        Change(Status.DELETED, entry),
    )


def test_an_empty_file() -> None:
    digest = hashlib.sha256().hexdigest()
    entry = Entry(PathText("/e"), size=0, mtime_ns=2_250_000_000, mode=-1, sha256=digest)
    assert decode(EMPTY) == (Change(Status.NEW, entry),)
    assert decode({key: value for key, value in EMPTY.items() if key != "hash"}) == decode(EMPTY)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/a b/ü", "/a b/ü"),
        ("/100%", "/100%25"),
        ("/a\\b\n", "/a%5Cb%0A"),
        ("/not UTF-8 \udcff\udc80", "/not UTF-8 %FF%80"),
        ("/😀", "/😀"),
    ],
)
def test_paths(path: str, text: str) -> None:
    (change,) = decode({**RECORD, "path": path})
    assert change.entry.path == text
    assert path_bytes(change.entry.path) == path[1:].encode("utf-8", "surrogateescape")


def test_keys_are_the_paths_as_they_are() -> None:
    (change,) = format1.decode_diff(compact([{**RECORD, "real_path": "/100% ü\\"}]), "data", "x")
    assert change.entry.object is not None
    assert change.entry.object.key == "data/100% ü\\"


def test_json_that_is_not_escaped_is_read_as_well() -> None:
    raw = json.dumps([{**RECORD, "path": "/ü😀"}], ensure_ascii=False, indent=1).encode()
    assert format1.decode_diff(raw, "files", "x")[0].entry.path == "/ü😀"
    bytes_that_are_not_utf8 = compact([RECORD]).replace(b'"/a"', b'"/a\xff"')
    assert format1.decode_diff(bytes_that_are_not_utf8, "files", "x")[0].entry.path == "/a%FF"


@pytest.mark.parametrize("filler", [0, 3_000, 5_000, 200_000, 1_000_000])
def test_long_changes_are_read_whole(filler: int) -> None:
    long = {**RECORD, "unknown": "ü" * filler}
    payload = json.dumps([long, RECORD, long], ensure_ascii=False).encode()
    assert format1.decode_diff(payload, "files", "x") == decode(RECORD, RECORD, RECORD)


@given(st.integers(-(2**33), 2**33 - 1), st.integers(0, 10**9 - 1))
def test_times_are_the_nanoseconds_that_give_the_same_float_again(second: int, nanosecond: int) -> None:
    recorded = second + 1e-9 * nanosecond
    (change,) = decode({**EMPTY, "last_mod": recorded})
    whole, part = divmod(change.entry.mtime_ns, 10**9)
    assert whole + 1e-9 * part == recorded
    assert abs(change.entry.mtime_ns - (second * 10**9 + nanosecond)) < 1_000


@pytest.mark.parametrize(
    "bent",
    [
        {"path": None},
        {"path": "a"},
        {"path": ""},
        {"path": "/\ud800"},
        {"status": "renamed"},
        {"status": []},
        {"last_mod": "now"},
        {"last_mod": True},
        {"last_mod": float("nan")},
        {"last_mod": float("inf")},
        {"last_mod": 1e300},
        {"last_mod": 10**400},
        {"hash": HASH.upper()},
        {"hash": HASH + "0"},
        {"hash": None},
        {"real_path": None},
        {"real_path": "other"},
        {"real_path": "/\udcff"},
        {"version_id": None},
        {"version_id": ""},
        {"version_id": "null"},
        {"empty": False, "version_id": None},
    ],
)
def test_changes_that_are_refused(bent: dict[str, object]) -> None:
    with pytest.raises(DamagedObject, match="the diff"):
        decode(RECORD, {**RECORD, **bent})


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{}", b"[", b"[}", b"[{}", b"[{} {}]", b"[{},]", b"[,]", b"[]]", b"[] x", b"[[]]", b"[1]", b"[NaN]"),
        b'["' + b"x" * 9_000_000 + b'"]',
        b"[" * 100_000,
    ],
)
def test_lists_that_are_refused(payload: bytes) -> None:
    with pytest.raises(DamagedObject, match="the diff"):
        format1.decode_diff(payload, "files", "the diff")


@pytest.mark.parametrize("payload", [b"[]", b" [ ] ", b"\n[\t]\r\n"])
def test_empty_diffs(payload: bytes) -> None:
    assert format1.decode_diff(payload, "files", "x") == ()


# --- the chain -----------------------------------------------------------------------------------------------------


def found(name: str, seconds: int) -> FoundDiff:
    return FoundDiff(VersionId(name), f'"{name}"', hashlib.sha256(name.encode()).hexdigest(), seconds * 10**9, ())


def test_the_chain_has_the_order_of_the_store() -> None:
    links = format1.chain([found("c", 9), found("b", 5), found("a", 5)])
    assert [(link.version_id, link.diff.sequence) for link in links] == [("c", 3), ("b", 2), ("a", 1)]
    assert [link.diff.parent for link in links] == [links[1].as_parent, links[2].as_parent, None]
    assert [link.diff.created_ns for link in links] == [9 * 10**9, 5 * 10**9, 5 * 10**9]
    assert {link.diff.repository for link in links} == {format1.repository_id(links[2].sha256)}


def test_a_chain_goes_on_with_the_identity_that_it_began_with() -> None:
    shorter, longer = [found("a", 1)], [found("b", 2), found("a", 1)]
    assert format1.chain(shorter)[0] == format1.chain(longer)[-1]
    assert format1.chain([found("z", 1)])[0].diff.repository != format1.chain(shorter)[0].diff.repository
    assert format1.chain([]) == ()


def test_a_contradiction_between_store_and_clock_names_both_orders() -> None:
    versions = [found("e", 9), found("d", 2), found("c", 4), found("b", 3), found("a", 1)]
    with pytest.raises(DamagedChain, match="lists d, c, b, but LastModified says c, b, d") as caught:
        format1.chain(versions)
    assert caught.value.hint


def test_long_contradictions_are_told_briefly() -> None:
    versions = [(VersionId(f"v{number}"), number) for number in range(1000)]
    with pytest.raises(DamagedChain, match=r"lists v0, .*v9 and 990 more, but LastModified says v999, .* and 990 more"):
        format1.check_order(versions)


def test_a_format_1_diff_above_a_format_2_diff_is_an_error_of_its_own() -> None:
    old, new = format1.FORMAT, format2.FORMAT
    ids = [VersionId(name) for name in "dcba"]
    format1.check_formats(zip(ids, [new, new, old, old], strict=True))
    format1.check_formats(zip(ids, [old] * 4, strict=True))
    with pytest.raises(DamagedChain, match="format 1 diff c lies above the format 2 diff b"):
        format1.check_formats(zip(ids, [new, old, new, old], strict=True))


def test_a_repository_from_writer_to_chain() -> None:
    store = MemoryStore()

    def put(key: str, body: bytes | None) -> str:
        return store.mark_deleted(key) if body is None else store.put(key, body).version_id

    writer = Format1Writer(put)
    first = writer.commit({"/a": File(b"one"), "/b": File(b"one"), "/c": File(b"")})
    second = writer.commit({"/b": File(b"one"), "/c": File(b"two")})
    newest, oldest = read_chain(store, "manifest_diffs", "files", no_password)
    assert (oldest.version_id, newest.version_id) == (first, second)
    assert shown(oldest) == [("new", "/a", "files/a"), ("new", "/b", "files/a"), ("new", "/c", None)]
    assert shown(newest) == [("changed", "/c", "files/c"), ("deleted", "/a", "files/a")]
    assert newest.diff.parent == ParentRef(VersionId(first), oldest.sha256)
    assert newest.diff.repository == RepositoryId(f"format1-{oldest.sha256[:32]}")


def shown(link: Link) -> list[tuple[str, str, str | None]]:
    objects = [(change, change.entry.object) for change in link.diff.changes]
    return [(change.status.value, change.entry.path, ref.key if ref else None) for change, ref in objects]


# --- claim, garbage list, local manifest ---------------------------------------------------------------------------


def test_a_left_over_gc_log_names_the_keys_that_may_have_been_written() -> None:
    log = [
        {"path": "/b", "status": "changed"},
        {"path": "/a", "status": "new"},
        {"path": "/a", "status": "new"},
        {"path": "/gone", "status": "deleted"},
        {"path": "/e", "status": "new", "empty": True},
        {"path": "/bare"},
    ]
    assert format1.decode_gc_log(compact(log), "files", "gc_log") == ("files/a", "files/b", "files/bare")
    refused: list[object] = [{}, [{}], [{"path": 1}], [{"path": "a"}], [[]]]
    for bent in refused:
        with pytest.raises(DamagedObject, match="gc_log"):
            format1.decode_gc_log(compact(bent), "files", "gc_log")


@pytest.mark.parametrize(
    "rows", [[["k", "1"], ["k", "2"]], [[["k", "1"]], [], [["k", "2"]]], [["k", "1"], [["k", "2"]]]]
)
def test_the_garbage_list_in_single_pairs_or_in_batches(rows: list[object]) -> None:
    assert format1.decode_garbage(compact(rows), "x") == (
        VersionRef("k", VersionId("1")),
        VersionRef("k", VersionId("2")),
    )


@pytest.mark.parametrize("rows", [{}, ["k"], [["k"]], [["k", 1]], [["k", "1", "2"]], [[["k"]]], [[[["k", "1"]]]]])
def test_garbage_lists_that_are_refused(rows: object) -> None:
    with pytest.raises(DamagedObject):
        format1.decode_garbage(compact(rows), "x")


def test_the_local_manifest_of_1_0() -> None:
    writer = Format1Writer(lambda key, body: "v7")
    writer.commit({"/a": File(b"one", 2.25), "/e": File(b"", 3.0)})
    local = format1.decode_local(writer.local_manifest("v7", "2014-05-13T16:53:20+00:00"), "files", "manifest")
    assert local.head == "v7"
    assert [entry.path for entry in local.entries] == ["/a", "/e"]
    assert local.entries[0].object == ObjectRef("files/a", VersionId("v7"), NOT_RECORDED, "", 1)


def test_a_local_manifest_before_the_first_backup() -> None:
    nothings: list[object] = [None, {}, ""]
    for nothing in nothings:
        empty = compact({"latest_remote_diff": nothing, "files": []})
        assert format1.decode_local(empty, "files", "manifest") == format1.OldLocalManifest(None, ())


@pytest.mark.parametrize(
    "document",
    [
        *([], {}, {"files": []}, {"latest_remote_diff": {}}, {"latest_remote_diff": 1, "files": []}),
        {"latest_remote_diff": {"version_id": 1}, "files": []},
        {"latest_remote_diff": {}, "files": {}},
        {"latest_remote_diff": {}, "files": [1]},
        {"latest_remote_diff": {}, "files": [{"path": "/a"}]},
        {"format": 2, "head": None, "entries": []},
    ],
)
def test_other_local_files_are_to_be_rebuilt(document: object) -> None:
    with pytest.raises(LocalStateError, match="manifest"):
        format1.decode_local(compact(document), "files", "manifest")
