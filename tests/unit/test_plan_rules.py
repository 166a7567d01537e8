"""The rules of planning one by one: what is recorded, what is read again, what is stored again, what may be shared."""

from collections.abc import Sequence

import pytest
from attrs import evolve

from rrbackup.pure.dedup import catalogue
from rrbackup.pure.filters import Filters
from rrbackup.pure.keeping import Keeper, folders_above
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    ObjectRef,
    PathText,
    Problem,
    ProblemKind,
    RepositoryId,
    Status,
    VersionId,
    Word,
)
from rrbackup.pure.plan import BackupPlan, Candidate, Planned, is_recent, make_plan, storing_again, under
from rrbackup.pure.reason import Reason
from rrbackup.pure.rules import Detection, Rules
from rrbackup.pure.scan import LeftOut, Scanned
from tests.unit.test_plan import folder, link, rules, scanned, stored

HEAD = HeadRef(VersionId("v1"), '"e1"', "11" * 32, 1, RepositoryId("r"))
BOTH = (Word.COMPRESS, Word.ENCRYPT)


def asking(*words: Word, reprocess: bool = False) -> Rules:
    """Rules under which every file asks for `words`; its key tells for which path and words it was made."""
    return Rules(
        Filters.of([]),
        Filters.of([]),
        words=lambda path: words,
        key=lambda path, asked: f"{path} {'+'.join(asked)}",
        reprocess=reprocess,
    )


def stored_with(path: str, *asked: Word) -> LocalEntry:
    ref = ObjectRef("files" + path, VersionId("v1"), 3, '"e"', asked=asked, applied=asked)
    item = stored(path)
    return evolve(item, entry=evolve(item.entry, object=ref))


def planned_for(old: Sequence[LocalEntry], new: Sequence[Scanned], by: Rules | None = None) -> BackupPlan:
    return make_plan(HEAD, old, new, by or rules())


# --- texts and defaults that others rely on --------------------------------------------------------------------


def test_the_texts_of_reasons_and_detections_are_those_of_stored_plans_and_of_the_configuration() -> None:
    assert {reason.name: reason.value for reason in Reason} == {
        "NEW": "new",
        "TYPE": "type changed",
        "SIZE": "size changed",
        "MTIME": "mtime changed",
        "CTIME": "ctime changed",
        "INODE": "inode changed",
        "MODE": "mode changed",
        "EXTRA": "owner, attributes or links changed",
        "TARGET": "link target changed",
        "RECENT": "modified during or just before the last backup",
        "UNSEEN": "not seen on this disk before",
        "CONTENT": "content comparison asked for",
        "GONE": "gone",
        "IGNORED": "now ignored",
        "CACHE": "now in a folder that CACHEDIR.TAG marks",
        "MARKED": "now in a folder that a file of exclude_if_present marks",
        "LARGE": "now larger than exclude_larger_than",
        "IN_THE_WAY": "something else has its place",
        "REPROCESS": "file_pipeline asks for more than it is stored with",
        "DAMAGED": "what is stored of it is damaged",
    }
    assert [detection.value for detection in Detection] == ["stat", "mtime", "content"]


def test_what_is_not_said_is_the_cautious_answer() -> None:
    """A file whose size nobody compared has to be uploaded; nothing is stored again unasked; a plan counts from 0."""
    candidate = Candidate(PathText("/a"), 1, 0, 0, Reason.NEW, None, "files/a")
    assert (candidate.known_size, candidate.anew) == (False, False)
    assert not rules().reprocess
    assert (BackupPlan(None).unchanged, BackupPlan(None).scanned) == (0, 0)
    assert BackupPlan(None).empty


def test_a_plan_is_empty_only_without_candidates_and_without_changes() -> None:
    candidates = planned_for([], [scanned("/a")])
    changes = planned_for([stored("/a")], [])
    assert not candidates.empty
    assert not changes.empty
    assert planned_for([], []).empty


def test_a_printed_plan_stays_short() -> None:
    plan = planned_for([stored("/secret")], [scanned("/secrets"), scanned("/secrets2")])
    assert "/secret" not in repr(plan)
    assert "<2 candidates>" in repr(plan)
    assert "<1 changes>" in repr(plan)


def test_recent_means_within_two_seconds() -> None:
    assert is_recent(8_000_000_000, 10_000_000_000)
    assert not is_recent(7_999_999_999, 10_000_000_000)


# --- what a plan says ------------------------------------------------------------------------------------------


def test_a_plan_tells_head_problems_and_counts() -> None:
    problem = Problem(PathText("/x"), ProblemKind.UNREADABLE, "permission denied")
    new = [scanned("/a", size=4), scanned("/b"), scanned("/c", size=5)]
    plan = make_plan(HEAD, [stored("/b")], [*new, problem], rules())
    assert (plan.head, plan.problems) == (HEAD, (problem,))
    assert (plan.scanned, plan.unchanged, plan.bytes_to_read) == (3, 1, 9)


def test_a_candidate_says_what_the_scan_saw_and_what_is_asked_for() -> None:
    new = scanned("/a", size=4, mtime=11, mode=0o600)
    assert planned_for([stored("/a")], [new], asking(*BOTH)).candidates == (
        Candidate(
            PathText("/a"), 4, 11, 0o600, Reason.SIZE, stored("/a").entry, "/a compress+encrypt", BOTH, known_size=False
        ),
    )


def test_a_file_whose_size_was_never_recorded_may_prove_unchanged() -> None:
    """What rrbackup 1.0 stored has no size, so comparing sizes says nothing."""
    old = evolve(stored("/a"), entry=evolve(stored("/a").entry, size=NOT_RECORDED))
    plan = planned_for([old], [scanned("/a"), scanned("/b")])
    assert [candidate.known_size for candidate in plan.candidates] == [True, False]


def test_the_detection_of_the_configuration_decides_what_is_read() -> None:
    old, new = [stored("/a")], [scanned("/a", ctime=21)]
    assert planned_for(old, new, rules(detection=Detection.MTIME)).empty
    assert planned_for(old, new, rules(detection=Detection.STAT)).candidates[0].reason is Reason.CTIME
    assert planned_for(old, [scanned("/a")], rules(detection=Detection.CONTENT)).candidates[0].reason is Reason.CONTENT


def test_a_changed_mode_keeps_what_is_known_of_the_file_on_this_disk() -> None:
    changed = planned_for([stored("/a")], [scanned("/a", mode=0o600)]).planned
    entry = evolve(stored("/a").entry, mode=0o600)
    assert changed == (Planned(Change(Status.CHANGED, entry), Reason.MODE, stored("/a").stamp),)


def test_a_plain_change_of_mode_is_told_from_one_of_time_and_target() -> None:
    old = [LocalEntry(Entry(PathText("/d"), EntryType.DIRECTORY, 0, 10, 0o700))]
    assert [p.reason for p in planned_for(old, [folder("/d")]).planned] == [Reason.MODE]
    assert [p.reason for p in planned_for(old, [folder("/d", mtime=11)]).planned] == [Reason.MTIME]


# --- storing again, and under other rules ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "wanted", "anew"),
    [
        ((), (), False),
        ((), (Word.ENCRYPT,), True),
        ((Word.ENCRYPT,), (), False),
        (BOTH, (Word.ENCRYPT,), False),
        ((Word.COMPRESS,), (Word.ENCRYPT,), True),
    ],
)
def test_reprocessing_stores_again_what_asks_for_more_than_it_has(
    asked: tuple[Word, ...], wanted: tuple[Word, ...], anew: bool
) -> None:
    old, new = [stored_with("/a", *asked)], [scanned("/a")]
    found = planned_for(old, new, asking(*wanted, reprocess=True)).candidates
    assert [(c.reason, c.anew) for c in found] == ([(Reason.REPROCESS, True)] if anew else [])
    assert planned_for(old, new, asking(*wanted)).empty, "only if it was asked for"


def test_a_changed_file_that_asks_for_more_is_stored_anew_even_if_its_content_is_known() -> None:
    old, new = [stored_with("/a")], [scanned("/a", mtime=11)]
    for wanted, anew in (((), False), ((Word.ENCRYPT,), True)):
        (candidate,) = planned_for(old, new, asking(*wanted, reprocess=True)).candidates
        assert (candidate.reason, candidate.anew) == (Reason.MTIME, anew)


@pytest.mark.parametrize("detection", Detection)
@pytest.mark.parametrize("reprocess", [False, True])
def test_what_a_disk_tells_is_trusted_unless_contents_are_to_be_compared_or_stored_again(
    detection: Detection, reprocess: bool
) -> None:
    told = evolve(asking(reprocess=reprocess), detection=detection).trust_stat
    assert told is (detection is not Detection.CONTENT and reprocess is False)


def test_what_is_damaged_is_stored_again_even_if_its_content_is_known() -> None:
    old, new = stored_with("/a").entry, scanned("/a", size=3, mtime=12, mode=0o600)
    again = Candidate(old.path, 3, 12, 0o600, Reason.DAMAGED, old, "/a encrypt", (Word.ENCRYPT,), anew=True)
    assert storing_again(HEAD, [(old, new)], asking(Word.ENCRYPT)) == BackupPlan(HEAD, (again,))


def test_what_the_scan_left_out_goes_for_the_reason_that_it_was_left_out_for() -> None:
    left_out = [LeftOut(PathText("/cache"), Reason.CACHE), LeftOut(PathText("/huge"), Reason.LARGE)]
    old = [stored(path) for path in ("/cache/deep/a", "/gone", "/huge")]
    plan = make_plan(HEAD, old, left_out, rules())
    assert [(planned.change.entry.path, planned.reason) for planned in plan.planned] == [
        ("/cache/deep/a", Reason.CACHE),
        ("/gone", Reason.GONE),
        ("/huge", Reason.LARGE),
    ]
    assert plan.problems == ()


def test_changes_that_need_no_reading_are_told_in_the_order_of_paths() -> None:
    """Although what is gone is judged last."""
    plan = planned_for([stored("/a"), stored("/b")], [scanned("/b", mode=0o600)])
    assert [planned.change.entry.path for planned in plan.planned] == ["/a", "/b"]


def test_the_words_are_those_of_the_path() -> None:
    by = evolve(asking(reprocess=True), words=lambda path: BOTH if path == "/secret" else ())
    old, new = [stored("/open"), stored("/secret")], [scanned("/open"), scanned("/secret")]
    assert [(c.path, c.key) for c in planned_for(old, new, by).candidates] == [("/secret", "/secret compress+encrypt")]
    assert [c.asked for c in under(planned_for([], new, asking()), by).candidates] == [(), BOTH]


def test_nothing_is_reprocessed_that_is_new_or_holds_nothing_or_has_no_rule() -> None:
    empty = evolve(stored("/a", size=0), entry=evolve(stored("/a", size=0).entry, object=None))
    by = asking(Word.ENCRYPT, reprocess=True)
    assert planned_for([empty], [scanned("/a", size=0)], by).empty
    assert [c.anew for c in planned_for([], [scanned("/new")], by).candidates] == [False]
    unruled = evolve(by, words=lambda path: None)
    assert planned_for([stored("/a")], [scanned("/a")], unruled).empty


def test_a_plan_is_carried_out_under_the_rules_of_the_day() -> None:
    plan = planned_for([], [scanned("/a"), scanned("/b")], asking())
    moved = under(plan, asking(Word.ENCRYPT))
    assert [(c.path, c.key, c.asked) for c in moved.candidates] == [
        ("/a", "/a encrypt", (Word.ENCRYPT,)),
        ("/b", "/b encrypt", (Word.ENCRYPT,)),
    ]
    assert evolve(moved, candidates=plan.candidates) == plan
    assert under(plan, asking()).candidates[0] is plan.candidates[0]


def test_a_plan_takes_over_words_or_keys_alone() -> None:
    one_key = evolve(asking(), key=lambda path, words: "one")
    plan = planned_for([], [scanned("/a")], one_key)
    other_words = evolve(asking(Word.ENCRYPT), key=one_key.key)
    other_key = evolve(asking(), key=lambda path, words: "other")
    found = [under(plan, by).candidates[0] for by in (other_words, other_key)]
    assert [(c.key, c.asked) for c in found] == [("one", (Word.ENCRYPT,)), ("other", ())]


# --- what stays, and what may be shared ------------------------------------------------------------------------


def test_a_folder_with_nothing_in_it_does_not_displace_what_lay_below() -> None:
    """A folder that can be read but is empty now: what skip_delete covers below it stays."""
    keeper = Keeper(Filters.of([]), Filters.of(["/dumps*"]), [folder("/dumps")], frozenset())
    assert not keeper.displaced("/dumps/1")
    assert keeper.keeps("/dumps/1")
    full = Keeper(Filters.of([]), Filters.of(["/dumps*"]), [link("/dumps", "elsewhere")], frozenset())
    assert full.displaced("/dumps/1")


@pytest.mark.parametrize(
    ("found", "kept", "unreadable", "stays"),
    [
        ([], "/a/b/x", (), {"/a", "/a/b", "/a/b/x"}),
        ([], "/a/c", (), {"/a", "/a/c"}),
        ([scanned("/a/y")], "/a/b/x", (), {"/a/b", "/a/b/x"}),
        ([link("/a", "elsewhere")], "/a/b/x", (), set()),
        ([], "/nothing", ("/a/b/x",), {"/a/b/x"}),
        ([], "/nothing", (), set()),
    ],
)
def test_entries_of_folders_stay_with_what_skip_delete_keeps_in_them(
    found: list[Scanned], kept: str, unreadable: tuple[str, ...], stays: set[str]
) -> None:
    """But not where the folder is there without having an entry, as after `store_folders` was switched off."""
    gone = [folder_entry("/a"), folder_entry("/a/b"), stored("/a/b/x").entry, stored("/a/c").entry]
    keeper = Keeper(Filters.of([]), Filters.of([kept]), found, frozenset(unreadable))
    assert keeper.staying(gone) == stays


def folder_entry(path: str) -> Entry:
    return Entry(PathText(path), EntryType.DIRECTORY)


def test_the_folders_above_are_found_whatever_their_names_are() -> None:
    assert list(folders_above("/a/b")) == ["/a"]
    assert list(folders_above("/ab/c/d")) == ["/ab/c", "/ab"]


def test_only_content_with_a_digest_and_an_object_may_be_shared() -> None:
    whole = stored("/a")
    without_object = evolve(whole, entry=evolve(whole.entry, object=None))
    without_digest = evolve(whole, entry=evolve(whole.entry, sha256=None))
    assert catalogue([without_object, without_digest]) == {}
    assert catalogue([whole]) == {("aa", ()): whole.entry.object}


def test_damaged_content_is_never_shared() -> None:
    sound, damaged = stored("/a"), stored("/b", sha="bb")
    assert sound.entry.object is not None
    assert damaged.entry.object is not None
    assert catalogue([sound, damaged], frozenset({damaged.entry.object.ref})) == {("aa", ()): sound.entry.object}


@pytest.mark.parametrize(("written", "shared"), [(1, False), (2, True), (3, True)])
def test_content_of_rrbackup_1_is_never_shared(written: int, shared: bool) -> None:
    item = stored("/a")
    assert item.entry.object is not None
    entry = evolve(item.entry, object=evolve(item.entry.object, format=written))
    assert bool(catalogue([evolve(item, entry=entry)])) is shared
