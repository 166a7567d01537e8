"""Which contents are in the repository or on their way there: so that each is uploaded once, from any thread."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Condition

from rrbackup.pure.dedup import DedupKey
from rrbackup.pure.model import ObjectRef


class Contents:
    """Known contents of the last manifest and of this run."""

    def __init__(self, known: Mapping[DedupKey, ObjectRef]) -> None:
        self._known = dict(known)
        self._under_way: set[DedupKey] = set()
        self._changed = Condition()

    def find(self, key: DedupKey) -> ObjectRef | None:
        with self._changed:
            return self._known.get(key)

    def add(self, key: DedupKey, ref: ObjectRef) -> None:
        with self._changed:
            self._known.setdefault(key, ref)

    @contextmanager
    def reserved(self, key: DedupKey) -> Iterator[ObjectRef | None]:
        """The object with this content, waiting for one that is under way; None reserves it for the caller,
        who uploads it and calls `add` before leaving."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._under_way)
            found = self._known.get(key)
            if found is None:
                self._under_way.add(key)
        try:
            yield found
        finally:
            if found is None:
                with self._changed:
                    self._under_way.discard(key)
                    self._changed.notify_all()
