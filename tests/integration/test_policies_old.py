"""The two policies that the README of rrbackup 1.0 gave still do for what it gave them: reading, and writing only.

There was none for a client that may delete: it had all rights.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from botocore.exceptions import ClientError

from rrbackup.effects.store import list_exact
from rrbackup.errors import AccessDenied, ObjectMissing
from rrbackup.pure.format2 import decode_garbage
from rrbackup.pure.policies import PolicyMode
from tests.integration.restricted_work import (
    DELETE,
    OLD_POLICIES,
    WORK,
    MakeBench,
    MakeWorld,
    World,
    changed,
    interrupted_backup,
    leave_garbage,
    new_world,
    old_statements,
    quicker,
)
from tests.integration.rights import MotoAccounts, iam_client
from tests.integration.trees import look, write
from tests.servers import S3Server


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
    return lambda mode: new_world(make_bench, accounts, tmp_path, mode)


def under_old_rights(make_world: MakeWorld, mode: PolicyMode) -> World:
    world = make_world(mode)
    world.give(old_statements(mode, world.bucket))
    return world


@pytest.mark.parametrize("mode", OLD_POLICIES)
def test_the_policies_of_rrbackup_1_are_enough(mode: PolicyMode, make_world: MakeWorld) -> None:
    WORK[mode](under_old_rights(make_world, mode))


def test_a_write_only_client_takes_another_one_over_under_the_old_policy(make_world: MakeWorld, tmp_path: Path) -> None:
    world = under_old_rights(make_world, PolicyMode.WRITE_ONLY)
    interrupted_backup(world.admin)
    write(world.user.base, changed({"a": b"1", "d/b": b"2", "secret": b"3"}))
    with world.judged():
        world.user.backup(take_over=True)
        newcomer = world.user.other_client(tmp_path / "newcomer")  # has no local manifest yet
        assert newcomer.backup().version_id is None
    assert world.admin.open().download("latest", world.out).problems == ()
    assert look(world.out) == look(world.user.base)
    listed = decode_garbage(world.admin.store.get("garbage_objects").body, "garbage_objects")
    assert listed != ()
    assert {ref.key for ref in listed} <= {"files/a", "files/d/b", "files/secret"}
    stored = {version.ref for version in world.admin.store.list_versions("files/")}
    assert stored.issuperset(listed), "nothing was deleted"


def test_only_gc_log_can_be_deleted_and_only_by_a_marker(make_world: MakeWorld) -> None:
    world = under_old_rights(make_world, PolicyMode.WRITE_ONLY)
    leave_garbage(world)
    client = world.own.client()
    for key in ("files/a", "manifest_diffs", "garbage_objects", "salt_file", "gc_log"):
        version = next(list_exact(world.admin.store, key)).ref
        with world.judged(), pytest.raises(AccessDenied):
            world.user.store.delete_versions([version])
        if key != "gc_log":
            with world.judged(), pytest.raises(ClientError, match="AccessDenied"):
                client.delete_object(Bucket=world.bucket, Key=key)
    with world.judged():
        client.delete_object(Bucket=world.bucket, Key="gc_log")
    client.close()
    with pytest.raises(ObjectMissing):
        world.admin.store.get("gc_log")
    with world.judged():
        write(world.user.base, {"a": b"after the marker"})
        assert world.user.backup().counts.changed == 1


@pytest.mark.deep
def test_deleting_is_the_one_old_right_that_is_not_needed_any_more(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.WRITE_ONLY)
    old = old_statements(PolicyMode.WRITE_ONLY, world.bucket)
    kept = [statement for statement in old if DELETE not in statement["Action"]]
    assert len(kept) == len(old) - 1
    world.give(kept)
    WORK[PolicyMode.WRITE_ONLY](world)


def test_a_read_only_client_under_the_old_policy_can_read_the_garbage_list_and_write_nothing(
    make_world: MakeWorld,
) -> None:
    world = under_old_rights(make_world, PolicyMode.READ_ONLY)
    leave_garbage(world)
    writer = evolve(world.user, config=evolve(world.user.config, read_only=False))  # a wrong configuration
    write(world.user.base, {"a": b"changed"})
    with world.judged():
        assert world.user.store.get("garbage_objects").body != b""
        with pytest.raises(AccessDenied, match="gc_log") as denied:
            writer.backup()
    assert "s3:PutObject" in denied.value.hint
