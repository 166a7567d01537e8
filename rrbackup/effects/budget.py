"""Bytes that may be in memory at once, for all threads together.

The rule: who asks for more than is free waits, unless nothing is taken: so one file may always go, whatever its size.
Whoever holds bytes must not wait for somebody who may still have to ask for some.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock


class ByteBudget:
    """`most` bytes. Usable from several threads at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting = 0
        self._ended = False
        self._changed = Condition(Lock())

    @contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Hold `count` bytes, waiting until they are free or the budget is ended."""
        with self._changed:
            if not self._fits(count):
                self._wait(count)
            self._free -= count
        try:
            yield
        finally:
            with self._changed:
                self._free += count
                if self._waiting:
                    self._changed.notify_all()

    def end(self) -> None:
        """Nobody waits any more: who did, or comes later, goes on at once and has to see for himself why."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        return count <= self._free or self._free == self._most or self._ended

    def _wait(self, count: int) -> None:
        self._waiting += 1
        try:
            self._changed.wait_for(lambda: self._fits(count))
        finally:
            self._waiting -= 1
