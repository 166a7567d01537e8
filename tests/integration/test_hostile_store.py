"""What somebody can do who may write to the store but has no password, and who may not delete: nothing that lasts."""

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from attrs import evolve

from rrbackup.config import CryptoSettings
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedChain, DamagedObject, StoreWentBack
from rrbackup.events import Notice
from rrbackup.pure import format2
from rrbackup.pure.model import (
    Change,
    Claim,
    ClaimState,
    Diff,
    DiffKind,
    Entry,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
)
from tests.integration.conftest import Bench
from tests.integration.trees import look, write

MakeBench = Callable[..., Bench]

PASSWORD = CryptoSettings(crypt_password="correct horse", kdf_passes=4, kdf_memory=32 << 20)
ENCRYPTED = {"crypto": PASSWORD, "meta_pipeline": ["encrypt"], "file_pipeline": [("*", ["encrypt"])]}


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=[{}, ENCRYPTED], ids=["plain", "encrypted"])
def bench(request: pytest.FixtureRequest, make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory, **request.param)
    write(made.base, {"a": b"1", "b": b"2"})
    made.backup()
    return made


@pytest.fixture
def encrypted(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory, **ENCRYPTED)
    write(made.base, {"a": b"1", "b": b"2"})
    made.backup()
    return made


def claim(*keys: str) -> bytes:
    return format2.encode_claim(Claim(TransactionId("x"), 1, ClaimState.OPEN, "thief", 0, keys=keys))


def forged_diff(parent: ParentRef | None, sequence: int, repository: str) -> bytes:
    ref = ObjectRef("files/forged", VersionId("v000001"), 6, "e")
    change = Change(Status.NEW, Entry(PathText("/forged"), size=6, sha256="0" * 64, object=ref))
    return format2.encode_diff(
        Diff(RepositoryId(repository), sequence, parent, TransactionId("x"), DiffKind.COMMIT, 0, "thief", (change,))
    )


# --- claims ----------------------------------------------------------------------------------------------------


def test_a_forged_claim_deletes_nothing_but_what_no_commit_refers_to(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    before = {version.ref for version in memory.list_versions("")}
    outside = memory.put("elsewhere", b"of somebody else").version_id
    names = (
        "manifest_diffs",
        "salt_file",
        "gc_log",
        "elsewhere",
        "files/a",
        "files/../elsewhere",
        "../x",
        "",
        "files/",
    )
    memory.put("gc_log", claim(*names))
    write(bench.base, {"a": b"changed"})
    bench.backup(take_over=True)
    assert before <= {version.ref for version in memory.list_versions("")}
    assert memory.get("elsewhere", outside).body == b"of somebody else"
    bench.open().download("latest", tmp_path / "out")
    assert look(tmp_path / "out") == look(bench.base)


def test_a_claim_that_cannot_be_read_says_what_to_do(bench: Bench, memory: MemoryStore) -> None:
    forged = memory.put("gc_log", b"nonsense")
    with pytest.raises(DamagedObject) as caught:
        bench.backup()
    assert "delete that version of gc_log" in caught.value.hint
    memory.delete_versions([next(v.ref for v in memory.list_versions("gc_log") if v.version_id == forged.version_id)])
    assert bench.backup().version_id is None


def test_a_time_that_no_calendar_has_is_no_obstacle(bench: Bench, memory: MemoryStore) -> None:
    fields = orjson.loads(claim("files/a").partition(b"}")[2]) | {"created_ns": 2**63 - 1}
    header = claim("files/a").partition(b"}")[0] + b"}"
    memory.put("gc_log", header + orjson.dumps(fields))
    write(bench.base, {"a": b"changed"})
    assert bench.backup(take_over=True).version_id


def test_who_has_no_password_does_not_switch_conditions_off(encrypted: Bench, memory: MemoryStore) -> None:
    idle = Claim(TransactionId("x"), 1, ClaimState.IDLE, "thief", 0, conditional_writes=False)
    memory.put("gc_log", format2.encode_claim(idle))
    write(encrypted.base, {"a": b"changed"})
    encrypted.backup()
    client = encrypted.open()._client
    client.control.read_head(None)
    seen = client.control.read_claim()
    assert seen.record is not None
    assert seen.record.conditional_writes is True


@pytest.mark.parametrize("bench", [{}], ids=["plain"], indirect=True)
def test_conditions_that_are_switched_off_where_nothing_is_encrypted_are_told_and_come_back(
    bench: Bench, memory: MemoryStore
) -> None:
    idle = Claim(TransactionId("x"), 1, ClaimState.IDLE, "thief", 0, conditional_writes=False)
    memory.put("gc_log", format2.encode_claim(idle))
    for turn in (b"changed", b"and again"):
        write(bench.base, {"a": turn})
        bench.events.clear()
        bench.backup()
        assert any("single writer" in event.text for event in bench.events if isinstance(event, Notice))
    memory.delete_versions([version.ref for version in memory.list_versions("gc_log")])
    write(bench.base, {"a": b"once more"})
    bench.events.clear()
    bench.backup()
    assert bench.open()._client.control.read_claim().record.conditional_writes is True  # type: ignore[union-attr]
    assert not any(isinstance(event, Notice) for event in bench.events)


# --- the chain -------------------------------------------------------------------------------------------------


def test_a_forged_beginning_is_believed_by_nobody_who_remembers(bench: Bench, memory: MemoryStore) -> None:
    memory.put("manifest_diffs", forged_diff(None, 1, "forged"))
    before = list(memory.list_versions(""))
    repository = bench.open()
    actions: tuple[Callable[[], object], ...] = (
        repository.list_versions,
        repository.list_files,
        repository.list_changes,
        repository.backup,
        repository.plan_backup,
        repository.garbage_collect,
        repository.clean_gc_log,
    )
    for action in actions:
        with pytest.raises((StoreWentBack, DamagedChain)):
            action()
    assert list(memory.list_versions("")) == before


def test_a_forged_beginning_is_not_believed_by_a_newcomer_who_encrypts(
    encrypted: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    memory.put("manifest_diffs", forged_diff(None, 1, "forged"))
    newcomer = encrypted.other_client(tmp_path / "new")
    before = list(memory.list_versions("files/"))
    for action in (newcomer.open().list_versions, newcomer.open().list_files, newcomer.open().backup):
        with pytest.raises(DamagedChain, match="is not encrypted"):
            action()
    with pytest.raises(DamagedChain, match="is not encrypted"):
        newcomer.open().download("latest", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(memory.list_versions("files/")) == before


def test_nobody_publishes_on_top_of_a_forged_diff(encrypted: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    head = encrypted.open()._client.control.read_head(None)
    assert head is not None
    memory.put("manifest_diffs", forged_diff(head.as_parent, head.sequence + 1, head.repository))
    before = list(memory.list_versions("manifest_diffs"))
    for client in (encrypted, encrypted.other_client(tmp_path / "new")):
        write(client.base, {"a": b"changed"})
        for action in (client.open().backup, client.open().garbage_collect):
            with pytest.raises(DamagedChain, match="is not encrypted"):
                action()
    assert list(memory.list_versions("manifest_diffs")) == before


def test_an_old_diff_put_again_is_noticed_by_who_remembers(encrypted: Bench, memory: MemoryStore) -> None:
    first = memory.get("manifest_diffs").body
    write(encrypted.base, {"a": b"changed"})
    encrypted.backup()
    memory.put("manifest_diffs", first)
    for action in (encrypted.open().list_versions, encrypted.open().list_files, encrypted.open().backup):
        with pytest.raises(StoreWentBack):
            action()


# --- the salt object -------------------------------------------------------------------------------------------


def test_a_bare_salt_on_top_never_replaces_the_keys(make_bench: MakeBench, memory: MemoryStore, tmp_path: Path) -> None:
    bench = make_bench(memory, crypto=PASSWORD, file_pipeline=[("*", ["encrypt"])])
    write(bench.base, {"a": b"1"})
    bench.backup()
    (sound,) = memory.list_versions("salt_file")
    memory.put("salt_file", b"00" * 16)
    for upgrade in (False, True):
        write(bench.base, {"a": b"%d" % upgrade})
        with pytest.raises(DamagedObject, match="bare salt") as caught:
            bench.backup(upgrade=upgrade)
        assert "repair --salt" in caught.value.hint
    assert len(list(memory.list_versions("salt_file"))) == 2
    bench.open().repair_salt(sound.version_id)
    bench.backup()
    assert bench.open().download("latest", tmp_path / "out").problems == ()


# --- what a commit says of an object ---------------------------------------------------------------------------


def test_a_plan_of_another_configuration_is_carried_out_under_this_one(
    make_bench: MakeBench, memory: MemoryStore
) -> None:
    bench = make_bench(memory, crypto=PASSWORD, file_pipeline=[("*", ["encrypt"])])
    write(bench.base, {"a": b"a secret"})
    plan = bench.open(file_pipeline=[("*", [])], crypto=None).plan_backup()
    bench.open().backup(plan)
    (stored,) = memory.list_versions("files/")
    assert b"a secret" not in memory.get(stored.key).body


def test_nothing_secret_is_shared_with_what_only_claims_to_be_encrypted(
    make_bench: MakeBench, memory: MemoryStore, tmp_path: Path
) -> None:
    """A forged entry in diffs that lie open says that a plain object was asked to be encrypted."""
    bench = make_bench(memory, crypto=PASSWORD, file_pipeline=[("*", [])])
    write(bench.base, {"a": b"a secret"})
    bench.backup()
    found = format2.decode_diff(memory.get("manifest_diffs").body, "x")
    change = found.changes[0]
    assert change.entry.object is not None
    lying = evolve(change.entry.object, asked=bench.open(file_pipeline=[("*", ["encrypt"])]).config.rules[0].words)
    forged = evolve(found, changes=(evolve(change, entry=evolve(change.entry, object=lying)),))
    memory.delete_versions([v.ref for v in memory.list_versions("manifest_diffs")])
    memory.put("manifest_diffs", format2.encode_diff(forged))
    newcomer = bench.other_client(tmp_path / "new")
    write(newcomer.base, {"copy": b"a secret"})
    newcomer.open(file_pipeline=[("*", ["encrypt"])]).backup()
    entries = {entry.path: entry.object for entry in newcomer.open().list_files()}
    copy = entries[PathText("/copy")]
    assert copy is not None
    assert b"a secret" not in memory.get(copy.key, copy.version_id).body
