"""Checkpoints that no diff names: a full collection deletes them, and no others; any doubt keeps them."""

from collections.abc import Iterator
from unittest import mock

import pytest
from attrs import evolve

from rrbackup.effects import checkpoints
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import FaultKind, MemoryStore, SimulatedCrash
from rrbackup.errors import DamagedObject
from rrbackup.pure import format2
from rrbackup.pure.model import VersionId, VersionRef
from tests.format1_repositories import MakeBench
from tests.integration.checkpoint_work import AtPut, back_up, lose, naming, stored
from tests.integration.conftest import Bench
from tests.integration.trees import write
from tests.store_checker import CHECKPOINT, Contents, Version, judged

MANIFEST = "manifest_diffs"


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Iterator[Bench]:
    """Every commit but the first names a checkpoint."""
    with mock.patch.object(checkpoints, "due", lambda since, head, *_, **__: head is not None):
        yield make_bench(memory)


def unnamed(memory: MemoryStore) -> frozenset[tuple[str, str]]:
    """As the independent checker sees it."""
    held = memory._world._held
    found = {
        key: tuple(Version(key, h.version_id, "", h.body) for h in reversed(versions))
        for key, versions in held.items()
        if key != "files"
    }
    return judged(Contents(found)).unnamed_checkpoints


def die_after_the_checkpoint(bench: Bench, memory: MemoryStore) -> None:
    client = memory.client()
    dying = evolve(bench, store=client)
    client.faults = AtPut(client, CHECKPOINT, FaultKind.AFTER)  # type: ignore[assignment]
    write(bench.base, {"late": b"1"})
    with pytest.raises(SimulatedCrash):
        dying.backup()


def test_what_a_crash_between_checkpoint_and_diff_leaves_behind_is_collected(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(3))
    die_after_the_checkpoint(bench, memory)
    assert len(unnamed(memory)) == 1
    result = bench.open().garbage_collect()
    assert {(ref.key, str(ref.version_id)) for ref in result.deleted if ref.key == CHECKPOINT}
    assert (unnamed(memory), len(stored(memory, CHECKPOINT))) == (frozenset(), 2)
    assert naming(bench) == [2, 3]
    assert bench.open().garbage_collect().deleted == ()


def test_what_a_client_that_may_not_delete_left_behind_is_collected(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(3))
    write(bench.base, {"short-lived": b"1"})
    plan = bench.open().plan_backup()
    (bench.base / "short-lived").unlink()
    assert bench.open(write_only=True).backup(plan).version_id is None
    assert len(unnamed(memory)) == 1
    bench.open().garbage_collect()
    assert unnamed(memory) == frozenset()


def test_a_checkpoint_that_only_a_diff_beside_the_chain_names_stays(bench: Bench, memory: MemoryStore) -> None:
    made = back_up(bench, range(4))
    bench.open().repair_head(made[1])
    before = stored(memory, CHECKPOINT)
    bench.open().garbage_collect()
    assert stored(memory, CHECKPOINT) == before


@pytest.mark.parametrize("gone", [0, 1])
def test_nothing_of_them_is_deleted_where_a_diff_of_the_chain_is_gone(
    gone: int, bench: Bench, memory: MemoryStore
) -> None:
    made = back_up(bench, range(4))
    die_after_the_checkpoint(bench, memory)
    orphan = memory.put("files/orphan", b"nobody's").version_id
    lose(memory, MANIFEST, made[gone])
    before = stored(memory, CHECKPOINT)
    removed = bench.open().garbage_collect().deleted
    assert VersionRef("files/orphan", orphan) in removed
    assert stored(memory, CHECKPOINT) == before


@pytest.mark.parametrize("left_out", ["the head", "one below"])
def test_a_listing_that_leaves_a_diff_out_costs_no_checkpoint(left_out: str, bench: Bench, memory: MemoryStore) -> None:
    """Listings of some stores do, where they are long."""
    back_up(bench, range(4))
    control = Control(memory, ObjectNames())
    whole = control._history._listed

    def short() -> list[VersionId]:
        listed = list(whole())
        del listed[0 if left_out == "the head" else 1]
        return listed

    with mock.patch.object(control._history, "_listed", short):
        assert control.read_references().unsure == {CHECKPOINT}
    assert control.read_references().unsure == frozenset()


def test_a_garbage_list_that_names_a_checkpoint_in_use_does_it_no_harm(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(3))
    named = stored(memory, CHECKPOINT)
    forged = (*named, VersionRef("files/changing", stored(memory, "files/changing")[0].version_id))
    memory.put("garbage_objects", format2.encode_garbage(forged))
    bench.open().clean_gc_log()
    assert stored(memory, CHECKPOINT) == named


@pytest.mark.parametrize("key", ["manifest_diffs", "gc_log", "salt_file", "other"])
def test_nothing_but_files_and_checkpoints_is_ever_deleted(key: str, memory: MemoryStore) -> None:
    memory.put(key, b"kept")
    with pytest.raises(DamagedObject, match=key):
        Control(memory, ObjectNames()).delete_versions((stored(memory, key)[0],))
    assert len(stored(memory, key)) == 1


def test_a_collection_asks_for_one_listing_more(bench: Bench, memory: MemoryStore) -> None:
    back_up(bench, range(3))
    client = memory.client()
    evolve(bench, store=client).open().garbage_collect()
    assert [call.key for call in client.calls if call.method == "list_versions"].count(CHECKPOINT) == 1
