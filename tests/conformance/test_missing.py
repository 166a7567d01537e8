"""Stores that are not there, keep no versions, or have to be prepared first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.s3 import S3Store
from rrbackup.effects.store import IfAbsent, Store
from rrbackup.errors import NotVersioned, ObjectMissing, StoreMissing
from rrbackup.pure.model import VersionId, VersionRef
from tests.servers import S3Server
from tests.worlds import KINDS, World

VERSION = VersionId("1-00000000")
REQUESTS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("k"),
    "list_versions": lambda store: list(store.list_versions("")),
    "list_uploads": lambda store: list(store.list_uploads("")),
    "delete_versions": lambda store: store.delete_versions([VersionRef("k", VERSION)]),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "memory"])
@pytest.mark.parametrize("request_name", REQUESTS)
def test_a_missing_store_is_told_from_a_missing_object(
    new_world: Callable[[str], World], kind: str, request_name: str
) -> None:
    if (kind, request_name) == ("seaweedfs", "list_uploads"):
        # Observed with SeaweedFS 4.48: ListMultipartUploads of a bucket that does not exist answers an empty list.
        pytest.skip("SeaweedFS lists no uploads of a bucket that does not exist instead of refusing")
    with pytest.raises(StoreMissing) as caught:
        REQUESTS[request_name](new_world(kind).missing_store())
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["directory", "hashed", "moto"])
def test_writing_to_a_missing_store_makes_none(new_world: Callable[[str], World], kind: str) -> None:
    # Not SeaweedFS: there, a PUT with the rights of an administrator makes the bucket.
    store = new_world(kind).missing_store()
    for _ in range(2):
        with pytest.raises(StoreMissing):
            store.put("k", b"x")


def test_preparing_a_store_that_is_ready_does_nothing(store: Store) -> None:
    store.put("k", b"x")
    assert store.prepare() == ()
    assert store.get("k").body == b"x"


def test_preparing_a_bucket_switches_versioning_on_and_says_so(server: S3Server) -> None:
    store = S3Store(server.options(server.new_bucket(versioned=False)))
    (said,) = store.prepare()
    assert "switched versioning on" in said
    assert store.put("k", b"x").version_id
    assert store.prepare() == ()


def test_preparing_a_bucket_with_suspended_versioning_switches_it_on_again(server: S3Server) -> None:
    bucket = server.new_bucket()
    server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    (said,) = S3Store(server.options(bucket)).prepare()
    assert "suspended" in said


def test_preparing_a_missing_bucket_does_not_make_it(server: S3Server) -> None:
    with pytest.raises(StoreMissing):
        S3Store(server.options("not-there-at-all")).prepare()


def test_a_bucket_that_keeps_no_versions_is_found_out_by_any_answer(server: S3Server) -> None:
    store = S3Store(server.options(server.new_bucket(versioned=False)))
    with pytest.raises(NotVersioned) as caught:
        store.put("k", b"x")
    assert "rrbackup init" in caught.value.hint
    for request_name in ("get", "list_versions"):
        with pytest.raises(NotVersioned):
            REQUESTS[request_name](store)
    with pytest.raises(NotVersioned):
        store.head("k")


def test_a_client_that_deletes_nothing_leaves_it_where_it_is(server: S3Server) -> None:
    bucket = server.new_bucket(versioned=False)
    store = S3Store(evolve(server.options(bucket), deletes=False))
    with pytest.raises(NotVersioned):
        store.put("k", b"x", condition=IfAbsent())
    assert server.client().get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


@pytest.mark.parametrize("suspended", [False, True])
def test_what_was_created_where_no_versions_are_kept_is_not_left_in_the_way(server: S3Server, suspended: bool) -> None:
    bucket = server.new_bucket(versioned=suspended)
    if suspended:
        server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    store = S3Store(server.options(bucket))
    with pytest.raises(NotVersioned):
        store.put("k", b"x", condition=IfAbsent())
    store.prepare()
    with pytest.raises(ObjectMissing):
        store.get("k")
    assert store.put("k", b"y", condition=IfAbsent()).version_id


def test_an_object_from_before_versioning_is_found_out(server: S3Server) -> None:
    bucket = server.new_bucket(versioned=False)
    server.client().put_object(Bucket=bucket, Key="k", Body=b"old")
    store = S3Store(server.options(bucket))
    store.prepare()
    with pytest.raises(NotVersioned, match="k"):
        store.head("k")


def test_preparing_makes_a_folder_a_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "new" / "folder")
    (said,) = store.prepare()
    assert str(tmp_path / "new" / "folder") in said
    store.put("k", b"x")
    assert DirectoryStore(tmp_path / "new" / "folder").get("k").body == b"x"


def test_a_folder_that_was_never_prepared_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing) as caught:
        DirectoryStore(tmp_path).put("k", b"x")
    assert "init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_of_a_store_names_it_without_its_secrets(world: World) -> None:
    store = world.store("below")
    assert "w" in store.describe()
    assert store.describe().endswith("/below")
    assert "testtest" not in store.describe() + repr(store) + str(store)
