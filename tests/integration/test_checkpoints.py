"""Checkpoints in use: what they save, and that nothing depends on them."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from attrs import evolve

from rrbackup import Config, CryptoSettings, DirectorySettings, open_repository
from rrbackup.api import Repository
from rrbackup.effects import history
from rrbackup.effects.ahead import FIRST_BATCH, MOST_AT_ONCE
from rrbackup.effects.checkpoints import read_to_head
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.effects.memory_faults import Call
from rrbackup.effects.store import Fetched
from rrbackup.effects.workers import FETCH_THREADS, workers
from rrbackup.errors import StoreWentBack, TransactionLost
from rrbackup.events import Event
from rrbackup.pure import checkpoint
from rrbackup.pure.checkpoint_format import decode_checkpoint, encode_checkpoint
from rrbackup.pure.format2 import encode_diff, sha256_hex
from rrbackup.pure.framing import Framing, is_encrypted
from rrbackup.pure.keys import Keyring
from rrbackup.pure.local_format import decode_local, encode_local
from rrbackup.pure.model import CheckpointRef, Diff, SinceCheckpoint, VersionId, VersionRef, Word
from rrbackup.pure.steps import Expect, Refused, Unclear, Wrote
from rrbackup.pure.stretch import Stretch
from tests.checkpointed import CHECKPOINT, MANIFEST, REPOSITORY, Writer
from tests.integration.checkpoint_work import AtPut, back_up, fresh, garble, lose, naming, notices, stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import quicker
from tests.integration.trees import look, write
from tests.worlds import World

MakeBench = Callable[..., Bench]

PASSWORD = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
ENCRYPTED = {"crypto": PASSWORD, "meta_pipeline": ["compress", "encrypt"], "file_pipeline": [("*", ["encrypt"])]}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every three diffs: the fourth commit names the first one, the seventh the second."""
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    return make_bench(memory)


@pytest.fixture
def encrypted(make_bench: MakeBench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Bench:
    quicker(monkeypatch)
    return make_bench(memory, **ENCRYPTED)


# --- what is written -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", ["memory", "directory", "moto", pytest.param("seaweedfs", marks=pytest.mark.deep)])
def test_commits_name_checkpoints_and_a_new_machine_starts_from_them(
    kind: str, make_bench: MakeBench, new_world: Callable[[str], World], tmp_path: Path
) -> None:
    bench = make_bench(new_world(kind).store())
    back_up(bench, range(8))
    assert naming(bench) == [4, 7]
    assert len(stored(bench.store, CHECKPOINT)) == 2
    newcomer = fresh(bench, tmp_path / "new")
    assert newcomer.backup().version_id is None
    assert len(newcomer.open().list_files()) == len(look(bench.base))
    assert newcomer.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)
    assert newcomer.open()._client.local.load().manifest.since == SinceCheckpoint(2, 4, 5)  # type: ignore[union-attr]


@pytest.mark.usefixtures("eager")
def test_what_a_checkpoint_holds_is_the_fold_of_all_diffs(bench: Bench) -> None:
    back_up(bench, range(7))
    links = bench.open()._client.control.read_chain(0)
    stretch = read_to_head(bench.open()._client.control, lambda _: None)
    assert stretch.base == Stretch(None, links[1:]).checkpoint()
    assert stretch.manifest().entries == Stretch(None, links).manifest().entries


@pytest.mark.usefixtures("eager")
def test_a_checkpoint_is_as_well_encrypted_as_the_diffs(encrypted: Bench, memory: MemoryStore) -> None:
    back_up(encrypted, range(5))
    (ref,) = stored(memory, CHECKPOINT)
    body = memory.get(CHECKPOINT, ref.version_id).body
    assert is_encrypted(body)
    assert b"changing" not in body
    framing = encrypted.open()._client.control.framing.at(CHECKPOINT)
    assert len(decode_checkpoint(body, "x", framing).entries) == 4


def test_a_backup_without_a_due_checkpoint_makes_no_request_for_it(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(2))
    memory.reset_calls()
    back_up(bench, range(2, 3))
    assert [str(call) for call in memory.calls if not call.key.startswith("files/")] == [
        str(Call(method, key))
        for method, key in (
            ("head", MANIFEST),
            ("get", "gc_log"),
            ("get", MANIFEST),
            ("put", "gc_log"),
            ("put", MANIFEST),
            ("put", "gc_log"),
        )
    ]


@pytest.mark.usefixtures("eager")
def test_what_was_counted_outlives_the_process(bench: Bench) -> None:
    back_up(bench, range(3))
    path = bench.config.manifest_path()
    manifest = decode_local(path.read_bytes(), "x")
    assert manifest.since == SinceCheckpoint(3, 6, 0)
    path.write_bytes(b"".join(encode_local(evolve(manifest, since=None))))
    back_up(bench, range(3, 4))
    assert naming(bench) == []


def test_a_rebuild_that_was_expensive_leaves_one_behind(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "COSTLY_REBUILD", 3)
    back_up(bench, range(4))
    assert naming(bench) == []
    newcomer = fresh(bench, tmp_path / "new")
    assert newcomer.backup().version_id is None
    assert newcomer.open()._client.local.load().manifest is not None
    back_up(newcomer, range(4, 5))
    assert naming(bench) == []
    another = fresh(bench, tmp_path / "another")
    back_up(another, range(5, 6))
    assert naming(bench) == [6]


# --- commits that come to nothing ----------------------------------------------------------------------------------


def unnamed(bench: Bench) -> set[VersionRef]:
    """Checkpoints that no diff of the chain names."""
    links = bench.open()._client.control.read_chain(0)
    refs = {VersionRef(CHECKPOINT, link.diff.checkpoint.version_id) for link in links if link.diff.checkpoint}
    return set(stored(bench.store, CHECKPOINT)) - refs


RESTRICTED: list[tuple[dict[str, Any], int]] = [
    ({}, 0),
    ({"allow_delete_versions": False}, 1),
    ({"write_only": True}, 1),
]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("settings", "left"), RESTRICTED)
def test_a_client_that_loses_takes_its_checkpoint_back_if_it_may_delete(
    settings: dict[str, Any], left: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "TRIED_EVERY", 1)
    back_up(bench, range(3))
    other = fresh(bench, tmp_path / "other")
    write(bench.base, {"late": b"1"})
    loser = bench.open(**settings)
    publish = Control.publish

    def overtaken(control: Control, diff: Diff, expect: Expect) -> Wrote | Refused | Unclear:
        if control is loser._client.control:
            other.open().backup(take_over=True)
        return publish(control, diff, expect)

    monkeypatch.setattr(Control, "publish", overtaken)
    with pytest.raises(TransactionLost):
        loser.backup()
    assert len(unnamed(bench)) == left
    assert naming(bench) == [5]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("settings", "left"), RESTRICTED)
def test_a_commit_that_publishes_nothing_after_all_takes_its_checkpoint_back(
    settings: dict[str, Any], left: int, bench: Bench
) -> None:
    back_up(bench, range(3))
    write(bench.base, {"short-lived": b"1"})
    plan = bench.open().plan_backup()
    (bench.base / "short-lived").unlink()
    assert bench.open(**settings).backup(plan).version_id is None
    assert len(stored(bench.store, CHECKPOINT)) == left


@pytest.mark.usefixtures("eager")
def test_no_checkpoint_is_written_where_perhaps_nothing_has_changed(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(3))
    memory.reset_calls()
    assert bench.open(change_detection="content").backup().version_id is None
    assert not any(call.key == CHECKPOINT for call in memory.calls)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.TWICE, FaultKind.LOST])
def test_a_checkpoint_that_is_struck_harms_nothing(
    kind: FaultKind, bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    back_up(bench, range(3))
    write(bench.base, {"late": b"1"})
    counting = memory.client()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "faults", AtPut(counting, CHECKPOINT, kind))
        client = evolve(bench, store=counting)
        try:
            client.backup()
        except SimulatedCrash:
            assert kind in (FaultKind.BEFORE, FaultKind.AFTER)
    bench.backup()
    assert len(naming(bench)) <= 1
    newcomer = fresh(bench, tmp_path / "new")
    assert newcomer.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)


# --- checkpoints that are of no use --------------------------------------------------------------------------------


def exchange_repository(memory: MemoryStore, ref: VersionRef) -> bytes:
    body = memory.get(CHECKPOINT, ref.version_id).body
    found = decode_checkpoint(body, "x")
    return encode_checkpoint(evolve(found, repository=REPOSITORY))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("fault", ["lost", "garbled", "older", "another repository", "a diff", "empty"])
def test_a_checkpoint_of_no_use_is_passed_over_with_a_word(
    fault: str, bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    back_up(bench, range(8))
    newest, older = stored(memory, CHECKPOINT)
    bodies = {
        "garbled": None,
        "older": memory.get(CHECKPOINT, older.version_id).body,
        "another repository": exchange_repository(memory, newest),
        "a diff": memory.get(MANIFEST).body,
        "empty": b"",
    }
    if fault == "lost":
        lose(memory, CHECKPOINT, newest.version_id)
    else:
        garble(memory, CHECKPOINT, newest.version_id, bodies[fault])
    newcomer = fresh(bench, tmp_path / "new")
    events: list[Event] = []
    assert newcomer.open().download("latest", tmp_path / "out", on_event=events.append).problems == ()
    assert look(tmp_path / "out") == look(bench.base)
    assert "of no use" in notices(events)
    assert newest.version_id in notices(events)
    assert newcomer.backup().version_id is None
    assert newest.version_id in notices(newcomer.events)


@pytest.mark.usefixtures("eager")
def test_a_checkpoint_that_a_forged_diff_names_is_held_against_it(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    """The digest fits, since the forger wrote both; what the checkpoint says of itself does not."""
    back_up(bench, range(4))
    client = bench.open()._client
    head = client.control.read_chain(0)[0]
    (sound,) = stored(memory, CHECKPOINT)
    found = decode_checkpoint(memory.get(CHECKPOINT, sound.version_id).body, "x")
    others = (
        evolve(found, repository=REPOSITORY, sequence=4, head=head.as_parent),
        evolve(found, head=head.as_parent),
        evolve(found, sequence=4),
    )
    for number, body in enumerate(map(encode_checkpoint, others)):
        ref = CheckpointRef(memory.put(CHECKPOINT, body).version_id, sha256_hex(body))
        diff = evolve(head.diff, sequence=5, parent=head.as_parent, changes=(), checkpoint=ref)
        forged = memory.put(MANIFEST, encode_diff(diff))
        newcomer, out = fresh(bench, tmp_path / f"{number}"), tmp_path / f"{number}out"
        events: list[Event] = []
        newcomer.open().download("latest", out, on_event=events.append)
        assert look(out) == look(bench.base)
        assert ref.version_id in notices(events)
        lose(memory, MANIFEST, forged.version_id)


@pytest.mark.usefixtures("eager")
def test_a_plain_checkpoint_is_not_believed_of_encrypted_diffs(
    encrypted: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    back_up(encrypted, range(5))
    (ref,) = stored(memory, CHECKPOINT)
    framing = encrypted.open()._client.control.framing.at(CHECKPOINT)
    found = decode_checkpoint(memory.get(CHECKPOINT, ref.version_id).body, "x", framing)
    garble(memory, CHECKPOINT, ref.version_id, encode_checkpoint(found))
    events: list[Event] = []
    newcomer = fresh(encrypted, tmp_path / "new")
    assert newcomer.open().download("latest", tmp_path / "out", on_event=events.append).problems == ()
    assert ref.version_id in notices(events)


@pytest.mark.usefixtures("eager")
def test_an_encrypted_checkpoint_of_plain_diffs_asks_nobody_for_a_password(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(4))
    head = bench.open()._client.control.read_chain(0)[0]
    keys = Keyring(REPOSITORY, bytes(32))
    framing = Framing((Word.ENCRYPT,), unlock=lambda: keys, nonce=lambda: bytes(24), key=CHECKPOINT)
    (sound,) = stored(memory, CHECKPOINT)
    body = encode_checkpoint(decode_checkpoint(memory.get(CHECKPOINT, sound.version_id).body, "x"), framing)
    ref = CheckpointRef(memory.put(CHECKPOINT, body).version_id, sha256_hex(body))
    diff = evolve(head.diff, sequence=5, parent=head.as_parent, changes=(), checkpoint=ref)
    memory.put(MANIFEST, encode_diff(diff))
    told: list[str] = []
    manifest = read_to_head(Control(memory, ObjectNames()), told.append).manifest()
    assert len(manifest.entries) == len(look(bench.base))
    assert ref.version_id in told[0]


# --- what this client remembers ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("eager")
def test_a_store_that_went_back_is_noticed_although_the_beginning_is_not_read(
    bench: Bench, memory: MemoryStore
) -> None:
    commits = back_up(bench, range(8))
    for version in commits[5:]:
        lose(memory, MANIFEST, version)
    for read in (bench.open().list_files, bench.open().list_changes, bench.open().list_versions):
        with pytest.raises(StoreWentBack):
            read()


@pytest.mark.usefixtures("eager")
def test_a_history_that_passes_by_what_was_seen_is_noticed(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    commits = back_up(bench, range(2))
    kept = bench.config.manifest_path().read_bytes()
    lose(memory, MANIFEST, commits[1])
    other = fresh(bench, tmp_path / "other")
    back_up(other, range(2, 9))
    assert naming(other) == [4, 7]
    bench.config.manifest_path().write_bytes(kept)
    with pytest.raises(StoreWentBack):
        bench.open().list_files()


# --- requests ------------------------------------------------------------------------------------------------------


def reader(client: MemoryClient, folder: Path) -> Repository:
    config = Config(
        base_path=str(folder),
        local_manifest_file=str(folder / "none"),
        local_lock_file=str(folder / "lock"),
        directory=DirectorySettings(path=str(folder / "unused")),
        ignore_files=("*",),
    )
    return open_repository(config, store=client)


def test_a_new_machine_makes_no_more_requests_for_a_longer_history(memory: MemoryStore, tmp_path: Path) -> None:
    writer = Writer(memory)
    counts = []
    for length in (300, 600):
        while len(writer.links) < length:
            number = len(writer.links)
            writer.writes("/changing", *([f"/{number}"] if number % 10 == 0 else []))
        client = memory.client()
        assert len(reader(client, tmp_path).list_files()) == length // 10 + 1
        counts.append(len(client.calls))
    assert counts == [3 + FIRST_BATCH + 2 * MOST_AT_ONCE] * 2


def test_right_behind_a_checkpoint_two_requests_are_enough(memory: MemoryStore, tmp_path: Path) -> None:
    writer = Writer(memory)
    while len(writer.links) <= checkpoint.FEWEST_DIFFS:
        writer.writes("/changing")
    client = memory.client()
    assert [entry.path for entry in reader(client, tmp_path).list_files()] == ["/changing"]
    assert [call.key for call in client.calls] == [MANIFEST, CHECKPOINT]


class Together(MemoryClient):
    """Answers for diffs only when as many are asked for at once as there may be."""

    barrier = Barrier(FETCH_THREADS, timeout=30)

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        if version_id is not None:
            self.barrier.wait()
        return super().get(key, version_id)


def test_diffs_are_fetched_side_by_side(memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "workers", workers)  # searches put another in its place
    writer = Writer(memory)
    for _ in range(FETCH_THREADS + 1):
        writer.writes("/a")
    client = Together(memory._world, "", (), 1 << 20)
    assert len(reader(client, tmp_path).list_files()) == 1
