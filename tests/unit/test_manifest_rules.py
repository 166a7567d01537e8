"""What a commit records of what became of each file, and what a client remembers afterwards."""

import pytest
from attrs import evolve

from rrbackup.errors import DamagedChain, StoreWentBack
from rrbackup.pure.attributes import Extra, Owner
from rrbackup.pure.manifest import (
    Standing,
    changes_of,
    check_remembered,
    entry_of,
    first_misfit,
    fold_links,
    referred_by,
    sort_changes,
    stamped,
    standing,
)
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Entry,
    EntryType,
    LocalEntry,
    LocalManifest,
    LocalStamp,
    ObjectRef,
    PathText,
    Problem,
    ProblemKind,
    SinceCheckpoint,
    Status,
    VersionId,
)
from rrbackup.pure.outcomes import Content, Failed, Settled
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason
from tests.unit.test_chain import encrypted, entry, head, make_chain

OBJECT = ObjectRef("files/a", VersionId("v1"), 3, '"e"')
CONTENT = Content(3, "aa", 11, 0o600, LocalStamp(20, 7), recent=True)
RECORDED = Entry(PathText("/a"), EntryType.FILE, 3, 11, 0o600, None, "aa", OBJECT)
"""What a commit records of `CONTENT` at `/a`."""
HOLES = Extra(sparse=True)


def candidate(path: str = "/a", previous: Entry | None = None) -> Candidate:
    """As the scan saw it: another size, time and mode than what was read afterwards."""
    return Candidate(PathText(path), 99, 98, 0o777, Reason.NEW, previous, "files" + path)


def settled(path: str = "/a") -> Settled:
    return Settled(PathText(path), CONTENT, OBJECT)


def failed(path: str) -> Failed:
    return Failed(PathText(path), Problem(PathText(path), ProblemKind.UNREADABLE, "permission denied"))


# --- from results to changes -----------------------------------------------------------------------------------


def test_nothing_is_taken_for_sent_or_doubtful_or_recent_unless_it_is_said() -> None:
    result = settled()
    assert (result.uploaded, result.doubtful, failed("/a").doubtful) == (False, False, False)
    assert not Content(3, "aa", 11, 0o600, None).recent


def test_an_entry_records_what_was_read_not_what_the_scan_saw() -> None:
    assert entry_of(candidate(), settled()) == RECORDED


def test_what_was_scanned_beside_the_content_is_recorded_with_whether_it_has_holes() -> None:
    owned = Extra(Owner(5, 6, "user", "group"))
    for extra, sparse, expected in (
        (owned, False, owned),
        (owned, True, evolve(owned, sparse=True)),
        (None, True, HOLES),
    ):
        result = evolve(settled(), content=evolve(CONTENT, sparse=sparse))
        assert entry_of(evolve(candidate(), extra=extra), result) == evolve(RECORDED, extra=expected)


def test_a_copied_entry_stays_what_it_was_but_for_its_place_and_the_size_that_was_read() -> None:
    """rrbackup 1.0 did not record sizes."""
    original = Entry(PathText("/a"), EntryType.FILE, NOT_RECORDED, 5, 0o644, None, "aa", None, HOLES)
    copied = entry_of(evolve(candidate(), copied=original), settled())
    assert copied == evolve(original, size=3, object=OBJECT)


def test_versions_are_referred_to_by_entries_that_have_an_object() -> None:
    folder = Entry(PathText("/d"), EntryType.DIRECTORY)
    assert referred_by([Change(Status.NEW, RECORDED), Change(Status.NEW, folder)]) == {OBJECT.ref}


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        (None, [Change(Status.NEW, RECORDED)]),
        (RECORDED, []),
        (evolve(RECORDED, sha256="bb"), [Change(Status.CHANGED, RECORDED)]),
        (evolve(RECORDED, mode=0o644), [Change(Status.CHANGED, RECORDED)]),
    ],
    ids=["new", "unchanged", "other content", "other mode"],
)
def test_a_file_that_was_read_is_new_changed_or_no_change(previous: Entry | None, expected: list[Change]) -> None:
    plan = BackupPlan(None, (candidate(previous=previous),))
    assert list(changes_of(plan, [settled()])) == expected


def test_planned_changes_and_those_that_were_read_are_published_together_in_path_order() -> None:
    """A file that could not be read is no change."""
    gone = Change(Status.DELETED, entry("/a/b"))
    plan = BackupPlan(None, (candidate("/a.b"), candidate("/a"), candidate("/z")), (Planned(gone, Reason.GONE),))
    changes = changes_of(plan, [failed("/z"), settled("/a.b"), settled("/a")])
    assert [(change.entry.path, change.status) for change in changes] == [
        ("/a", Status.NEW),
        ("/a/b", Status.DELETED),
        ("/a.b", Status.NEW),
    ]


def test_changes_are_sorted_by_path_and_lose_nothing() -> None:
    changes = [Change(Status.NEW, entry(path)) for path in ("/b", "/a.b", "/a/b")]
    assert [change.entry.path for change in sort_changes(changes)] == ["/a/b", "/a.b", "/b"]


# --- what this disk remembers ----------------------------------------------------------------------------------


def test_a_manifest_learns_the_stamps_of_what_was_read_and_of_what_was_planned() -> None:
    stamp = LocalStamp(1, 2)
    untouched, unread = LocalEntry(entry("/d"), stamp), LocalEntry(entry("/e"), stamp)
    manifest = LocalManifest(
        None, (LocalEntry(entry("/a")), LocalEntry(entry("/c"), stamp, recent=True), untouched, unread)
    )
    planned = Planned(Change(Status.CHANGED, entry("/c")), Reason.MODE, LocalStamp(5, 6))
    plan = BackupPlan(None, (candidate("/a"), candidate("/e")), (planned,))
    learned = stamped(manifest, plan, [settled("/a"), failed("/e")]).entries
    assert len(learned) == 4
    assert learned == (
        LocalEntry(entry("/a"), CONTENT.stamp, recent=True),
        LocalEntry(entry("/c"), LocalStamp(5, 6), recent=False),
        untouched,
        unread,
    )


def test_a_run_that_learned_nothing_leaves_the_manifest_as_it_is() -> None:
    manifest = LocalManifest(None, (LocalEntry(entry("/a")),))
    assert stamped(manifest, BackupPlan(None), []) is manifest


def test_folding_nothing_changes_nothing() -> None:
    manifest = LocalManifest(head(3), (LocalEntry(entry("/b")), LocalEntry(entry("/a"))))
    assert fold_links(manifest, ()) is manifest


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (LocalManifest(None), SinceCheckpoint(2, 1)),
        (LocalManifest(head(1), since=SinceCheckpoint(5, 6, 7)), SinceCheckpoint(7, 7, 7)),
        (LocalManifest(head(1)), None),
    ],
    ids=["an empty repository", "counted before", "nobody counted"],
)
def test_folding_counts_on_from_what_was_counted_before(start: LocalManifest, expected: SinceCheckpoint | None) -> None:
    links = make_chain((Change(Status.NEW, entry("/a")),), ())
    assert fold_links(start, links).since == expected


def test_folding_keeps_what_was_there_in_path_order() -> None:
    start = LocalManifest(head(1), (LocalEntry(entry("/a.b")), LocalEntry(entry("/z"))))
    folded = fold_links(start, make_chain((Change(Status.NEW, entry("/a/b")), Change(Status.DELETED, entry("/z")))))
    assert [item.entry.path for item in folded.entries] == ["/a/b", "/a.b"]
    assert len(folded.entries) == 2


# --- how a remembered head stands ------------------------------------------------------------------------------


def test_only_the_same_version_with_the_same_bytes_is_current() -> None:
    assert standing(head(3), evolve(head(3), etag="another"), "m") is Standing.CURRENT
    for other in (evolve(head(3), sha256="other"), evolve(head(3), version_id=VersionId("other"))):
        with pytest.raises(StoreWentBack):
            standing(head(3), other, "m")


def test_a_store_without_commits_is_said_to_have_none() -> None:
    with pytest.raises(StoreWentBack, match="the store holds no commits at all, but"):
        standing(head(3), None, "m")


def test_an_unencrypted_head_above_a_remembered_encrypted_one_is_refused() -> None:
    known = evolve(head(3), encrypted=True)
    with pytest.raises(DamagedChain, match="v4 is not encrypted, but v3 before it is"):
        standing(known, head(4), "m")
    assert standing(known, evolve(head(4), encrypted=True), "m") is Standing.BEHIND
    assert standing(head(3), head(4), "m") is Standing.BEHIND


@pytest.mark.parametrize("known", [None, 0, 1, 2])
def test_a_remembered_head_that_is_in_the_chain_is_fine(known: int | None) -> None:
    links = make_chain((), (), ())
    check_remembered(None if known is None else links[known].head, links, "m")
    check_remembered(None, [], "m")


def test_a_remembered_head_that_is_not_in_the_chain_means_that_the_store_went_back() -> None:
    links = make_chain((), (), ())
    for lost in (evolve(links[1].head, sha256="other"), evolve(links[1].head, version_id=VersionId("v7"))):
        with pytest.raises(StoreWentBack, match=r"commit 3 \(v3\) as the newest.* commit 2 "):
            check_remembered(lost, links, "m")
        with pytest.raises(StoreWentBack, match="no commits at all"):
            check_remembered(lost, [], "m")


def test_encryption_of_a_remembered_head_does_not_depend_on_who_remembers() -> None:
    newest, known, _ = encrypted(make_chain((), (), ()), 1, 2, 3)
    assert standing(known.head, newest.head, "m") is Standing.BEHIND


@pytest.mark.parametrize(
    ("base", "statuses", "misfit"),
    [
        ((), [Status.NEW, Status.CHANGED, Status.DELETED, Status.NEW], None),
        ((), [Status.NEW, Status.NEW], 1),
        ((), [Status.CHANGED, Status.NEW], 0),
        ((), [Status.NEW, Status.DELETED, Status.DELETED], 2),
        (("/a",), [Status.CHANGED, Status.DELETED], None),
        (("/a",), [Status.NEW], 0),
    ],
)
def test_the_first_diff_that_does_not_fit_those_before_it_is_found(
    base: tuple[str, ...], statuses: list[Status], misfit: int | None
) -> None:
    changes = [(Change(status, RECORDED),) for status in statuses]
    oldest_first = list(reversed(make_chain(*changes)))
    found = first_misfit([Entry(PathText(path)) for path in base], oldest_first)
    assert (None if found is None else oldest_first.index(found[0])) == misfit
    assert found is None or "/a" in found[1].message
