"""Threads that have requests under way, and when they are waited for.

The rule: an error waits for those that are at work already, because what they send is still noted down; an interruption
(any exception that is no `Exception`) waits for nobody, because a request may take minutes to give up.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from operator import itemgetter
from threading import Event as Flag
from threading import Lock
from typing import TypeVar

FETCH_THREADS = 16
"""So many metadata objects are read, or keys listed, at a time."""

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads. Whatever ends the block early, nothing that waits in it is begun any more."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def side_by_side(pool: ThreadPoolExecutor, threads: int, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What `work` gives for each item, in the order of the items.

    Each thread takes the next item when it is done with one, so that nobody has to be woken for every item. Once one
    fails, none is begun any more.
    """
    rest, lock, ended = enumerate(items), Lock(), Flag()
    results: list[tuple[int, R]] = []

    def take() -> tuple[int, T] | None:
        with lock:
            return None if ended.is_set() else next(rest, None)

    def worker() -> None:
        while (taken := take()) is not None:
            index, item = taken
            results.append((index, work(item)))

    try:
        for future in as_completed([pool.submit(worker) for _ in range(threads)]):
            future.result()
    finally:
        ended.set()
    return [result for _, result in sorted(results, key=itemgetter(0))]


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
