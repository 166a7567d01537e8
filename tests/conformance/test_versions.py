"""Versions: what a write leaves, what stays readable, in which order a listing shows it, what a deletion removes."""

from collections.abc import Callable
from itertools import groupby

import pytest

from rrbackup.effects.store import Store, Stored, list_exact
from rrbackup.errors import ObjectMissing
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef
from tests.worlds import KINDS, World

QUICK = ("memory", "seaweedfs")
THOUSANDS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.deep) for kind in KINDS]
"""A thousand writes take the others seconds, and say nothing that these do not."""


def versions_of(store: Store, key: str) -> list[ListedVersion]:
    return list(list_exact(store, key))


def ref(key: str, stored: Stored) -> VersionRef:
    return VersionRef(key, stored.version_id)


def test_every_write_makes_a_version_of_its_own_even_of_equal_bytes(store: Store) -> None:
    stored = [store.put("k", b"same") for _ in range(3)]
    assert len({one.version_id for one in stored}) == 3
    assert all(one.size == 4 and one.attempts == 1 and one.etag for one in stored)


def test_get_and_head_show_the_newest_version(store: Store) -> None:
    store.put("k", b"old")
    newest = store.put("k", b"newer")
    fetched = store.get("k")
    assert fetched.body == b"newer"
    assert (fetched.info.version_id, fetched.info.etag, fetched.info.size) == (newest.version_id, newest.etag, 5)
    assert store.head("k").version_id == newest.version_id


def test_an_old_version_stays_as_it_was(store: Store) -> None:
    old = store.put("k", b"old", metadata={"n": "1"})
    store.put("k", b"newer", metadata={"n": "2"})
    fetched = store.get("k", old.version_id)
    assert (fetched.body, fetched.info.etag, fetched.info.metadata) == (b"old", old.etag, {"n": "1"})


def test_the_stores_clock_is_no_earlier_than_the_version(store: Store) -> None:
    store.put("k", b"x")
    info = store.head("k")
    # S3 tells both in whole seconds, and may round them differently
    assert 0 <= info.date_ns - info.last_modified_ns + 1_000_000_000 < 60 * 1_000_000_000


def test_a_listing_shows_the_versions_of_a_key_newest_first(store: Store) -> None:
    stored = [store.put("k", b"x" * size) for size in range(12)]
    assert [(row.version_id, row.size, row.etag, row.marker) for row in versions_of(store, "k")] == [
        (one.version_id, one.size, one.etag, False) for one in reversed(stored)
    ]


@pytest.mark.parametrize("kind", THOUSANDS)
def test_listing_and_deletion_go_on_past_a_thousand_versions_of_one_key(
    new_world: Callable[[str], World], kind: str
) -> None:
    store = new_world(kind).store()
    stored = [store.put("k", b"%d" % number) for number in range(1_003)]
    neighbour = store.put("k2", b"neighbour")
    assert [row.version_id for row in versions_of(store, "k")] == [one.version_id for one in reversed(stored)]
    kept = stored.pop(500)
    store.delete_versions(ref("k", one) for one in stored)
    assert [row.version_id for row in store.list_versions("")] == [kept.version_id, neighbour.version_id]


def test_deleting_the_newest_version_uncovers_the_one_before(store: Store) -> None:
    store.put("k", b"before")
    store.delete_versions([ref("k", store.put("k", b"newest"))])
    assert store.get("k").body == b"before"


def test_a_version_id_is_not_used_again_after_the_newest_was_deleted(store: Store) -> None:
    first = store.put("k", b"1")
    store.delete_versions([ref("k", first)])
    assert store.put("k", b"1").version_id != first.version_id


def test_deleting_passes_over_what_does_not_exist(store: Store) -> None:
    stored = store.put("k", b"x")
    gone = store.put("gone", b"y")
    store.delete_versions([ref("gone", gone)])
    store.delete_versions([ref("gone", gone), VersionRef("never", gone.version_id), ref("k", stored)])
    assert list(store.list_versions("")) == []


def test_deleting_nothing_is_allowed(store: Store) -> None:
    store.delete_versions([])


def test_a_delete_marker_hides_the_versions_but_leaves_them(world: World) -> None:
    store = world.store()
    stored = store.put("k", b"x")
    world.mark_deleted("k")
    with pytest.raises(ObjectMissing):
        store.get("k")
    with pytest.raises(ObjectMissing):
        store.head("k")
    assert store.get("k", stored.version_id).body == b"x"


def test_a_current_delete_marker_is_listed_first(world: World) -> None:
    store = world.store()
    stored = store.put("k", b"x")
    world.mark_deleted("k")
    first, second = versions_of(store, "k")
    assert (first.marker, first.size, second.marker, second.version_id) == (True, 0, False, stored.version_id)


def test_a_covered_delete_marker_is_listed_behind_the_newest_version(world: World) -> None:
    store = world.store()
    store.put("k", b"x")
    world.mark_deleted("k")
    newest = store.put("k", b"y")
    rows = versions_of(store, "k")
    assert rows[0].version_id == newest.version_id
    assert [row.marker for row in rows].count(True) == 1


def test_deleting_the_delete_marker_brings_the_object_back(world: World) -> None:
    store = world.store()
    store.put("k", b"x")
    world.mark_deleted("k")
    store.delete_versions([row.ref for row in versions_of(store, "k") if row.marker])
    assert store.get("k").body == b"x"


def test_getting_a_delete_marker_by_its_id_finds_no_object(world: World) -> None:
    store = world.store()
    store.put("k", b"x")
    world.mark_deleted("k")
    marker, _ = versions_of(store, "k")
    with pytest.raises(ObjectMissing):
        store.get("k", marker.version_id)


@pytest.mark.parametrize("key", ["k", "other"])
def test_a_version_that_does_not_exist_is_missing(store: Store, key: str) -> None:
    store.put("k", b"x")
    deleted = store.put("k", b"y")
    store.delete_versions([ref("k", deleted)])
    with pytest.raises(ObjectMissing, match=key):
        store.get(key, deleted.version_id)
    with pytest.raises(ObjectMissing, match=key), store.read(key, deleted.version_id) as chunks:
        list(chunks)


@pytest.mark.parametrize("version_id", ["", "null"])
def test_an_id_that_no_version_has_never_stands_for_the_newest(store: Store, version_id: str) -> None:
    """SeaweedFS takes an empty id for none."""
    store.put("k", b"x")
    with pytest.raises(ObjectMissing):
        store.get("k", VersionId(version_id))
    with pytest.raises(ObjectMissing), store.read("k", VersionId(version_id)) as body:
        b"".join(body)


def test_an_object_that_does_not_exist_is_missing(store: Store) -> None:
    with pytest.raises(ObjectMissing, match="absent"):
        store.get("absent")
    with pytest.raises(ObjectMissing, match="absent"):
        store.head("absent")


@pytest.mark.parametrize("kind", THOUSANDS)
def test_a_listing_of_many_keys_goes_on_past_a_page(new_world: Callable[[str], World], kind: str) -> None:
    store = new_world(kind).store()
    for number in range(335):
        for _ in range(3):
            store.put(f"many/{number}", b"")
    listed = [(key, len(list(rows))) for key, rows in groupby(store.list_versions("many/"), lambda row: row.key)]
    assert listed == [(f"many/{number}", 3) for number in sorted(range(335), key=str)]


def test_version_ids_are_never_empty_or_null(store: Store) -> None:
    assert store.put("k", b"x").version_id not in (VersionId(""), VersionId("null"))
