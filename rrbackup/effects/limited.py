"""A store whose contents pass no faster than was asked for, however many threads move them."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from attrs import frozen

from rrbackup.effects.store import Condition, ContentStore, Stored
from rrbackup.effects.store_rules import ALWAYS, MIB
from rrbackup.errors import UsageError
from rrbackup.pure import pacing
from rrbackup.pure.model import VersionId

_SLICE_S = 0.1
"""So far ahead is asked, lest the line stand idle; and so long is waited before looking again, as less may have come
than was expected."""

_GOES_ON = MIB // 2
"""Stores give smaller chunks only at the end of an answer, mostly."""


@frozen
class Limits:
    """Whole bytes per second for all threads together; None is as fast as it goes. Raises UsageError for others."""

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
    """Lets bytes pass at one rate, whoever brings them. Clock and waiting may be given for tests.

    What is received is there before it can be counted, so nobody asks for more before all that came is through; as
    much as came last counts beforehand. Else each thread would bring its first chunk at once.
    """

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
        self._turns = Lock()
        self._usual = max(1, int(bytes_per_second * _SLICE_S))

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """What is sent."""
        for chunk in chunks:
            self.take(len(chunk))
            yield chunk

    def take(self, count: int) -> None:
        """Wait until `count` bytes more are through."""
        self._wait_until(self._put_on(count))

    def turn(self) -> int:
        """Wait until more may be asked for. Gives how many bytes have been counted for it."""
        with self._turns:
            while (moment := self._line.free_at - _SLICE_S) > (now := self._clock()):
                self._wait_until(min(moment, now + _SLICE_S))
            expected = self._usual
            self._put_on(expected)
        return expected

    def received(self, chunks: Iterator[bytes], expected: int) -> Iterator[bytes]:
        """The chunks of an answer that was asked for at its `turn`."""
        while (chunk := next(chunks, None)) is not None:
            self._usual = len(chunk)
            self.take(len(chunk) - expected)
            yield chunk
            expected = self.turn() if len(chunk) >= _GOES_ON else 0
        self._put_on(-expected)

    def _put_on(self, count: int) -> float:
        with self._lock:
            self._line, through = pacing.put_on(self._line, count, self._clock())
        return through

    def _wait_until(self, moment: float) -> None:
        delay = moment - self._clock()
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
        expected = self._download.turn() if self._download else 0
        with self._store.read(key, version_id, start, length) as chunks:
            yield self._download.received(chunks, expected) if self._download else chunks

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
