"""Copies of a memory store, so that a search can go back to an earlier moment, and a key to recognise equal ones."""

from rrbackup.effects.memory import MemoryStore


def copy_of(store: MemoryStore) -> MemoryStore:
    """A store with the same versions and unfinished uploads. Needs the store's insides: no store promises this."""
    twin = MemoryStore(multipart_threshold=store._threshold)
    twin._world._count = store._world._count
    twin._world._held = {key: list(versions) for key, versions in store._world._held.items()}
    twin._world._uploads = dict(store._world._uploads)
    return twin


def key_of_store(store: MemoryStore) -> object:
    """Equal for stores that hold the same versions with the same ids and bytes."""
    held = store._world._held
    versions = tuple((key, tuple((h.number, h.body) for h in held[key])) for key in sorted(held) if held[key])
    return versions, tuple(sorted(store._world._uploads.items()))
