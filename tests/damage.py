"""Damage to single versions in a store in memory, behind the back of its clients, and copies of whole stores.

Listings go on telling the etag that a version was written with, as S3 does whose disks rot; only what is exchanged
takes its etag along.
"""

from collections.abc import Callable
from copy import copy

from attrs import frozen

from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.memory_world import Held
from rrbackup.pure.model import VersionRef


@frozen
class Kept(Held):
    """A version with the etag of other bytes."""

    kept: str = ""

    @property
    def etag(self) -> str:
        return self.kept


def copy_of(memory: MemoryStore) -> MemoryStore:
    """A store of its own with the same versions."""
    made = MemoryStore()
    made._world._held = {key: list(held) for key, held in memory._world._held.items()}
    made._world._uploads = copy(memory._world._uploads)
    made._world._count = memory._world._count
    made.clock_ns = memory.clock_ns
    return made


def _place(memory: MemoryStore, ref: VersionRef) -> tuple[list[Held], int]:
    versions = memory._world._held[ref.key]
    return versions, next(n for n, held in enumerate(versions) if held.version_id == ref.version_id)


def _change(memory: MemoryStore, ref: VersionRef, change: Callable[[bytes], bytes]) -> None:
    versions, place = _place(memory, ref)
    old = versions[place]
    assert old.body is not None
    versions[place] = Kept(old.number, change(old.body), old.metadata, old.modified_ns, old.etag)


def delete(memory: MemoryStore, ref: VersionRef, other: VersionRef) -> None:
    memory.delete_versions([ref])


def truncate(memory: MemoryStore, ref: VersionRef, other: VersionRef) -> None:
    _change(memory, ref, lambda body: body[: len(body) // 2])


def flip_a_bit(memory: MemoryStore, ref: VersionRef, other: VersionRef) -> None:
    _change(memory, ref, lambda body: body[:-3] + bytes([body[-3] ^ 1]) + body[-2:])


def swap(memory: MemoryStore, ref: VersionRef, other: VersionRef) -> None:
    """With `other`, which takes its place."""
    (here, i), (there, j) = _place(memory, ref), _place(memory, other)
    one, two = here[i], there[j]
    here[i] = Kept(one.number, two.body, two.metadata, one.modified_ns, two.etag)
    there[j] = Kept(two.number, one.body, one.metadata, two.modified_ns, one.etag)


def cover(memory: MemoryStore, ref: VersionRef, other: VersionRef) -> None:
    """With `other`, an older version of it or of something else, which becomes the newest version of the key."""
    found, place = _place(memory, other)
    body = found[place].body
    assert body is not None
    memory.put(ref.key, body)


COVERED = "an older one on top"

Harm = Callable[[MemoryStore, VersionRef, VersionRef], None]

HARMS: dict[str, Harm] = {
    "deleted": delete,
    "truncated": truncate,
    "a bit flipped": flip_a_bit,
    "swapped": swap,
    COVERED: cover,
}
