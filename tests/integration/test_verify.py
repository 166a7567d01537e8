"""Checking a repository as a whole: what is found, what is read for it, and what is read next."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from rrbackup import (
    BytesMoved,
    CheckPlanned,
    CryptoSettings,
    DamageKind,
    FileDone,
    ModeError,
    NoSuchVersion,
    ProblemFound,
    UsageError,
    VerifyResult,
    WrongPassword,
)
from rrbackup.effects.fetching import Fetcher
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.effects.sample_memory import SampleMemory
from rrbackup.errors import AccessDenied, StoreError, StoreUnavailable
from rrbackup.events import Event
from rrbackup.pure import checkpoint
from rrbackup.pure.checkpoint_format import decode_checkpoint, encode_checkpoint
from rrbackup.pure.format2 import encode_diff, sha256_hex
from rrbackup.pure.model import CheckpointRef, DiffKind, ListedVersion, TransactionId, VersionId, VersionRef
from tests.checkpointed import CHECKPOINT, MANIFEST
from tests.format1_repositories import BOTH_ENCRYPTED, NEXT, PLAIN, client_to_go_on, old_repository, put_on_disk
from tests.integration.checkpoint_work import back_up, fresh, garble, lose, notices, stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import quicker
from tests.integration.trees import write
from tests.worlds import World

MakeBench = Callable[..., Bench]

CRYPTO = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
SEEING = {"get", "head", "list_versions"}
TREE = {"a": b"first", "b": b"second", "d/c": b"third", "empty": b""}


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    return make_bench(memory)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints every three diffs."""
    monkeypatch.setattr(checkpoint, "FEWEST_DIFFS", 3)


@pytest.fixture
def two(bench: Bench) -> Bench:
    """Two commits; the second changes one file, deletes one, and adds one that has the content of another."""
    write(bench.base, TREE)
    bench.backup()
    write(bench.base, {"b": b"second, changed", "copy of a": TREE["a"]})
    (bench.base / "d" / "c").unlink()
    (bench.base / "d").rmdir()
    bench.backup()
    return bench


def only(store: MemoryStore, key: str) -> VersionRef:
    (ref,) = stored(store, key)
    return ref


def found(result: VerifyResult) -> dict[str, DamageKind]:
    return {damage.ref.key: damage.kind for damage in result.damaged}


def touched(result: VerifyResult) -> set[tuple[str, int, bool]]:
    return {(t.path, t.commits, t.latest) for damage in result.damaged for t in damage.touches}


# --- from listings alone -------------------------------------------------------------------------------------------


def test_what_is_whole_is_sound_and_no_file_is_read(two: Bench, memory: MemoryStore) -> None:
    memory.reset_calls()
    result = two.open().verify()
    assert (result.sound, result.versions, result.bytes) == (
        True,
        4,
        sum(map(len, (b"first", b"second", b"third"))) + 15,
    )
    assert (result.read, result.damaged, result.records, result.unread) == (0, (), (), ())
    assert len(result.manifest.commits) == 2
    assert {call.method for call in memory.calls} <= SEEING
    assert not [call for call in memory.calls if call.key.startswith("files") and call.method != "list_versions"]


def test_an_empty_repository_is_sound(bench: Bench) -> None:
    assert bench.open().verify(read_data=True).sound


def test_what_is_missing_is_named_with_all_that_it_touches(two: Bench, memory: MemoryStore) -> None:
    for key in ("files/a", "files/d/c"):
        memory.delete_versions([only(memory, key)])
    result = two.open().verify()
    assert not result.sound
    assert found(result) == {"files/a": DamageKind.MISSING, "files/d/c": DamageKind.MISSING}
    assert touched(result) == {("/a", 2, True), ("/copy of a", 1, True), ("/d/c", 1, False)}
    assert all(damage.ref.version_id in str(damage) for damage in result.damaged)


def test_a_delete_marker_on_a_file_is_no_damage(two: Bench, memory: MemoryStore) -> None:
    memory.mark_deleted("files/a")
    assert two.open().verify(read_data=True).sound


@pytest.mark.parametrize(("body", "kind"), [(b"firs", DamageKind.SIZE), (b"FIRST", DamageKind.ETAG)])
def test_what_the_listing_says_otherwise_is_named(
    body: bytes, kind: DamageKind, two: Bench, memory: MemoryStore
) -> None:
    """The store in memory tells the etag of what lies there now."""
    garble(memory, "files/a", only(memory, "files/a").version_id, body)
    assert found(two.open().verify()) == {"files/a": kind}


def test_one_commit_alone_can_be_checked(two: Bench, memory: MemoryStore) -> None:
    memory.delete_versions([only(memory, "files/d/c")])
    repository = two.open()
    assert repository.verify("latest").sound
    assert repository.verify("latest").versions == 2
    assert found(repository.verify("latest~1")) == {"files/d/c": DamageKind.MISSING}
    with pytest.raises(NoSuchVersion):
        repository.verify("latest~2")


def test_a_listing_that_leaves_something_out_is_no_damage(two: Bench, memory: MemoryStore) -> None:
    class Forgetful(MemoryClient):
        """Its longer listings leave out a key."""

        def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
            rows = super().list_versions(prefix)
            return rows if prefix == "files/a" else (row for row in rows if row.key != "files/a")

    assert evolve(two, store=Forgetful(memory._world, "", (), 1 << 20)).open().verify().sound
    memory.delete_versions([only(memory, "files/a")])
    assert found(two.open().verify()) == {"files/a": DamageKind.MISSING}


def test_a_write_only_client_checks_without_reading(two: Bench, memory: MemoryStore) -> None:
    memory.delete_versions([only(memory, "files/a")])
    assert found(two.open(write_only=True).verify()) == {"files/a": DamageKind.MISSING}
    with pytest.raises(ModeError, match="write-only"):
        two.open(write_only=True).verify(read_data=True)


def test_a_read_only_client_checks_everything_and_writes_nothing(two: Bench, memory: MemoryStore) -> None:
    memory.reset_calls()
    assert two.open(read_only=True).verify(read_data=True).sound
    assert {call.method for call in memory.calls} <= SEEING | {"read"}


@pytest.mark.parametrize("read_data", ["much", "", "0%"])
def test_an_amount_that_is_none_is_refused_before_any_request(read_data: str, two: Bench, memory: MemoryStore) -> None:
    memory.reset_calls()
    with pytest.raises(UsageError):
        two.open().verify(read_data=read_data)
    assert memory.calls == ()


# --- the chain and the records beside it ---------------------------------------------------------------------------


def test_a_forged_head_is_named_and_the_sound_commits_are_checked(two: Bench, memory: MemoryStore) -> None:
    forged = memory.put(MANIFEST, b"noise").version_id
    memory.delete_versions([only(memory, "files/a")])
    result = two.open().verify()
    assert [one.version_id for one in result.manifest.unsound] == [forged]
    assert found(result) == {"files/a": DamageKind.MISSING}


def test_a_diff_that_is_gone_costs_the_commits_below_the_checkpoint(
    eager: None, bench: Bench, memory: MemoryStore
) -> None:
    commits = back_up(bench, range(8))
    lose(memory, MANIFEST, commits[1])
    result = bench.open().verify(read_data=True)
    assert result.manifest.lost is not None
    assert (result.sound, result.damaged, result.records) == (False, (), ())
    garble(memory, "files/f0", only(memory, "files/f0").version_id)
    result = bench.open().verify()
    assert touched(result) == {("/f0", 5, True)}
    assert result.damaged[0].touches[0].first == commits[3]


def test_what_only_a_checkpoint_still_refers_to_must_be_there(eager: None, bench: Bench, memory: MemoryStore) -> None:
    """The versions of the changing file that lost commits alone held."""
    commits = back_up(bench, range(8))
    lose(memory, MANIFEST, commits[1])
    oldest = stored(memory, "files/changing")[-1]
    memory.delete_versions([oldest])
    (damage,) = bench.open().verify(read_data=True).damaged
    assert (damage.ref, damage.kind, damage.touches) == (oldest, DamageKind.MISSING, ())


@pytest.mark.parametrize("harm", ["lost", "garbled"])
def test_a_checkpoint_that_is_damaged_is_named_and_touches_nothing(
    harm: str, eager: None, bench: Bench, memory: MemoryStore
) -> None:
    back_up(bench, range(5))
    ref = only(memory, CHECKPOINT)
    lose(memory, CHECKPOINT, ref.version_id) if harm == "lost" else garble(memory, CHECKPOINT, ref.version_id)
    result = bench.open().verify()
    assert [(one.key, one.version_id) for one in result.records] == [(CHECKPOINT, ref.version_id)]
    assert (result.sound, result.damaged, result.manifest.sound) == (False, (), True)


@pytest.mark.parametrize("forged", ["entries", "references"])
def test_a_checkpoint_that_says_something_else_than_the_diffs_is_named(
    forged: str, eager: None, bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    back_up(bench, range(5))
    head = bench.open()._client.control.read_chain(0)[0]
    true = decode_checkpoint(memory.get(CHECKPOINT).body, "true")
    true = evolve(true, sequence=head.diff.sequence, head=head.as_parent)
    entries = next(iter(bench.open().list_files().items[1:])), *bench.open().list_files().items[2:]
    state = tuple(bench.open().list_files().items)
    false = evolve(true, entries=entries if forged == "entries" else state, references=frozenset())
    body = encode_checkpoint(false)
    ref = CheckpointRef(memory.put(CHECKPOINT, body).version_id, sha256_hex(body))
    diff = evolve(
        head.diff,
        sequence=head.diff.sequence + 1,
        parent=head.as_parent,
        transaction=TransactionId("x"),
        kind=DiffKind.COMMIT,
        changes=(),
        checkpoint=ref,
    )
    memory.put(MANIFEST, encode_diff(diff))
    (record,) = fresh(bench, tmp_path / "new").open().verify().records
    assert record.version_id == ref.version_id
    assert "forged" in record.detail


@pytest.fixture
def encrypted(make_bench: MakeBench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Bench:
    quicker(monkeypatch)
    made = make_bench(memory, crypto=CRYPTO, file_pipeline=[("*", ["hash_names", "compress", "encrypt"])])
    write(made.base, TREE)
    made.backup()
    return made


@pytest.mark.parametrize("with_password", [True, False])
def test_a_salt_object_that_is_damaged_or_gone_is_named(
    with_password: bool, encrypted: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RRBACKUP_PASSWORD", raising=False)
    reader = (
        encrypted
        if with_password
        else evolve(encrypted, config=evolve(encrypted.config, crypto=None, file_pipeline=[("*", [])]))
    )
    assert reader.open().verify().records == ()
    garble(memory, "salt_file", only(memory, "salt_file").version_id)
    (record,) = reader.open().verify().records
    assert record.key == "salt_file"
    memory.mark_deleted("salt_file")
    (record,) = reader.open().verify().records
    assert "deleted" in record.detail or "missing" in record.detail
    for version in stored(memory, "salt_file"):
        lose(memory, "salt_file", version.version_id)
    assert [record.key for record in reader.open().verify().records] == ["salt_file"]


def test_a_wrong_password_is_an_error(encrypted: Bench) -> None:
    wrong = evolve(CRYPTO, crypt_password="wrong")
    with pytest.raises(WrongPassword):
        encrypted.open(crypto=wrong).verify()


# --- contents ------------------------------------------------------------------------------------------------------


class Rotten(MemoryClient):
    """What it reads of one version has a bit changed; listings say nothing of it."""

    rotten = ""

    def read(self, key: str, version_id: VersionId, start: int = 0, length: int | None = None) -> Any:
        if version_id != self.rotten:
            return super().read(key, version_id, start, length)
        body = self._world.get(key, version_id).body
        garbled = MemoryStore()
        place = garbled.put(key, bytes([body[0] ^ 1]) + body[1:])
        return garbled.read(key, place.version_id, start, length)


def rotten(bench: Bench, memory: MemoryStore, ref: VersionRef) -> Bench:
    client = Rotten(memory._world, "", (), 1 << 20)
    client.rotten = ref.version_id
    return evolve(bench, store=client)


def test_a_bit_that_changed_shows_in_the_content_alone(two: Bench, memory: MemoryStore) -> None:
    ill = rotten(two, memory, only(memory, "files/a"))
    assert ill.open().verify().sound
    events: list[Event] = []
    result = ill.open().verify(read_data=True, on_event=events.append)
    assert found(result) == {"files/a": DamageKind.CONTENT}
    assert touched(result) == {("/a", 2, True), ("/copy of a", 1, True)}
    assert (result.read, result.read_bytes) == (4, result.bytes)
    assert [event.problem.path for event in events if isinstance(event, ProblemFound)] == ["/copy of a"]


def test_encrypted_contents_are_opened(encrypted: Bench, memory: MemoryStore) -> None:
    assert encrypted.open().verify(read_data=True).read == 3
    ref = next(iter(memory.list_versions("files/"))).ref
    result = rotten(encrypted, memory, ref).open().verify(read_data=True)
    assert found(result) == {ref.key: DamageKind.CONTENT}


def test_what_is_known_to_be_damaged_is_not_read(two: Bench, memory: MemoryStore) -> None:
    memory.delete_versions([only(memory, "files/a")])
    assert two.open().verify(read_data=True).read == 3


def test_progress_is_told(two: Bench) -> None:
    events: list[Event] = []
    two.open().verify(read_data=True, on_event=events.append)
    (planned,) = [event for event in events if isinstance(event, CheckPlanned)]
    assert (planned.files, planned.size) == (4, 31)
    assert sum(event.count for event in events if isinstance(event, BytesMoved)) == 31
    assert len([event for event in events if isinstance(event, FileDone)]) == 4


def read_now(bench: Bench, amount: str) -> list[str]:
    """The paths whose contents one run reads."""
    events: list[Event] = []
    assert bench.open().verify(read_data=amount, on_event=events.append).sound
    return [event.path for event in events if isinstance(event, FileDone)]


def test_successive_runs_read_everything_before_anything_again(bench: Bench) -> None:
    write(bench.base, {f"f{number}": b"%02d" % number for number in range(10)})
    bench.backup()
    rounds = [read_now(bench, "20%") for _ in range(10)]
    assert [len(paths) for paths in rounds] == [2] * 10
    assert {path for paths in rounds[:5] for path in paths} == {f"/f{number}" for number in range(10)}
    assert [set(paths) for paths in rounds[5:]] == [set(paths) for paths in rounds[:5]]


def test_what_was_sampled_may_be_lost_or_garbled(bench: Bench) -> None:
    write(bench.base, {f"f{number}": b"%02d" % number for number in range(10)})
    bench.backup()
    memory = SampleMemory(bench.config.manifest_path())
    read_now(bench, "6B")
    assert memory.path.stat().st_mode & 0o077 == 0
    for data in (b"", b"nonsense", None):
        memory.path.write_bytes(data) if data is not None else memory.path.unlink()
        assert len(read_now(bench, "6B")) == 3


def test_a_check_that_is_broken_off_goes_on_behind_what_it_had_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    write(bench.base, {f"f{number}": b"%02d" % number for number in range(10)})
    bench.backup()
    seen: list[str] = []

    def stop(event: Event) -> None:
        if isinstance(event, FileDone):
            seen.append(event.path)
            if len(seen) == 5:
                raise Enough

    one_thread = bench.open()
    one_thread._client.threads = 1
    with pytest.raises(Enough):
        one_thread.verify(read_data=True, on_event=stop)
    done = SampleMemory(bench.config.manifest_path()).turn()
    assert done.place
    rest = read_now(bench, "12B")
    assert not set(seen[:4]).intersection(rest)


def test_what_lies_in_an_archive_is_named_as_not_read(two: Bench, memory: MemoryStore) -> None:
    class Archived(MemoryClient):
        def read(self, key: str, version_id: VersionId, start: int = 0, length: int | None = None) -> Any:
            if key == "files/a":
                raise StoreError("it lies in an archive class")
            return super().read(key, version_id, start, length)

    result = evolve(two, store=Archived(memory._world, "", (), 1 << 20)).open().verify(read_data=True)
    assert (result.sound, result.read) == (True, 3)
    assert [(problem.path, "archive" in problem.detail) for problem in result.unread] == [("/copy of a", True)]


def test_a_store_that_stops_answering_ends_the_check(
    two: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> Iterator[bytes]:
        raise StoreUnavailable("no answer")

    monkeypatch.setattr(Fetcher, "content_of", silent)
    with pytest.raises(StoreUnavailable):
        two.open().verify(read_data=True)


# --- repositories of rrbackup 1.0 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PLAIN, BOTH_ENCRYPTED], ids=lambda kind: kind.name)
@pytest.mark.parametrize("continued", [False, True])
def test_what_1_0_stored_is_checked_too(
    kind: Any, continued: bool, make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker(monkeypatch)
    old = old_repository(kind)
    assert isinstance(old.store, MemoryStore)
    bench = client_to_go_on(make_bench, old)
    if continued:
        put_on_disk(bench.base, NEXT)
        bench.backup(upgrade=True)
    whole = bench.open().verify(read_data=True)
    assert (whole.sound, whole.read) == (True, whole.versions)
    assert whole.versions == len(list(old.store.list_versions("files/")))
    gone = stored(old.store, "files/secret/more")[0]
    cut = stored(old.store, "files/folder/big.bin")[0]
    old.store.delete_versions([gone])
    garble(old.store, cut.key, cut.version_id, old.store.get(cut.key, cut.version_id).body[:100_000])
    listed = bench.open().verify()
    assert gone.key in found(listed)
    assert found(bench.open().verify(read_data=True)).keys() == {gone.key, cut.key}


def test_a_damaged_diff_of_1_0_is_named(make_bench: MakeBench) -> None:
    old = old_repository(PLAIN)
    assert isinstance(old.store, MemoryStore)
    bench = client_to_go_on(make_bench, old)
    newest = old.latest.version_id
    garble(old.store, MANIFEST, newest, b"noise")
    result = bench.open().verify()
    assert [one.version_id for one in result.manifest.unsound] == [newest]


# --- every store ---------------------------------------------------------------------------------------------------


def test_every_store_lists_what_it_said_when_it_was_written(make_bench: MakeBench, world: World) -> None:
    """Also of an object that was sent in parts."""
    bench = make_bench(world.store())
    write(bench.base, {**TREE, "big": bytes(9 << 20), "ünï %41": b"odd"})
    bench.backup()
    ref = next(iter(entry.object for entry in bench.open().list_files() if entry.path == "/b"))
    assert bench.open().verify(read_data=True).sound
    assert ref is not None
    world.store().delete_versions([ref.ref])
    assert found(bench.open().verify()) == {"files/b": DamageKind.MISSING}


def test_what_is_told_of_a_checkpoint_that_may_not_be_read(
    eager: None, bench: Bench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Denied(MemoryClient):
        def get(self, key: str, version_id: VersionId | None = None) -> Any:
            if key == CHECKPOINT:
                raise AccessDenied("not allowed")
            return super().get(key, version_id)

    back_up(bench, range(5))
    events: list[Event] = []
    denied = evolve(bench, store=Denied(memory._world, "", (), 1 << 20))
    assert denied.open().verify(on_event=events.append).sound
    assert "not looked at" in notices(events)
