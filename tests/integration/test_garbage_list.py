"""The garbage list where it is damaged, forged or long: it holds nobody up, and costs little."""

from collections.abc import Iterator

import pytest

from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store_rules import ALWAYS
from rrbackup.errors import ModeError, RRBackupError
from rrbackup.pure import format2
from rrbackup.pure.model import ClaimState, VersionId, VersionRef
from tests.format1_repositories import PLAIN, SENDABLE, MakeBench, client_to_go_on, crypto, old_repository, watched
from tests.integration.conftest import Bench
from tests.integration.trees import write


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, store: MemoryStore) -> Bench:
    made = make_bench(store)
    write(made.base, {"a": b"1"})
    made.backup()
    return made


def listed(store: MemoryStore) -> tuple[VersionRef, ...]:
    return format2.decode_garbage(store.get("garbage_objects").body, "garbage_objects")


def refs(*keys: str) -> tuple[VersionRef, ...]:
    return tuple(VersionRef(key, VersionId("v")) for key in keys)


def test_a_full_collection_goes_on_over_a_damaged_list_and_begins_a_new_one(bench: Bench, store: MemoryStore) -> None:
    store.put("garbage_objects", b"none")
    store.put("files/a", b"orphan")
    assert len(bench.open().garbage_collect().deleted) == 1
    assert listed(store) == ()
    assert format2.decode_claim(store.get("gc_log").body, "gc_log").state is ClaimState.IDLE


def test_a_client_that_may_not_delete_appends_to_a_new_list_in_place_of_a_damaged_one(store: MemoryStore) -> None:
    store.put("garbage_objects", b"none")
    Control(store, ObjectNames()).append_garbage(refs("files/a"))
    assert listed(store) == refs("files/a")
    assert len(list(store.list_versions("garbage_objects"))) == 2, "what was there stays, as an earlier version"


def test_a_damaged_list_comes_with_a_hint(bench: Bench, store: MemoryStore) -> None:
    store.put("garbage_objects", b"none")
    with pytest.raises(RRBackupError) as error:
        bench.open().clean_gc_log()
    assert "garbage_collect" in error.value.hint


def test_entries_that_are_no_files_leave_the_list_without_a_fence(bench: Bench, store: MemoryStore) -> None:
    store.put("garbage_objects", format2.encode_garbage(refs("salt_file", "files/../salt_file")))
    for _ in range(3):
        assert bench.open().clean_gc_log().deleted == ()
    assert listed(store) == ()
    assert len(list(store.list_versions("manifest_diffs"))) == 1


def test_a_long_list_of_keys_that_are_not_there_costs_few_requests(bench: Bench, store: MemoryStore) -> None:
    store.put("garbage_objects", format2.encode_garbage(refs(*(f"files/{number}" for number in range(5_000)))))
    store.reset_calls()
    bench.open().clean_gc_log()
    assert len(store.calls) < 30


def test_appending_looks_through_a_long_list_once(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    class Counting(tuple[VersionRef, ...]):
        def __iter__(self) -> Iterator[VersionRef]:
            looks.append(1)
            return super().__iter__()

    store.put("garbage_objects", format2.encode_garbage(()))
    control = Control(store, ObjectNames())
    there = Counting(refs(*(f"files/{number}" for number in range(10))))
    monkeypatch.setattr(control, "_decode_garbage", lambda body: there)
    control.append_garbage(refs(*(f"files/x{number}" for number in range(100))))
    assert len(looks) < 10
    assert len(listed(store)) == 110


def test_a_key_that_no_file_could_have_does_not_stop_a_collection(bench: Bench, store: MemoryStore) -> None:
    store._world.put("files/../x", b"stray", ALWAYS, {})
    store.put("files/a", b"orphan")
    assert [ref.key for ref in bench.open().garbage_collect().deleted] == ["files/a"]


def test_a_write_only_client_that_makes_keys_for_a_repository_of_1_0_reads_no_file(make_bench: MakeBench) -> None:
    settings = {"write_only": True, "crypto": crypto(), "file_pipeline": [["*", ["encrypt"]]]}
    bench, client = watched(client_to_go_on(make_bench, old_repository(PLAIN), SENDABLE, **settings))
    with pytest.raises(ModeError):
        bench.open().backup(upgrade=True)
    assert [call for call in client.calls if call.key.startswith("files/") and call.method != "list_versions"] == []
