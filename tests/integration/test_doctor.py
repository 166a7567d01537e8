"""The doctor: what it finds of buckets, folders and clients, under which rights, and that it changes nothing."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from botocore.client import BaseClient

from rrbackup import Config, Diagnosis, DirectorySettings, S3Settings, Verdict, open_repository
from rrbackup.effects import doctor_folder
from rrbackup.effects.doctor_bucket import NOBODYS_FOLDER
from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedObject
from rrbackup.pure.names import escape, unescape
from rrbackup.pure.policies import PolicyMode
from tests.format1_repositories import contents
from tests.integration.checkpoint_work import garble, stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import (
    CRYPTO,
    PREFIX,
    MakeBench,
    MakeWorld,
    World,
    interrupted_backup,
    leave_garbage,
    new_world,
    quicker,
)
from tests.integration.rights import MotoAccounts, SeaweedAccounts, iam_client
from tests.integration.trees import write
from tests.servers import S3Server

FINE, WARNING, WRONG, UNKNOWN = Verdict

Verdicts = dict[str, Verdict]


def verdicts(found: Sequence[Diagnosis]) -> Verdicts:
    """The worst of each subject."""
    order = [FINE, UNKNOWN, WARNING, WRONG]
    worst: Verdicts = {}
    for one in found:
        worst[one.subject] = max(worst.get(one.subject, FINE), one.verdict, key=order.index)
    return worst


def told(found: Sequence[Diagnosis], subject: str) -> str:
    return "\n".join(f"{one.finding} {one.remedy}" for one in found if one.subject == subject)


# --- any store -----------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> MemoryStore:
    made = MemoryStore()
    made.clock_ns = time.time_ns()
    return made


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory)
    write(made.base, {"a": b"1", "b": b"2"})
    return made


def test_where_all_is_well_all_is_fine_and_nothing_is_written(bench: Bench, memory: MemoryStore) -> None:
    bench.backup()
    before = contents(memory)
    memory.reset_calls()
    found = bench.open().doctor()
    assert {one.verdict for one in found} == {FINE}
    assert len(found) == 11
    assert {call.method for call in memory.calls} <= {"get", "head", "list_versions", "list_uploads"}
    assert contents(memory) == before


def test_a_store_without_commits_leaves_open_what_only_they_tell(bench: Bench) -> None:
    found = verdicts(bench.open().doctor())
    assert {subject for subject, verdict in found.items() if verdict is UNKNOWN} == {"clock", "conditional writes"}
    assert found["local manifest"] is WARNING
    assert WRONG not in found.values()


def test_what_is_wrong_with_one_thing_does_not_keep_the_others_from_being_looked_at(
    bench: Bench, memory: MemoryStore
) -> None:
    bench.backup()
    memory.put("gc_log", b"noise")
    memory.put("garbage_objects", b"noise")
    memory.put("manifest_diffs", b"noise")
    found = bench.open().doctor()
    worst = verdicts(found)
    assert {subject for subject, verdict in worst.items() if verdict is WRONG} == {
        *("commits", "local manifest", "open transaction", "garbage list"),
    }
    assert worst["unfinished uploads"] is FINE
    assert all(one.remedy for one in found if one.verdict is WRONG)
    assert "repair" in told(found, "commits")


def test_an_interrupted_backup_and_an_upload_are_told(bench: Bench, memory: MemoryStore, tmp_path: Path) -> None:
    interrupted_backup(bench)
    memory._world.create_upload("files/left")
    ours = bench.open().doctor()
    assert verdicts(ours)["open transaction"] is WARNING
    assert "this client" in told(ours, "open transaction")
    assert verdicts(ours)["unfinished uploads"] is FINE
    other = bench.other_client(tmp_path / "other")
    assert verdicts(other.open().doctor())["open transaction"] is FINE
    memory.clock_ns += 16 * 60 * 10**9
    assert "counts as dead" in told(other.open().doctor(), "open transaction")
    other.backup()
    memory._world.create_upload("files/left")
    assert verdicts(other.open().doctor())["unfinished uploads"] is WARNING


def test_garbage_that_waits_is_told(make_bench: MakeBench, memory: MemoryStore) -> None:
    writer = make_bench(memory, write_only=True)
    write(writer.base, {"a": b"1", "b": b"2"})
    interrupted_backup(writer)
    write(writer.base, {"a": b"3", "b": b"4"})
    writer.backup()
    found = writer.open().doctor()
    assert "clean_gc_log" in told(found, "garbage list")


def test_a_store_that_ignores_conditions_is_told(make_bench: MakeBench) -> None:
    bench = make_bench(MemoryStore(conditional=False))
    write(bench.base, {"a": b"1"})
    bench.backup()
    assert verdicts(bench.open().doctor())["conditional writes"] is WARNING


def test_a_clock_that_differs_is_told(bench: Bench, memory: MemoryStore) -> None:
    bench.backup()
    memory.clock_ns += 5 * 60 * 10**9
    assert verdicts(bench.open().doctor())["clock"] is WARNING


@pytest.mark.parametrize("harm", ["forged", "deleted", "wrong password"])
def test_keys_that_do_not_open_are_told(
    harm: str, make_bench: MakeBench, memory: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker(monkeypatch)
    bench = make_bench(memory, crypto=CRYPTO, file_pipeline=[("*", ["encrypt"])])
    write(bench.base, {"a": b"1"})
    bench.backup()
    assert verdicts(bench.open().doctor())["password and keys"] is FINE
    match harm:
        case "forged":
            garble(memory, "salt_file", stored(memory, "salt_file")[0].version_id)
        case "deleted":
            memory.mark_deleted("salt_file")
        case _:
            bench = evolve(bench, config=evolve(bench.config, crypto=evolve(CRYPTO, crypt_password="wrong")))
    found = bench.open().doctor()
    assert verdicts(found)["password and keys"] is WRONG
    assert told(found, "password and keys").strip()


def test_local_files_and_the_tree_are_looked_at(bench: Bench, tmp_path: Path) -> None:
    bench.backup()
    path = bench.config.manifest_path()
    path.write_bytes(b"noise")
    assert verdicts(bench.open().doctor())["local manifest"] is WARNING
    path.unlink()
    assert verdicts(bench.open().doctor())["local manifest"] is WARNING
    assert verdicts(bench.open(base_path=str(tmp_path / "gone")).doctor())["configuration"] is WRONG
    assert verdicts(bench.open(base_path=str(tmp_path / "gone"), read_only=True).doctor())["configuration"] is FINE
    assert verdicts(bench.open(split_chunk_size=1).doctor())["configuration"] is WARNING
    lost = bench.open(local_manifest_file=str(tmp_path / "no folder" / "manifest"))
    assert verdicts(lost.doctor())["local space"] is WRONG


def test_a_store_that_went_back_is_told(bench: Bench, memory: MemoryStore) -> None:
    bench.backup()
    write(bench.base, {"a": b"changed"})
    newest = bench.backup().version_id
    assert newest is not None
    memory.delete_versions([ref for ref in stored(memory, "manifest_diffs") if ref.version_id == newest])
    assert verdicts(bench.open().doctor())["local manifest"] is WRONG


# --- folders -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Config:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a").write_bytes(b"1")
    config = Config(
        base_path=tmp_path / "base",
        local_manifest_file=str(tmp_path / "manifest"),
        local_lock_file=str(tmp_path / "lock"),
        directory=DirectorySettings(path=tmp_path / "store"),
    )
    open_repository(config).backup()
    os.chmod(tmp_path / "store", 0o700)
    return config


def test_a_folder_is_looked_at(folder: Config, tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_size) for path in (tmp_path / "store").rglob("*"))
    found = open_repository(folder).doctor()
    assert verdicts(found) == {**dict.fromkeys((one.subject for one in found), FINE), "volume": WARNING}
    assert {"folder", "rights to the folder", "space", "volume", "clock"} <= verdicts(found).keys()
    assert sorted((path, path.stat().st_size) for path in (tmp_path / "store").rglob("*")) == before


@pytest.mark.parametrize(("mode", "what"), [(0o755, "look into"), (0o777, "write to"), (0o720, "write to")])
def test_others_have_no_business_in_a_backup(mode: int, what: str, folder: Config, tmp_path: Path) -> None:
    os.chmod(tmp_path / "store", mode)
    found = open_repository(folder).doctor()
    assert verdicts(found)["rights to the folder"] is WARNING
    assert what in told(found, "rights to the folder")


def test_a_folder_that_may_not_be_written_to_is_wrong_for_who_writes(
    folder: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the refusal is played."""
    really = os.access
    store = str(tmp_path / "store")

    def access(path: str | os.PathLike[str], mode: int) -> bool:
        return really(path, mode) and not (str(path) == store and mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)
    assert verdicts(open_repository(folder).doctor())["rights to the folder"] is WRONG
    assert verdicts(open_repository(evolve(folder, read_only=True)).doctor())["rights to the folder"] is FINE


def test_another_volume_and_little_room_are_told(
    folder: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_folder, "free_bytes", lambda path: 1000)
    shared = Path("/dev/shm")
    elsewhere = evolve(folder, base_path=str(shared)) if shared.is_dir() else folder
    found = verdicts(open_repository(elsewhere).doctor())
    assert found["space"] is WARNING
    assert found["volume"] is (FINE if os.stat(elsewhere.base()).st_dev != os.stat(tmp_path).st_dev else WARNING)


def test_a_folder_that_is_no_store_ends_the_examination(folder: Config, tmp_path: Path) -> None:
    (tmp_path / "store" / "%rrbackup").unlink()
    found = open_repository(folder).doctor()
    assert found[-1].subject == "store"
    assert found[-1].verdict is WRONG
    assert "init" in found[-1].remedy


# --- buckets -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def accounts(moto_server: S3Server) -> Iterator[MotoAccounts]:
    iam = iam_client(moto_server)
    yield MotoAccounts(moto_server, iam)
    iam.close()


@pytest.fixture
def make_world(
    make_bench: MakeBench, accounts: MotoAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeWorld:
    quicker(monkeypatch)
    return lambda mode, prefix="": new_world(make_bench, accounts, tmp_path, mode, prefix)


RIGHTS = ("right to read files", "right to delete versions", "right to write")
REFUSED: dict[PolicyMode, set[str]] = {
    PolicyMode.READ_ONLY: {
        *("versioning", "life-cycle rules", "open transaction", "unfinished uploads", "garbage list"),
    },
    PolicyMode.WRITE_ONLY: {"versioning", "life-cycle rules"},
    PolicyMode.READ_WRITE: {"versioning", "life-cycle rules"},
}
"""What the rights of a mode do not let it look at."""


@pytest.mark.parametrize(
    "mode", [PolicyMode.READ_ONLY, PolicyMode.WRITE_ONLY, pytest.param(PolicyMode.READ_WRITE, marks=pytest.mark.deep)]
)
def test_under_the_rights_of_its_mode_nothing_is_wrong(mode: PolicyMode, make_world: MakeWorld) -> None:
    world = make_world(mode, PREFIX)
    world.admin.backup()
    world.apply(mode)
    with world.judged():
        found = world.user.open().doctor()
    worst = verdicts(found)
    assert {subject for subject, verdict in worst.items() if verdict is UNKNOWN} == {*REFUSED[mode], "right to write"}
    assert {worst[subject] for subject in RIGHTS[:2]} == {FINE}
    pipelines = set() if mode is PolicyMode.READ_ONLY else {"configuration"}
    assert {subject for subject, verdict in worst.items() if verdict is WARNING} == {"local manifest", *pipelines}
    assert WRONG not in worst.values()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"write_only": True}, {"right to read files": WRONG, "right to delete versions": WRONG}),
        pytest.param(
            {"read_only": True},
            {"right to read files": FINE, "right to delete versions": WRONG},
            marks=pytest.mark.deep,
        ),
        pytest.param(
            {"allow_delete_versions": False},
            {"right to read files": FINE, "right to delete versions": WARNING},
            marks=pytest.mark.deep,
        ),
        ({}, {"right to read files": FINE, "right to delete versions": FINE}),
    ],
)
def test_rights_that_a_mode_must_not_have_are_found(
    settings: dict[str, bool], expected: Verdicts, make_world: MakeWorld
) -> None:
    """The administrator's, on a client that is configured to do less."""
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.admin.backup()
    found = verdicts(world.admin.open(**settings).doctor())
    assert {subject: found[subject] for subject in expected} == expected
    assert (found["versioning"], found["life-cycle rules"], found["clock"]) == (FINE, FINE, FINE)


def test_rights_that_are_missing_are_found(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.admin.backup()
    world.apply(PolicyMode.WRITE_ONLY)
    with world.judged():
        found = verdicts(world.user.open().doctor())
    assert (found["right to read files"], found["right to delete versions"]) == (WRONG, WARNING)


def test_a_user_without_rights_is_told_what_is_missing(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.admin.backup()
    with world.judged():
        found = world.user.open().doctor()
    assert (found[-1].subject, found[-1].verdict) == ("store", WRONG)
    assert "s3:ListBucketVersions" in found[-1].remedy


Requests = list[tuple[str, dict[str, Any]]]
_SENDING = "_make_api_call"


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    """What boto3 is asked for, by all its clients."""
    heard: Requests = []
    send: Any = getattr(BaseClient, _SENDING)

    def listen(client: Any, name: str, arguments: dict[str, Any]) -> Any:
        heard.append((name, arguments))
        return send(client, name, arguments)

    monkeypatch.setattr(BaseClient, _SENDING, listen)
    return heard


LOOKING = {
    *("HeadObject", "GetObject", "ListObjectVersions", "ListMultipartUploads"),
    *("GetBucketVersioning", "GetBucketLifecycleConfiguration"),
}


def assert_harmless(requests: Requests, prefix: str) -> None:
    """One deletion, which names a version of a key that nobody can have; all others only look."""
    changing = [(name, arguments) for name, arguments in requests if name not in LOOKING]
    ((name, arguments),) = changing
    assert name == "DeleteObject"
    assert arguments["VersionId"] == "null"
    assert arguments["Key"].startswith(f"{prefix}/files/{NOBODYS_FOLDER}/")


def test_no_path_has_a_key_where_the_right_to_delete_is_tried() -> None:
    """It cannot be read back as a path, and a folder of that name is written otherwise."""
    with pytest.raises(DamagedObject):
        unescape(NOBODYS_FOLDER)
    assert escape(NOBODYS_FOLDER.encode()) != NOBODYS_FOLDER


def everything(world: World) -> list[object]:
    """Every version and every delete marker in the bucket, and every unfinished upload."""
    store = world.admin.store
    return [*store.list_versions(""), *store.list_uploads("")]


def test_a_bucket_is_not_changed(make_world: MakeWorld, requests: Requests) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    leave_garbage(world)
    before = everything(world)
    doctor = evolve(world.admin, events=[]).open()
    requests.clear()
    found = doctor.doctor()
    assert_harmless(requests, PREFIX)
    assert verdicts(found)["right to delete versions"] is FINE
    assert everything(world) == before


def test_seaweedfs_is_not_changed_either_and_tells_rights_apart(
    make_bench: MakeBench, seaweed: S3Server, tmp_path: Path, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicker(monkeypatch)
    iam = iam_client(seaweed)
    world = new_world(make_bench, SeaweedAccounts(seaweed, iam), tmp_path, PolicyMode.WRITE_ONLY, PREFIX)
    world.admin.backup()
    before = everything(world)
    requests.clear()
    granted = verdicts(world.admin.open().doctor())
    assert_harmless(requests, PREFIX)
    world.apply(PolicyMode.WRITE_ONLY)
    refused = verdicts(world.user.open().doctor())
    assert everything(world) == before
    assert [granted[subject] for subject in RIGHTS[:2]] == [FINE, FINE]
    assert [refused[subject] for subject in RIGHTS[:2]] == [FINE, FINE]
    liar = evolve(world.admin, config=evolve(world.admin.config, write_only=True))
    assert [verdicts(liar.open().doctor())[subject] for subject in RIGHTS[:2]] == [WRONG, WRONG]
    iam.close()


def test_a_bucket_without_versions_and_with_rules_that_destroy_is_told(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.admin.backup()
    client = world.server.client()
    rule: Any = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }
    client.put_bucket_lifecycle_configuration(Bucket=world.bucket, LifecycleConfiguration={"Rules": [rule]})
    client.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Suspended"})
    client.close()
    found = world.admin.open().doctor()
    assert (verdicts(found)["versioning"], verdicts(found)["life-cycle rules"]) == (WRONG, WRONG)
    assert "'tidy' removes old versions of manifest_diffs, salt_file, manifest_checkpoint, files/" in told(
        found, "life-cycle rules"
    )
    assert "not tried" in told(found, "right to delete versions")


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"bucket": "no-such-bucket-here"}, "store"),
        ({"access_key": "unknown", "secret_key": "unknown"}, "store"),
    ],
)
def test_what_cannot_be_reached_is_said_and_nothing_else_is_tried(
    change: dict[str, str], subject: str, make_world: MakeWorld
) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    s3 = world.user.config.s3
    assert isinstance(s3, S3Settings)
    with world.judged():
        found = open_repository(evolve(world.user.config, s3=evolve(s3, **change))).doctor()
    assert (found[-1].subject, found[-1].verdict, bool(found[-1].remedy)) == (subject, WRONG, True)
