"""Clients of one encrypted repository in memory, each with a tree and local files of its own."""

import secrets
from pathlib import Path
from typing import Any

import pytest
from argon2.low_level import hash_secret_raw
from attrs import evolve, frozen

import rrbackup
from rrbackup import Word
from rrbackup.effects.memory import MemoryClient
from rrbackup.effects.store import Store, Stored, list_exact
from rrbackup.testing import MemoryStore, SimulatedCrash
from tests import raw_objects
from tests.integration.trees import look, write

FIRST, SECOND = "first pässword", "second pässword"
SALT, MANIFEST, CLAIM = "salt_file", "manifest_diffs", "gc_log"
EVERYTHING = [("*", list(Word))]
PLAIN = [("*", list[Word]())]
META = [Word.COMPRESS, Word.ENCRYPT]


def crypto(password: str) -> rrbackup.CryptoSettings:
    return rrbackup.CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20)


@frozen
class Machine:
    """A folder with a tree and the local files of one client, and a store."""

    folder: Path
    store: MemoryStore
    settings: dict[str, Any]

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def config(self) -> rrbackup.Config:
        return rrbackup.Config(
            base_path=str(self.base),
            local_manifest_file=str(self.folder / "manifest"),
            local_lock_file=str(self.folder / "lock"),
            directory=rrbackup.DirectorySettings(path=str(self.folder / "unused")),
            **self.settings,
        )

    def open(self, store: Store | None = None, **changes: Any) -> rrbackup.Repository:
        return rrbackup.open_repository(evolve(self.config, **changes), store=store or self.store, threads=2)

    def holds(self, **tree: bytes) -> "Machine":
        self.base.mkdir(parents=True, exist_ok=True)
        for path in self.base.iterdir():
            path.unlink()
        write(self.base, tree)
        return self

    def with_password(self, password: str) -> "Machine":
        return evolve(self, settings={**self.settings, "crypto": crypto(password)})

    def elsewhere(self) -> "Machine":
        """Another client of the same repository, which has seen nothing of it."""
        return evolve(self, folder=self.folder.with_name(f"{self.folder.name}-{secrets.token_hex(4)}"))

    def restored(self, version: str = "latest") -> dict[bytes, bytes]:
        """What another client gets back."""
        other = self.elsewhere().holds()
        target = other.folder / "out"
        assert other.open().download(version, target).problems == ()
        return {path: seen.content for path, seen in look(target).items()}

    def tree(self) -> dict[bytes, bytes]:
        return {path: seen.content for path, seen in look(self.base).items()}


def encrypting(folder: Path, store: MemoryStore | None = None, **settings: Any) -> Machine:
    """A client that encrypts all there is, unless `settings` say otherwise."""
    usual = {"crypto": crypto(FIRST), "meta_pipeline": META, "file_pipeline": EVERYTHING}
    return Machine(folder, store or MemoryStore(), {**usual, **settings})


def make_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys cost hardly anything, here and in `raw_objects`."""
    raw, least = raw_objects.derive, {"opslimit": 3, "memlimit": 8_192}

    def derived(**options: Any) -> bytes:
        return hash_secret_raw(**{**options, "time_cost": least["opslimit"], "memory_cost": least["memlimit"] // 1024})

    monkeypatch.setattr("rrbackup.effects.keys.hash_secret_raw", derived)
    monkeypatch.setattr(raw_objects, "derive", lambda password, kdf: raw(password, {**kdf, **least}))


class Dying(MemoryClient):
    """Dies when it is to publish."""

    def put(self, key: str, *args: Any, **options: Any) -> Stored:
        if key == MANIFEST:
            self.crashed = True
            raise SimulatedCrash("died before it published")
        return super().put(key, *args, **options)


def interrupted(machine: Machine, prefix: str = "") -> None:
    """Leave a claim, uploads and a journal."""
    with pytest.raises(SimulatedCrash):
        machine.open(Dying(machine.store._world, prefix, (), 1_000)).backup()
    assert machine.config.journal_path().exists()


def stored(store: Store) -> dict[tuple[str, str], bytes]:
    rows = [row for row in store.list_versions("") if not row.marker]
    return {(row.key, row.version_id): store.get(row.key, row.version_id).body for row in rows}


def salts(store: Store) -> list[bytes]:
    """Newest first."""
    return [store.get(SALT, row.version_id).body for row in list_exact(store, SALT) if not row.marker]
