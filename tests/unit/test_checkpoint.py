"""When a checkpoint is due, what is counted towards it, and which one a diff names."""

from unittest import mock

import pytest
from attrs import evolve

from rrbackup.effects import checkpoints
from rrbackup.effects.checkpoints import Asked, next_checkpoint, read_commit, read_to_head
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedObject, NoSuchVersion
from rrbackup.pure.checkpoint import (
    COSTLY_REBUILD,
    FEWEST_DIFFS,
    MOST_DIFFS,
    TRIED_EVERY,
    Checkpoint,
    check_named,
    counted,
    due,
    will_publish,
)
from rrbackup.pure.manifest import fold_links
from rrbackup.pure.model import (
    Change,
    CheckpointRef,
    Entry,
    HeadRef,
    Link,
    LocalManifest,
    ParentRef,
    PathText,
    RepositoryId,
    SinceCheckpoint,
    Status,
    VersionId,
    VersionRef,
)
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason
from rrbackup.pure.stretch import Stretch
from tests import golden_stores
from tests.checkpointed import CHECKPOINT, MANIFEST, Writer, control_of

HEAD = HeadRef(VersionId("v9"), '"e"', "ab" * 32, 9, RepositoryId("r"))
NAMED = CheckpointRef(VersionId("c1"), "cd" * 32, 40)


def head_at(sequence: int) -> HeadRef:
    return evolve(HEAD, sequence=sequence)


# --- when one is due -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "entries", "expected"),
    [
        (SinceCheckpoint(FEWEST_DIFFS, 25, 0), 100, True),
        (SinceCheckpoint(FEWEST_DIFFS - 1, 10_000, 0), 100, False),
        (SinceCheckpoint(FEWEST_DIFFS, 24, 0), 100, False),
        (SinceCheckpoint(FEWEST_DIFFS, 25, 7), 100, True),
        (SinceCheckpoint(FEWEST_DIFFS, 25, 8), 100, False),
        (SinceCheckpoint(FEWEST_DIFFS, 26, 32), 100, True),
        (SinceCheckpoint(FEWEST_DIFFS, 0, 0), 0, True),
        (SinceCheckpoint(MOST_DIFFS, 0, 0), 1_000_000, True),
        (SinceCheckpoint(MOST_DIFFS - TRIED_EVERY, 0, 0), 1_000_000, False),
        (SinceCheckpoint(FEWEST_DIFFS + 1, 25, 0), 100, False),
        (SinceCheckpoint(FEWEST_DIFFS + TRIED_EVERY, 25, 0), 100, True),
        (SinceCheckpoint(MOST_DIFFS + 1, 0, 0), 1_000_000, False),
        (SinceCheckpoint(MOST_DIFFS + TRIED_EVERY, 0, 0), 1_000_000, True),
    ],
)
def test_one_is_due_when_it_costs_a_bounded_share_or_readers_would_wait(
    since: SinceCheckpoint, entries: int, expected: bool
) -> None:
    assert due(since, head_at(1000), entries, rebuilt=False) is expected


@pytest.mark.parametrize(
    ("diffs", "rebuilt", "expected"),
    [
        (COSTLY_REBUILD + 1, True, True),
        (COSTLY_REBUILD, True, False),
        (COSTLY_REBUILD + 1, False, False),
    ],
)
def test_one_is_due_after_a_rebuild_that_read_many_diffs(diffs: int, rebuilt: bool, expected: bool) -> None:
    assert due(SinceCheckpoint(diffs), head_at(1000), 10**6, rebuilt=rebuilt) is expected


@pytest.mark.parametrize(("sequence", "expected"), [(MOST_DIFFS, True), (MOST_DIFFS - 1, False)])
def test_where_nobody_counted_there_counts_as_none(sequence: int, expected: bool) -> None:
    assert due(None, head_at(sequence), 1000, rebuilt=False) is expected


def test_the_first_commit_names_none() -> None:
    assert not due(None, None, 0, rebuilt=True)
    assert not due(SinceCheckpoint(MOST_DIFFS), None, 0, rebuilt=True)


# --- what is counted -----------------------------------------------------------------------------------------------


@pytest.fixture
def writer() -> Writer:
    return Writer(MemoryStore())


def test_the_local_manifest_counts_diffs_and_changes_from_the_first_on(writer: Writer) -> None:
    writer.writes("/a", "/b")
    writer.fences()
    writer.deletes("/a")
    assert writer.manifest.since == SinceCheckpoint(3, 3, 0)


def test_a_diff_that_names_one_is_the_first_to_count_again(writer: Writer) -> None:
    writer.writes("/a", "/b")
    link = writer.links[0]
    naming = evolve(link, diff=evolve(link.diff, checkpoint=NAMED))
    assert counted(SinceCheckpoint(70, 900, 3), naming) == SinceCheckpoint(1, 2, 40)
    assert counted(None, naming) == SinceCheckpoint(1, 2, 40)
    assert counted(SinceCheckpoint(1, 2, 40), link) == SinceCheckpoint(2, 4, 40)


def test_what_nobody_counted_stays_unknown(writer: Writer) -> None:
    writer.writes("/a")
    older = evolve(writer.manifest, since=None)
    writer.writes("/b")
    assert fold_links(older, writer.links[:1]).since is None


def test_a_rebuilt_manifest_counts_from_what_it_was_built_from(writer: Writer) -> None:
    for path in ("/a", "/b", "/c"):
        writer.writes(path)
    base = Stretch(None, writer.links[1:]).checkpoint()
    newest = writer.links[0]
    naming = evolve(newest, diff=evolve(newest.diff, checkpoint=NAMED))
    useless = Stretch(None, (naming, *writer.links[1:]))
    assert useless.manifest().since == SinceCheckpoint(3, 3, 0)
    held = evolve(base, references=frozenset({VersionRef("files/x", VersionId("v"))}))
    assert Stretch(held, (naming,)).manifest().since == SinceCheckpoint(1, 1, 1)


# --- a stretch -----------------------------------------------------------------------------------------------------


def test_a_stretch_without_links_is_the_empty_manifest() -> None:
    assert Stretch().manifest() == LocalManifest(None)


def test_a_checkpoint_holds_the_entries_and_every_reference_that_was_ever_made(writer: Writer) -> None:
    writer.writes("/a", "/b")
    writer.writes("/a")
    first = Stretch(None, writer.links).checkpoint()
    assert [entry.path for entry in first.entries] == ["/a", "/b"]
    assert first.references == {VersionRef("files/a", VersionId("c1"))}
    writer.deletes("/b")
    writer.writes("/a")
    second = Stretch(first, writer.links[:2]).checkpoint()
    assert second == Stretch(None, writer.links).checkpoint()
    assert (second.sequence, second.head) == (4, writer.links[0].as_parent)
    assert second.references == {
        VersionRef("files/a", VersionId("c1")),
        VersionRef("files/a", VersionId("c2")),
        VersionRef("files/b", VersionId("c1")),
    }
    assert second.all_references == second.references | {VersionRef("files/a", VersionId("c4"))}


# --- which one is named --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"repository": RepositoryId("other")}, "belongs to another repository"),
        ({"sequence": 1}, "sequence number that does not fit"),
        ({"sequence": 3}, "sequence number that does not fit"),
        ({"head": ParentRef(VersionId("v000001"), "00" * 32)}, "not of the diff"),
        ({"head": ParentRef(VersionId("v999999"), "")}, "not of the diff"),
    ],
)
def test_only_the_state_that_the_naming_diff_builds_on_is_taken(
    fault: dict[str, object], words: str, writer: Writer
) -> None:
    writer.writes("/a")
    writer.writes("/b")
    checkpoint = Stretch(None, writer.links).checkpoint()
    naming = writer.writes("/c")
    check_named(checkpoint, naming, "x")
    changed: Checkpoint = evolve(checkpoint, **fault)  # type: ignore[arg-type]
    with pytest.raises(DamagedObject, match=words) as caught:
        check_named(changed, naming, "the checkpoint x")
    assert "the checkpoint x" in caught.value.message
    assert naming.version_id in caught.value.message


def test_no_checkpoint_is_written_of_another_state_than_the_one_that_was_seen(writer: Writer) -> None:
    for number in range(FEWEST_DIFFS):
        writer.writes(f"/{number}")
    seen = writer.manifest
    writer.fences()
    assert next_checkpoint(writer.control, seen, rebuilt=False, tell=pytest.fail) is None
    assert list(writer.control.store.list_versions(CHECKPOINT)) == []


def test_a_checkpoint_that_no_reader_would_take_is_not_written(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(FEWEST_DIFFS):
        writer.writes(f"/{number}")
    monkeypatch.setattr(checkpoints, "MAX_RECORD_BYTES", 1000)
    told: list[str] = []
    assert next_checkpoint(writer.control, writer.manifest, rebuilt=False, tell=told.append) is None
    assert "over the most that a record may have" in told[0]
    assert list(writer.control.store.list_versions(CHECKPOINT)) == []


def test_the_golden_store_with_a_checkpoint_is_read_from_it() -> None:
    golden = golden_stores.load("format2-checkpoint")
    control = control_of(golden.store)
    stretch = read_to_head(control, lambda _: None)
    whole = Stretch(None, control.read_chain(0))
    assert stretch.base == whole.up_to(whole.links[1]).checkpoint()
    assert len(stretch.links) == 1
    assert stretch.manifest().entries == whole.manifest().entries


def test_a_writer_writes_one_exactly_where_it_is_due(writer: Writer) -> None:
    for number in range(2 * FEWEST_DIFFS + 1):
        writer.writes(f"/{number % 7}")
    naming = {link.diff.sequence: link.diff.checkpoint.references for link in writer.links if link.diff.checkpoint}
    assert naming == {FEWEST_DIFFS + 1: FEWEST_DIFFS - 7, 2 * FEWEST_DIFFS + 1: 2 * FEWEST_DIFFS - 7}
    assert len(list(writer.control.store.list_versions(MANIFEST))) == 2 * FEWEST_DIFFS + 1


# --- a commit by the beginning of its version id -------------------------------------------------------------------


def with_checkpoints(writer: Writer, count: int, *due_at: int) -> list[Link]:
    """So many commits, oldest first; those at these numbers name a checkpoint."""
    for number in range(1, count + 1):
        with mock.patch.object(checkpoints, "due", return_value=number in due_at):
            writer.writes(f"/{number}")
    return list(reversed(writer.links))


def test_the_beginning_of_a_version_id_is_compared_with_all_commits(writer: Writer) -> None:
    links = with_checkpoints(writer, 3, 3)
    with pytest.raises(NoSuchVersion, match="3 commits begin with 'v'"):
        read_commit(writer.control, Asked("v", None, "m"), pytest.fail)
    assert read_commit(writer.control, Asked(links[1].version_id, None, "m"), pytest.fail)[0] == links[1]


def test_above_a_break_the_checkpoint_is_that_below_the_commit(writer: Writer) -> None:
    links = with_checkpoints(writer, 11, 8, 10)
    lost, wanted = links[6], links[7]
    assert [link.version_id for link in links[7:]] == ["v000009", "v000010", "v000012", "v000013"]
    writer.control.store.delete_versions([VersionRef(MANIFEST, lost.version_id)])
    commit, stretch = read_commit(writer.control, Asked("v00000", None, "m"), pytest.fail)
    assert commit == wanted
    assert [item.entry.path for item in stretch.manifest().entries] == [f"/{number}" for number in range(1, 9)]


# --- which commits may name one ------------------------------------------------------------------------------------

FILE = Entry(PathText("/a"), size=3, mtime_ns=5, mode=0o644, sha256="ab" * 32)
SAME = Candidate(FILE.path, 3, 5, 0o644, Reason.CTIME, FILE, "files/a")


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (SAME, False),
        (evolve(SAME, size=4), True),
        (evolve(SAME, mtime_ns=6), True),
        (evolve(SAME, mode=0o600), True),
        (evolve(SAME, previous=None), True),
        (evolve(SAME, anew=True), True),
    ],
)
def test_a_plan_gets_one_only_if_it_is_sure_to_change_something(candidate: Candidate, expected: bool) -> None:
    assert will_publish(BackupPlan(HEAD, (candidate,))) is expected
    assert will_publish(BackupPlan(HEAD, (SAME, candidate))) is expected


def test_a_plan_that_needs_no_content_gets_one() -> None:
    planned = Planned(Change(Status.DELETED, FILE), Reason.GONE)
    assert will_publish(BackupPlan(HEAD, (), (planned,)))
    assert not will_publish(BackupPlan(HEAD))
