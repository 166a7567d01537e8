"""A repository whose prefix or folder leads into the file objects of another one: nothing of it may be deleted."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import frozen

from rrbackup import DamagedObject
from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.store import Store
from rrbackup.testing import Fault, FaultKind, MemoryStore, SimulatedCrash
from tests.integration import machines
from tests.integration.machines import Machine

Settings = dict[str, object]


@frozen
class Pair:
    """Two clients, each of a repository of its own; the inner one lies among the file objects of the outer one."""

    outer: Machine
    inner: Machine
    outer_store: Store
    inner_store: Store

    def back_up(self) -> "Pair":
        self.outer.open(self.outer_store).backup()
        self.inner.open(self.inner_store).backup()
        return self

    def is_whole(self) -> bool:
        """Whether the inner repository is as good as ever."""
        newcomer = self.inner.elsewhere().holds().open(self.inner_store)
        found = newcomer.verify(read_data=True)
        return found.damaged == () and found.read == len(list(newcomer.list_files())) > 0


def in_memory(folder: Path, settings: Settings) -> Pair:
    memory = MemoryStore()
    return paired(folder, settings, memory, memory.client(prefix="files"))


def in_folders(folder: Path, settings: Settings) -> Pair:
    outer, inner = DirectoryStore(folder / "store"), DirectoryStore(folder / "store" / "files" / "laptop")
    outer.prepare()
    inner.prepare()
    return paired(folder, settings, outer, inner)


def paired(folder: Path, settings: Settings, outer: Store, inner: Store) -> Pair:
    first = Machine(folder / "outer", MemoryStore(), settings).holds(a=b"1", b=b"2")
    second = Machine(folder / "inner", MemoryStore(), settings).holds(c=b"3")
    return Pair(first, second, outer, inner)


@pytest.fixture(params=[in_memory, in_folders], ids=["prefix", "folder"])
def nested(request: pytest.FixtureRequest) -> Callable[[Path, Settings], Pair]:
    made: Callable[[Path, Settings], Pair] = request.param
    return made


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_a_collection_deletes_nothing_of_a_repository_among_its_files(
    nested: Callable[[Path, Settings], Pair], encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.make_cheap(monkeypatch)
    settings = machines.encrypting(tmp_path).settings if encrypted else {}
    pair = nested(tmp_path, settings).back_up()
    with pytest.raises(DamagedObject, match="lies another repository") as caught:
        pair.outer.open(pair.outer_store).garbage_collect()
    assert "nothing was deleted" in caught.value.hint
    assert pair.is_whole()
    assert pair.outer.open(pair.outer_store).backup().problems == ()


def test_a_recovery_deletes_nothing_of_a_repository_whose_record_has_the_key_of_a_file(tmp_path: Path) -> None:
    """The file was to be uploaded onto the very key at which the other repository keeps its diffs."""
    memory = MemoryStore()
    pair = paired(tmp_path, {}, memory, memory.client(prefix="files")).back_up()
    head = memory.head("files/manifest_diffs").version_id
    pair.outer.holds(a=b"1", b=b"2", manifest_diffs=b"a file of this name")
    assert any(_dies_at(pair, memory, number) for number in range(1, 50))
    with pytest.raises(DamagedObject, match="files/manifest_diffs is a record of one"):
        pair.outer.open(memory).backup(take_over=True)
    assert memory.get("files/manifest_diffs", head).body


def _dies_at(pair: Pair, memory: MemoryStore, number: int) -> bool:
    """Whether a backup that dies at this request leaves a claim with the key of the file."""
    client = memory.client(faults=[Fault(number, FaultKind.BEFORE)])
    with suppress(SimulatedCrash):
        pair.outer.open(client).backup()
    return client.crashed and client.calls[-1].key == "files/manifest_diffs"


def test_a_copy_of_a_record_that_a_backup_stored_as_a_file_is_collected(tmp_path: Path) -> None:
    """Who backs up a copy of a repository has files that are records; as file objects they have labels."""
    memory = MemoryStore()
    owner = Machine(tmp_path / "owner", memory, {}).holds(a=b"1")
    owner.open().backup()
    record = memory.get("manifest_diffs").body
    owner.holds(a=b"1", manifest_diffs=record)
    owner.open().backup()
    version = memory.head("files/manifest_diffs")
    memory.put("files/manifest_diffs", record, metadata=version.metadata)
    assert [ref.key for ref in owner.open().garbage_collect().deleted] == ["files/manifest_diffs"]
    assert owner.restored()[b"manifest_diffs"] == record
