"""Reading the body of an answer, also where the connection ends in the middle of it.

The rule: what has been handed on stays; the rest is asked for again, by range, from the same version. Only failures in
a row, without a byte between them, count against the number of attempts.
"""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

from rrbackup.effects.back_off import ATTEMPTS, BackOff
from rrbackup.effects.s3_errors import Asked, Translated, cut_errors

T = TypeVar("T")

OpenAt = Callable[[int], Iterator[bytes] | None]
"""Asks for the version without its first so many bytes; None where there are no more."""


def read_whole(back_off: BackOff, asked: Asked, fetch: Callable[[], T]) -> T:
    """What `fetch` gives, which asks for an object and reads all of its body; begun anew where that is cut."""
    failures = 0
    while True:
        with Translated(asked):
            try:
                return fetch()
            except cut_errors():
                failures += 1
                if failures >= ATTEMPTS:
                    raise
        back_off.pause(failures)


class Download:
    """A stream over one version, for a `with` block.

    It is opened at once, so that a missing version is told before anything is read.
    """

    def __init__(self, open_at: OpenAt, asked: Asked, back_off: BackOff) -> None:
        self._open_at = open_at
        self._asked = asked
        self._back_off = back_off
        self._delivered = 0
        self._body = open_at(0)

    def __enter__(self) -> Iterator[bytes]:
        return self._chunks()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was not read is given up with the stream."""

    def _chunks(self) -> Iterator[bytes]:
        while chunk := self._next():
            self._delivered += len(chunk)
            yield chunk

    def _next(self) -> bytes:
        for failures in range(1, ATTEMPTS + 1):
            with Translated(self._asked):
                try:
                    return b"" if self._body is None else next(self._body, b"")
                except cut_errors():
                    if failures == ATTEMPTS:
                        raise
            self._open_again(failures)
        raise AssertionError("the last attempt returns or raises")

    def _open_again(self, failures: int) -> None:
        self._back_off.pause(failures)
        self._body = self._open_at(self._delivered)
