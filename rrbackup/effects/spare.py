"""Memory to spare for parts of big objects that are under way beside the one that each object's own thread moves.

The rule: a thread always moves one part itself, so that all go on; for further parts of its object it borrows from what
all objects of a client share. So memory is bounded by a part for each thread and `SPARE_BYTES`, however many objects
there are and however big, and one object alone has all there is to spare. `CROWD` objects under way share the line, and
need no further parts beside them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import TypeVar

from rrbackup.effects.workers import workers

SPARE_BYTES = 64 << 20
AT_ONCE = 8
"""So many parts of one object are under way at most, beside the one of its own thread."""

CROWD = 4

T = TypeVar("T")
R = TypeVar("R")


class Spare:
    """Bytes, or what else is counted, that are lent. Safe to use from several threads."""

    def __init__(self, size: int = SPARE_BYTES) -> None:
        self._free = size
        self._sharing = 0
        self._lock = Lock()

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """While an object is under way."""
        with self._lock:
            self._sharing += 1
        try:
            yield
        finally:
            with self._lock:
                self._sharing -= 1

    @property
    def crowded(self) -> bool:
        return self._sharing >= CROWD

    def borrow(self, size: int) -> bool:
        """Whether `size` bytes were to be had; nobody waits for them."""
        with self._lock:
            if size > self._free:
                return False
            self._free -= size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._free += size


def side_by_side_or_here(
    spare: Spare, size_of: Callable[[T], int], work: Callable[[T], R], items: Iterable[T]
) -> list[R]:
    """What `work` gives for each item, in the order of the items.

    An item is worked on in another thread where there is memory to spare for it, and in this one otherwise, while no
    other is taken. Once one has failed, none is begun any more.
    """
    pending: deque[Future[R]] = deque()
    results: list[R] = []
    with workers(AT_ONCE) as pool:
        for item in items:
            while pending and pending[0].done():
                results.append(pending.popleft().result())
            size = size_of(item)
            if spare.borrow(size):
                pending.append(pool.submit(work, item))
                pending[-1].add_done_callback(partial(_returned, spare, size))
            else:
                pending.append(_done(work(item)))
        return results + [future.result() for future in pending]


def _returned(spare: Spare, size: int, _: "Future[R]") -> None:
    spare.give_back(size)


def _done(result: R) -> "Future[R]":
    done: Future[R] = Future()
    done.set_result(result)
    return done
