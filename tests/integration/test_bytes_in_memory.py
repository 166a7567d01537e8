"""Small files that are read whole: how many bytes of them are in memory at once, and who waits for whom."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rrbackup
from rrbackup.effects import download, transfer
from rrbackup.effects.memory import MemoryClient
from rrbackup.effects.store import Stored
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD
from rrbackup.pure.model import VersionId
from rrbackup.testing import MemoryStore

LIMIT_S = 30


class Watching(MemoryClient):
    """A client that calls `around` with the key of each file that is written, before and after it."""

    def __init__(self, before: Callable[[str], None], after: Callable[[], None] = lambda: None) -> None:
        super().__init__(MemoryStore()._world, "", (), MULTIPART_THRESHOLD)
        self._before, self._after = before, after

    def put(self, key: str, *args: Any, **kwargs: Any) -> Stored:
        if not key.startswith("files/"):
            return super().put(key, *args, **kwargs)
        self._before(key)
        stored = super().put(key, *args, **kwargs)
        self._after()
        return stored


def configuration(folder: Path, contents: list[bytes]) -> rrbackup.Config:
    base = folder / "base"
    base.mkdir()
    for number, content in enumerate(contents):
        (base / f"{number:02}").write_bytes(content)
    return rrbackup.Config(
        base_path=str(base),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=rrbackup.DirectorySettings(path=str(folder / "unused")),
    )


@pytest.mark.parametrize("threads", [None, 8])
def test_as_many_go_at_once_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int | None) -> None:
    monkeypatch.setattr(transfer, "HELD_BYTES", 1000)
    two, lock, sending = threading.Barrier(2), threading.Lock(), [0, 0]

    def before(_: str) -> None:
        with lock:
            sending[0] += 1
            sending[1] = max(sending)
        two.wait(LIMIT_S)

    def after() -> None:
        with lock:
            sending[0] -= 1

    config = configuration(tmp_path, [bytes([number]) * 400 for number in range(20)])
    with rrbackup.open_repository(config, store=Watching(before, after), threads=threads) as repository:
        assert repository.backup().problems == ()
    assert sending == [0, 2]


@pytest.mark.parametrize("limit", [1, 400, 900])
def test_who_waits_for_a_twin_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(transfer, "HELD_BYTES", limit)
    config = configuration(tmp_path, [b"twins" * 80] * 30 + [b"others" * 100] * 30)
    sent: list[str] = []
    with rrbackup.open_repository(config, store=Watching(sent.append)) as repository:
        assert repository.backup().problems == ()
    assert len(sent) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, LookupError])
def test_who_waits_gives_up_when_the_backup_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    monkeypatch.setattr(transfer, "HELD_BYTES", 1000)
    sent: list[str] = []
    released, both = threading.Event(), threading.Barrier(2)

    def before(key: str) -> None:
        sent.append(key)
        if not released.is_set() and both.wait(LIMIT_S) == 0:
            released.set()
            raise error
        assert released.wait(LIMIT_S)

    config = configuration(tmp_path, [bytes([number]) * 400 for number in range(40)])
    repository = rrbackup.open_repository(config, store=Watching(before), threads=8)
    with repository, pytest.raises(error):
        repository.backup()
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(LIMIT_S)
            assert not thread.is_alive()


class Fetching(MemoryClient):
    """Counts how many contents are fetched at once; two have to meet."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store._world, "", (), MULTIPART_THRESHOLD)
        self._two, self._lock = threading.Barrier(2), threading.Lock()
        self.now = self.most = 0

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self._two.wait(LIMIT_S)
        with super().read(key, version_id, start, length) as chunks:
            yield chunks
        with self._lock:
            self.now -= 1


def test_as_many_are_fetched_at_once_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "HELD_BYTES", 1000)
    store = MemoryStore()
    config = configuration(tmp_path, [bytes([number]) * 400 for number in range(8)])
    rrbackup.open_repository(config, store=store).backup()
    client = Fetching(store)
    assert rrbackup.open_repository(config, store=client, threads=8).download("latest", tmp_path / "target").complete
    assert client.most == 2
