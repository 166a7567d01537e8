"""Threads that have requests under way: how many there are, and when they are waited for.

How many there are, if nobody has said it, is the rule of `pure.concurrency`.

The rule of waiting: an error waits for those that are at work already, because what they send is still noted down; an
interruption (any exception that is no `Exception`) waits for nobody, because a request may take minutes to give up.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from operator import itemgetter, length_hint
from queue import SimpleQueue
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from rrbackup.pure import concurrency
from rrbackup.pure.concurrency import Climb, Done
from rrbackup.pure.threads import MOST_THREADS

FETCH_THREADS = 16
"""So many metadata objects are read, or keys listed, at a time."""

T = TypeVar("T")
R = TypeVar("R")
Clock = Callable[[], float]


@contextmanager
def workers(threads: int | None) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, with room for the most that are ever used if no number is given.

    Whatever ends the block early, nothing that waits in it is begun any more.
    """
    pool = ThreadPoolExecutor(threads or MOST_THREADS)
    try:
        yield pool
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def side_by_side(
    pool: ThreadPoolExecutor,
    threads: int | None,
    work: Callable[[T], R],
    items: Iterable[T],
    size: Callable[[T], int] = lambda _: 0,
    clock: Clock = monotonic,
) -> list[R]:
    """What `work` gives for each item, in the order of the items.

    Without a number of `threads` there are as many as help (see `pure.concurrency`), for which `size` says how many
    bytes an item moves. Each thread takes the next item when it is done with one, so that nobody has to be woken for
    every item. Once one fails, none is begun any more.
    """
    climb = concurrency.begin(threads, length_hint(items, sys.maxsize))
    return [result for _, result in sorted(_Crew(pool, climb, work, items, size, clock).run(), key=itemgetter(0))]


class _Crew(Generic[T, R]):
    """Those who work on the items. What they share is touched under the lock."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        climb: Climb,
        work: Callable[[T], R],
        items: Iterable[T],
        size: Callable[[T], int],
        clock: Clock,
    ) -> None:
        self._pool, self._work, self._size, self._clock = pool, work, size, clock
        self._lock = Lock()
        self._rest = enumerate(items)
        self._results: list[tuple[int, R]] = []
        self._left: SimpleQueue[Future[None]] = SimpleQueue()
        self._climb = climb
        self._hired = self._at_work = 0
        self._done = self._worth = 0
        self._ended = False

    def run(self) -> list[tuple[int, R]]:
        left = 0
        try:
            with self._lock:
                self._begun = self._clock()
                self._hire()
            while left < self._hired:  # whoever hires has not left yet
                self._left.get().result()
                left += 1
        finally:
            with self._lock:
                self._ended = True
        return self._results

    def _hire(self) -> None:
        while self._at_work < self._climb.threads:
            self._at_work += 1
            self._hired += 1
            self._pool.submit(self._worker).add_done_callback(self._left.put)

    def _worker(self) -> None:
        with self._lock:
            taken = self._take()
        while taken is not None:
            index, item = taken
            self._results.append((index, self._work(item)))
            taken = self._next(concurrency.worth(self._size(item)))

    def _next(self, worth: int) -> tuple[int, T] | None:
        with self._lock:
            self._done += 1
            self._worth += worth
            if self._done >= self._climb.look_at and not self._ended:
                self._look()
            return self._take()

    def _look(self) -> None:
        self._climb = concurrency.after(self._climb, Done(self._done, self._worth, self._clock() - self._begun))
        self._hire()

    def _take(self) -> tuple[int, T] | None:
        """The next item; None for who is not needed any more."""
        spare = self._ended or self._at_work > self._climb.threads
        taken = None if spare else next(self._rest, None)
        self._at_work -= taken is None
        return taken


def in_order(pool: ThreadPoolExecutor, threads: int, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results as they come, in the order of the items: for who must know up to where all is done.

    As many items are under way as there are threads, and as many again are ready, of however many.
    """
    pending: deque[Future[R]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) >= 2 * threads:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
