"""What a backup does, on the memory store: what is a change, what is read, what is sent, what is kept."""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup.effects import reading, transfer
from rrbackup.effects.filesystem import open_source
from rrbackup.effects.local_files import LocalLock
from rrbackup.effects.memory import MemoryStore, SimulatedCrash
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import (
    BasePathEmpty,
    BasePathMissing,
    ClientAtWork,
    ConfigError,
    HeadDeleted,
    LocalLockHeld,
    ModeError,
    PasswordMissing,
    StalePlan,
    StoreWentBack,
)
from rrbackup.events import Notice
from rrbackup.pure import format2, local_format
from rrbackup.pure.model import Claim, ClaimState, PathText, ProblemKind, Status, TransactionId, Word
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.rules import Detection
from tests.integration.conftest import Bench
from tests.integration.machines import Dying
from tests.integration.trees import look, write

MakeBench = Callable[..., Bench]


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    return make_bench(memory)


def stored_keys(memory: MemoryStore) -> list[str]:
    return [version.key for version in memory.list_versions("files/")]


def puts(memory: MemoryStore) -> list[str]:
    return [call.key for call in memory.calls if call.method == "put"]


def changes(bench: Bench, version: str = "latest") -> dict[str, str]:
    return {change.entry.path: change.status.value for change in bench.open().list_changes(version)}


def notices(bench: Bench) -> list[str]:
    return [event.text for event in bench.events if isinstance(event, Notice)]


# --- what is a change ------------------------------------------------------------------------------------------


def test_a_second_backup_publishes_nothing_and_writes_nothing(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1", "d/b": b"2", "empty": b""})
    assert bench.backup().counts.new == 3
    memory.reset_calls()
    result = bench.backup()
    assert (result.version_id, result.unchanged) == (None, 3)
    assert puts(memory) == []


def test_a_touched_file_is_recorded_but_not_uploaded(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    os.utime(bench.base / "a", ns=(5, 5))
    memory.reset_calls()
    result = bench.backup()
    assert (result.counts.changed, result.uploaded_files) == (1, 0)
    assert puts(memory) == ["manifest_diffs"]
    assert bench.open().list_files()[0].mtime_ns == 5


def test_a_file_that_only_moved_to_another_inode_publishes_nothing(bench: Bench) -> None:
    write(bench.base, {"a": b"1"})
    os.utime(bench.base / "a", ns=(5, 5))
    bench.backup()
    shutil.copy2(bench.base / "a", bench.base / "b")
    (bench.base / "b").replace(bench.base / "a")
    assert bench.backup().version_id is None


def test_a_change_within_the_same_size_and_mtime_is_found(bench: Bench) -> None:
    write(bench.base, {"a": b"old"})
    os.utime(bench.base / "a", ns=(5, 5))
    bench.backup()
    write(bench.base, {"a": b"new"})
    os.utime(bench.base / "a", ns=(5, 5))
    assert bench.backup().counts.changed == 1


@pytest.mark.parametrize(("detection", "found"), [(Detection.MTIME, 0), (Detection.CONTENT, 1), (Detection.STAT, 1)])
def test_change_detection(
    make_bench: MakeBench, memory: MemoryStore, detection: Detection, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same size and mtime, another content; long after the backup, so that nothing counts as recent."""
    monkeypatch.setattr(reading, "is_recent", lambda changed_ns, now_ns: False)
    bench = make_bench(memory, change_detection=detection)
    write(bench.base, {"a": b"old"})
    os.utime(bench.base / "a", ns=(5, 5))
    bench.backup()
    write(bench.base, {"a": b"new"})
    os.utime(bench.base / "a", ns=(5, 5))
    assert bench.backup().counts.changed == found


def test_empty_files_have_no_object(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b""})
    assert bench.backup().counts.new == 1
    assert stored_keys(memory) == []
    assert bench.open().list_files()[0].object is None


def test_duplicates_refer_to_one_object(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"same", "b": b"same", "c": b"same"})
    result = bench.backup()
    assert (result.counts.new, result.uploaded_files) == (3, 1)
    memory.reset_calls()
    write(bench.base, {"d": b"same"})
    assert bench.backup().uploaded_files == 0
    assert puts(memory) == ["manifest_diffs"], "a duplicate needs no claim"
    assert len({entry.object.ref for entry in bench.open().list_files() if entry.object}) == 1


def test_a_deletion_needs_no_claim(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1", "b": b"2"})
    bench.backup()
    (bench.base / "a").unlink()
    memory.reset_calls()
    assert bench.backup().counts.deleted == 1
    assert puts(memory) == ["manifest_diffs"]


def test_plain_files_are_stored_byte_for_byte_and_say_what_they_are(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"ä b": b"content"})
    os.utime(bench.base / "ä b", ns=(123456789, 123456789))
    bench.backup()
    fetched = memory.get("files/ä b")
    assert fetched.body == b"content"
    assert fetched.info.metadata == {
        "rrbackup-path": "/%C3%A4%20b",
        "rrbackup-mtime-ns": "123456789",
        "rrbackup-mode": "0644",
        "rrbackup-sha256": format2.sha256_hex(b"content"),
    }


# --- filters ---------------------------------------------------------------------------------------------------


def test_ignored_files_leave_and_skip_delete_stays(make_bench: MakeBench, memory: MemoryStore) -> None:
    bench = make_bench(memory)
    write(bench.base, {"keep": b"1", "cache/x": b"2", "dumps/1": b"3"})
    bench.backup()
    (bench.base / "dumps" / "1").unlink()
    bench = evolve(bench, config=evolve(bench.config, ignore_files=("/cache*",), skip_delete=("/dumps/*",)))
    bench.backup()
    assert changes(bench) == {"/cache/x": "deleted", "/dumps": "new"}
    assert [entry.path for entry in bench.open().list_files()] == ["/dumps", "/dumps/1", "/keep"]


# --- what cannot be read ---------------------------------------------------------------------------------------


def test_a_dangling_link_keeps_its_last_state(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"x": b"1", "y": b"2"})
    (bench.base / "link").symlink_to(outside)
    bench.backup()
    outside.rename(tmp_path / "unmounted")
    result = bench.backup()
    assert result.version_id is None
    assert [(p.path, p.kind) for p in result.problems] == [("/link", ProblemKind.UNREADABLE)]
    assert not result.complete
    assert [entry.path for entry in bench.open().list_files()] == ["/link/x", "/link/y"]


def test_sockets_and_pipes_are_reported_and_passed_over(bench: Bench) -> None:
    os.mkfifo(bench.base / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(bench.base / "socket"))
        result = bench.backup()
    assert {p.path for p in result.problems} == {"/pipe", "/socket"}
    assert result.complete


def test_a_cyclic_link_is_reported_once(bench: Bench) -> None:
    write(bench.base, {"d/a": b"1"})
    (bench.base / "d" / "loop").symlink_to(bench.base)
    result = bench.backup()
    assert [(p.path, p.kind) for p in result.problems] == [("/d/loop", ProblemKind.CYCLE)]
    assert result.counts.new == 1


def test_links_are_stored_as_links_where_that_is_asked_for(
    make_bench: MakeBench, memory: MemoryStore, tmp_path: Path
) -> None:
    bench = make_bench(memory, follow_symlinks=False)
    write(bench.base, {"a": b"1"})
    (bench.base / "link").symlink_to("nowhere\n%")
    bench.backup()
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out", follow=False) == look(bench.base, follow=False)


def test_a_missing_base_path_stops_the_run(bench: Bench) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    shutil.rmtree(bench.base)
    with pytest.raises(BasePathMissing):
        bench.backup()


def test_a_base_path_that_became_empty_stops_the_run_unless_it_is_meant(bench: Bench) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    (bench.base / "a").unlink()
    with pytest.raises(BasePathEmpty):
        bench.backup()
    assert bench.backup(allow_empty=True).counts.deleted == 1


# --- files that change while they are read ------------------------------------------------------------------------


class Restless:
    """Makes a file change at every read, a given number of times."""

    def __init__(self, path: Path, times: int) -> None:
        self._path = path
        self._left = times

    def chunks(
        self, inner: Callable[[reading.SourceReader], Iterator[bytes]]
    ) -> Callable[[reading.SourceReader], Iterator[bytes]]:
        def restless(reader: reading.SourceReader) -> Iterator[bytes]:
            yield from inner(reader)
            if self._left:
                self._left -= 1
                with self._path.open("ab") as file:
                    file.write(b"+")

        return restless


@pytest.mark.parametrize("small", [1 << 20, 0], ids=["in memory", "streamed"])
@pytest.mark.parametrize(("times", "problem"), [(2, False), (50, True)], ids=["settles", "never settles"])
def test_what_is_stored_is_what_the_manifest_says(
    bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch, small: int, times: int, problem: bool
) -> None:
    write(bench.base, {"a": b"content"})
    restless = Restless(bench.base / "a", times)
    monkeypatch.setattr(transfer, "SMALL_BYTES", small)
    monkeypatch.setattr(reading.SourceReader, "chunks", restless.chunks(reading.SourceReader.chunks))
    result = bench.backup()
    entry = bench.open().list_files()[0]
    assert entry.object is not None
    body = memory.get(entry.object.key, entry.object.version_id).body
    assert (entry.sha256, entry.size) == (format2.sha256_hex(body), len(body))
    assert [p.kind for p in result.problems] == ([ProblemKind.CHANGING] if problem else [])
    assert len(stored_keys(memory)) == 1, "attempts that are not kept leave no orphan"
    monkeypatch.undo()
    assert bench.backup().counts.changed == (1 if problem else 0)


# --- plans -----------------------------------------------------------------------------------------------------


def test_a_plan_can_be_stored_and_run(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1", "b": b"2"})
    plan = bench.open().plan_backup()
    assert puts(memory) == []
    again = format2.decode_plan(format2.encode_plan(plan), "plan")
    assert again == plan
    assert bench.backup(plan=again).counts.new == 2


def test_a_plan_against_an_older_head_is_refused(bench: Bench) -> None:
    write(bench.base, {"a": b"1"})
    plan = bench.open().plan_backup()
    bench.backup()
    with pytest.raises(StalePlan):
        bench.backup(plan=plan)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_plan_made_before_an_interrupted_backup_was_ended_is_stale(make_bench: MakeBench, conditional: bool) -> None:
    """Ending it moves the head, though nobody else was there."""
    memory = MemoryStore(conditional=conditional)
    bench = make_bench(memory)
    write(bench.base, {"a": b"1"})
    bench.backup()
    write(bench.base, {"a": b"1", "b": b"2", "c": b"3"})
    with pytest.raises(SimulatedCrash):
        evolve(bench, store=Dying(memory._world, "", (), MULTIPART_THRESHOLD)).backup()
    plan = bench.open().plan_backup()
    with pytest.raises(StalePlan):
        bench.backup(plan=plan)
    assert bench.backup().counts.new == 2


@pytest.mark.parametrize("opening", [1, 2, 3])
def test_a_big_file_that_is_cut_while_it_is_read_is_committed_as_it_is_then(
    bench: Bench, memory: MemoryStore, opening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is opened to be measured, to be hashed, because another one has its size, and to be sent."""
    names = {"a": b"a" * (transfer.SMALL_BYTES + 1), "b": b"b" * (transfer.SMALL_BYTES + 1)}
    write(bench.base, names)
    for name in names:
        os.utime(bench.base / name, ns=(5, 5))
    opened = Counter[str]()

    def cutting(base: Path, path: PathText, *, follow_symlinks: bool) -> object:
        file = open_source(base, path, follow_symlinks=follow_symlinks)
        opened[path] += 1
        if path == "/b" and opened[path] == opening:
            os.truncate(bench.base / "b", 0)
        return file

    monkeypatch.setattr(transfer, "open_source", cutting)
    assert bench.backup().problems == ()
    entry = next(entry for entry in bench.open().list_files() if entry.path == "/b")
    assert (entry.size, entry.mtime_ns) == (0, (bench.base / "b").stat().st_mtime_ns)
    assert entry.object is None
    assert [key for key in stored_keys(memory) if key.endswith("/b")] == []


# --- local files -----------------------------------------------------------------------------------------------


def rewrite(path: Path, content: bytes | None) -> None:
    path.unlink()
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"latest_remote_diff":{},"files":[]}', b"\xff"])
def test_a_local_manifest_that_is_gone_or_damaged_is_rebuilt(bench: Bench, content: bytes | None) -> None:
    write(bench.base, {"a": b"1", "b": b"2"})
    bench.backup()
    manifest = bench.config.manifest_path()
    before = local_format.decode_local(manifest.read_bytes(), "m")
    rewrite(manifest, content)
    assert bench.backup().version_id is None
    assert any("rebuilt" in text for text in notices(bench))
    assert local_format.decode_local(manifest.read_bytes(), "m") == before


def test_a_local_manifest_that_is_behind_catches_up(bench: Bench, tmp_path: Path) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    other = bench.other_client(tmp_path / "other")
    for name in ("b", "c", "d"):
        write(bench.base, {name: name.encode()})
        other.backup()
    assert bench.backup().version_id is None
    ours = local_format.decode_local(bench.config.manifest_path().read_bytes(), "m")
    theirs = local_format.decode_local(other.config.manifest_path().read_bytes(), "m")
    assert ours == theirs


def test_a_store_that_went_back_is_refused(bench: Bench, tmp_path: Path) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    stranger = evolve(bench, store=MemoryStore())
    with pytest.raises(StoreWentBack):
        stranger.backup()
    bench.config.manifest_path().unlink()
    assert stranger.backup().counts.new == 1


def test_a_deleted_head_is_not_an_empty_repository(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    bench.config.manifest_path().unlink()
    memory.mark_deleted("manifest_diffs")
    with pytest.raises(HeadDeleted):
        bench.backup()
    with pytest.raises(HeadDeleted):
        bench.open().list_versions()


def test_the_local_lock_keeps_a_second_process_out(bench: Bench) -> None:
    with LocalLock(bench.config.lock_path()), pytest.raises(LocalLockHeld):
        bench.backup()


def test_a_foreign_claim_stops_the_run_and_can_be_taken_over(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    claim = Claim(TransactionId("foreign"), 1, ClaimState.OPEN, "elsewhere", 0, keys=("files/a", "files/b"))
    memory.put("gc_log", format2.encode_claim(claim))
    orphan = memory.put("files/b", b"orphan")
    write(bench.base, {"b": b"2"})
    with pytest.raises(ClientAtWork, match="elsewhere"):
        bench.backup()
    assert bench.backup(take_over=True).counts.new == 1
    assert orphan.version_id not in {v.version_id for v in memory.list_versions("files/")}
    assert len(bench.open().list_versions()) == 2, "the fence is no commit"


# --- modes and pipelines ---------------------------------------------------------------------------------------


def test_a_read_only_client_makes_no_request_to_write(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"1"})
    bench.backup()
    memory.reset_calls()
    reader = bench.open(read_only=True)
    for write_something in (reader.backup, reader.garbage_collect, reader.clean_gc_log, reader.prepare):
        with pytest.raises(ModeError):
            write_something()
    assert memory.calls == ()
    assert len(reader.list_versions()) == 1


def test_a_write_only_client_reads_no_file(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    write(bench.base, {"a": b"1"})
    writer = evolve(bench, config=evolve(bench.config, write_only=True))
    writer.backup()
    memory.reset_calls()
    with pytest.raises(ModeError, match="write-only"):
        writer.open().download("latest", tmp_path / "out")
    assert memory.calls == ()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"file_pipeline": (PipelineRule("*.txt", (Word.ENCRYPT,)), PipelineRule("*"))}, PasswordMissing),
        ({"meta_pipeline": (Word.ENCRYPT,)}, PasswordMissing),
        ({"file_pipeline": (PipelineRule("*.jpg"),)}, ConfigError),
    ],
    ids=["files", "metadata", "no rule matches"],
)
def test_nothing_is_stored_with_less_than_was_asked_for(
    make_bench: MakeBench, memory: MemoryStore, settings: dict[str, object], error: type[Exception]
) -> None:
    bench = make_bench(memory, **settings)
    write(bench.base, {"a.txt": b"1"})
    with pytest.raises(error):
        bench.open().plan_backup()
    with pytest.raises(error):
        bench.backup()
    assert puts(memory) == []


# --- garbage ---------------------------------------------------------------------------------------------------


def test_collecting_garbage_deletes_what_no_commit_refers_to(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    write(bench.base, {"a": b"1", "b": b"2"})
    bench.backup()
    write(bench.base, {"a": b"1 changed"})
    bench.backup()
    kept = set(memory.list_versions("files/"))
    strays = {memory.put(key, b"stray").version_id for key in ("files/a", "files/zzz")}
    outside = memory.put("elsewhere/x", b"not ours")
    assert {ref.version_id for ref in bench.open().garbage_collect().deleted} == strays
    assert set(memory.list_versions("files/")) == kept
    assert memory.get("elsewhere/x").info.version_id == outside.version_id
    assert bench.open().garbage_collect().deleted == ()


def test_a_client_that_may_not_delete_writes_garbage_down(
    bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = evolve(bench, config=evolve(bench.config, allow_delete_versions=False))
    write(bench.base, {"a": b"content"})
    restless = Restless(bench.base / "a", 1)
    monkeypatch.setattr(transfer, "SMALL_BYTES", 0)
    monkeypatch.setattr(reading.SourceReader, "chunks", restless.chunks(reading.SourceReader.chunks))
    bench.backup()
    assert len(stored_keys(memory)) == 2
    listed = format2.decode_garbage(memory.get("garbage_objects").body, "g")
    assert len(listed) == 1
    with pytest.raises(ModeError):
        bench.open().clean_gc_log()
    cleaner = bench.open(allow_delete_versions=True)
    assert cleaner.clean_gc_log().deleted == listed
    assert len(stored_keys(memory)) == 1
    assert format2.decode_garbage(memory.get("garbage_objects").body, "g") == ()


def test_the_garbage_list_is_not_believed(bench: Bench, memory: MemoryStore) -> None:
    write(bench.base, {"a": b"content"})
    bench.backup()
    entry = bench.open().list_files()[0]
    assert entry.object is not None
    memory.put("garbage_objects", format2.encode_garbage([entry.object.ref, entry.object.ref]))
    assert bench.open().clean_gc_log().deleted == ()
    assert memory.get("files/a").body == b"content"


# --- versions --------------------------------------------------------------------------------------------------


def test_versions_files_and_changes(bench: Bench) -> None:
    write(bench.base, {"a": b"1", "b": b"22"})
    first = bench.backup()
    write(bench.base, {"b": b"333", "c": b"4444"})
    (bench.base / "a").unlink()
    second = bench.backup()
    repository = bench.open()
    versions = repository.list_versions()
    assert [v.version_id for v in versions] == [first.version_id, second.version_id]
    assert [(v.counts.new, v.counts.changed, v.counts.deleted, v.counts.bytes) for v in versions] == [
        (2, 0, 0, 3),
        (1, 1, 1, 7),
    ]
    assert [(e.path, e.size) for e in repository.list_files("latest~1")] == [("/a", 1), ("/b", 2)]
    assert [(c.entry.path, c.status) for c in repository.list_changes("latest")] == [
        ("/a", Status.DELETED),
        ("/b", Status.CHANGED),
        ("/c", Status.NEW),
    ]
