"""A store whose contents pass no faster than was asked for, however many threads move them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from attrs import frozen

from rrbackup.effects.store import Condition, ContentStore, Stored
from rrbackup.effects.store_rules import ALWAYS
from rrbackup.errors import UsageError
from rrbackup.pure import pacing
from rrbackup.pure.model import VersionId


@frozen
class Limits:
    """Whole bytes per second for all threads together; None is as fast as it goes. Raises UsageError below 1."""

    upload: int | None = None
    download: int | None = None

    def __attrs_post_init__(self) -> None:
        for limit in (self.upload, self.download):
            if limit is None:
                continue
            if not isinstance(limit, int):
                raise UsageError(f"a limit is a whole number of bytes per second, not {limit!r}")
            if limit < 1:
                raise UsageError(f"a limit of {limit} bytes per second lets nothing pass", hint="leave it out")

    def meters(self, wait: Callable[[float], None] = time.sleep) -> "tuple[Meter | None, Meter | None]":
        """One for uploads, one for downloads."""
        limits = (self.upload, self.download)
        upload, download = (Meter(limit, wait=wait) if limit is not None else None for limit in limits)
        return upload, download


class Meter:
    """Lets bytes pass at one rate, whoever brings them. Clock and waiting may be given for tests."""

    def __init__(
        self,
        bytes_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._line = pacing.Line(bytes_per_second)
        self._clock = clock
        self._wait = wait
        self._lock = Lock()

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.take(len(chunk))
            yield chunk

    def take(self, count: int) -> None:
        """Wait until `count` bytes more are through."""
        with self._lock:
            self._line, through = pacing.put_on(self._line, count, self._clock())
        delay = through - self._clock()
        if delay > 0:
            self._wait(delay)


UNLIMITED = Limits()


class LimitedContents:
    """Reads and writes contents like the store that it stands before, at the rate of its meters."""

    def __init__(self, store: ContentStore, upload: Meter | None, download: Meter | None) -> None:
        self._store = store
        self._upload = upload
        self._download = download

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        with self._store.read(key, version_id, start, length) as chunks:
            yield self._download.passed(chunks) if self._download else chunks

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
        if self._upload is not None:
            if isinstance(body, bytes):
                self._upload.take(len(body))
            else:
                body = self._upload.passed(body)
        return self._store.put(
            key, body, condition=condition, size_hint=size_hint, metadata=metadata, storage_class=storage_class
        )
