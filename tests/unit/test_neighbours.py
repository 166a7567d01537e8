"""What is read of a version before it is deleted: nothing, or the beginning of what is named like a record."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rrbackup.effects.control import ObjectNames
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.neighbours import refuse_neighbours
from rrbackup.effects.store import Fetched
from rrbackup.pure.header import FRONT_BYTES
from rrbackup.pure.model import VersionId, VersionRef


class Frugal(MemoryStore):
    """Gives no object as a whole, and no more than the front of one."""

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        raise AssertionError(f"all of {key} was read")

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        assert (start, length) == (0, FRONT_BYTES)
        with super().read(key, version_id, start, length) as chunks:
            yield chunks


@pytest.mark.parametrize("name", ["gc_log", "manifest_diffs", "manifest_checkpoint", "garbage_objects", "salt_file"])
def test_of_a_file_that_is_named_like_a_record_only_the_beginning_is_read(name: str) -> None:
    memory = Frugal()
    ref = VersionRef(f"files/a/{name}", memory.put(f"files/a/{name}", b"x" * (FRONT_BYTES + 1)).version_id)
    refuse_neighbours(memory, ObjectNames().records, [ref])


def test_nothing_is_read_of_other_files() -> None:
    refuse_neighbours(Frugal(), ObjectNames().records, [VersionRef("files/files", VersionId("v"))])
