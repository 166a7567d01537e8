"""Threads that have requests under way, and when they are waited for.

The rule: an error waits for those that are at work already, because what they send is still noted down; an interruption
(any exception that is no `Exception`) waits for nobody, because a request may take minutes to give up.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
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


def side_by_side(pool: ThreadPoolExecutor, threads: int, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results as they come. As many items are under way as there are threads, and a few ready, of however many."""
    pending: set[Future[R]] = set()
    for item in items:
        pending.add(pool.submit(work, item))
        if len(pending) >= 2 * threads:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        yield from (future.result() for future in done)
