"""The recovery kit: a script and the description of the format, put beside the backup for a day without rrbackup."""

from collections.abc import Iterator
from importlib import resources

from rrbackup.effects.store import Store
from rrbackup.errors import ObjectMissing

FOLDER = "RECOVER/"
_NAMES = ("recover.py", "recover.md", "format.md")


def store_kit(store: Store) -> tuple[str, ...]:
    """Write the kit, as far as it is not there yet; the keys that were written."""
    return tuple(key for key, body in _kit() if _stored(store, key, body))


def _kit() -> Iterator[tuple[str, bytes]]:
    folder = resources.files("rrbackup") / "recover"
    for name in _NAMES:
        yield FOLDER + name, (folder / name).read_bytes()


def _stored(store: Store, key: str, body: bytes) -> bool:
    try:
        if store.get(key).body == body:
            return False
    except ObjectMissing:
        pass
    store.put(key, body, size_hint=len(body))
    return True
