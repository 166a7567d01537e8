"""A checkpoint that says something else than the diffs before it: whoever knows these diffs notices."""

import pytest
from attrs import evolve

from rrbackup.effects.memory import MemoryStore
from rrbackup.errors import DamagedChain
from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.checkpoint_format import encode_checkpoint
from rrbackup.pure.format2 import encode_diff, sha256_hex
from rrbackup.pure.model import CheckpointRef, DiffKind, VersionId
from tests.format1_repositories import MakeBench
from tests.integration.conftest import Bench
from tests.integration.trees import write


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: MakeBench, memory: MemoryStore) -> Bench:
    made = make_bench(memory)
    write(made.base, {"a": b"1", "b": b"2"})
    made.backup()
    return made


def forge(bench: Bench, memory: MemoryStore, entries_kept: int) -> VersionId:
    """A diff without changes on top, whose checkpoint holds only so many of the entries."""
    head = bench.open()._client.control.read_chain(0)[0]
    entries = tuple(bench.open().list_files())[:entries_kept]
    state = Checkpoint(head.diff.repository, head.diff.sequence, head.as_parent, entries)
    body = encode_checkpoint(state)
    ref = CheckpointRef(memory.put("manifest_checkpoint", body).version_id, sha256_hex(body))
    forged = evolve(
        head.diff,
        sequence=head.diff.sequence + 1,
        parent=head.as_parent,
        kind=DiffKind.FENCE,
        changes=(),
        checkpoint=ref,
    )
    return memory.put("manifest_diffs", encode_diff(forged)).version_id


def test_a_backup_does_not_go_on_above_it_and_repair_goes_back(bench: Bench, memory: MemoryStore) -> None:
    before = bench.open().list_versions()[-1].version_id
    forged = forge(bench, memory, 1)
    write(bench.base, {"c": b"3"})
    with pytest.raises(DamagedChain) as error:
        bench.backup()
    assert forged in error.value.message
    assert f"repair --head {before}" in error.value.hint
    bench.open().repair_head(before)
    bench.backup()
    assert [entry.path for entry in bench.open().list_files()] == ["/a", "/b", "/c"]


def test_one_that_says_what_the_diffs_say_is_fine(bench: Bench, memory: MemoryStore) -> None:
    forge(bench, memory, 2)
    write(bench.base, {"c": b"3"})
    bench.backup()
    assert [entry.path for entry in bench.open().list_files()] == ["/a", "/b", "/c"]
