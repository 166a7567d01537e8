"""Which contents are in the repository or on their way there: so that each is uploaded once, from any thread."""

from collections.abc import Mapping
from threading import Condition, Lock
from types import TracebackType

from rrbackup.errors import StoreError
from rrbackup.pure.dedup import DedupKey
from rrbackup.pure.model import ObjectRef


class Contents:
    """Known contents of the last manifest and of this run."""

    def __init__(self, known: Mapping[DedupKey, ObjectRef]) -> None:
        self._known = dict(known)
        self._under_way: set[DedupKey] = set()
        self._failed: dict[DedupKey, StoreError] = {}
        self._changed = Condition(Lock())

    def find(self, key: DedupKey) -> ObjectRef | None:
        with self._changed:
            return self._known.get(key)

    def add(self, key: DedupKey, ref: ObjectRef) -> None:
        with self._changed:
            self._known.setdefault(key, ref)

    def reserved(self, key: DedupKey) -> "Reserved":
        """A `with` block that gives the object with this content, waiting for one that is under way; None reserves it
        for the caller, who uploads it and calls `add` before leaving. Whoever leaves with a StoreError leaves it to all
        who wait: the store would fail each of them in its turn."""
        return Reserved(self, key)

    def reserve(self, key: DedupKey) -> ObjectRef | None:
        """Like `reserved`, until it is given up. Raises the error with which another one gave it up."""
        with self._changed:
            while key in self._under_way:
                self._changed.wait()
            if key in self._failed:
                raise self._failed[key]
            found = self._known.get(key)
            if found is None:
                self._under_way.add(key)
            return found

    def give_up(self, key: DedupKey, error: StoreError | None = None) -> None:
        with self._changed:
            if error is not None:
                self._failed[key] = error
            self._under_way.discard(key)
            self._changed.notify_all()


class Reserved:
    """Reserves a content while it is entered, unless it is there already."""

    __slots__ = ("_contents", "_found", "_key")

    def __init__(self, contents: Contents, key: DedupKey) -> None:
        self._contents = contents
        self._key = key
        self._found: ObjectRef | None = None

    def __enter__(self) -> ObjectRef | None:
        self._found = self._contents.reserve(self._key)
        return self._found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._found is None:
            self._contents.give_up(self._key, error if isinstance(error, StoreError) else None)
