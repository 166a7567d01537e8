"""Repositories of rrbackup 1.0 through the front door: read as they are, refused to writers, continued on demand.

The repositories are written by an independent writer (`format1_writer`). What a user meets besides (the command line,
passwords, clients of 1.0 that were not stopped): `test_format1_commands`.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup import DamagedObject, ModeError, Repository, RRBackupError, Status, UpgradeNeeded
from rrbackup.effects.s3 import S3Store
from rrbackup.events import Notice
from rrbackup.pure.model import NOT_RECORDED, ProblemKind, VersionId, VersionRef, Word
from rrbackup.testing import Call, Fault, FaultKind
from tests.format1_repositories import (
    BIG,
    BOTH_ENCRYPTED,
    CRASHED,
    ENCRYPTED,
    FILES_ENCRYPTED,
    FIRST,
    KINDS,
    LAST,
    MIDDLE,
    NEXT,
    PLAIN,
    READS,
    SENDABLE,
    SENT_FOR_NEXT,
    Contents,
    Kind,
    Machine,
    MakeBench,
    OldRepository,
    RottenStore,
    Tree,
    check_commits,
    client_to_go_on,
    commits_of,
    committed,
    contents,
    download,
    facts,
    file_versions,
    machines,
    missing,
    mostly_deep,
    named,
    nothing_written,
    old_repository,
    put_on_disk,
    putting,
    restored,
    sent_files,
    settings,
    statuses,
    watched,
)
from tests.format1_writer import File, Names
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.servers import S3Server

Continue = Callable[..., Bench]


@pytest.fixture(params=mostly_deep(KINDS), ids=named)
def old(request: pytest.FixtureRequest) -> OldRepository:
    kind: Kind = request.param
    return old_repository(kind)


@pytest.fixture
def client_of(make_bench: MakeBench) -> Continue:
    return partial(client_to_go_on, make_bench)


@pytest.fixture
def bench(client_of: Continue, old: OldRepository) -> Bench:
    return client_of(old)


# --- reading -------------------------------------------------------------------------------------------------------


def test_versions_are_listed_in_the_order_of_the_store(old: OldRepository, bench: Bench) -> None:
    found = bench.open().list_versions()
    assert [version.version_id for version in found] == [commit.version_id for commit in old.commits]
    assert [version.sequence for version in found] == [1, 2, 3]
    stored = [old.store.get(old.names.manifest, version.version_id).info for version in found]
    assert [version.created_ns for version in found] == [info.last_modified_ns for info in stored]
    trees: list[Tree] = [{}, *(commit.tree for commit in old.commits)]
    for version, (before, after) in zip(found, pairwise(trees), strict=True):
        counts = version.counts
        wanted = [*statuses(before, after).values()]
        assert [counts.new, counts.changed, counts.deleted] == [wanted.count(status) for status in Status]


def test_files_and_changes_of_every_commit_are_listed(old: OldRepository, bench: Bench) -> None:
    before: Tree = {}
    with bench.open() as repository:
        for commit in old.commits:
            listed = repository.list_files(commit.version_id)
            assert {entry.path: (entry.sha256, entry.mtime_ns) for entry in listed} == facts(commit.tree)
            changes = repository.list_changes(commit.version_id)
            assert {change.entry.path: change.status for change in changes} == statuses(before, commit.tree)
            before = commit.tree
        assert repository.list_files("latest").version.version_id == old.latest.version_id
        assert repository.list_files("latest~2").version.version_id == old.commits[0].version_id


def test_what_1_0_did_not_record_is_not_made_up(old: OldRepository, bench: Bench) -> None:
    for entry in bench.open().list_files(old.commits[0].version_id):
        assert entry.mode == NOT_RECORDED
        assert entry.size == (0 if entry.path == "/empty" else NOT_RECORDED)
        assert (entry.object is None) is (entry.path == "/empty")
        assert entry.object is None or (entry.object.format, entry.object.stored_size) == (1, NOT_RECORDED)


def test_every_commit_is_restored(old: OldRepository, bench: Bench, tmp_path: Path) -> None:
    with bench.open() as repository:
        for commit in old.commits:
            target = tmp_path / commit.version_id
            done = repository.download(commit.version_id, target)
            assert (done.problems, done.files) == ((), len(commit.tree))
            assert done.bytes == sum(len(file.content) for file in commit.tree.values())
            assert look(target) == restored(commit.tree)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_restored_permissions_are_those_of_new_files(client_of: Continue, tmp_path: Path, umask: int) -> None:
    old = old_repository()
    bench = client_of(old)
    before = os.umask(umask)
    try:
        found = download(bench, "latest", tmp_path / "out")
    finally:
        os.umask(before)
    assert {seen.mode for seen in found.values()} == {0o666 & ~umask}


def test_a_restore_leaves_out_what_filters_name(client_of: Continue, tmp_path: Path) -> None:
    bench = client_of(old_repository(BOTH_ENCRYPTED))
    assert bench.open().download("latest", tmp_path / "out", ["/secret*", "*.bin"]).problems == ()
    assert look(tmp_path / "out") == restored(
        {p: f for p, f in LAST.items() if not p.startswith("/s") and p[-1] != "n"}
    )


def test_files_of_many_chunks_are_restored(client_of: Continue, tmp_path: Path) -> None:
    """With the real chunk size, and lengths at the borders."""
    chunk = 5_242_880
    tree = {f"/secret/{size}": File(BIG * 70 + bytes(size)) for size in (0, 1)}
    tree |= {f"/folder/{size}": File((BIG * 35)[: chunk + size]) for size in (-1, 0, 1)}
    bench = client_of(old_repository(FILES_ENCRYPTED, trees=(tree,), chunk=chunk), {})
    assert download(bench, "latest", tmp_path / "out") == restored(tree)


def test_reading_and_planning_write_nothing(old: OldRepository, client_of: Continue, tmp_path: Path) -> None:
    old.crash()
    unchanged = nothing_written(old.store)
    bench, client = watched(client_of(old, NEXT))
    with bench.open() as repository:
        repository.list_versions()
        repository.list_files()
        repository.list_changes()
        repository.download("latest", tmp_path / "out")
        assert not repository.plan_backup().empty
        assert not repository.plan_backup(reprocess=True).empty
    assert {call.method for call in client.calls} <= READS
    assert unchanged()
    assert not bench.config.manifest_path().exists()


def test_a_read_only_client_reads_all_of_it(old: OldRepository, bench: Bench, tmp_path: Path) -> None:
    bench = evolve(bench, config=evolve(bench.config, read_only=True))
    assert download(bench, "latest", tmp_path / "out") == restored(old.latest.tree)
    with pytest.raises(ModeError):
        bench.backup(upgrade=True)


# --- writers without permission ------------------------------------------------------------------------------------

Write = Callable[[Repository], object]

WRITES: dict[str, Write] = {
    "backup": lambda repository: repository.backup(),
    "backup that takes over": lambda repository: repository.backup(take_over=True, allow_empty=True),
    "garbage_collect": lambda repository: repository.garbage_collect(take_over=True),
    "clean_gc_log": lambda repository: repository.clean_gc_log(take_over=True),
    "init": lambda repository: repository.prepare(),
}


def _leftovers(old: OldRepository, left: str) -> None:
    """What an earlier run of 1.0 may have left."""
    if left == "gc_log":
        old.crash()
    elif left == "garbage list":
        old.writer.list_garbage([["files/a.txt", "whatever"]])


@pytest.mark.parametrize("kind", [PLAIN, FILES_ENCRYPTED, BOTH_ENCRYPTED], ids=named)
@pytest.mark.parametrize("left", ["nothing", "gc_log", "garbage list"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_writing_has_to_be_permitted_and_the_error_says_why(
    client_of: Continue, kind: Kind, left: str, write: Write
) -> None:
    old = old_repository(kind)
    _leftovers(old, left)
    unchanged = nothing_written(old.store)
    bench = client_of(old, NEXT)
    with bench.open() as repository, pytest.raises(UpgradeNeeded) as caught:
        write(repository)
    message, hint = caught.value.message, caught.value.hint
    assert "rrbackup 1.0" in message
    assert all(word in message for word in ("cannot read", "writing"))
    assert all(word in hint for word in ("stop", "revoke", "--upgrade"))
    assert unchanged()
    assert not bench.config.manifest_path().exists()


@pytest.mark.parametrize("kind", mostly_deep(ENCRYPTED), ids=named)
def test_changing_the_password_of_1_0_has_to_be_permitted(client_of: Continue, kind: Kind) -> None:
    old = old_repository(kind)
    unchanged = nothing_written(old.store)
    with client_of(old).open() as repository, pytest.raises(UpgradeNeeded):
        repository.change_password("another")
    assert unchanged()


@pytest.mark.parametrize("kind", mostly_deep([PLAIN, *ENCRYPTED]), ids=named)
def test_there_is_no_salt_to_go_back_to_in_format_1(client_of: Continue, kind: Kind) -> None:
    old = old_repository(kind)
    unchanged = nothing_written(old.store)
    salts = [ref.version_id for ref in contents(old.store) if ref.key == old.names.salt]
    with client_of(old).open() as repository:
        for version_id in [*salts, "none"]:
            with pytest.raises(RRBackupError):
                repository.repair_salt(version_id)
    assert unchanged()


def test_a_gc_log_alone_is_enough_to_ask(client_of: Continue) -> None:
    """The very first run of 1.0 was cut off: there is no commit yet."""
    old = old_repository(trees=())
    old.crash(SENDABLE)
    unchanged = nothing_written(old.store)
    bench = client_of(old, SENDABLE)
    with pytest.raises(UpgradeNeeded):
        bench.backup()
    assert unchanged()
    assert bench.open().list_versions() == ()


# --- going on ------------------------------------------------------------------------------------------------------


def test_a_backup_goes_on_with_what_is_there(old: OldRepository, client_of: Continue, tmp_path: Path) -> None:
    """Only what has changed is sent, what is old is not touched, and every commit comes back."""
    before = contents(old.store)
    bench, client = watched(client_of(old, NEXT))
    result = bench.backup(upgrade=True)
    assert set(sent_files(client)) == SENT_FOR_NEXT
    assert (result.uploaded_files, result.counts.new, result.counts.deleted) == (3, 2, 1)
    assert missing(before, old.store) == set()
    check_commits(bench, {**commits_of(old), committed(result): look(bench.base)}, tmp_path / "reader")


def test_permission_is_needed_once(old: OldRepository, bench: Bench) -> None:
    assert bench.backup(upgrade=True).version_id is not None
    unchanged = nothing_written(old.store)
    assert bench.backup().version_id is None, "a second backup without changes publishes nothing"
    assert unchanged()
    put_on_disk(bench.base, NEXT)
    assert bench.backup().uploaded_files == 3
    with bench.open() as repository:
        repository.garbage_collect()
        repository.clean_gc_log()
        repository.prepare()


def test_the_first_backup_records_what_1_0_did_not(client_of: Continue) -> None:
    bench = client_of(old_repository())
    (bench.base / "a.txt").chmod(0o640)
    result = bench.backup(upgrade=True)
    assert (result.counts.changed, result.uploaded_files) == (len(LAST), 0)
    found = {str(entry.path): entry for entry in bench.open().list_files()}
    assert found["/folder/big.bin"].size == len(BIG)
    assert found["/a.txt"].mode == 0o640
    assert {entry.object.format for entry in found.values() if entry.object} == {1}


def test_the_first_diff_of_format_2_names_the_last_of_format_1(client_of: Continue) -> None:
    old = old_repository()
    client_of(old, NEXT).backup(upgrade=True)
    body = old.store.get("manifest_diffs").body
    diff = json.loads(body[4 + int.from_bytes(body[:4], "big") :])
    last = VersionRef("manifest_diffs", VersionId(old.latest.version_id))
    stored = contents(old.store)[last]
    assert stored is not None
    assert diff["parent"] == {"version_id": last.version_id, "sha256": sha256(stored).hexdigest()}
    assert (diff["format"], diff["sequence"], diff["kind"]) == (2, 4, "commit")


def test_a_mixed_history_comes_back_commit_by_commit(old: OldRepository, client_of: Continue, tmp_path: Path) -> None:
    bench = client_of(old, NEXT)
    commits = {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}
    for tree in (FIRST, {**NEXT, "/secret/plan": FIRST["/secret/plan"]}, {**LAST, "/copy of a.txt": File(b"other")}):
        put_on_disk(bench.base, tree)
        commits[committed(bench.backup())] = look(bench.base)
    bench.open().garbage_collect()
    check_commits(bench, commits, tmp_path / "reader")
    bench.config.manifest_path().unlink()
    assert bench.backup().version_id is None, "the local manifest is rebuilt from both formats"


def test_files_may_lie_below_another_name(client_of: Continue, tmp_path: Path) -> None:
    old = old_repository(Kind("elsewhere", names=Names(files="data")))
    old.writer.crash(CRASHED)
    bench = client_of(old, NEXT)
    check_commits(
        bench, {**commits_of(old), committed(bench.backup(upgrade=True)): look(bench.base)}, tmp_path / "reader"
    )
    assert file_versions(old.store) == set()
    assert bench.open().garbage_collect().deleted == ()


@pytest.mark.parametrize("kind", [PLAIN, FILES_ENCRYPTED], ids=named)
def test_big_files_are_sent_again_only_if_they_changed(client_of: Continue, kind: Kind, tmp_path: Path) -> None:
    big = BIG * 60
    assert len(big) > 8 << 20
    tree = {"/secret/big": File(big), "/secret/other": File(big[1:]), "/folder/third": File(big[2:])}
    old = old_repository(kind, trees=(tree,), chunk=5_242_880)
    bench, client = watched(client_of(old, {**tree, "/secret/other": File(big[3:], 1_500_000_000.0)}))
    bench.backup(upgrade=True)
    assert sent_files(client) == ["files/secret/other"]
    assert download(bench, "latest", tmp_path / "out") == look(bench.base)
    assert download(bench, "latest~1", tmp_path / "old") == restored(tree)


def test_nothing_new_refers_to_what_1_0_stored(old: OldRepository, client_of: Continue) -> None:
    """Invariant 8: what 1.0 stored bears other names and another encryption than is promised now."""
    copies = {"/secret/new copy": LAST["/gone"], "/new copy": LAST["/gone"], "/twin of it": LAST["/gone"]}
    bench, client = watched(client_of(old, {**LAST, **copies}))
    bench.backup(upgrade=True)
    found = {str(entry.path): entry.object for entry in bench.open().list_files()}
    new = [found[path] for path in copies]
    assert all(ref is not None and ref.format == 2 for ref in new)
    assert len(sent_files(client)) == len({ref.ref for ref in new if ref}) == (2 if old.kind.hidden else 1)
    assert found["/gone"] is not None
    assert found["/gone"].format == 1


def test_a_content_of_before_is_sent_when_it_comes_back(client_of: Continue) -> None:
    bench, client = watched(client_of(old_repository(), {**LAST, "/a.txt": FIRST["/a.txt"]}))
    bench.backup(upgrade=True)
    assert sent_files(client) == ["files/a.txt"], "its old object is known, but of format 1"


@pytest.mark.parametrize("at_once", [True, False], ids=["while upgrading", "later"])
def test_reprocessing_stores_anew_what_asks_for_more(client_of: Continue, tmp_path: Path, at_once: bool) -> None:
    old = old_repository(FILES_ENCRYPTED)
    bench = client_of(old)
    if not at_once:
        bench.backup(upgrade=True)
    bench, client = watched(bench)
    result = bench.backup(reprocess=True, upgrade=at_once)
    wanted = {path for path, file in LAST.items() if path.startswith(("/secret", "/folder")) and file.content}
    found = {entry.path: entry.object for entry in bench.open().list_files() if entry.object}
    assert {path for path, ref in found.items() if ref.format == 2} == set(facts({p: LAST[p] for p in wanted}))
    assert all(ref.asked == ref.applied == (Word.ENCRYPT,) for ref in found.values() if ref.format == 2)
    assert result.uploaded_files == len(sent_files(client)) == len(wanted)
    ours = {str(version.version_id): look(bench.base) for version in bench.open().list_versions()[3:]}
    check_commits(bench, {**commits_of(old), **ours}, tmp_path / "reader")
    assert bench.backup(reprocess=True).version_id is None


def test_a_stricter_pipeline_stores_only_what_changes(client_of: Continue) -> None:
    """Without --reprocess, unchanged files stay as 1.0 stored them."""
    old = old_repository(BOTH_ENCRYPTED)
    bench = client_of(old, NEXT, file_pipeline=[["*", ["hash_names", "compress", "encrypt"]]])
    assert bench.backup(upgrade=True).uploaded_files == 3
    found = {entry.path: entry.object for entry in bench.open().list_files() if entry.object}
    assert {path for path, ref in found.items() if ref.format == 2} == {"/a.txt", "/new", "/secret/new"}
    assert all(ref.key.startswith("files/%h/") for ref in found.values() if ref.format == 2)


def test_files_that_are_kept_keep_their_entry_of_format_1(client_of: Continue, tmp_path: Path) -> None:
    """One is unreadable, one is gone from the disk but not to be deleted from the backup."""
    kept = {"/gone", "/secret/plan"}
    bench = client_of(old_repository(BOTH_ENCRYPTED), {p: f for p, f in LAST.items() if p not in kept})
    bench = evolve(bench, config=evolve(bench.config, skip_delete=["/gone"]))
    (bench.base / "secret/plan").symlink_to("nowhere")
    before = {entry.path: entry for entry in bench.open().list_files()}
    for upgrade in (True, False):
        write(bench.base, {"new": f"so that there is something to commit: {upgrade}".encode()})
        result = bench.backup(upgrade=upgrade)
        assert result.version_id is not None
        assert [(p.path, p.kind) for p in result.problems] == [("/secret/plan", ProblemKind.UNREADABLE)]
        found = {entry.path: entry for entry in bench.open().list_files()}
        assert {path for path, entry in before.items() if found[path] == entry} == kept
    back = download(bench, "latest", tmp_path / "out")
    assert {path: back[path] for path in (b"gone", b"secret/plan")}.items() <= restored(LAST).items()


def test_a_commit_that_keeps_everything_leaves_the_repository_as_it_is(client_of: Continue) -> None:
    """Nothing was written, so permission is still needed, and the local manifest does not forget that."""
    old = old_repository()
    bench = client_of(old, {}, skip_delete=["*"])
    unchanged = nothing_written(old.store)
    assert bench.backup(upgrade=True, allow_empty=True).version_id is None
    assert unchanged()
    with pytest.raises(UpgradeNeeded):
        bench.open().garbage_collect()
    put_on_disk(bench.base, NEXT)
    with pytest.raises(UpgradeNeeded):
        bench.backup()
    assert unchanged()
    assert bench.backup(upgrade=True).uploaded_files == 3


# --- the local manifest of 1.0 -------------------------------------------------------------------------------------


def local_manifests(old: OldRepository) -> dict[str, bytes]:
    writer, first = old.writer, old.commits[0].version_id
    return {
        "of the last commit": writer.local_manifest(old.latest.version_id, "2023-11-14 22:13:36+00:00"),
        "behind": writer.local_manifest(first, "2023-11-14 22:13:27+00:00"),
        "of another repository": writer.local_manifest("no-such-version", "2030-01-01 00:00:00+00:00"),
        "of a client that had seen nothing": b'{"latest_remote_diff":null,"files":[]}',
        "cut off": writer.local_manifest(old.latest.version_id, "x")[:99],
    }


@pytest.mark.parametrize("which", local_manifests(old_repository()))
def test_the_local_manifest_of_1_0_is_no_obstacle(client_of: Continue, which: str, tmp_path: Path) -> None:
    old = old_repository()
    bench, client = watched(client_of(old, NEXT))
    path = bench.config.manifest_path()
    path.write_bytes(local_manifests(old)[which])
    before = path.read_bytes()
    assert not bench.open().plan_backup().empty
    with pytest.raises(UpgradeNeeded):
        bench.backup()
    assert path.read_bytes() == before, "1.0 can still go on"
    bench.backup(upgrade=True)
    assert set(sent_files(client)) == SENT_FOR_NEXT
    assert bench.backup().version_id is None
    assert path.read_bytes().startswith(b'{"format":3,')


# --- what 1.0 left behind ------------------------------------------------------------------------------------------


def test_the_orphans_of_a_crashed_run_are_removed_and_only_those(old: OldRepository, bench: Bench) -> None:
    stray = old.leave("files/stray")
    before, orphans = contents(old.store), old.crash()
    assert len(orphans) == 2
    bench.backup(upgrade=True)
    assert missing(before, old.store) == set()
    assert file_versions(old.store).isdisjoint(orphans)
    assert any("interrupted transaction" in event.text for event in bench.events if isinstance(event, Notice))
    assert bench.open().garbage_collect().deleted == (stray,)


def test_a_crash_after_the_commit_leaves_no_orphans(client_of: Continue) -> None:
    """1.0 died before the delete marker: everything that the gc_log names is committed."""
    old = old_repository(trees=(SENDABLE,))
    (log,) = [body for ref, body in contents(old.store).items() if ref.key == "gc_log" and body is not None]
    old.leave("gc_log", log)
    before = contents(old.store)
    bench = client_of(old)
    bench.backup(upgrade=True)
    assert missing(before, old.store) == set()
    assert bench.backup().version_id is None


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=named)
def test_a_first_run_of_1_0_that_was_cut_off_is_cleaned_up(client_of: Continue, kind: Kind, tmp_path: Path) -> None:
    old = old_repository(kind, trees=())
    orphans = old.crash(SENDABLE)
    bench = client_of(old, SENDABLE)
    version_id = committed(bench.backup(upgrade=True))
    assert file_versions(old.store).isdisjoint(orphans)
    check_commits(bench, {version_id: look(bench.base)}, tmp_path / "reader")


def test_a_gc_log_may_name_what_could_not_be_sent(client_of: Continue) -> None:
    """No key has a name that is not UTF-8: a run of 1.0 that had to send such a file died of it, and left this."""
    old = old_repository()
    orphans = old.crash({**LAST, "/a.txt": File(b"three\n"), "/not UTF-8 either \udcff": LAST["/gone"]})
    assert len(orphans) == 1
    bench = client_of(old)
    with pytest.raises(UpgradeNeeded):
        bench.backup()
    bench.backup(upgrade=True)
    assert file_versions(old.store).isdisjoint(orphans)


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=named)
def test_a_client_that_may_not_delete_lists_the_orphans(client_of: Continue, kind: Kind) -> None:
    """On top of a list that 1.0 wrote."""
    old = old_repository(kind)
    listed, orphans = old.leave("files/stray"), old.crash()
    old.writer.list_garbage([[listed.key, listed.version_id]])
    bench = client_of(old, allow_delete_versions=False)
    before = contents(old.store)
    bench.backup(upgrade=True)
    assert missing(before, old.store) == set()
    cleaner = client_of(old)
    assert set(cleaner.open().clean_gc_log().deleted) == {listed, *orphans}
    assert cleaner.open().clean_gc_log().deleted == ()


def test_a_write_only_client_goes_on_without_reading_files(client_of: Continue) -> None:
    old = old_repository(BOTH_ENCRYPTED)
    bench, client = watched(client_of(old, NEXT, write_only=True))
    assert bench.backup(upgrade=True).uploaded_files == 3
    assert {call.method for call in client.calls}.isdisjoint({"read", "delete_versions"})
    assert not [call for call in client.calls if call.method == "get" and call.key.startswith("files/")]


def test_a_write_only_client_cannot_prove_the_password_with_a_file(client_of: Continue) -> None:
    old = old_repository(FILES_ENCRYPTED)
    unchanged = nothing_written(old.store)
    bench, client = watched(client_of(old, NEXT, write_only=True))
    with pytest.raises(ModeError):
        bench.backup(upgrade=True)
    assert "read" not in {call.method for call in client.calls}
    assert unchanged()


# --- collecting garbage --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["garbage_collect", "backup"])
def test_a_collection_deletes_exactly_what_no_commit_refers_to(
    old: OldRepository, client_of: Continue, first: str, tmp_path: Path
) -> None:
    strays = {old.leave(key) for key in ("files/a.txt", "files/gone", "files/folder/big.bin", "files/stray")}
    before = contents(old.store)
    strays |= old.crash()
    bench = client_of(old)
    commits = commits_of(old)
    if first == "backup":
        commits[committed(bench.backup(upgrade=True))] = look(bench.base)
    deleted = bench.open().garbage_collect(upgrade=first != "backup").deleted
    assert set(deleted) <= strays
    assert file_versions(old.store).isdisjoint(strays)
    assert missing(before, old.store) == {ref for ref in strays if ref in before}
    check_commits(bench, commits, tmp_path / "reader")
    assert bench.open().garbage_collect().deleted == (), "permission was needed once"


def test_the_garbage_list_of_1_0_is_cleaned(old: OldRepository, bench: Bench) -> None:
    """It is a list of suspects: what a commit refers to stays, and so does what is no file object."""
    strays = [old.leave("files/stray"), old.leave("files/a.txt"), old.leave("files/never listed")]
    referred = next(ref for ref in contents(old.store) if ref.key == "files/gone")
    manifest = VersionRef(old.names.manifest, VersionId(old.latest.version_id))
    gone = VersionRef("files/a.txt", VersionId("v999999"))
    rows = [[ref.key, ref.version_id] for ref in (strays[0], referred, manifest, gone)]
    old.writer.list_garbage([rows[0], [rows[1], rows[2]], rows[3], [strays[1].key, strays[1].version_id]])  # type: ignore[list-item]
    before = contents(old.store)
    with bench.open() as repository:
        deleted = set(repository.clean_gc_log(upgrade=True).deleted)
        assert {strays[0], strays[1]} <= deleted <= {strays[0], strays[1], gone}
        assert missing(before, old.store) == {strays[0], strays[1]}
        assert repository.clean_gc_log().deleted == ()


def test_a_collection_deletes_nothing_where_an_old_diff_is_damaged(client_of: Continue) -> None:
    store = RottenStore()
    old = old_repository(store=store, put=putting(store))
    stray = old.leave("files/stray")
    bench = client_of(old)
    bench.backup(upgrade=True)
    store.rotten = old.commits[0].version_id
    for collect in (Repository.garbage_collect, Repository.clean_gc_log):
        old.writer.list_garbage([[stray.key, stray.version_id]])
        with bench.open() as repository, pytest.raises(DamagedObject, match=store.rotten):
            collect(repository)
        assert stray in file_versions(store)
    store.rotten = ""
    assert bench.open().garbage_collect().deleted == (stray,), "nothing stands in the way once it can be read"


# --- crashes -------------------------------------------------------------------------------------------------------


def check_after_a_crash(machine: Machine, before: Contents) -> None:
    """Nothing of 1.0 is lost; a plain run ends in the right state; a third one finds nothing to do."""
    old = machine.old
    assert missing(before, old.store) <= machine.orphans
    assert machine.upgrade()
    assert missing(before, old.store) == machine.orphans
    unchanged = nothing_written(old.store)
    with machine.opened(old.store) as repository:
        assert repository.backup().version_id is None
        versions = repository.list_versions()
        assert [v.version_id for v in versions[:3]] == [commit.version_id for commit in old.commits]
        assert len(versions) == 4, "one commit, whether the first run or the second published it"
        assert {entry.path: (entry.sha256, entry.mtime_ns) for entry in repository.list_files()} == facts(NEXT)
        changes = [change for version in versions for change in repository.list_changes(version.version_id)]
        assert repository.download(versions[0].version_id, machine.folder / "out").problems == ()
    assert unchanged()
    assert look(machine.folder / "out") == restored(FIRST)
    assert file_versions(old.store) == {change.entry.object.ref for change in changes if change.entry.object}


def strike_everywhere(folder: Path, kind: Kind, chosen: Callable[[Call], bool]) -> int:
    """Crash before and after each chosen request of an upgrading backup; how many histories that were."""
    fresh = machines(folder, kind)
    calls = next(fresh).upgrade()
    points = [number for number, call in enumerate(calls, start=1) if chosen(call)]
    faults = [Fault(number, kind) for number in points for kind in (FaultKind.BEFORE, FaultKind.AFTER)]
    for fault, machine in zip(faults, fresh, strict=False):
        before = contents(machine.old.store)
        machine.upgrade(fault)
        check_after_a_crash(machine, before)
    return len(faults)


@pytest.mark.deep
def test_an_upgrade_that_is_cut_off_at_any_request_is_made_good(tmp_path: Path) -> None:
    assert strike_everywhere(tmp_path, PLAIN, lambda call: True) > 60


@pytest.mark.deep
@pytest.mark.parametrize("kind", ENCRYPTED, ids=named)
def test_an_upgrade_of_keys_that_is_cut_off_at_any_write_is_made_good(tmp_path: Path, kind: Kind) -> None:
    assert strike_everywhere(tmp_path, kind, lambda call: call.method not in READS) >= 16


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS[1:], ids=named)
def test_an_upgrade_of_any_kind_that_is_cut_off_at_any_request_is_made_good(tmp_path: Path, kind: Kind) -> None:
    assert strike_everywhere(tmp_path, kind, lambda call: True) > 60


# --- a real server -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=named)
def test_everything_on_a_real_server(make_bench: MakeBench, seaweed: S3Server, kind: Kind, tmp_path: Path) -> None:
    """Delete markers of the server's own on gc_log, its order of versions, and times of whole seconds."""
    bucket, raw = seaweed.new_bucket(), seaweed.client()

    def put(key: str, body: bytes | None) -> str:
        if body is None:
            return raw.delete_object(Bucket=bucket, Key=key)["VersionId"]
        return raw.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]

    # this server takes a backslash in a key for a slash
    *trees, left = [{p: f for p, f in tree.items() if "\\" not in p} for tree in (FIRST, MIDDLE, LAST, CRASHED)]
    old = old_repository(kind, S3Store(seaweed.options(bucket)), put, tuple(trees))
    bench = make_bench(old.store, **settings(kind))
    put_on_disk(bench.base, old.latest.tree)
    unchanged = nothing_written(old.store)
    check_commits(bench, commits_of(old), tmp_path / "before")
    with pytest.raises(UpgradeNeeded):
        bench.backup()
    assert unchanged()
    before, orphans = contents(old.store), old.crash(left)
    write(bench.base, {"a.txt": b"changed", "secret/new": b"new"})
    result = bench.backup(upgrade=True)
    assert result.uploaded_files == 2
    assert missing(before, old.store) == set()
    assert file_versions(old.store).isdisjoint(orphans)
    stray = old.leave("files/stray")
    assert bench.open().garbage_collect().deleted == (stray,)
    check_commits(bench, {**commits_of(old), committed(result): look(bench.base)}, tmp_path / "after")
    assert bench.backup().version_id is None
    raw.close()
