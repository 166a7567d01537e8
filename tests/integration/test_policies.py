"""The rights that README.md gives to restricted clients are enough for their work, and keep them from the rest.

moto judges the policies as Amazon's IAM does, down to actions and resources.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from attrs import evolve

from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import list_exact
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import AccessDenied
from rrbackup.events import Event, FileDone
from tests.integration.conftest import Bench
from tests.integration.trees import look, write
from tests.servers import S3Server

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SPELLINGS = {
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutObject",
}
"""As Amazon writes them; a misspelt action grants nothing, in silence."""

MakeBench = Callable[..., Bench]


def block(name: str) -> str:
    found = re.search(rf"^```json {name}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def store_with(policy: str, server: S3Server, bucket: str) -> S3Store:
    """The bucket as a user with that policy of the README sees it."""
    user = f"user-{uuid4().hex}"
    iam = boto3.client(
        "iam",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    iam.create_user(UserName=user)
    document = block(f"policy={policy}").replace("YOUR-BUCKET", bucket)
    iam.put_user_policy(UserName=user, PolicyName="readme", PolicyDocument=document)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    iam.close()
    own = evolve(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    return S3Store(own.options(bucket))


def rights_looked_at() -> AbstractContextManager[None]:
    """For as long as it lasts, moto checks who asks for what."""
    from moto.core.authorization import enable_iam_authentication  # here: without moto these tests are skipped

    return enable_iam_authentication()


@pytest.fixture
def bench(make_bench: MakeBench, moto_server: S3Server) -> Bench:
    """With all rights, after `init`."""
    bench = make_bench(S3Store(moto_server.options(moto_server.new_bucket())))
    bench.open().prepare()
    write(bench.base, {"a": b"1", "d/b": b"2", "large": b"3" * (MULTIPART_THRESHOLD + 1)})
    return bench


def restricted(bench: Bench, policy: str, server: S3Server) -> Bench:
    """The same client under a policy of the README."""
    bucket = bench.store.describe().removeprefix("s3://")
    config = evolve(bench.config, read_only=policy == "read-only", write_only=policy == "write-only")
    return evolve(bench, store=store_with(policy, server, bucket), config=config)


@pytest.mark.parametrize("policy", ["read-only", "write-only"])
def test_actions_are_spelt_as_amazon_does(policy: str) -> None:
    statements = json.loads(block(f"policy={policy}"))["Statement"]
    assert {action for statement in statements for action in statement["Action"]} <= SPELLINGS


class Interruption(Exception):
    """Somebody pulls the plug."""


def pull_the_plug(event: Event) -> None:
    if isinstance(event, FileDone) and event.uploaded:
        raise Interruption


def test_a_write_only_client_backs_up_and_recovers(bench: Bench, moto_server: S3Server, tmp_path: Path) -> None:
    writer = restricted(bench, "write-only", moto_server)
    with rights_looked_at():
        with pytest.raises(Interruption):
            writer.open().backup(on_event=pull_the_plug)
        assert writer.backup().counts.new == 3
        write(bench.base, {"a": b"changed"})
        assert writer.backup().counts.changed == 1
        entries = writer.open().files()
    assert bench.open().download("latest", tmp_path / "out").problems == ()
    assert look(tmp_path / "out") == look(bench.base)
    stored = {version.ref for version in bench.store.list_versions("files/")}
    old = {entry.object.ref for entry in bench.open().files("latest~1") if entry.object}
    listed = stored - old - {entry.object.ref for entry in entries if entry.object}
    assert len(listed) > 0
    assert set(bench.open().clean_garbage_list().deleted) == listed


def test_a_write_only_client_can_neither_read_files_nor_delete(bench: Bench, moto_server: S3Server) -> None:
    bench.backup()
    store = restricted(bench, "write-only", moto_server).store
    for key in ("files/a", "manifest_diffs"):
        version = next(list_exact(bench.store, key)).ref
        with rights_looked_at(), pytest.raises(AccessDenied):
            store.delete_versions([version])
        assert next(list_exact(bench.store, key)).ref == version
    with rights_looked_at(), pytest.raises(AccessDenied):
        store.get("files/a")


def test_a_read_only_client_lists_and_downloads_and_cannot_write(
    bench: Bench, moto_server: S3Server, tmp_path: Path
) -> None:
    bench.backup()
    reader = restricted(bench, "read-only", moto_server)
    with rights_looked_at():
        assert len(reader.open().versions()) == 1
        assert reader.open().plan_backup().planned == ()
        assert reader.open().download("latest", tmp_path / "out").problems == ()
        with pytest.raises(AccessDenied):
            reader.store.put("files/a", b"2")
    assert look(tmp_path / "out") == look(bench.base)


def test_the_life_cycle_rules_are_accepted_and_spare_the_backup(bench: Bench, moto_server: S3Server) -> None:
    rules = json.loads(block("life-cycle"))
    client = moto_server.client()
    bucket = bench.store.describe().removeprefix("s3://")
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    client.close()
    expiring = {rule["Filter"]["Prefix"] for rule in rules["Rules"] if "NoncurrentVersionExpiration" in rule}
    assert expiring == {"gc_log", "garbage_objects"}
