"""A client whose journal has no room, belongs to another repository, or whose manifest a later version wrote."""

import errno
from itertools import count
from pathlib import Path

import pytest
from attrs import evolve

from rrbackup import LocalStateError
from rrbackup.effects.local_files import Journal
from rrbackup.testing import MemoryStore
from tests.integration.machines import Machine, interrupted
from tests.property import judge


def failure(machine: Machine) -> str | None:
    try:
        machine.open().backup()
    except LocalStateError as error:
        return error.message
    return None


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "ever after"])
@pytest.mark.parametrize("beginning", ["first", "second", "after an interrupted one"])
def test_a_disk_that_is_full_at_any_line_of_the_journal_costs_that_run_only(
    beginning: str, ever_after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal._append_whole
    for full_at in count(1):
        machine = Machine(tmp_path / str(full_at), MemoryStore(), {}).holds(a=b"1", b=b"2")
        if beginning != "first":
            machine.open().backup()
            machine.holds(a=b"other", b=b"2", n=b"new")
        if "interrupted" in beginning:
            interrupted(machine)
            machine.holds(a=b"changed", b=b"2", n=b"new", o=b"one more")
        numbers = count(1)

        def append_or_not(journal: Journal, data: bytes, at: int = full_at, lines: "count[int]" = numbers) -> None:
            line = next(lines)
            if line == at or (ever_after and line > at):
                raise OSError(errno.ENOSPC, "No space left on device")
            append(journal, data)

        with monkeypatch.context() as patched:
            patched.setattr(Journal, "_append_whole", append_or_not)
            if (message := failure(machine)) is None:
                break
        assert str(machine.config.journal_path()) in message
        assert judge.violations(judge.contents(machine.store), None) == [], full_at
        assert machine.open().backup().problems == ()
        found = judge.contents(machine.store)
        assert judge.violations(found, None) + judge.unrest(found) == [], full_at
        assert judge.leaks(found) == set(), full_at
        assert machine.restored() == machine.tree()
    assert full_at >= 3


def test_a_journal_of_another_repository_destroys_nothing_there_and_adopts_nothing(tmp_path: Path) -> None:
    """The prefix was changed while a first backup was interrupted; another client has the same files there."""
    memory = MemoryStore()
    machine = Machine(tmp_path / "machine", memory, {}).holds(a=b"1", b=b"2")
    interrupted(machine, "here")
    other = evolve(machine, folder=tmp_path / "other").holds(a=b"1", b=b"2")
    there = memory.client(prefix="there")
    other.open(there).backup()
    before = set(there.list_versions("files/"))
    assert machine.open(there).backup().problems == ()
    assert before <= set(there.list_versions("files/"))
    assert machine.open(there).verify(read_data=True).damaged == ()
    machine.config.manifest_path().unlink()
    here = memory.client(prefix="here")
    assert machine.open(here).backup(take_over=True).problems == ()
    assert machine.open(here).verify(read_data=True).damaged == ()
    assert len([row.key for row in here.list_versions("files/")]) == 2


def test_a_local_manifest_of_a_later_version_is_rebuilt_from_the_store(tmp_path: Path) -> None:
    machine = Machine(tmp_path, MemoryStore(), {}).holds(a=b"1")
    machine.open().backup()
    place = machine.config.manifest_path()
    first, _, rest = place.read_bytes().partition(b",")
    assert first.startswith(b'{"format":')
    place.write_bytes(b'{"format":99,' + rest)
    assert machine.open().backup().version_id is None
    assert place.read_bytes().startswith(first)
    assert machine.restored() == machine.tree()
