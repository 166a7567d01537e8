"""Keys: odd ones come back as they are, neighbours are told apart, prefixes keep repositories apart."""

import pytest
from worlds import World

from rrbackup.effects.store import Store, list_exact
from rrbackup.errors import UsageError

# Left out: what SeaweedFS 4.48 is known to mangle and path escaping avoids or nobody names a file (a backslash,
# control characters, U+FFFE and U+FFFF, a segment that ends in `.versions` or is `.uploads`).
ODD = {
    "space": "files/a b/ c /d",
    "plus": "files/a+b+",
    "percent": "files/100%",
    "escape": "files/%2F%41%0A%FF",
    "lower-case escape": "files/%2f",
    "latin": "files/é",
    "combining": "files/e\u0301",
    "beyond 16 bits": "files/😀/𝄞",
    "last before private use": "files/\ud7ff",
    "full width": "files/\uffe0",
    "quotes": "files/\"double\"'single'`back`",
    "markup": "files/&amp;<a>]]>",
    "query": "files/?versionId=1#x;y=z&uploads",
    "dots": "files/.../..a/.b/c.",
    "tilde and bars": "files/~|^{}[]@$!,:*()",
    "upper": "files/UPPER/lower",
    "255 bytes": "files/" + "n" * 255,
    "255 bytes of escapes": "files/" + "%0A" * 255,
    "deep": "files/" + "d/" * 50 + "e",
    "hashed name": "files/%h/" + "0" * 64,
    "non-breaking and zero-width": "files/a\u00a0b\u200bc\u202e",
}
LONGEST = 1_024


@pytest.mark.parametrize("key", ODD.values(), ids=ODD.keys())
def test_an_odd_key_is_written_read_listed_and_deleted_as_it_is(store: Store, key: str) -> None:
    version = store.put(key, key.encode(), metadata={"n": "1"}).version_id
    assert store.get(key).body == store.get(key, version).body == key.encode()
    rows = list(store.list_versions(key[:-1]))
    assert [(row.key, row.version_id) for row in rows] == [(key, version)]
    store.delete_versions(row.ref for row in rows)
    assert list(store.list_versions("")) == []


def test_odd_keys_side_by_side_are_told_apart_and_listed_by_their_bytes(store: Store) -> None:
    for key in ODD.values():
        store.put(key, key.encode())
    rows = list(store.list_versions("files/"))
    assert [row.key for row in rows] == sorted(ODD.values(), key=str.encode)
    assert all(store.get(row.key, row.version_id).body == row.key.encode() for row in rows)


def test_odd_keys_are_deleted_together(store: Store) -> None:
    for key in ODD.values():
        store.put(key, b"x")
    store.delete_versions([row.ref for row in store.list_versions("")])
    assert list(store.list_versions("")) == []


@pytest.mark.parametrize("separator", ["/", "x"])
def test_a_key_of_the_greatest_length_is_kept(world: World, separator: str) -> None:
    store = world.store()
    room = LONGEST - len(world.prefix) - 1
    key = "".join("k" if at % 100 != 99 else "/" for at in range(room - 1)) + "k"
    store.put(key, b"x")
    assert [row.key for row in store.list_versions(key)] == [key]


NEIGHBOURS = (
    "files/a",
    "files/a!",
    "files/a-b",
    "files/a-b/c",
    "files/a/b",
    "files/a/b/c",
    "files/a0",
    "files/ab",
    "manifest_diffs",
    "manifest_diffs/x",
    "manifest_diffs2",
)


@pytest.mark.parametrize("key", NEIGHBOURS)
def test_the_versions_of_one_key_are_listed_without_those_of_its_neighbours(store: Store, key: str) -> None:
    for neighbour in NEIGHBOURS:
        store.put(neighbour, b"1")
        store.put(neighbour, b"2")
    assert [row.key for row in list_exact(store, key)] == [key, key]


@pytest.mark.parametrize(
    "prefix",
    ["", "f", "files", "files/", "files/a", "files/a/", "files/a-", "manifest_diffs", "nothing", "files/a/b/c/d"],
)
def test_a_listing_holds_every_key_that_begins_with_the_prefix(store: Store, prefix: str) -> None:
    for key in NEIGHBOURS:
        store.put(key, b"")
    assert [row.key for row in store.list_versions(prefix)] == [key for key in NEIGHBOURS if key.startswith(prefix)]


def test_a_key_may_become_a_folder_and_a_folder_a_key(store: Store) -> None:
    first = store.put("a", b"file")
    inner = store.put("a/b", b"inner")
    store.delete_versions(row.ref for row in list(list_exact(store, "a")))
    assert store.get("a/b", inner.version_id).body == b"inner"
    store.delete_versions(row.ref for row in list(store.list_versions("a/")))
    again = store.put("a", b"file again")
    assert again.version_id != first.version_id
    assert [row.key for row in store.list_versions("")] == ["a"]


def test_repositories_below_different_prefixes_do_not_see_each_other(world: World) -> None:
    stores = {below: world.store(below) for below in ("a", "ab", "b", "b/inner")}
    for below, store in stores.items():
        store.put("k", below.encode())
        store.put("files/x y", below.encode())
    for below, store in stores.items():
        hidden = {"b": ["inner/files/x y", "inner/k"]}.get(below, [])
        assert store.get("k").body == below.encode()
        assert sorted(row.key for row in store.list_versions("")) == sorted(["files/x y", "k", *hidden])


def test_the_prefix_does_not_show_in_unfinished_uploads(world: World) -> None:
    world.leave_upload("below/k")
    assert [upload.key for upload in world.store("below").list_uploads("")] == ["k"]
    assert list(world.store("bel").list_uploads("")) == []


@pytest.mark.parametrize("key", ["", "/", "a//b", "/a", "a/", "a/./b", "..", "a/../b", "a\0b", "k" * 1_025, "\udcff"])
def test_a_key_that_some_store_cannot_keep_is_refused_by_all(store: Store, key: str) -> None:
    with pytest.raises(UsageError):
        store.put(key, b"x")
