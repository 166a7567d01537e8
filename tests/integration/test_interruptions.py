"""Whoever interrupts a program that goes on gets it back at once, and is told of nothing afterwards."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rrbackup
from rrbackup.effects.history import PREFETCH_FROM
from rrbackup.effects.memory import MemoryClient
from rrbackup.effects.store import Fetched
from rrbackup.events import Event
from rrbackup.pure.model import VersionId, VersionRef
from rrbackup.testing import MemoryStore
from tests.integration.conftest import Bench
from tests.integration.trees import write

LIMIT_S = 30


class Interrupting(MemoryClient):
    """Requests for versions below `prefix` are under way until `release`; meanwhile the one for `interrupted` ends.

    That has to be the one whose result is waited for first.
    """

    def __init__(self, store: MemoryStore, prefix: str, interrupted: VersionRef) -> None:
        super().__init__(store._world, "", (), 1 << 20)
        self._prefix_of_held = prefix
        self._interrupted = interrupted
        self.was_waited_for = False
        self.under_way, self.released = threading.Event(), threading.Event()

    @contextmanager
    def read(self, key: str, version_id: VersionId, *args: Any) -> Iterator[Iterator[bytes]]:
        with super().read(key, version_id, *args) as blocks:
            yield self._held(key, version_id, blocks)

    def _held(self, key: str, version_id: VersionId, blocks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(blocks)
        self._hold(key, version_id)
        yield from blocks

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        self._hold(key, version_id)
        return super().get(key, version_id)

    def _hold(self, key: str, version_id: VersionId | None) -> None:
        if version_id is None or not key.startswith(self._prefix_of_held):
            return
        if VersionRef(key, version_id) == self._interrupted:
            assert self.under_way.wait(LIMIT_S)
            raise KeyboardInterrupt
        self.under_way.set()
        if not self.released.wait(LIMIT_S):
            self.was_waited_for = True

    def release(self) -> None:
        """Let the request go on, and see the thread end that made it."""
        assert not self.was_waited_for
        self.released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("ThreadPoolExecutor"):
                thread.join(LIMIT_S)
                assert not thread.is_alive()


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def bench(make_bench: Callable[..., Bench], memory: MemoryStore) -> Bench:
    return make_bench(memory)


def test_a_download_leaves_nothing_unfinished_and_tells_nothing_more(
    bench: Bench, memory: MemoryStore, tmp_path: Path
) -> None:
    write(bench.base, {"folder/a": b"a" * 3, "folder/b": b"b" * 3})
    bench.backup()
    first = next(iter(memory.list_versions("files/folder/a"))).ref
    store, events = Interrupting(memory, "files/", first), list[Event]()
    target = tmp_path / "target"
    with pytest.raises(KeyboardInterrupt):
        rrbackup.open_repository(bench.config, store=store, threads=2).download(
            "latest", target, on_event=events.append
        )
    left, told = sorted(target.rglob("*")), list(events)
    store.release()
    assert left == sorted(target.rglob("*")) == [target / "folder"]
    assert events == told


@pytest.mark.parametrize("verb", ["list_versions", "garbage_collect"])
def test_reading_many_diffs_is_given_up_at_once(bench: Bench, memory: MemoryStore, tmp_path: Path, verb: str) -> None:
    for number in range(PREFETCH_FROM + 2):
        write(bench.base, {"a": b"%d" % number})
        bench.backup()
    other = bench.other_client(tmp_path / "other")
    below_the_head = [row.ref for row in memory.list_versions("manifest_diffs")][1]
    store = Interrupting(memory, "manifest_diffs", below_the_head)
    with pytest.raises(KeyboardInterrupt):
        getattr(rrbackup.open_repository(other.config, store=store), verb)()
    store.release()
    assert len(bench.open().list_versions()) == PREFETCH_FROM + 2
