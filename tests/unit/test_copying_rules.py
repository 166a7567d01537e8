"""Which commit is a copy of which, when a target holds what it should, and what a commit comes to in the target."""

from functools import partial

import pytest
from attrs import evolve

from rrbackup.errors import DamagedChain, DamagedObject, UsageError
from rrbackup.pure.copying import (
    Holding,
    Step,
    check_same,
    copied_so_far,
    is_copy,
    plan_step,
    steps,
    transaction_for,
    wanted_content,
)
from rrbackup.pure.filters import Filters
from rrbackup.pure.manifest import entry_of
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Diff,
    DiffKind,
    Entry,
    EntryType,
    Link,
    LocalEntry,
    ObjectRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    Word,
)
from rrbackup.pure.outcomes import Content, Settled
from rrbackup.pure.pipeline import PipelineRule, pipeline_for
from rrbackup.pure.rules import Rules

A, B = PathText("/a"), PathText("/b")
NONCES = ("0123456789abcdef", "fedcba9876543210")


def link(version: str, transaction: str = "t", *changes: Change) -> Link:
    diff = Diff(RepositoryId("r"), 1, None, TransactionId(transaction), DiffKind.COMMIT, 0, "host", changes)
    return Link(VersionId(version), '"e"', "5" * 64, diff)


ORIGINALS = tuple(link(version) for version in ("v1", "v2", "v3"))


def copy_of(original: Link, nonce: str = NONCES[0]) -> Link:
    return link("copied", transaction_for(original, nonce))


def test_a_copy_is_known_by_its_transaction_whatever_chance_made_of_it() -> None:
    ids = {transaction_for(original, nonce) for original in ORIGINALS for nonce in NONCES}
    assert len(ids) == 6
    assert all(len(text) == 32 and set(text) <= set("0123456789abcdef") for text in ids)
    assert all(is_copy(copy_of(original, nonce), original) for original in ORIGINALS for nonce in NONCES)


@pytest.mark.parametrize(
    "other",
    [
        evolve(ORIGINALS[0], version_id=VersionId("v")),
        evolve(ORIGINALS[0], sha256="6" * 64),
        evolve(ORIGINALS[0], diff=evolve(ORIGINALS[0].diff, repository=RepositoryId("rv"))),
    ],
)
def test_a_diff_that_differs_in_anything_is_another_original(other: Link) -> None:
    assert not is_copy(copy_of(other), ORIGINALS[0])


def test_how_far_a_copy_has_come_is_what_its_newest_commit_says() -> None:
    assert copied_so_far(ORIGINALS, None, "there") == 0
    assert [copied_so_far(ORIGINALS, copy_of(original), "there") for original in ORIGINALS] == [1, 2, 3]
    with pytest.raises(UsageError, match="copied"):
        copied_so_far(ORIGINALS[:2], copy_of(ORIGINALS[2]), "there")


# --- manifests -------------------------------------------------------------------------------------------------

HELD = ObjectRef("files/a", VersionId("x1"), 3, '"e"')
FILE = Entry(A, size=3, mtime_ns=5, mode=0o600, sha256="1" * 64, object=HELD)
FOLDER = Entry(B, EntryType.DIRECTORY)


@pytest.mark.parametrize(
    ("original", "copy"),
    [
        ((FILE, FOLDER), (evolve(FILE, object=evolve(HELD, key="files/z")), FOLDER)),
        ((evolve(FILE, size=NOT_RECORDED),), (FILE,)),
    ],
)
def test_a_copy_may_differ_in_where_contents_are_and_in_sizes_that_were_not_recorded(
    original: tuple[Entry, ...], copy: tuple[Entry, ...]
) -> None:
    check_same(original, copy, "there")


@pytest.mark.parametrize(
    "copy",
    [
        (),
        (FILE, FOLDER),
        *((evolve(FILE, **what),) for what in ({"size": 4}, {"mode": 0o644}, {"mtime_ns": 6}, {"sha256": "2" * 64})),
    ],
)
def test_any_other_difference_is_damage(copy: tuple[Entry, ...]) -> None:
    with pytest.raises(DamagedChain, match=r"/a|/b"):
        check_same((FILE,), copy, "there")


# --- plans -----------------------------------------------------------------------------------------------------


def rules(*words: Word) -> Rules:
    pipeline = partial(pipeline_for, (PipelineRule("*", words),))
    return Rules(Filters.of([]), Filters.of([]), pipeline, lambda path, _: f"files{path}")


def holding(*entries: Entry, stored: ObjectRef | None = HELD, words: tuple[Word, ...] = ()) -> Holding:
    known = {("1" * 64, words): stored} if stored else {}
    return Holding({entry.path: LocalEntry(entry) for entry in entries}, known, {"1" * 64: 3})


def step(status: Status, entry: Entry) -> Step:
    return Step(link("v1"), (Change(status, entry),))


FOREIGN = evolve(FILE, size=NOT_RECORDED, object=evolve(HELD, key="files/old", version_id=VersionId("o"), format=1))


def test_a_content_that_is_there_is_referred_to_and_its_size_filled_in() -> None:
    plan = plan_step(None, step(Status.NEW, FOREIGN), holding(), rules())
    assert [planned.change for planned in plan.planned] == [Change(Status.NEW, FILE)]
    assert plan.candidates == ()


def test_a_content_that_is_there_with_other_words_is_stored_again() -> None:
    plan = plan_step(None, step(Status.CHANGED, FOREIGN), holding(FILE), rules(Word.COMPRESS))
    (candidate,) = plan.candidates
    assert (candidate.copied, candidate.asked, candidate.previous) == (FOREIGN, (Word.COMPRESS,), FILE)
    assert candidate.anew
    assert not candidate.known_size


def test_all_that_an_entry_says_is_kept_but_where_its_content_is() -> None:
    (candidate,) = plan_step(
        None, step(Status.NEW, evolve(FOREIGN, target="kept")), holding(stored=None), rules()
    ).candidates
    result = Settled(A, Content(3, "1" * 64, 0, 0, None), HELD, uploaded=True)
    assert entry_of(candidate, result) == evolve(FILE, target="kept")


def test_a_deletion_repeats_the_entry_of_the_target() -> None:
    plan = plan_step(None, step(Status.DELETED, FOREIGN), holding(FILE), rules())
    assert [planned.change for planned in plan.planned] == [Change(Status.DELETED, FILE)]


def test_what_was_only_stored_anew_changes_nothing() -> None:
    assert plan_step(None, step(Status.CHANGED, FOREIGN), holding(FILE), rules()).empty


def test_an_empty_file_needs_no_object_whatever_the_source_has() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    entry = evolve(FOREIGN, sha256=empty)
    (planned,) = plan_step(None, step(Status.NEW, entry), holding(), rules()).planned
    assert planned.change.entry == evolve(entry, size=0, object=None)


@pytest.mark.parametrize("entry", [evolve(FILE, object=None), evolve(FILE, sha256=None)])
def test_a_file_without_content_or_digest_is_damage(entry: Entry) -> None:
    with pytest.raises(DamagedObject, match="/a"):
        wanted_content(entry, rules())


def test_a_change_that_does_not_fit_is_damage() -> None:
    with pytest.raises(DamagedChain):
        plan_step(None, step(Status.NEW, FOREIGN), holding(FILE), rules())


def test_the_first_commit_of_an_empty_target_holds_the_whole_manifest() -> None:
    change = Change(Status.CHANGED, FILE)
    commits = (link("v1", "t", change), link("v2", "t", change))
    assert steps(commits, None) == (Step(commits[0], (change,)), Step(commits[1], (change,)))
    whole = (Change(Status.NEW, FILE), Change(Status.NEW, FOLDER))
    assert steps(commits, (FILE, FOLDER)) == (Step(commits[0], whole), Step(commits[1], (change,)))
