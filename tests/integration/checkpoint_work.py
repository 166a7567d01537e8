"""What tests of checkpoints do to a repository: commits that make some, and versions that are lost or garbled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import evolve

from rrbackup.effects.memory import Fault, FaultKind, MemoryClient, MemoryStore
from rrbackup.effects.memory_faults import Call
from rrbackup.effects.store import list_exact
from rrbackup.events import Event, Notice
from rrbackup.pure.model import VersionId, VersionRef
from tests.integration.conftest import Bench
from tests.integration.trees import write


def back_up(bench: Bench, numbers: range) -> list[str]:
    """A commit for each number, which adds a file and changes another; their version ids."""
    made = []
    for number in numbers:
        write(bench.base, {f"f{number}": b"new in %d" % number, "changing": b"%d" % number})
        made.append(bench.backup().version_id or "")
    return made


def fresh(bench: Bench, folder: Path) -> Bench:
    """The same client on a machine without local files."""
    return bench.other_client(folder)


def stored(store: Any, key: str) -> list[VersionRef]:
    return [version.ref for version in list_exact(store, key)]


def lose(memory: MemoryStore, key: str, version_id: str) -> None:
    memory.delete_versions([VersionRef(key, VersionId(version_id))])


def garble(memory: MemoryStore, key: str, version_id: str, body: bytes | None = None) -> None:
    """Other bytes in the place of a version: by default the same, with a bit changed in the middle."""
    versions = memory._world._held[key]
    place = next(number for number, held in enumerate(versions) if held.version_id == version_id)
    old = versions[place].body
    assert old is not None
    middle = len(old) // 2
    changed = old[:middle] + bytes([old[middle] ^ 1]) + old[middle + 1 :]
    versions[place] = evolve(versions[place], body=changed if body is None else body)


def naming(bench: Bench) -> list[int]:
    """The sequences of the diffs that name a checkpoint."""
    links = bench.open()._client.control.read_chain(0)
    return [link.diff.sequence for link in reversed(links) if link.diff.checkpoint is not None]


def notices(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


class AtPut:
    """Strikes every write of one object, whichever requests that are."""

    def __init__(self, client: MemoryClient, key: str, kind: FaultKind) -> None:
        self._client = client
        self._call = Call("put", key)
        self._kind = kind

    def __iter__(self) -> Iterator[Fault]:
        if self._client.calls[-1] == self._call:
            yield Fault(len(self._client.calls), self._kind)
