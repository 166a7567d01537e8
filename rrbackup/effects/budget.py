"""Bytes that may be in memory at once, for all threads together.

The rule: who asks for more than is free waits, unless nothing is taken: so one file may always go, whatever its size.
Whoever holds bytes must not wait for somebody who may still have to ask for some.
"""

from threading import Condition, Lock
from types import TracebackType


class ByteBudget:
    """`most` bytes. Usable from several threads at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = most
        self._waiting = 0
        self._ended = False
        self._changed = Condition(Lock())

    def taken(self, count: int) -> "Taken":
        """Hold `count` bytes during a `with` block, waiting until they are free or the budget is ended."""
        return Taken(self, count)

    def take(self, count: int) -> None:
        """Like `taken`, until they are given back."""
        with self._changed:
            if not self._fits(count):
                self._wait(count)
            self._free -= count

    def give_back(self, count: int) -> None:
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


class Taken:
    """Holds bytes of a budget while it is entered."""

    __slots__ = ("_budget", "_count")

    def __init__(self, budget: ByteBudget, count: int) -> None:
        self._budget = budget
        self._count = count

    def __enter__(self) -> None:
        self._budget.take(self._count)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._budget.give_back(self._count)
