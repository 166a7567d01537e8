"""A file's content out of its object: fetched, decoded, and checked against what the commit says.

A big object is begun with its first stretch. Where that comes fast, the rest is one request more; where the line is
slow, the others are fetched side by side while this thread works on one, as far as there is memory to spare and not
enough other objects are under way.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

from attrs import field, frozen

from rrbackup.effects.coding import decoded
from rrbackup.effects.keychain import Keychain
from rrbackup.effects.spare import SPARE_BYTES, Spare
from rrbackup.effects.store import ContentStore
from rrbackup.effects.workers import workers
from rrbackup.errors import DamagedObject
from rrbackup.pure.model import NOT_RECORDED, Entry, ObjectRef
from rrbackup.pure.ranges import LONG, RANGE_BYTES, WHOLE, Stretch, is_whole, joined, stretches

_AHEAD = SPARE_BYTES // RANGE_BYTES

FAST_ENOUGH = 100_000_000
"""Bytes per second. A connection that brings so many is not what others have to wait for."""

Clock = Callable[[], float]
Fetch = Callable[[Stretch], Iterator[bytes]]


@frozen
class Fetcher:
    """Gives the contents of entries, for several threads at once."""

    store: ContentStore
    keys: Keychain
    spare: Spare = field(factory=Spare)

    def content_of(self, entry: Entry) -> Iterator[bytes]:
        """A file's content, checked against the entry's size and SHA-256 before the last bytes are given out.

        Raises DamagedObject, ObjectMissing, UnsupportedFormat, StoreUnavailable or WrongPassword.
        """
        digest, count = hashlib.sha256(), 0
        held = b""
        for data in self._decoded(entry):
            digest.update(data)
            count += len(data)
            if held:
                yield held
            held = data
        if entry.size not in (count, NOT_RECORDED) or digest.hexdigest() != entry.sha256:
            raise _not_the_content(entry)
        if held:
            yield held

    def _decoded(self, entry: Entry) -> Iterator[bytes]:
        if entry.object is None:
            return iter(())
        return decoded(entry, entry.object, self._body(entry.object), self.keys)

    def _body(self, ref: ObjectRef) -> Iterator[bytes]:
        fetch = partial(_read, self.store, ref)
        return fetch(WHOLE) if is_whole(ref.stored_size) else fetched_ahead(self.spare, fetch, ref.stored_size)


def _not_the_content(entry: Entry) -> DamagedObject:
    where = f"{entry.object.key} version {entry.object.version_id}" if entry.object else "no object"
    return DamagedObject(
        f"the stored content of {entry.path} ({where}) is not what the commit says: it is damaged or was exchanged",
        hint="restore this file from an earlier version; the next backup of it stores it anew if it changes",
    )


def fetched_ahead(spare: Spare, fetch: Fetch, size: int, clock: Clock = time.monotonic) -> Iterator[bytes]:
    """An object of about `size` bytes. How fast its first stretch comes decides how the rest is fetched."""
    first, *others = stretches(size)
    watch = _Watch(clock)
    with spare.sharing():
        yield from watch.passed(fetch(first))
        if watch.seconds * FAST_ENOUGH < RANGE_BYTES:
            yield from fetch(joined(others))
        else:
            yield from _side_by_side(spare, fetch, others)


class _Watch:
    """Measures the `seconds` for which chunks are waited for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 0.0

    def passed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            begun = self._clock()
            data = next(chunks, None)
            self.seconds += self._clock() - begun
            if data is None:
                return
            yield data


def _side_by_side(spare: Spare, fetch: Fetch, wanted: Sequence[Stretch]) -> Iterator[bytes]:
    """The stretches one after the other: those that there is memory for come from other threads, the rest from here."""
    rest, ahead = deque(wanted), deque[Future[list[bytes]]]()
    with workers(_AHEAD) as pool:
        try:
            while rest or ahead:
                here = None if ahead else _next(spare, rest)
                while rest and not spare.crowded and spare.borrow(RANGE_BYTES):
                    ahead.append(pool.submit(_collected, fetch, rest.popleft()))
                if here is not None:
                    yield from fetch(here)
                else:
                    yield from ahead[0].result()
                    ahead.popleft()
                    spare.give_back(RANGE_BYTES)
        finally:
            for future in ahead:
                future.add_done_callback(lambda _: spare.give_back(RANGE_BYTES))


def _next(spare: Spare, rest: deque[Stretch]) -> Stretch:
    """What this thread fetches itself."""
    count = min(LONG, len(rest)) if spare.crowded else 1
    return joined([rest.popleft() for _ in range(count)])


def _collected(fetch: Fetch, stretch: Stretch) -> list[bytes]:
    return list(fetch(stretch))


def _read(store: ContentStore, ref: ObjectRef, stretch: Stretch) -> Iterator[bytes]:
    """A stretch of an object. Going on where a connection broke off is the store's."""
    with store.read(ref.key, ref.version_id, stretch.start, stretch.length) as chunks:
        yield from chunks
