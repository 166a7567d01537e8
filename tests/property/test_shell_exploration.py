"""The same enumeration through the front door: real files, the real shell, and one fault at every request.

`protocol.Client` takes the shell's decisions on its own; here the shell itself is held to the invariants, with the
trial of the store that only it makes.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from rrbackup.api import open_repository
from rrbackup.config import Config, DirectorySettings
from rrbackup.effects.memory import Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.errors import Busy, RRBackupError
from tests.property import judge
from tests.property.trees import Tree, digest, tree

FIRST = tree(a=b"1", b=b"22", c=b"333")
SECOND = tree(a=b"4444", b=b"22", d=b"22")


@frozen
class Machine:
    """A tree and the local files of one client in a folder of their own, and a store."""

    folder: Path
    store: MemoryStore

    def holds(self, wanted: Tree) -> None:
        base = self.folder / "base"
        base.mkdir(parents=True, exist_ok=True)
        for old in base.iterdir():
            old.unlink()
        for path, body in wanted:
            assert body is not None
            (base / path[1:]).write_bytes(body)

    @property
    def config(self) -> Config:
        return Config(
            base_path=str(self.folder / "base"),
            local_manifest_file=str(self.folder / "manifest"),
            local_lock_file=str(self.folder / "lock"),
            directory=DirectorySettings(path=str(self.folder / "unused")),
        )

    def backup(self, *faults: Fault, take_over: bool = False) -> tuple[int, BaseException | None]:
        """How many requests it took, and what it ended with."""
        client = self.store.client(faults=faults)
        try:
            with open_repository(self.config, store=client, threads=1) as repository:
                repository.backup(take_over=take_over)
        except (RRBackupError, SimulatedCrash) as error:
            return len(client.calls), error
        return len(client.calls), None

    def restored(self) -> dict[str, str | None]:
        with open_repository(self.config, store=self.store) as repository:
            return {entry.path: entry.sha256 for entry in repository.list_files()}


def _machines(folder: Path, past: Tree | None, conditional: bool = True) -> Iterator[Machine]:
    """A fresh one for every history, each with the same past."""
    number = 0
    while True:
        number += 1
        machine = Machine(folder / str(number), MemoryStore(conditional=conditional))
        if past is not None:
            machine.holds(past)
            assert machine.backup()[1] is None
        machine.holds(SECOND)
        yield machine


def _points(machine: Machine) -> list[Fault]:
    requests, error = machine.backup()
    assert error is None
    return [Fault(number, kind) for number in range(1, requests + 1) for kind in FaultKind]


@pytest.mark.parametrize(
    ("past", "recoverer"),
    [
        pytest.param(None, "itself", id="first backup, itself"),
        pytest.param(FIRST, "another client", id="second backup, another client"),
        pytest.param(None, "another client", id="first backup, another client", marks=pytest.mark.deep),
        pytest.param(FIRST, "itself", id="second backup, itself", marks=pytest.mark.deep),
    ],
)
def test_a_backup_struck_anywhere_is_made_good_by_the_next_one(
    tmp_path: Path, past: Tree | None, recoverer: str
) -> None:
    machines = _machines(tmp_path, past)
    points = _points(next(machines))
    for fault, machine in zip(points, machines, strict=False):
        machine.backup(fault)
        assert judge.violations(judge.contents(machine.store), None) == [], fault
        if recoverer != "itself":
            machine = evolve(machine, folder=machine.folder / "another")
            machine.holds(SECOND)
        _, error = machine.backup(take_over=recoverer != "itself")
        assert error is None, f"{fault}: {error}"
        found = judge.contents(machine.store)
        assert judge.violations(found, None) + judge.unrest(found) == [], fault
        assert judge.leaks(found) == set(), fault
        assert machine.restored() == {path: digest(body or b"") for path, body in SECOND}, fault
        before = judge.contents(machine.store)
        assert machine.backup() == (2, None), fault
        assert judge.contents(machine.store) == before, fault
    assert len(points) >= 30


def test_a_client_that_is_alone_never_loses_to_another(tmp_path: Path) -> None:
    machines = _machines(tmp_path, None)
    for fault, machine in zip(_points(next(machines)), machines, strict=False):
        _, error = machine.backup(fault)
        assert not isinstance(error, Busy), f"{fault}: {error}"


def test_a_store_without_conditions_is_remembered_as_one(tmp_path: Path) -> None:
    machine = next(_machines(tmp_path, None, conditional=False))
    machine.backup()
    assert not _trusts_conditions(machine)


def test_a_trial_of_the_store_that_was_cut_off_is_not_taken_for_its_result(tmp_path: Path) -> None:
    machines = _machines(tmp_path, None, conditional=False)
    for fault, machine in zip(_points(next(machines)), machines, strict=False):
        machine.backup(fault)
        machine.backup()
        assert not _trusts_conditions(machine), fault


def _trusts_conditions(machine: Machine) -> bool:
    last = judge.contents(machine.store)["gc_log"][-1][1]
    assert last is not None
    return bool(judge.fields_of(last).get("conditional_writes", True))
