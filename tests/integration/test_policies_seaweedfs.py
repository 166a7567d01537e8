"""The printed policies on SeaweedFS, a server that judges every request by itself.

SeaweedFS 4.48 tells apart all that the policies tell apart: objects, their versions, deleting one and marking one as
deleted, listing versions and listing unfinished uploads, and a prefix. What it does otherwise than Amazon:

- Actions are checked when an inline policy is put on a user, and not all are known there. So `policy --apply` fails for
  all modes but read-only; the same policy, made a managed one and attached to the user, holds.
- If-Match needs no right to read, parts of uploads need no right but s3:PutObject, and an object that is not there
  needs no right to list. So not each right can be shown to be needed here.
- The listing of unfinished uploads is told the prefix; Amazon's is not.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rrbackup.effects.applying import apply_policy
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import list_exact
from rrbackup.errors import AccessDenied, StoreError
from rrbackup.pure.policies import PolicyMode
from tests.integration.restricted_work import (
    PREFIX,
    WORK,
    MakeBench,
    MakeWorld,
    World,
    leave_garbage,
    new_world,
    old_statements,
    quicker,
    statements,
)
from tests.integration.rights import SeaweedAccounts, iam_client, is_granted
from tests.servers import S3Server

OBJECTS = ("files/a", "manifest_diffs", "manifest_checkpoint", "gc_log", "garbage_objects", "salt_file")


@pytest.fixture(scope="module")
def accounts(seaweed: S3Server) -> Iterator[SeaweedAccounts]:
    iam = iam_client(seaweed)
    yield SeaweedAccounts(seaweed, iam)
    iam.close()


@pytest.fixture
def make_world(
    make_bench: MakeBench, accounts: SeaweedAccounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeWorld:
    quicker(monkeypatch)
    return lambda mode, prefix="": new_world(make_bench, accounts, tmp_path, mode, prefix)


def quick_for(*quick: PolicyMode) -> list[Any]:
    """Each mode, in the long run those that are not named."""
    return [mode if mode in quick else pytest.param(mode, marks=pytest.mark.deep) for mode in PolicyMode]


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.deep), PREFIX])
@pytest.mark.parametrize("mode", PolicyMode)
def test_the_policy_of_a_mode_is_enough_for_all_that_it_is_for(
    mode: PolicyMode, prefix: str, make_world: MakeWorld
) -> None:
    world = make_world(mode, prefix)
    world.apply(mode)
    WORK[mode](world)


@pytest.mark.parametrize("mode", [PolicyMode.WRITE_ONLY, pytest.param(PolicyMode.READ_ONLY, marks=pytest.mark.deep)])
def test_the_policies_of_rrbackup_1_are_enough(mode: PolicyMode, make_world: MakeWorld) -> None:
    world = make_world(mode)
    world.give(old_statements(mode, world.bucket))
    WORK[mode](world)


# --- what is denied ----------------------------------------------------------------------------------------


def requests_of(world: World, key: str) -> dict[str, Callable[[], object]]:
    """Every way to read, write and delete one object; what is deleted was put there for that."""
    client, whole = world.own.client(), world.place.key(key)
    first = list(list_exact(world.admin.store, key))[-1].version_id

    def spare() -> str:
        return world.admin.store.put(key, b"spare").version_id

    def delete_many() -> object:
        which: Any = {"Objects": [{"Key": whole, "VersionId": spare()}]}
        return client.delete_objects(Bucket=world.bucket, Delete=which)

    return {
        "read": lambda: client.get_object(Bucket=world.bucket, Key=whole),
        "read version": lambda: client.get_object(Bucket=world.bucket, Key=whole, VersionId=first),
        "write": lambda: client.put_object(Bucket=world.bucket, Key=whole, Body=b"forged"),
        "begin upload": lambda: client.create_multipart_upload(Bucket=world.bucket, Key=whole),
        "mark as deleted": lambda: client.delete_object(Bucket=world.bucket, Key=whole),
        "delete version": lambda: client.delete_object(Bucket=world.bucket, Key=whole, VersionId=spare()),
        "delete versions": delete_many,
    }


READ, READ_VERSIONS, WRITE = {"read"}, {"read", "read version"}, {"write", "begin upload"}
DELETE = {"delete version", "delete versions"}
GRANTED: dict[PolicyMode, dict[str, set[str]]] = {
    PolicyMode.READ_ONLY: {
        "files/a": {"read version"},
        "manifest_diffs": READ_VERSIONS,
        "manifest_checkpoint": {"read version"},
        "salt_file": READ_VERSIONS,
    },
    PolicyMode.WRITE_ONLY: {
        "files/a": WRITE,
        "manifest_diffs": READ_VERSIONS | WRITE,
        "manifest_checkpoint": {"read version"} | WRITE,
        "gc_log": READ_VERSIONS | WRITE,
        "garbage_objects": READ | WRITE,
        "salt_file": READ,
    },
    PolicyMode.READ_WRITE: {
        "files/a": {"read version"} | WRITE | DELETE,
        "manifest_diffs": READ_VERSIONS | WRITE,
        "manifest_checkpoint": {"read version"} | WRITE | DELETE,
        "gc_log": READ_VERSIONS | WRITE,
        "garbage_objects": READ | WRITE,
        "salt_file": READ_VERSIONS,
    },
    PolicyMode.SETUP: {
        "manifest_diffs": READ_VERSIONS,
        "gc_log": READ | WRITE,
        "salt_file": READ_VERSIONS | WRITE,
    },
}


@pytest.mark.parametrize("mode", quick_for(PolicyMode.WRITE_ONLY))
def test_each_mode_may_do_with_each_object_what_it_needs_and_nothing_else(
    mode: PolicyMode, make_world: MakeWorld
) -> None:
    world = make_world(PolicyMode.READ_ONLY, PREFIX)
    leave_garbage(world)
    world.admin.store.put("manifest_checkpoint", b"not used yet")
    world.give(statements(mode, world.place))
    found = {key: {name for name, request in requests_of(world, key).items() if is_granted(request)} for key in OBJECTS}
    assert {key: names for key, names in found.items() if names} == GRANTED[mode]


def test_under_the_policy_of_rrbackup_1_gc_log_is_all_that_can_be_marked_as_deleted(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.WRITE_ONLY)
    leave_garbage(world)
    world.admin.store.put("manifest_checkpoint", b"not used yet")
    world.give(old_statements(PolicyMode.WRITE_ONLY, world.bucket))
    for key in OBJECTS:
        granted = {name for name, request in requests_of(world, key).items() if is_granted(request)}
        assert granted & {*DELETE, "mark as deleted"} == ({"mark as deleted"} if key == "gc_log" else set()), key
        assert granted.issuperset(WRITE)
        assert ("read version" in granted) == (key not in ("files/a", "manifest_checkpoint")), key


def test_the_listings_of_another_prefix_are_denied(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_WRITE, PREFIX)
    world.apply(PolicyMode.READ_WRITE)
    other = S3Store(world.own.options(world.bucket, "machines/another"))
    list(world.user.store.list_versions("files/"))
    list(world.user.store.list_uploads("files/"))
    refused: dict[str, Callable[[], object]] = {
        "s3:ListBucketVersions": lambda: list(other.list_versions("files/")),
        "s3:ListBucketMultipartUploads": lambda: list(other.list_uploads("files/")),
    }
    for action, request in refused.items():
        with pytest.raises(AccessDenied) as denied:
            request()
        assert action in denied.value.hint


def test_a_backup_without_one_of_its_rights_ends_with_an_error_that_names_it(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.WRITE_ONLY, PREFIX)
    without: Any = [
        {**statement, "Action": [action for action in statement["Action"] if action != "s3:PutObject"]}
        for statement in statements(PolicyMode.WRITE_ONLY, world.place)
    ]
    world.give([statement for statement in without if statement["Action"]])
    with pytest.raises(AccessDenied, match="gc_log") as denied:
        world.user.backup()
    assert "s3:PutObject" in denied.value.hint


def test_an_inline_policy_is_taken_or_it_is_said_what_else_to_do(make_world: MakeWorld) -> None:
    world = make_world(PolicyMode.READ_ONLY, PREFIX)
    apply_policy(world.admin.config, PolicyMode.READ_ONLY, world.name)
    world.admin.backup()
    assert world.user.open().download("latest", world.out).problems == ()
    with pytest.raises(StoreError, match="ListBucketMultipartUploads") as refused:
        apply_policy(world.admin.config, PolicyMode.WRITE_ONLY, world.name)
    assert "managed policy" in refused.value.hint
