"""Keys: odd ones come back as they are, neighbours are told apart, prefixes keep repositories apart."""

import pytest

from rrbackup.effects.store import Store, list_exact
from rrbackup.errors import UsageError
from tests.worlds import World

# Left out: what SeaweedFS 4.48 is known to mangle and path escaping avoids or nobody names a file (a backslash,
# control characters, U+FFFE and U+FFFF, a segment that ends in `.versions` or is `.uploads`).
ODD = (
    "files/a b/ c /d",  # space
    "files/a+b+",  # plus
    "files/100%",  # percent
    "files/%2F%41%0A%FF",  # escape
    "files/%2f",  # lower-case escape
    "files/é",  # latin
    "files/e\u0301",  # combining
    "files/😀/𝄞",  # beyond 16 bits
    "files/\ud7ff",  # last before private use
    "files/\uffe0",  # full width
    "files/\"double\"'single'`back`",  # quotes
    "files/&amp;<a>]]>",  # markup
    "files/?versionId=1#x;y=z&uploads",  # query
    "files/.../..a/.b/c.",  # dots
    "files/~|^{}[]@$!,:*()",  # tilde and bars
    "files/UPPER/lower",  # upper
    "files/" + "n" * 255,  # 255 bytes
    "files/" + "%0A" * 255,  # 255 bytes of escapes
    "files/" + "d/" * 50 + "e",  # deep
    "files/%h/" + "0" * 64,  # hashed name
    "files/a\u00a0b\u200bc\u202e",  # non-breaking and zero-width
)
LONGEST = 1_024


def test_odd_keys_are_written_read_listed_and_deleted_as_they_are(store: Store) -> None:
    written = {key: store.put(key, key.encode(), metadata={"n": "1"}).version_id for key in ODD}
    rows = list(store.list_versions("files/"))
    assert [(row.key, row.version_id) for row in rows] == [(key, written[key]) for key in sorted(ODD, key=str.encode)]
    for key, version in written.items():
        assert store.get(key).body == store.get(key, version).body == key.encode()
        assert [row.key for row in list_exact(store, key)] == [key]
    store.delete_versions(row.ref for row in rows)
    assert list(store.list_versions("")) == []


def test_a_key_of_the_greatest_length_is_kept(world: World) -> None:
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


PREFIXES = ("", "f", "files", "files/", "files/a", "files/a/", "files/a-", "manifest_diffs", "nothing", "files/a/b/c/d")


def test_the_versions_of_one_key_are_listed_without_those_of_its_neighbours(store: Store) -> None:
    for key in NEIGHBOURS:
        store.put(key, b"1")
        store.put(key, b"2")
    for key in NEIGHBOURS:
        assert [row.key for row in list_exact(store, key)] == [key, key]


def test_a_listing_holds_every_key_that_begins_with_the_prefix(store: Store) -> None:
    for key in NEIGHBOURS:
        store.put(key, b"")
    for prefix in PREFIXES:
        found = [row.key for row in store.list_versions(prefix)]
        assert found == [key for key in NEIGHBOURS if key.startswith(prefix)], prefix


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


def test_a_key_that_some_store_cannot_keep_is_refused_by_all(store: Store) -> None:
    for key in ("", "/", "a//b", "/a", "a/", "a/./b", "..", "a/../b", "a\0b", "k" * 1_025, "\udcff"):
        with pytest.raises(UsageError):
            store.put(key, b"x")
