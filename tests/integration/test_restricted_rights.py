"""What somebody can do with the keys of a client that may only write: add versions, and nothing else.

Under exactly the policy that is printed for it, judged by moto as Amazon does.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rrbackup.effects.store import list_exact
from rrbackup.pure.policies import PolicyMode
from tests.integration.restricted_work import PREFIX, MakeBench, World, leave_garbage, new_world, quicker
from tests.integration.rights import Json, MotoAccounts, iam_client, is_granted
from tests.integration.trees import look, write
from tests.servers import S3Server


@pytest.fixture
def world(
    make_bench: MakeBench, moto_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """A repository with commits and garbage, and keys for the printed write-only policy."""
    quicker(monkeypatch)
    iam = iam_client(moto_server)
    made = new_world(make_bench, MotoAccounts(moto_server, iam), tmp_path, PolicyMode.WRITE_ONLY, PREFIX)
    leave_garbage(made)
    made.admin.store.put("manifest_checkpoint", b"not used yet")
    made.apply(PolicyMode.WRITE_ONLY)
    yield made
    iam.close()


WITHIN = ("files/a", "files/new", "manifest_diffs", "manifest_checkpoint", "gc_log", "garbage_objects")
KEPT = ("salt_file", "RECOVER/recover.py", "elsewhere")


def of_an_object(client: Any, at: Json) -> dict[str, Callable[[], Any]]:
    """Every way to do something to one version. boto3 has no types for requests that are put together."""
    plain, bucket = {"Bucket": at["Bucket"], "Key": at["Key"]}, at["Bucket"]
    return {
        "write": lambda: client.put_object(**plain, Body=b"forged"),
        "begin an upload": lambda: client.create_multipart_upload(**plain),
        "read": lambda: client.get_object(**plain),
        "read a version": lambda: client.get_object(**at),
        "copy": lambda: client.copy_object(Bucket=bucket, Key=f"{at['Key']} copy", CopySource=at),
        "mark as deleted": lambda: client.delete_object(**plain),
        "delete a version": lambda: client.delete_object(**at),
        "delete versions": lambda: client.delete_objects(Bucket=bucket, Delete=only(at)),
        "set rights": lambda: client.put_object_acl(**plain, ACL="public-read"),
        "tag": lambda: client.put_object_tagging(**plain, Tagging={"TagSet": []}),
    }


def of_the_bucket(client: Any, bucket: str) -> dict[str, Callable[[], Any]]:
    rules = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    suspended = {"Status": "Suspended"}
    return {
        "let expire": lambda: client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules),
        "suspend versions": lambda: client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended),
        "set a policy": lambda: client.put_bucket_policy(Bucket=bucket, Policy="{}"),
        "delete it": lambda: client.delete_bucket(Bucket=bucket),
    }


def attempts(world: World) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """What somebody with the keys can send: what it is, the key, and the request itself."""
    client = world.own.client()
    for key in (*WITHIN, *KEPT):
        version = next((found.version_id for found in list_exact(world.admin.store, key)), "none")
        at = {"Bucket": world.bucket, "Key": world.place.key(key), "VersionId": version}
        yield from ((what, key, request) for what, request in of_an_object(client, at).items())
    yield from ((what, "", request) for what, request in of_the_bucket(client, world.bucket).items())
    client.close()


def only(at: Json) -> Json:
    return {"Objects": [{"Key": at["Key"], "VersionId": at["VersionId"]}]}


def test_a_stolen_key_adds_versions_and_does_nothing_else(world: World, tmp_path: Path) -> None:
    store = world.admin.store
    before = {version.ref: version.marker for version in store.list_versions("")}
    kept = {ref: store.get(ref.key, ref.version_id).body for ref in before}
    granted: dict[str, set[str]] = {}
    for what, key, request in attempts(world):
        with world.judged():
            if is_granted(request):
                granted.setdefault(what, set()).add(key)
    records = {"manifest_diffs", "gc_log"}
    assert granted == {
        "write": set(WITHIN),
        "begin an upload": set(WITHIN),
        "read": {*records, "garbage_objects", "salt_file"},
        "read a version": {*records, "manifest_checkpoint"},
    }
    assert {ref: store.get(ref.key, ref.version_id).body for ref in before} == kept
    forged = [version.ref for version in store.list_versions("") if version.ref not in before]
    assert {ref.key for ref in forged} == set(WITHIN)
    world.server.client().delete_objects(
        Bucket=world.bucket,
        Delete={"Objects": [{"Key": world.place.key(r.key), "VersionId": r.version_id} for r in forged]},
    )
    assert world.admin.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(world.admin.base)


def test_giving_up_the_upload_of_a_client_at_work_costs_it_that_run_only(world: World) -> None:
    """The one right that takes something away: it is needed to tidy up after oneself, and reaches no version."""
    begun = world.server.client().create_multipart_upload(Bucket=world.bucket, Key=world.place.key("files/large"))
    before = {version.ref for version in world.admin.store.list_versions("")}
    thief = world.own.client()
    with world.judged():
        thief.abort_multipart_upload(Bucket=world.bucket, Key=begun["Key"], UploadId=begun["UploadId"])
    thief.close()
    assert list(world.admin.store.list_uploads("files/")) == []
    assert {version.ref for version in world.admin.store.list_versions("")} == before
    write(world.user.base, {"a": b"goes on"})
    with world.judged():
        assert world.user.backup().counts.changed == 1
