"""A process that sleeps for hours before any of its requests, through the front door.

While it sleeps, another client does whole runs: it takes over because it was told to, or because the store's clock went
on for two days. Then the sleeper goes on as if nothing had been. Every request of every kind of run is tried.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from rrbackup.api import open_repository
from rrbackup.effects.memory import Call, Fault, FaultKind, MemoryClient, MemoryStore, SimulatedCrash
from rrbackup.errors import TransactionLost
from tests.property import judge
from tests.property.test_shell_exploration import Machine
from tests.property.trees import Tree, tree

LONG_AGO_NS = 1_600_000_000_000_000_000
TWO_DAYS_NS = 48 * 3600 * 1_000_000_000
PAST, WANTED, CUT_OFF, OTHERS = (
    tree(a=b"1", b=b"2"),
    tree(a=b"other", b=b"2", n=b"new"),
    tree(a=b"other", b=b"2", m=b"more", n=b"new"),
    tree(a=b"9", b=b"2", c=b"333"),
)
MEANWHILE = (("backup",), ("garbage_collect",), ("backup", "garbage_collect"), ("backup", "backup"), ("recover",))
"""`recover` is a backup that finds nothing to do."""
QUICK = {("backup", ("recover",), True), ("garbage_collect", ("backup", "garbage_collect"), False)}


class Sleeper(MemoryClient):
    """Sleeps before one of its requests; `dream` is what happens meanwhile."""

    def __init__(self, store: MemoryStore, before: int, dream: Callable[[], None]) -> None:
        super().__init__(store._world, "", (), 1 << 20)
        self._before = before
        self._dream = dream
        self.slept = False

    def _count(self, call: Call) -> Fault | None:
        if len(self.calls) + 1 == self._before and not self.slept:
            self.slept = True
            self._dream()
        return super()._count(call)


def hold(machine: Machine, wanted: Tree) -> None:
    """Every file is of the same time on every machine, so that equal trees have nothing to commit."""
    machine.holds(wanted)
    for path in (machine.folder / "base").iterdir():
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


@frozen
class Scene:
    """One history: what the sleeper does, from which beginning, what happens meanwhile, and how that is possible."""

    operation: str
    beginning: str
    meanwhile: tuple[str, ...]
    told: bool

    def run(self, folder: Path, before: int) -> str | None:
        """How the sleeper ended; None where it had no such request."""
        sleeper = Machine(folder / "sleeper", MemoryStore())
        other = Machine(folder / "other", sleeper.store)
        hold(other, PAST if "recover" in self.meanwhile else OTHERS)
        self._begin(sleeper)

        def dream() -> None:
            if not self.told:
                sleeper.store.clock_ns += TWO_DAYS_NS
            for operation in self.meanwhile:
                assert self._done(other, operation, sleeper.store.client()) == "done"
                self._is_sound(sleeper.store, before)

        client = Sleeper(sleeper.store, before, dream)
        ended = self._done(sleeper, self.operation, client)
        self._is_sound(sleeper.store, before)
        assert sleeper.backup(take_over=True)[1] is None
        self._is_sound(sleeper.store, before)
        found = judge.contents(sleeper.store)
        assert judge.unrest(found) == [], (self, before)
        assert judge.leaks(found) == set(), (self, before)
        return ended if client.slept else None

    def _begin(self, sleeper: Machine) -> None:
        if self.beginning != "empty":
            hold(sleeper, PAST)
            assert sleeper.backup()[1] is None
        if self.beginning == "cut off":
            hold(sleeper, CUT_OFF)
            assert isinstance(sleeper.backup(Fault(7, FaultKind.BEFORE))[1], SimulatedCrash)
            assert judge.claimant(judge.contents(sleeper.store))
        hold(sleeper, WANTED)

    def _done(self, machine: Machine, operation: str, client: MemoryClient) -> str:
        with open_repository(machine.config, store=client, threads=1) as repository:
            try:
                getattr(repository, operation.replace("recover", "backup"))(take_over=self.told)
            except TransactionLost:
                return "lost"
        return "done"

    def _is_sound(self, store: MemoryStore, before: int) -> None:
        assert judge.violations(judge.contents(store), None) == [], (self, before)


def scenes() -> Iterator[object]:
    for operation in ("backup", "garbage_collect"):
        for beginning in ("empty", "past", "cut off"):
            for meanwhile in MEANWHILE:
                for told in (True, False):
                    scene = Scene(operation, beginning, meanwhile, told)
                    quick = beginning == "cut off" and (operation, meanwhile, told) in QUICK
                    name = f"{operation}, {beginning}, {'+'.join(meanwhile)}, {'told' if told else 'two days later'}"
                    yield pytest.param(scene, id=name, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize("scene", list(scenes()))
def test_a_sleeper_destroys_nothing_and_is_not_in_the_way(scene: Scene, tmp_path: Path) -> None:
    ends = []
    for before in range(1, 100):
        ended = scene.run(tmp_path / str(before), before)
        if ended is None:
            break
        ends.append(ended)
    assert len(ends) >= 8
    assert {"done", "lost"} == set(ends), "some moments are before, some within the transaction"
