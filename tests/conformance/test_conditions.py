"""Conditional writes: the one thing that keeps two clients apart."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, Stored, list_exact
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.errors import ConditionFailed
from tests.worlds import World

RACERS = 4
ROUNDS = 2  # SeaweedFS takes a second and more to tell the losers
BIG = MULTIPART_THRESHOLD + 1


def race(store: Store, key: str, condition: Condition, name: str) -> list[Stored]:
    """Who won of several writes sent at the same moment under the same condition."""
    start = Barrier(RACERS)

    def write(number: int) -> Stored | None:
        start.wait(30)
        try:
            return store.put(key, f"{name} {number}".encode(), condition=condition)
        except ConditionFailed:
            return None

    with ThreadPoolExecutor(RACERS) as pool:
        return [stored for stored in pool.map(write, range(RACERS)) if stored is not None]


def test_if_absent_writes_where_there_is_nothing(store: Store) -> None:
    store.put("k", b"x", condition=IfAbsent())
    assert store.get("k").body == b"x"


def test_if_absent_is_refused_where_there_is_something_and_writes_nothing(store: Store) -> None:
    store.put("k", b"x")
    with pytest.raises(ConditionFailed, match="k"):
        store.put("k", b"y", condition=IfAbsent())
    assert [row.size for row in store.list_versions("k")] == [1]
    assert store.get("k").body == b"x"


def test_if_absent_writes_over_a_delete_marker(world: World) -> None:
    store = world.store()
    store.put("k", b"x")
    world.mark_deleted("k")
    store.put("k", b"y", condition=IfAbsent())
    assert store.get("k").body == b"y"


def test_if_match_writes_over_the_version_that_it_names(store: Store) -> None:
    etag = store.put("k", b"x").etag
    store.put("k", b"y", condition=IfMatch(etag))
    assert store.get("k").body == b"y"


def overwritten(world: World, store: Store) -> None:
    store.put("k", b"newer")


def deleted(world: World, store: Store) -> None:
    store.delete_versions(row.ref for row in list(list_exact(store, "k")))


def marked(world: World, store: Store) -> None:
    world.mark_deleted("k")


@pytest.mark.parametrize("change", [overwritten, deleted, marked])
def test_if_match_is_refused_once_the_version_is_no_longer_current(
    world: World, change: Callable[[World, Store], None]
) -> None:
    store = world.store()
    etag = store.put("k", b"x").etag
    change(world, store)
    before = list(store.list_versions("k"))
    with pytest.raises(ConditionFailed, match="k"):
        store.put("k", b"y", condition=IfMatch(etag))
    assert list(store.list_versions("k")) == before


def test_if_match_is_refused_where_there_never_was_anything(store: Store) -> None:
    with pytest.raises(ConditionFailed):
        store.put("k", b"y", condition=IfMatch('"00000000000000000000000000000000"'))
    assert list(store.list_versions("k")) == []


def test_the_etag_of_a_listing_of_head_and_of_the_write_are_the_same(store: Store) -> None:
    stored = store.put("k", b"x")
    (row,) = store.list_versions("k")
    assert stored.etag == row.etag == store.head("k").etag == store.get("k").info.etag


def test_of_several_creations_at_once_exactly_one_wins(store: Store) -> None:
    for turn in range(ROUNDS):
        (winner,) = race(store, f"k{turn}", IfAbsent(), "create")
        assert [row.version_id for row in list_exact(store, f"k{turn}")] == [winner.version_id]


def test_of_several_replacements_at_once_exactly_one_wins(store: Store) -> None:
    etag = store.put("k", b"first").etag
    for turn in range(ROUNDS):
        (winner,) = race(store, "k", IfMatch(etag), f"turn {turn}")
        etag = winner.etag
    assert store.head("k").etag == etag
    assert len(list(store.list_versions("k"))) == ROUNDS + 1


def test_a_large_conditional_write_obeys_its_condition(world: World) -> None:
    if world.kind == "moto":
        # Observed with moto 5.2.5: CompleteMultipartUpload with a wrong If-Match answers 200 and makes a version.
        # SeaweedFS, like S3, answers 412.
        pytest.skip("moto does not check If-Match when a multipart upload is completed")
    store = world.store()
    etag = store.put("k", b"x").etag
    store.put("k", b"y" * BIG, condition=IfMatch(etag))
    with pytest.raises(ConditionFailed):
        store.put("k", b"z" * BIG, condition=IfMatch(etag))
    with pytest.raises(ConditionFailed):
        store.put("k", b"z" * BIG, condition=IfAbsent())
    assert [row.size for row in store.list_versions("k")] == [BIG, 1]
    assert list(store.list_uploads("")) == []
