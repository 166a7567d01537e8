"""What find, history, diff and stats say of any short history equals what the manifests of its commits say, one by one.

The manifests come from `list_files`, which folds diffs and starts from checkpoints on roads of its own.
"""

from collections.abc import Iterator
from itertools import pairwise
from unittest import mock

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from rrbackup import Config, DirectorySettings, Repository, open_repository
from rrbackup.effects import checkpoints
from rrbackup.effects.checkpoints import next_checkpoint
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure.comparison import Comparison, DifferenceKind
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import (
    Change,
    DiffKind,
    Entry,
    EntryType,
    Link,
    ObjectRef,
    PathText,
    Status,
    VersionId,
    VersionRef,
    Word,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.report import Version
from rrbackup.pure.timeline import Found, Happening, PathEvent
from tests.checkpointed import MANIFEST, Writer

PATHS = [PathText(path) for path in ("/a", "/a/b", "/a.b", "/c/x", "/d/x")]
MODES = (0o600, 0o644)
CONFIG = Config(
    base_path="/nowhere/base",
    local_manifest_file="/nowhere/manifest",
    local_lock_file="/nowhere/lock",
    directory=DirectorySettings(path="/nowhere/store"),
)
Tree = dict[PathText, Entry]


@frozen
class Step:
    """The contents that paths get (None: it goes), or None for a fence; `due`: the diff names a checkpoint."""

    puts: dict[PathText, tuple[int, int] | None] | None
    due: bool


# Content 0 is empty, content 3 a link.
puts = st.dictionaries(
    st.sampled_from(PATHS),
    st.none() | st.tuples(st.integers(0, 3), st.sampled_from(MODES)),
    min_size=1,
    max_size=4,
)
steps = st.builds(Step, st.one_of(puts, puts, puts, st.none()), st.booleans())
histories = st.lists(steps, min_size=3, max_size=7)


def entry(path: PathText, content: int, mode: int, sequence: int) -> Entry:
    """Contents are stored once; a path whose name ends in x has it stored anew by every commit."""
    if content == 3:
        return Entry(path, EntryType.SYMLINK, mode=mode, target="to")
    if content == 0:
        return Entry(path, mode=mode, sha256="0" * 64)
    words = (Word.COMPRESS,) if content == 2 else ()
    key, version_id = (f"files{path}", f"x{sequence}") if path.endswith("x") else (f"files/{content}", "once")
    stored = ObjectRef(key, VersionId(version_id), 5 * content, '"e"', asked=words, applied=words)
    return Entry(path, size=10 * content, mode=mode, sha256=f"{content}" * 64, object=stored)


def written(history: list[Step]) -> tuple[MemoryStore, Writer]:
    store = MemoryStore()
    writer = Writer(store)
    for step in history:
        with mock.patch.object(checkpoints, "due", lambda *_, due=step.due, **__: due and writer.manifest.head):
            ref = next_checkpoint(writer.control, writer.manifest, rebuilt=False, tell=pytest.fail)
        kind = DiffKind.FENCE if step.puts is None else DiffKind.COMMIT
        writer.publish(changes(writer, step), ref, kind)
    return store, writer


def changes(writer: Writer, step: Step) -> Iterator[Change]:
    known = {item.entry.path: item.entry for item in writer.manifest.entries}
    for path, put in (step.puts or {}).items():
        before = known.get(path)
        if put is None:
            if before is not None:
                yield Change(Status.DELETED, before)
            continue
        now = entry(path, *put, sequence=len(writer.links))
        if now != before:
            yield Change(Status.NEW if before is None else Status.CHANGED, now)


@frozen
class Told:
    """What the commits that can be read hold, oldest first, each asked for by itself."""

    repository: Repository
    versions: tuple[Version, ...]
    trees: tuple[Tree, ...]

    @classmethod
    def of(cls, store: MemoryStore) -> "Told":
        repository = open_repository(CONFIG, store=store.client())
        versions = repository.list_versions()
        files = [repository.list_files(version.version_id) for version in versions]
        return cls(repository, versions, tuple({e.path: e for e in found} for found in files))


# --- find --------------------------------------------------------------------------------------------------


def check_find(told: Told) -> None:
    for pattern in ("*", "/a", "*x", "/c*", "/no"):
        rows = list(told.repository.find(pattern))
        covers = Filters.of([pattern]).covers
        trees: list[Tree] = [{} for _ in told.versions]
        for row in rows:
            first, last = told.versions.index(row.first), told.versions.index(row.last)
            assert row.commits == last - first + 1
            assert row.current is (last == len(told.versions) - 1)
            for number in range(first, last + 1):
                assert row.entry.path not in trees[number]
                trees[number][row.entry.path] = row.entry
        assert trees == [{p: e for p, e in tree.items() if covers(p)} for tree in told.trees]
        check_rows(rows)


def check_rows(rows: list[Found]) -> None:
    assert rows == sorted(rows, key=lambda row: (path_order(row.entry.path), row.first.sequence))
    for one, next_ in pairwise(rows):
        assert one.entry != next_.entry or one.last.sequence + 1 < next_.first.sequence


# --- history -----------------------------------------------------------------------------------------------


def check_history(told: Told, before: Tree) -> None:
    for path in PATHS:
        events = told.repository.history(str(path)).events
        assert [told_of(event) for event in events if not event.or_earlier] == list(brute(told, path, before))
        for event in events:
            same = [e for e in events if e.content == event.content]
            assert len({(e.entry.type, e.entry.sha256, e.entry.target) for e in same}) == 1


def told_of(event: PathEvent) -> tuple[Happening, Version, Entry]:
    return event.happening, event.version, event.entry


def brute(told: Told, path: PathText, before: Tree) -> Iterator[tuple[Happening, Version, Entry]]:
    last = before.get(path)
    states = [before.get(path), *(tree.get(path) for tree in told.trees)]
    for version, old, new in zip(told.versions, states, states[1:], strict=False):
        if old == new:
            continue
        yield happened(old, new, last), version, new or old or Entry(path)
        last = new or last


def happened(old: Entry | None, new: Entry | None, last: Entry | None) -> Happening:
    if new is None:
        return Happening.DELETED
    if old is None:
        return Happening.NEW if last is None else Happening.BACK
    if (old.type, old.sha256, old.target) != (new.type, new.sha256, new.target):
        return Happening.CHANGED
    return Happening.ATTRIBUTES if old.mode != new.mode else Happening.STORED


# --- diff --------------------------------------------------------------------------------------------------


def check_diffs(told: Told) -> None:
    commits = list(zip(told.versions, told.trees, strict=True))
    for before, old in commits:
        for after, new in commits:
            found = told.repository.diff(before.version_id, after.version_id)
            assert (found.before, found.after) == (before, after)
            assert applied(found, old) == new
            check_renames(found, old, new)


def applied(found: Comparison, tree: Tree) -> Tree:
    result = dict(tree)
    for difference in found:
        if difference.before is not None:
            assert result.pop(difference.before.path) == difference.before
    for difference in found:
        if difference.after is not None:
            assert difference.after.path not in result
            result[difference.after.path] = difference.after
    return result


def check_renames(found: Comparison, old: Tree, new: Tree) -> None:
    rows = list(found)
    assert [path_order(row.entry.path) for row in rows] == sorted(path_order(row.entry.path) for row in rows)
    for row in rows:
        assert row.before != row.after
        if row.kind is DifferenceKind.RENAMED:
            assert row.before is not None
            assert row.after is not None
            assert row.before.sha256 == row.after.sha256
            assert (row.before.path in new, row.after.path in old) == (False, False)
    gone = {row.entry.sha256 for row in rows if row.kind is DifferenceKind.DELETED and row.entry.size}
    assert gone.isdisjoint(row.entry.sha256 for row in rows if row.kind is DifferenceKind.NEW and row.entry.size)


# --- stats -------------------------------------------------------------------------------------------------


def check_stats(told: Told, writer: Writer, before: Tree, skipped: int) -> None:
    """`before` and `skipped`: the manifest on which the first commit builds, and the number of diffs below it."""
    stats = told.repository.stats()
    seen = objects_of(before)
    ever = referred_by(writer.links[::-1][:skipped])
    for row, version, tree in zip(stats.commits, told.versions, told.trees, strict=True):
        here = objects_of(tree)
        seen |= here
        assert row.version == version
        assert row.bytes_new + row.bytes_shared == version.counts.bytes
        assert (row.entries, row.bytes) == (len(tree), sum(e.size for e in tree.values()))
        assert row.stored == sum(seen.values())
        assert row.stored_new == sum(size for ref, size in here.items() if ref not in ever)
        ever |= here.keys()
    assert ever == referred_by(writer.links)
    assert (stats.versions, stats.objects) == (len(ever), len({ref.key for ref in ever}))
    assert stats.stored == sum(seen.values())
    assert sum(p.versions for p in stats.pipelines) + stats.unrecorded == stats.versions
    assert stats.unrecorded == 0 or skipped > 0
    assert all(p.bytes == 2 * p.stored for p in stats.pipelines), "as `entry` makes them"


def referred_by(links: tuple[Link, ...]) -> set[VersionRef]:
    return {change.entry.object.ref for link in links for change in link.diff.changes if change.entry.object}


def objects_of(tree: Tree) -> dict[VersionRef, int]:
    return {e.object.ref: e.object.stored_size for e in tree.values() if e.object is not None}


# --- all of it ---------------------------------------------------------------------------------------------


def check(history: list[Step], lost: int) -> None:
    store, writer = written(history)
    oldest_first = writer.links[::-1]
    naming = [number for number, link in enumerate(oldest_first) if link.diff.checkpoint is not None]
    skipped = 0
    if naming and lost < naming[-1]:
        store.delete_versions([VersionRef(MANIFEST, oldest_first[lost].version_id)])
        skipped = next(number for number in naming if number > lost)
    told = Told.of(store)
    whole = [link for link in oldest_first[skipped:] if link.diff.kind is DiffKind.COMMIT]
    assert [version.version_id for version in told.versions] == [link.version_id for link in whole]
    before = tree_after(oldest_first[:skipped])
    found = told.repository.find("*")
    assert (found.lost is not None) is (skipped > 0)
    if told.versions:
        assert {f.entry.path for f in found if f.or_earlier} == {p for p in before if told.trees[0].get(p) == before[p]}
    check_find(told)
    check_history(told, before)
    check_diffs(told)
    check_stats(told, writer, before, skipped)


def tree_after(links: tuple[Link, ...]) -> Tree:
    tree: Tree = {}
    for link in links:
        for change in link.diff.changes:
            tree.pop(change.entry.path, None)
            if change.status is not Status.DELETED:
                tree[change.entry.path] = change.entry
    return tree


@settings(max_examples=150)
@given(histories, st.integers(0, 4))
def test_all_ways_of_looking_agree_with_the_manifests(history: list[Step], lost: int) -> None:
    check(history, lost)


@pytest.mark.deep
@settings(max_examples=1_000)
@given(st.lists(steps, min_size=1, max_size=10), st.integers(0, 12))
def test_all_ways_of_looking_agree_with_the_manifests_of_longer_histories(history: list[Step], lost: int) -> None:
    check(history, lost)
