"""A store in memory that behaves like S3, for tests, with faults that strike chosen requests.

`MemoryStore` is the shared world and at the same time a client of it without faults; `client()` gives further
clients with a fault plan, a count of requests and a death of their own (the fault model: `memory_faults`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from threading import Lock
from typing import TypeVar

from attrs import evolve

from rrbackup.effects.memory_faults import Call, Fault, FaultKind, SimulatedCrash
from rrbackup.effects.memory_world import Page, World
from rrbackup.effects.store import Condition, Fetched, ObjectInfo, Stored, UnfinishedUpload
from rrbackup.effects.store_rules import (
    ALWAYS,
    MULTIPART_THRESHOLD,
    Piece,
    batches,
    check_key,
    check_metadata,
    normal_prefix,
    pieces,
)
from rrbackup.errors import OutcomeUnknown, StoreError, StoreUnavailable
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef

__all__ = ["Call", "Fault", "FaultKind", "MemoryClient", "MemoryStore", "SimulatedCrash"]

T = TypeVar("T")

_CHUNK = 1 << 20


class MemoryClient:
    """One client of a store in memory. Made by `MemoryStore.client`; implements `Store`.

    `faults` may be set at any time; `calls` lists the requests so far; `crashed` tells that it died.
    """

    def __init__(self, world: World, prefix: str, faults: Iterable[Fault], multipart_threshold: int) -> None:
        self._world = world
        self._prefix = normal_prefix(prefix)
        self._threshold = multipart_threshold
        self._lock = Lock()
        self._calls: list[Call] = []
        self.faults = tuple(faults)
        self.crashed = False

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(self._calls)

    def reset_calls(self) -> None:
        """Forget the requests so far; faults count from 1 again."""
        self._calls.clear()

    def describe(self) -> str:
        return f"memory:{self._prefix.rstrip('/')}"

    def prepare(self) -> tuple[str, ...]:
        return ()

    def head(self, key: str) -> ObjectInfo:
        return self._request("head", key, lambda: self._world.get(self._prefix + key, None)).info

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        return self._request("get", key, lambda: self._world.get(self._prefix + key, version_id))

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        body = self._request("read", key, lambda: self._world.get(self._prefix + key, version_id)).body
        wanted = body[start:] if length is None else body[start : start + length]
        yield (wanted[at : at + _CHUNK] for at in range(0, len(wanted), _CHUNK))

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
        check_key(key)
        kept = check_metadata(metadata)
        parts = pieces(body, self._threshold)
        first = next(parts)
        if first.last:
            return self._write("put", key, lambda: self._world.put(self._prefix + key, first.data, condition, kept))
        return self._multipart(key, first, parts, condition, kept)

    def mark_deleted(self, key: str) -> VersionId:
        """What a DELETE without version id does on S3. rrbackup itself never does that."""
        return self._request("mark_deleted", key, lambda: self._world.mark_deleted(self._prefix + key))

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        page = Page()
        while page.more:
            fetch = partial(self._world.page, self._prefix + prefix, page.position)
            page = self._request("list_versions", prefix, fetch)
            yield from (evolve(row, key=row.key.removeprefix(self._prefix)) for row in page.rows)

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        for batch in batches(refs):
            full = [VersionRef(self._prefix + ref.key, ref.version_id) for ref in batch]
            self._request("delete_versions", batch[0].key, partial(self._world.delete, full))

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        found = self._request("list_uploads", prefix, lambda: self._world.uploads(self._prefix + prefix))
        return (UnfinishedUpload(key.removeprefix(self._prefix), name) for name, key in found)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        self._request("abort_upload", upload.key, lambda: self._world.abort_upload(upload.upload_id))

    def _multipart(
        self, key: str, first: Piece, rest: Iterator[Piece], condition: Condition, metadata: Mapping[str, str]
    ) -> Stored:
        def create() -> str:
            return self._world.create_upload(self._prefix + key)

        upload_id, attempts = self._request("create_upload", key, lambda: (create(), 1), again=lambda: (create(), 2))
        try:
            self._send_parts(key, upload_id, first, rest)
            stored = self._write(
                "complete_upload", key, lambda: self._world.complete_upload(upload_id, condition, metadata)
            )
            return evolve(stored, attempts=max(attempts, stored.attempts))
        except BaseException:
            if not self.crashed:
                with suppress(StoreError):
                    self.abort_upload(UnfinishedUpload(key, upload_id))
            raise

    def _send_parts(self, key: str, upload_id: str, first: Piece, rest: Iterator[Piece]) -> None:
        for number, piece in enumerate(chain((first,), rest), start=1):
            send = partial(self._world.upload_part, upload_id, number, piece.data)
            self._request("upload_part", key, send)

    def _write(self, method: str, key: str, apply: Callable[[], Stored]) -> Stored:
        return self._request(method, key, apply, again=lambda: evolve(apply(), attempts=2), lost=OutcomeUnknown)

    def _request(
        self,
        method: str,
        key: str,
        apply: Callable[[], T],
        *,
        again: Callable[[], T] | None = None,
        lost: type[StoreError] = StoreUnavailable,
    ) -> T:
        call = Call(method, key)
        fault = self._count(call)
        if fault is None:
            return apply()
        return self._struck(fault.kind, call, apply, again or apply, lost)

    def _count(self, call: Call) -> Fault | None:
        with self._lock:
            if self.crashed:
                raise SimulatedCrash(f"this client is dead; it tried {call}")
            self._calls.append(call)
            number = len(self._calls)
            return next((fault for fault in self.faults if fault.at == number), None)

    def _struck(
        self,
        kind: FaultKind,
        call: Call,
        apply: Callable[[], T],
        again: Callable[[], T],
        lost: type[StoreError],
    ) -> T:
        if kind is FaultKind.TWICE:
            apply()
            return again()
        if kind in (FaultKind.AFTER, FaultKind.LOST):
            with suppress(StoreError):
                apply()
        if kind in (FaultKind.LOST, FaultKind.NOT_SENT):
            raise lost(f"no answer came to {call.method} of {call.key}", hint="Look at the object again.")
        self.crashed = True
        raise SimulatedCrash(f"died {kind} {call}")


class MemoryStore(MemoryClient):
    """A store in memory, and a client of it without faults.

    `conditional` false gives a store that ignores conditions; bodies above `multipart_threshold` (bytes) are
    uploaded in parts of that size.
    """

    def __init__(self, *, conditional: bool = True, multipart_threshold: int = MULTIPART_THRESHOLD) -> None:
        super().__init__(World(conditional), "", (), multipart_threshold)

    @property
    def clock_ns(self) -> int:
        """The store's clock, in nanoseconds since the epoch. It stands still unless set."""
        return self._world.clock_ns

    @clock_ns.setter
    def clock_ns(self, value: int) -> None:
        self._world.clock_ns = value

    def client(self, *, prefix: str = "", faults: Iterable[Fault] = ()) -> MemoryClient:
        """Another client of the same store."""
        return MemoryClient(self._world, prefix, faults, self._threshold)
