"""Ending an operation from outside: a question of the caller's that is asked at every turn.

The rule: it is asked before each request, with each piece of a body or row of a listing, with each event, and while
something waits. A request that is under way is waited for, as an error does (`workers`): what it stored is noted down.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from attrs import field, frozen

from rrbackup.effects.store import Condition, Fetched, ObjectInfo, Store, Stored, UnfinishedUpload
from rrbackup.effects.store_rules import ALWAYS
from rrbackup.errors import Cancelled
from rrbackup.events import Event, OnEvent
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef

T = TypeVar("T")

_STEP_S = 0.1


def _asleep(seconds: float) -> None:
    time.sleep(seconds)


@frozen
class Cancellation:
    """`asked` says whether the caller wants the end. Waiting may be given for tests."""

    asked: Callable[[], bool]
    _wait: Callable[[float], None] = field(default=_asleep, alias="wait")

    def check(self) -> None:
        """Raise Cancelled if the end is wanted."""
        if self.asked():
            raise Cancelled("cancelled by the program that asked for it")

    def wait(self, seconds: float) -> None:
        """Like `time.sleep`, in short steps."""
        while seconds > 0:
            self.check()
            self._wait(min(seconds, _STEP_S))
            seconds -= _STEP_S

    def each(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            self.check()
            yield item

    def telling(self, on_event: OnEvent) -> OnEvent:
        def tell(event: Event) -> None:
            self.check()
            on_event(event)

        return tell


class CancellableStore:
    """Stands before a store and implements `Store`."""

    def __init__(self, store: Store, cancellation: Cancellation) -> None:
        self._store = store
        self._cancellation = cancellation

    @property
    def behind(self) -> Store:
        return self._store

    def describe(self) -> str:
        return self._store.describe()

    def prepare(self) -> tuple[str, ...]:
        self._cancellation.check()
        return self._store.prepare()

    def head(self, key: str) -> ObjectInfo:
        self._cancellation.check()
        return self._store.head(key)

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        self._cancellation.check()
        return self._store.get(key, version_id)

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        self._cancellation.check()
        with self._store.read(key, version_id, start, length) as chunks:
            yield self._cancellation.each(chunks)

    def put(
        self,
        key: str,
        body: bytes | Iterable[bytes],
        *,
        condition: Condition = ALWAYS,
        size_hint: int = 0,
        metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
    ) -> Stored:
        self._cancellation.check()
        pieces = body if isinstance(body, bytes) else self._cancellation.each(body)
        return self._store.put(
            key, pieces, condition=condition, size_hint=size_hint, metadata=metadata, storage_class=storage_class
        )

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        self._cancellation.check()
        return self._cancellation.each(self._store.list_versions(prefix))

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        self._cancellation.check()
        self._store.delete_versions(self._cancellation.each(refs))

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        self._cancellation.check()
        return self._cancellation.each(self._store.list_uploads(prefix))

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        self._cancellation.check()
        self._store.abort_upload(upload)


def bare(store: Store) -> Store:
    """The store itself, for those who ask what kind it is."""
    return store.behind if isinstance(store, CancellableStore) else store
