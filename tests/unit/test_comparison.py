"""Which files count as renamed where several could be meant, and what rrbackup 1.0 did not record in statistics."""

import pytest
from attrs import evolve

from rrbackup.errors import DamagedChain
from rrbackup.pure.comparison import DifferenceKind, compare, folded_pairs, pairs
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Diff,
    DiffKind,
    Entry,
    Link,
    ObjectRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
)
from rrbackup.pure.report import Counts, Version
from rrbackup.pure.statistics import statistics

SOME = Version(VersionId("v"), 1, 0, "host", Counts())


def tree(**contents: str) -> dict[PathText, Entry]:
    """Paths, with `__` for a slash, and what they hold."""
    paths = {PathText("/" + name.replace("__", "/")): content for name, content in contents.items()}
    return {path: Entry(path, size=len(content), sha256=content) for path, content in paths.items()}


def renamed(before: dict[PathText, Entry], after: dict[PathText, Entry]) -> dict[str, str]:
    found = compare(SOME, SOME, pairs(before, after))
    return {d.before.path: d.entry.path for d in found if d.kind is DifferenceKind.RENAMED and d.before}


def test_of_equal_files_those_of_the_same_name_belong_together() -> None:
    before = tree(a__one="same", b__two="same")
    assert renamed(before, tree(c__two="same", d__one="same")) == {"/a/one": "/d/one", "/b/two": "/c/two"}
    assert renamed(before, tree(c__two="same", d__new="same")) == {"/a/one": "/d/new", "/b/two": "/c/two"}


def test_the_rest_goes_together_in_path_order() -> None:
    assert renamed(tree(a="x", b="x", c="x"), tree(e="x", d="x")) == {"/a": "/d", "/b": "/e"}


def test_a_copy_and_an_empty_file_are_not_renamed() -> None:
    assert renamed(tree(a="x"), tree(a="x", b="x")) == {}
    assert renamed(tree(a=""), tree(b="")) == {}
    assert renamed(tree(a="x", b="y"), tree(b="x")) == {}


def link(sequence: int, *changes: Change) -> Link:
    diff = Diff(RepositoryId("r"), sequence, None, TransactionId("t"), DiffKind.COMMIT, 0, "host", changes)
    return Link(VersionId(f"v{sequence}"), "e", "s", diff)


def test_a_change_that_does_not_fit_is_damage() -> None:
    entry = Entry(PathText("/a"))
    gone = Change(Status.DELETED, entry)
    with pytest.raises(DamagedChain):
        folded_pairs({}, [link(1, gone)])
    with pytest.raises(DamagedChain):
        folded_pairs({entry.path: entry}, [link(1, gone), link(2, gone)])
    with pytest.raises(DamagedChain):
        statistics([link(1, gone)], None, None)


def test_what_comes_back_as_it_was_does_not_differ() -> None:
    entry = Entry(PathText("/a"))
    there_and_back = [link(1, Change(Status.DELETED, entry)), link(2, Change(Status.NEW, entry))]
    assert list(folded_pairs({entry.path: entry}, there_and_back)) == []


def test_what_rrbackup_1_did_not_record_is_counted_and_not_guessed() -> None:
    old = ObjectRef("files/a", VersionId("1"), NOT_RECORDED, "", format=1)
    entry = Entry(PathText("/a"), size=NOT_RECORDED, sha256="x", object=old)
    recorded = evolve(entry, size=7)
    new = Entry(PathText("/b"), size=5, sha256="y", object=ObjectRef("files/b", VersionId("2"), 5, '"e"'))
    stats = statistics(
        [link(1, Change(Status.NEW, entry)), link(2, Change(Status.CHANGED, recorded), Change(Status.NEW, new))],
        None,
        None,
    )
    assert [(row.bytes, row.bytes_new, row.bytes_shared, row.stored) for row in stats.commits] == [
        (0, 0, 0, 0),
        (12, 5, 7, 5),
    ]
    assert (stats.versions, stats.unrecorded, stats.stored) == (2, 1, 5)
