"""For these tests requests are made one after another, so that the k-th request is the same one in every run.

A search reads the same few bytes a hundred thousand times; what they say is worked out once.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

import pytest

from rrbackup.effects import history, key_listing, keychain, references, survey
from rrbackup.pure import format2

T = TypeVar("T")
R = TypeVar("R")


class OneByOne:
    """In place of a pool of threads."""

    def __init__(self, threads: int) -> None:
        pass

    def __enter__(self) -> "OneByOne":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        return map(work, items)


@pytest.fixture(autouse=True, scope="module")
def _one_by_one() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (history, key_listing, keychain, references, survey):
            patch.setattr(module, "workers", OneByOne)
        for decoder in (format2.decode_diff, format2.decode_claim):
            patch.setattr(format2, decoder.__name__, lru_cache(10_000)(decoder))
        yield
