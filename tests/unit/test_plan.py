"""From a manifest and a scan to a plan."""

from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import ConfigError
from rrbackup.pure.attributes import Extra, Owner
from rrbackup.pure.dedup import catalogue
from rrbackup.pure.extras import with_hardlinks
from rrbackup.pure.filters import Filters
from rrbackup.pure.keeping import folders_above
from rrbackup.pure.local_format import path_in
from rrbackup.pure.model import (
    Entry,
    EntryType,
    LocalEntry,
    LocalStamp,
    ObjectRef,
    PathText,
    Problem,
    ProblemKind,
    Status,
    VersionId,
    Word,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.pairing import pair_up
from rrbackup.pure.plan import CLOCK_GRANULARITY_NS, BackupPlan, is_recent, make_plan, reason_to_read
from rrbackup.pure.reason import Reason
from rrbackup.pure.rules import Detection, Rules
from rrbackup.pure.scan import Scanned


def rules(
    *, ignore: Sequence[str] = (), skip_delete: Sequence[str] = (), detection: Detection = Detection.STAT
) -> Rules:
    return Rules(
        ignore=Filters.of(ignore),
        skip_delete=Filters.of(skip_delete),
        words=lambda path: None if path.startswith("/unruled") else (),
        key=lambda path, words: "files" + path,
        detection=detection,
    )


def scanned(path: str, size: int = 3, mtime: int = 10, ctime: int = 20, inode: int = 7, mode: int = 0o644) -> Scanned:
    return Scanned(PathText(path), EntryType.FILE, size, mtime, ctime, inode, mode)


def folder(path: str, mtime: int = 10) -> Scanned:
    return Scanned(PathText(path), EntryType.DIRECTORY, 0, mtime, 20, 8, 0o755)


def link(path: str, target: str) -> Scanned:
    return Scanned(PathText(path), EntryType.SYMLINK, 0, 10, 20, 9, 0o777, target)


def stored(path: str, size: int = 3, mtime: int = 10, mode: int = 0o644, sha: str = "aa") -> LocalEntry:
    ref = ObjectRef("files" + path, VersionId("v1"), size, '"e"')
    return LocalEntry(
        Entry(PathText(path), EntryType.FILE, size, mtime, mode, None, sha, ref), LocalStamp(20, 7), recent=False
    )


def planned(plan: BackupPlan) -> list[tuple[str, str, str]]:
    return [(p.change.entry.path, p.change.status.value, p.reason.name) for p in plan.planned]


@pytest.mark.parametrize(
    ("old", "new", "stat", "mtime", "content"),
    [
        (stored("/a"), scanned("/a"), None, None, Reason.CONTENT),
        (stored("/a"), scanned("/a", size=4), Reason.SIZE, Reason.SIZE, Reason.SIZE),
        (stored("/a"), scanned("/a", mtime=11), Reason.MTIME, Reason.MTIME, Reason.MTIME),
        (stored("/a"), scanned("/a", ctime=21), Reason.CTIME, None, Reason.CONTENT),
        (stored("/a"), scanned("/a", inode=8), Reason.INODE, None, Reason.CONTENT),
        (evolve(stored("/a"), stamp=None), scanned("/a"), Reason.UNSEEN, None, Reason.CONTENT),
        (evolve(stored("/a"), recent=True), scanned("/a"), Reason.RECENT, Reason.RECENT, Reason.CONTENT),
        (LocalEntry(Entry(PathText("/a"), EntryType.DIRECTORY)), scanned("/a"), Reason.TYPE, Reason.TYPE, Reason.TYPE),
    ],
)
def test_reason_to_read(
    old: LocalEntry, new: Scanned, stat: Reason | None, mtime: Reason | None, content: Reason | None
) -> None:
    assert reason_to_read(old, new, Detection.STAT) is stat
    assert reason_to_read(old, new, Detection.MTIME) is mtime
    assert reason_to_read(old, new, Detection.CONTENT) is content


def test_nothing_changed_plans_nothing() -> None:
    plan = make_plan(None, [stored("/a"), stored("/b")], [scanned("/a"), scanned("/b")], rules())
    assert plan.empty
    assert plan.unchanged == 2


def test_new_changed_and_gone_files() -> None:
    plan = make_plan(None, [stored("/a"), stored("/b")], [scanned("/b", size=9), scanned("/c", size=5)], rules())
    assert [(c.path, c.reason, c.known_size, c.key) for c in plan.candidates] == [
        ("/b", Reason.SIZE, False, "files/b"),
        ("/c", Reason.NEW, False, "files/c"),
    ]
    assert planned(plan) == [("/a", "deleted", "GONE")]


def test_a_candidate_of_a_size_that_the_manifest_has_may_be_known() -> None:
    plan = make_plan(None, [stored("/a", size=3)], [scanned("/a"), scanned("/b", size=3)], rules())
    assert [c.known_size for c in plan.candidates] == [True]


def test_an_empty_file_needs_no_upload() -> None:
    assert make_plan(None, [], [scanned("/a", size=0)], rules()).candidates[0].known_size


def test_a_mode_alone_is_recorded_without_reading() -> None:
    plan = make_plan(None, [stored("/a")], [scanned("/a", mode=0o600)], rules(detection=Detection.MTIME))
    assert planned(plan) == [("/a", "changed", "MODE")]
    change = plan.planned[0].change
    assert (change.entry.mode, change.entry.sha256, change.entry.object) == (0o600, "aa", stored("/a").entry.object)


def test_folders_and_links_need_no_content() -> None:
    old = [
        LocalEntry(Entry(PathText("/d"), EntryType.DIRECTORY, 0, 10, 0o755)),
        LocalEntry(Entry(PathText("/l"), EntryType.SYMLINK, 0, 10, 0o777, "old")),
    ]
    assert make_plan(None, old, [folder("/d"), link("/l", "old")], rules()).empty
    plan = make_plan(None, old, [folder("/d", mtime=11), folder("/e"), link("/l", "new")], rules())
    assert planned(plan) == [("/d", "changed", "MTIME"), ("/e", "new", "NEW"), ("/l", "changed", "TARGET")]
    assert plan.candidates == ()


def test_a_file_that_becomes_a_link_is_a_change_of_type() -> None:
    assert planned(make_plan(None, [stored("/a")], [link("/a", "x")], rules())) == [("/a", "changed", "TYPE")]


def unreadable(path: str) -> Problem:
    return Problem(PathText(path), ProblemKind.UNREADABLE, "permission denied")


def test_what_could_not_be_read_keeps_its_last_state() -> None:
    old = [stored("/d"), stored("/d/a"), stored("/d/b/c"), stored("/d.txt"), stored("/e")]
    plan = make_plan(None, old, [unreadable("/d"), unreadable("/e")], rules())
    assert planned(plan) == [("/d.txt", "deleted", "GONE")]


@pytest.mark.parametrize("kind", [ProblemKind.SPECIAL, ProblemKind.CYCLE])
def test_what_is_passed_over_does_not_keep_a_file_alive(kind: ProblemKind) -> None:
    plan = make_plan(None, [stored("/a")], [Problem(PathText("/a"), kind, "a socket")], rules())
    assert planned(plan) == [("/a", "deleted", "GONE")]


def test_a_newly_ignored_file_leaves_the_manifest() -> None:
    old = [stored("/keep"), stored("/tmp/x")]
    plan = make_plan(None, old, [scanned("/keep")], rules(ignore=["/tmp"]))
    assert planned(plan) == [("/tmp/x", "deleted", "IGNORED")]


def test_skip_delete_keeps_what_is_gone_even_when_it_is_ignored() -> None:
    old = [stored("/dumps/1"), stored("/other")]
    plan = make_plan(None, old, [], rules(skip_delete=["/dumps*"], ignore=["/dumps*"]))
    assert planned(plan) == [("/other", "deleted", "GONE")]


@pytest.mark.parametrize(
    ("old", "new"), [("/dumps/1", "/dumps/1/part"), ("/dumps/1/part", "/dumps/1")], ids=["folder", "file"]
)
def test_skip_delete_gives_way_to_what_stands_in_its_place(old: str, new: str) -> None:
    plan = make_plan(None, [stored(old)], [scanned(new)], rules(skip_delete=["/dumps*"]))
    assert planned(plan) == [(old, "deleted", "IN_THE_WAY")]


def test_a_path_without_pipeline_rule_is_an_error_before_anything_is_stored() -> None:
    with pytest.raises(ConfigError, match="no rule matches /unruled"):
        make_plan(None, [], [scanned("/unruled")], rules())


def test_the_catalogue_leaves_out_format_1_and_tells_words_apart() -> None:
    def entry(path: str, format_: int, words: tuple[Word, ...]) -> LocalEntry:
        ref = ObjectRef("files" + path, VersionId("v"), 3, "e", format_, words, words)
        return LocalEntry(Entry(PathText(path), sha256="aa", object=ref))

    known = catalogue([entry("/1", 1, ()), entry("/2", 2, ()), entry("/3", 2, (Word.ENCRYPT,))])
    assert {key: ref.key for key, ref in known.items()} == {
        ("aa", ()): "files/2",
        ("aa", (Word.ENCRYPT,)): "files/3",
    }


def test_the_catalogue_believes_no_entry_that_lacks_what_it_asked_for() -> None:
    def entry(path: str, *applied: Word) -> LocalEntry:
        asked = (Word.COMPRESS, Word.ENCRYPT)
        ref = ObjectRef("files" + path, VersionId("v"), 3, "e", asked=asked, applied=applied)
        return LocalEntry(Entry(PathText(path), sha256=path, object=ref))

    known = catalogue([entry("/1"), entry("/2", Word.COMPRESS), entry("/3", Word.ENCRYPT)])
    assert [ref.key for ref in known.values()] == ["files/3"]


@pytest.mark.parametrize(("path", "above"), [("/a", []), ("/a/b", ["/a"]), ("/a/b/c", ["/a/b", "/a"])])
def test_folders_above(path: str, above: list[str]) -> None:
    assert list(folders_above(path)) == above


def test_recent_means_within_the_granularity() -> None:
    now = 100 * CLOCK_GRANULARITY_NS
    assert is_recent(now - CLOCK_GRANULARITY_NS, now)
    assert is_recent(now + 1, now)
    assert not is_recent(now - CLOCK_GRANULARITY_NS - 1, now)


paths = st.lists(st.sampled_from(["a", "b", "a.b", "a-", "c"]), min_size=1, max_size=3).map(lambda s: "/" + "/".join(s))


@given(st.sets(paths), st.sets(paths))
def test_pairing_is_the_union_in_path_order(left: set[str], right: set[str]) -> None:
    old = [stored(path) for path in sorted(left, key=path_order)]
    new = [scanned(path) for path in sorted(right, key=path_order)]
    seen = [(path_in(before) if before else None, now.path if now else None) for before, now, _ in pair_up(old, new)]
    assert [a or b for a, b in seen] == sorted(left | right, key=path_order)
    assert all((a in left or a is None) and (b in right or b is None) and (a == b or None in (a, b)) for a, b in seen)
    assert {a for a, _ in seen if a} == left
    assert {b for _, b in seen if b} == right


@given(st.sets(paths), st.sets(paths))
def test_every_path_is_accounted_for_once(left: set[str], right: set[str]) -> None:
    old = [stored(path) for path in sorted(left, key=path_order)]
    new = [scanned(path, size=4) for path in sorted(right, key=path_order)]
    plan = make_plan(None, old, new, rules())
    assert [c.path for c in plan.candidates] == sorted(right, key=path_order)
    assert [p.change.entry.path for p in plan.planned] == sorted(left - right, key=path_order)
    assert all(p.change.status is Status.DELETED for p in plan.planned)
    assert all((c.previous is not None) == (c.path in left) for c in plan.candidates)


# --- owner, attributes, hard links, holes ------------------------------------------------------------------------

ANN = Extra(Owner(1000, 1000, "ann", "ann"))


def test_another_owner_alone_is_recorded_without_reading_and_keeps_that_there_are_holes() -> None:
    before = evolve(stored("/a"), entry=evolve(stored("/a").entry, extra=Extra(sparse=True)))
    (change,) = make_plan(None, [before], [scanned("/a")._replace(extra=ANN)], rules()).planned
    assert (change.reason, change.change.entry.extra) == (Reason.EXTRA, evolve(ANN, sparse=True))
    assert change.change.entry == evolve(before.entry, extra=evolve(ANN, sparse=True))


def test_that_there_are_holes_alone_makes_no_change() -> None:
    before = evolve(stored("/a"), entry=evolve(stored("/a").entry, extra=Extra(sparse=True)))
    assert make_plan(None, [before], [scanned("/a")], rules()).empty


def test_an_empty_folder_or_link_with_another_owner_has_changed() -> None:
    for there in (folder("/d"), link("/d", "x")):
        before = LocalEntry(Entry(there.path, there.type, 0, there.mtime_ns, there.mode, there.target))
        (change,) = make_plan(None, [before], [there._replace(extra=ANN)], rules()).planned
        assert (change.reason, change.change.entry.extra) == (Reason.EXTRA, ANN)


def test_a_file_that_is_read_is_recorded_with_what_was_scanned() -> None:
    (candidate,) = make_plan(None, [], [scanned("/a")._replace(extra=ANN)], rules()).candidates
    assert candidate.extra == ANN


def test_names_of_one_file_name_the_first_in_path_order() -> None:
    one, other = (2049, 11), (2049, 12)
    found = [scanned(path)._replace(shared=shared) for path, shared in (("/a", one), ("/b/c", other), ("/d", one))]
    plain = scanned("/e")
    named = with_hardlinks([*found, plain, scanned("/f")._replace(shared=one, extra=ANN)])
    assert [item.extra for item in named if isinstance(item, Scanned)] == [
        None,
        None,
        Extra(hardlink="/a"),
        None,
        evolve(ANN, hardlink="/a"),
    ]
