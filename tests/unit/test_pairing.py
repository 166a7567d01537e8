"""The local manifest and a scan side by side: an undecoded line must never lead to another plan than its entry."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from rrbackup.effects import local_rows
from rrbackup.effects.local_rows import read_local
from rrbackup.errors import LocalStateError
from rrbackup.pure.filters import Filters
from rrbackup.pure.local_format import Rows, encode_local, entry_in, path_in, rows_of, says, split_rows
from rrbackup.pure.model import (
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    ObjectRef,
    PathText,
    RepositoryId,
    VersionId,
    Word,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.plan import make_plan
from rrbackup.pure.rules import Detection, Rules
from rrbackup.pure.scan import Scanned

HEAD = HeadRef(VersionId("v"), '"e"', "ab" * 32, 1, RepositoryId("r"))
PATHS = ("/a", "/a/b", "/a.b", '/"', "/ü", "/a\u2029b", "/c%20", "/a,b", "/]", "/z]]")
TARGETS = (None, "b", '"', "x,null")
SMALL = st.integers(0, 2)

scans = st.builds(
    Scanned,
    st.sampled_from(PATHS).map(PathText),
    st.sampled_from(EntryType),
    SMALL,
    SMALL,
    SMALL,
    SMALL | st.just(11),
    SMALL,
    st.sampled_from(TARGETS),
    st.none(),
    st.none(),
)


def lines(entries: Sequence[LocalEntry]) -> list[bytes]:
    """As they stand in the file."""
    _, _, rest = b"".join(encode_local(LocalManifest(HEAD, tuple(entries)))).partition(b"\n")
    return split_rows(rest.rpartition(b"],")[0])


def remembered(seen: Scanned, stamped: bool, recent: bool) -> LocalEntry:
    ref = ObjectRef("files" + seen.path, VersionId("v1"), seen.size, '"e"')
    entry = Entry(seen.path, seen.type, seen.size, seen.mtime_ns, seen.mode, seen.target, "ab" * 32, ref)
    if seen.type is not EntryType.FILE:
        entry = evolve(entry, size=0, sha256=None, object=None)
    return LocalEntry(entry, LocalStamp(seen.ctime_ns, seen.inode) if stamped else None, recent)


def in_order(found: Sequence[Scanned]) -> list[Scanned]:
    by_path = {item.path: item for item in found}
    return [by_path[path] for path in sorted(by_path, key=path_order)]


@given(
    st.lists(st.tuples(scans, st.booleans(), st.booleans()), max_size=6),
    st.lists(scans, max_size=6),
    st.sampled_from(Detection),
    st.booleans(),
)
def test_lines_lead_to_the_same_plan_as_their_entries(
    before: list[tuple[Scanned, bool, bool]], now: list[Scanned], detection: Detection, reprocess: bool
) -> None:
    how = {seen.path: (stamped, recent) for seen, stamped, recent in before}
    old = [remembered(seen, *how[seen.path]) for seen in in_order([seen for seen, _, _ in before])]
    found = in_order([*now, *(seen for seen, _, _ in before[::2])])
    rules = Rules(Filters.of(()), Filters.of(("/a*",)), lambda path: (), lambda path, words: path, detection, reprocess)
    assert make_plan(HEAD, lines(old), found, rules) == make_plan(HEAD, old, found, rules)


@pytest.mark.parametrize("detection", Detection)
@pytest.mark.parametrize("reprocess", [False, True])
def test_an_equal_line_is_passed_over_unless_contents_are_to_be_compared_or_stored_again(
    detection: Detection, reprocess: bool
) -> None:
    seen = Scanned(PathText("/a"), EntryType.FILE, 3, 10, 0o644, 20, 7)
    words = lambda path: (Word.COMPRESS,)  # noqa: E731
    rules = Rules(Filters.of(()), Filters.of(()), words, lambda path, words: path, detection, reprocess)
    plan = make_plan(HEAD, lines([remembered(seen, True, False)]), [seen], rules)
    looked_at = reprocess or detection is Detection.CONTENT
    assert (len(plan.candidates), plan.unchanged) == ((1, 0) if looked_at else (0, 1))


def test_a_new_file_as_big_as_one_that_was_passed_over_may_be_its_twin() -> None:
    old = Scanned(PathText("/a"), EntryType.FILE, 3, 10, 0o644, 20, 7)
    rules = Rules(Filters.of(()), Filters.of(()), lambda path: (), lambda path, words: path)
    found = [old, old._replace(path=PathText("/b")), old._replace(path=PathText("/c"), size=4)]
    plan = make_plan(HEAD, lines([remembered(old, True, False)]), found, rules)
    assert [candidate.known_size for candidate in plan.candidates] == [True, False]


@given(scans, scans, st.booleans())
@example(
    Scanned(PathText("/a"), EntryType.FILE, 1, 1, 1, 1, 1),
    Scanned(PathText("/a"), EntryType.FILE, 1, 1, 1, 11, 1),
    True,
)
def test_a_line_says_what_was_found_only_where_all_of_it_is_equal(old: Scanned, new: Scanned, recent: bool) -> None:
    (line,) = lines([remembered(old, True, recent)])
    plain = old.type is not EntryType.FILE
    assert says(line, old) is (not recent and not plain)
    assert says(line, new) is (not recent and not plain and old == new)
    (line,) = lines([remembered(old, False, recent)])
    forgotten = new._replace(ctime_ns=old.ctime_ns, inode=old.inode)
    assert says(line, new) is (not recent and plain and new.size == 0 and old._replace(size=0) == forgotten)


@given(st.lists(st.tuples(scans, st.booleans(), st.booleans()), max_size=6))
def test_a_line_is_its_entry_and_names_its_path(items: list[tuple[Scanned, bool, bool]]) -> None:
    entries = [remembered(*item) for item in items]
    assert [entry_in(row) for row in lines(entries)] == entries
    assert [path_in(row) for row in lines(entries)] == [item.entry.path for item in entries]


@pytest.mark.parametrize(
    "row", [b"", b"{}", b"[]", b'[["/a"],{}]', b'[["/a","file",0,0,0,null,null,null],[]]', b"[[", b"1"]
)
def test_a_line_that_nobody_wrote_is_an_error_that_says_what_to_do(row: bytes) -> None:
    with pytest.raises(LocalStateError) as caught:
        entry_in(row)
    assert "remove the local manifest" in caught.value.hint


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_file_is_read_in_blocks_of_any_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, count: int
) -> None:
    monkeypatch.setattr(local_rows, "_BLOCK", block)
    entries = tuple(LocalEntry(Entry(PathText(f"/{number},\n"))) for number in range(count))
    manifest = LocalManifest(HEAD, entries)
    path = tmp_path / "manifest"
    path.write_bytes(b"".join(encode_local(manifest)))
    read = read_local(path)
    assert (read, len(read.entries)) == (manifest, count)
    assert list(rows_of(read.entries)) == lines(entries) == list(rows_of(read.entries)), "and again"


def test_a_file_that_is_replaced_meanwhile_is_read_to_its_end(tmp_path: Path) -> None:
    manifest = LocalManifest(HEAD, (LocalEntry(Entry(PathText("/a"))),))
    path = tmp_path / "manifest"
    path.write_bytes(b"".join(encode_local(manifest)))
    read = read_local(path)
    path.unlink()
    path.write_bytes(b"another")
    assert tuple(read.entries) == manifest.entries


def test_rows_are_as_good_as_the_entries_that_they_hold() -> None:
    first, second = (LocalEntry(Entry(PathText(path))) for path in ("/a", "/b"))
    rows = Rows((lines([first])[0], second), 2)
    assert (rows == (first, second), len(rows), first in rows) == (True, 2, True)
    assert rows != (first,)
    assert rows != "ab"
