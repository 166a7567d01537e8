"""What the integration tests share: a tree to back up, and a client of a store of every kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen

from rrbackup.api import Repository, open_repository
from rrbackup.config import Config, DirectorySettings
from rrbackup.effects.store import Store
from rrbackup.events import Event
from rrbackup.pure.report import BackupResult


@frozen
class Bench:
    """A base path, a configuration and a store."""

    base: Path
    config: Config
    store: Store
    events: list[Event] = field(factory=list)

    def open(self, **changes: Any) -> Repository:
        return open_repository(evolve(self.config, **changes), store=self.store)

    def backup(self, **options: Any) -> BackupResult:
        return self.open().backup(on_event=self.events.append, **options)

    def other_client(self, folder: Path) -> "Bench":
        """A client with local files of its own, of the same tree and store."""
        folder.mkdir()
        config = evolve(self.config, local_manifest_file=str(folder / "manifest"), local_lock_file=str(folder / "lock"))
        return evolve(self, config=config, events=[])


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(store: Store, **settings: Any) -> Bench:
        base = tmp_path / "base"
        base.mkdir(exist_ok=True)
        config = Config(
            base_path=str(base),
            local_manifest_file=str(tmp_path / "manifest"),
            local_lock_file=str(tmp_path / "lock"),
            directory=DirectorySettings(path=str(tmp_path / "unused")),
            **settings,
        )
        return Bench(base, config, store)

    return make
