"""Listing the versions of exactly some keys: nothing is missed, and few requests are made."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects import key_listing
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store import list_exact
from rrbackup.effects.store_rules import PAGE
from rrbackup.pure.model import ListedVersion, VersionId

keys = (
    st.text("ab/.-ü", min_size=1, max_size=4)
    .map(lambda name: f"files/x{name.strip('/')}")
    .filter(lambda key: "//" not in key and "/." not in key)
)


class Crowded(MemoryStore):
    """Answers every listing with `rows` first, and counts the pages that were asked for."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.pages = 0

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        crowd = (ListedVersion(f"{prefix}!{n:09}", VersionId("v"), 1, "e") for n in range(self.rows))
        real = super().list_versions(prefix)
        for count, row in enumerate(version for rows in (crowd, real) for version in rows):
            self.pages += count % PAGE == 0
            yield row


@given(st.lists(keys, max_size=12), st.frozensets(keys, min_size=1, max_size=6))
def test_it_gives_the_versions_of_exactly_these_keys(stored: list[str], wanted: frozenset[str]) -> None:
    store = MemoryStore()
    for number, key in enumerate(stored):
        store.put(key, b"%d" % number)
    found = key_listing.versions_of(store, wanted)
    assert len(set(found)) == len(found)
    assert set(found) == {version for key in wanted for version in list_exact(store, key)}


def test_a_short_walk_is_all_that_is_needed() -> None:
    store = Crowded(PAGE - 200)
    for number in range(0, 100, 2):
        store.put(f"files/{number:03}", b"x")
    found = key_listing.versions_of(store, [f"files/{number:03}" for number in range(100)])
    assert len(found) == 50
    assert store.pages == 1


def test_what_a_long_walk_does_not_show_is_asked_for_key_by_key() -> None:
    store = Crowded(3 * PAGE)
    store.put("files/a1", b"x")
    found = key_listing.versions_of(store, [f"files/a{number}" for number in range(10)])
    assert [version.key for version in found] == ["files/a1"]
    assert store.pages > 4


def test_a_walk_that_costs_more_than_it_saves_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Crowded(1_000 * PAGE)
    store.put("files/z", b"x")
    walked: list[int] = []

    def counted(asked: MemoryStore, key: str) -> Iterator[ListedVersion]:
        walked.append(store.pages)
        return iter(MemoryStore.list_versions(asked, key))

    monkeypatch.setattr(key_listing, "list_exact", counted)
    found = key_listing.versions_of(store, [f"files/{name}" for name in "uvwxyz"])
    assert [version.key for version in found] == ["files/z"]
    assert max(walked) <= 4


def test_a_single_key_is_not_walked_for() -> None:
    store = MemoryStore()
    store.put("files/a", b"x")
    store.reset_calls()
    assert [version.key for version in key_listing.versions_of(store, ["files/a"])] == ["files/a"]
    assert [call.method for call in store.calls] == ["list_versions"]
