"""Which versions count as damaged, and what that touches: tables, and every span held against a fold of each commit."""

from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.damage import Damage, DamageKind, Fault, Touched, damages, entries_of, faults, said_of
from rrbackup.pure.manifest import fold_links
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Diff,
    DiffKind,
    Entry,
    EntryType,
    Link,
    ListedVersion,
    LocalManifest,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
)

ETAG = '"e"'


def entry(path: str, version: str, *, size: int = 3, etag: str = ETAG, stored_size: int = 3) -> Entry:
    ref = ObjectRef(f"files{path}", VersionId(version), stored_size, etag)
    return Entry(PathText(path), size=size, sha256="a" * 64, object=ref)


def listed(*rows: ListedVersion) -> dict[VersionRef, ListedVersion]:
    return {row.ref: row for row in rows}


def row(path: str, version: str, size: int = 3, etag: str = ETAG) -> ListedVersion:
    return ListedVersion(f"files{path}", VersionId(version), size, etag)


# --- what a listing tells ------------------------------------------------------------------------------------------

A = VersionRef("files/a", VersionId("1"))


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ((row("/a", "1"),), None),
        ((), DamageKind.MISSING),
        ((row("/a", "2"),), DamageKind.MISSING),
        ((evolve(row("/a", "1", 0, ""), marker=True),), DamageKind.MISSING),
        ((row("/a", "1", 2),), DamageKind.SIZE),
        ((row("/a", "1", 2, '"f"'),), DamageKind.SIZE),
        ((row("/a", "1", 3, '"f"'),), DamageKind.ETAG),
    ],
)
def test_a_version_is_held_against_what_was_recorded_of_it(
    rows: Sequence[ListedVersion], kind: DamageKind | None
) -> None:
    found = faults(said_of([entry("/a", "1")]), listed(*rows))
    assert {ref: fault.kind for ref, fault in found.items()} == ({A: kind} if kind else {})


def test_what_was_not_recorded_is_not_compared() -> None:
    said = said_of([entry("/a", "1", stored_size=NOT_RECORDED, etag="")])
    assert faults(said, listed(row("/a", "1", 77, '"whatever"'))) == {}
    assert faults(said, {}) != {}


def test_a_version_of_which_only_the_name_is_known_must_be_there() -> None:
    said = said_of([], [A])
    assert faults(said, listed(row("/a", "1", 77))) == {}
    assert faults(said, {})[A].kind is DamageKind.MISSING


def test_each_thing_that_is_said_of_a_version_counts_and_none_twice() -> None:
    first, again, other = entry("/a", "1"), evolve(entry("/a", "1"), path=PathText("/b")), entry("/a", "1", size=4)
    assert said_of([first, again, other]) == {A: (first, other)}
    liar = entry("/a", "1", stored_size=9)
    assert faults(said_of([first, liar]), listed(row("/a", "1")))[A].kind is DamageKind.SIZE


def test_folders_and_links_and_empty_files_refer_to_nothing() -> None:
    assert said_of([Entry(PathText("/d"), EntryType.DIRECTORY), Entry(PathText("/e"), sha256="0" * 64)]) == {}


# --- what is touched -----------------------------------------------------------------------------------------------


def chain_of(*commits: Sequence[Change] | None, first: int = 1) -> tuple[Link, ...]:
    """Links, newest first; None stands for a fence."""
    links: list[Link] = []
    for number, changes in enumerate(commits, start=first):
        kind = DiffKind.FENCE if changes is None else DiffKind.COMMIT
        diff = Diff(RepositoryId("r"), number, None, TransactionId("t"), kind, 0, "h", tuple(changes or ()))
        links.insert(0, Link(VersionId(f"c{number}"), '"e"', f"{number:064}", diff))
    return tuple(links)


def new(path: str, version: str) -> Change:
    return Change(Status.NEW, entry(path, version))


def changed(path: str, version: str) -> Change:
    return Change(Status.CHANGED, entry(path, version))


def deleted(path: str, version: str) -> Change:
    return Change(Status.DELETED, entry(path, version))


FAULT = Fault(DamageKind.MISSING, "it is not in the store")


def touched(*spans: tuple[str, int, int, int, bool]) -> tuple[Touched, ...]:
    return tuple(
        Touched(PathText(path), VersionId(f"c{first}"), VersionId(f"c{last}"), count, latest)
        for path, first, last, count, latest in spans
    )


def test_a_path_is_touched_until_it_changes_again() -> None:
    links = chain_of([new("/a", "1")], [], None, [changed("/a", "2")], [])
    (found,) = damages({A: FAULT}, links, None)
    assert found.touches == touched(("/a", 1, 2, 2, False))


def test_a_change_of_the_mode_alone_goes_on_and_a_deletion_ends() -> None:
    mode = Change(Status.CHANGED, evolve(entry("/a", "1"), mode=0o600))
    (found,) = damages({A: FAULT}, chain_of([new("/a", "1")], [mode], [deleted("/a", "1")], []), None)
    assert found.touches == touched(("/a", 1, 2, 2, False))


def test_every_path_that_shares_the_version_is_touched_and_the_latest_commit_is_told() -> None:
    copy = Change(Status.NEW, evolve(entry("/a", "1"), path=PathText("/copy")))
    (found,) = damages({A: FAULT}, chain_of([new("/a", "1")], [copy], [deleted("/a", "1")]), None)
    assert set(found.touches) == set(touched(("/a", 1, 2, 2, False), ("/copy", 2, 3, 2, True)))


def test_what_comes_back_is_touched_twice() -> None:
    links = chain_of([new("/a", "1")], [deleted("/a", "1")], [new("/a", "1")])
    (found,) = damages({A: FAULT}, links, None)
    assert found.touches == touched(("/a", 1, 1, 1, False), ("/a", 3, 3, 1, True))


def test_what_lies_below_a_checkpoint_counts_from_its_first_commit_on() -> None:
    base = Checkpoint(RepositoryId("r"), 6, ParentRef(VersionId("p"), "0" * 64), (entry("/a", "1"), entry("/b", "1")))
    found = damages({A: FAULT}, chain_of([], [changed("/a", "2")], first=7), base)
    assert found[0].touches == touched(("/a", 7, 7, 1, False))
    lost = damages({A: FAULT}, chain_of([changed("/a", "2")], first=7), base)
    assert lost == (Damage(A, FAULT.kind, FAULT.detail),)
    assert {e.path for e in entries_of(chain_of([changed("/a", "2")]), base)} == {"/a", "/b"}


Step = tuple[int, int]


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=3), max_size=7))
def test_the_spans_are_what_folding_every_commit_gives(plays: list[list[Step]]) -> None:
    """Paths that take one of three versions, or are deleted with 0; all share the same objects."""
    commits, held = [], dict[str, int]()
    for play in plays:
        changes = []
        for path, version in dict(play).items():
            changes += _changes(held, f"/{path}", version)
        commits.append(changes)
    links = chain_of(*commits)
    bad = {VersionRef("files/x", VersionId(str(n))): FAULT for n in (1, 2)}
    seen = {
        (damage.ref, span.path, number)
        for damage in damages(bad, links, None)
        for span in damage.touches
        for number in range(int(span.first[1:]), int(span.last[1:]) + 1)
    }
    assert seen == {
        (item.entry.object.ref, item.entry.path, link.diff.sequence)
        for place, link in enumerate(links)
        for item in fold_links(LocalManifest(None, ()), links[place:]).entries
        if item.entry.object is not None and item.entry.object.ref in bad
    }
    spans = [span for damage in damages(bad, links, None) for span in damage.touches]
    assert all(span.commits == int(span.last[1:]) - int(span.first[1:]) + 1 for span in spans)
    assert all(span.latest == (int(span.last[1:]) == len(plays)) for span in spans)


def _changes(held: dict[str, int], path: str, version: int) -> list[Change]:
    before = held.get(path)
    if version == 0:
        return [Change(Status.DELETED, _shared(path, held.pop(path)))] if before is not None else []
    held[path] = version
    return [Change(Status.NEW if before is None else Status.CHANGED, _shared(path, version))]


def _shared(path: str, version: int) -> Entry:
    return evolve(entry("/x", str(version)), path=PathText(path))
