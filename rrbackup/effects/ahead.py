"""Fetching diffs before they are asked for, side by side: following parents one by one takes a round trip for each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from rrbackup.effects.store import Fetched
from rrbackup.pure.model import VersionId

FIRST_BATCH = 16
MOST_AT_ONCE = 32
"""A batch is twice the one before, up to this: bigger ones save hardly any round trip, and fetch more for nothing."""


class Ahead:
    """The versions of one object, asked for from the newest on.

    `listed` gives their ids, newest first; `fetch` gets several at once, in that order. A version that is not where it
    should be is got by itself, which fails with the right words if it is gone.
    """

    def __init__(
        self,
        listed: Iterable[VersionId],
        fetch: Callable[[Sequence[VersionId]], Iterable[Fetched]],
    ) -> None:
        self._listed: Iterator[VersionId] = iter(listed)
        self._fetch = fetch
        self._size = FIRST_BATCH
        self._held: dict[VersionId, Fetched] = {}

    def get(self, version_id: VersionId) -> Fetched:
        if version_id not in self._held:
            self._fetch_batch()
        held = self._held.pop(version_id, None)
        return held or next(iter(self._fetch((version_id,))))

    def _fetch_batch(self) -> None:
        batch = list(islice(self._listed, self._size))
        self._size = min(2 * self._size, MOST_AT_ONCE)
        self._held.update((found.info.version_id, found) for found in self._fetch(batch))
