"""The store in memory behaves as the real ones do: both are driven side by side and must show the same.

Version ids and etags differ between stores, so what is compared is the turn in which a version was written.
"""

from collections.abc import Callable
from itertools import groupby

import pytest
from attrs import frozen
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.store import Always, Condition, IfAbsent, IfMatch, Store
from rrbackup.errors import StoreError
from rrbackup.pure.model import VersionId, VersionRef
from tests.worlds import SERVED, MemoryWorld, World

KEYS = st.sampled_from(("a", "a/b", "ab", "a-b", "%h/é"))
PREFIXES = st.sampled_from(("", "a", "a/", "ab", "%h", "x"))
TURNS = st.integers(min_value=0, max_value=9)
# Not moto 5.2.5: it makes no delete marker where there is no version, which S3 and SeaweedFS do.
EXAMPLES = {"directory": 40, "hashed": 15, "seaweedfs": 4}


@frozen
class Written:
    key: str
    version_id: VersionId
    etag: str


class Side:
    """One store, what was written to it so far, and what it shows, told without ids."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.store: Store = world.store()
        self.written: list[Written] = []

    def earlier(self, turn: int) -> Written | None:
        return self.written[turn % len(self.written)] if self.written else None

    def put(self, key: str, body: bytes, condition: Condition) -> object:
        stored = self.store.put(key, body, condition=condition, metadata={"n": str(len(self.written))})
        self.written.append(Written(key, stored.version_id, stored.etag))
        return stored.size

    def put_if_match(self, key: str, body: bytes, turn: int) -> object:
        earlier = self.earlier(turn)
        return None if earlier is None else self.put(key, body, IfMatch(earlier.etag))

    def current(self, key: str) -> object:
        fetched, info = self.store.get(key), self.store.head(key)
        assert (fetched.info.version_id, fetched.info.etag) == (info.version_id, info.etag)
        return self.turn_of(info.version_id), fetched.body, info.size, info.metadata

    def old(self, turn: int) -> object:
        earlier = self.earlier(turn)
        return None if earlier is None else self.store.get(earlier.key, earlier.version_id).body

    def stretch(self, turn: int, start: int, length: int | None) -> object:
        earlier = self.earlier(turn)
        if earlier is None:
            return None
        with self.store.read(earlier.key, earlier.version_id, start, length) as chunks:
            return b"".join(chunks)

    def delete(self, turn: int) -> object:
        earlier = self.earlier(turn)
        if earlier is not None:
            self.store.delete_versions([VersionRef(earlier.key, earlier.version_id)])
        return None

    def delete_markers(self, key: str) -> object:
        markers = [row.ref for row in self.store.list_versions(key) if row.marker]
        self.store.delete_versions(markers)
        return len(markers)

    def listing(self, prefix: str) -> object:
        """By key: whether a marker is current, the versions in order, and how many markers there are."""
        shown = []
        for key, found in groupby(self.store.list_versions(prefix), lambda row: row.key):
            rows = list(found)
            versions = [(self.turn_of(row.version_id), row.size) for row in rows if not row.marker]
            shown.append((key, rows[0].marker, versions, len(rows) - len(versions)))
        return shown

    def turn_of(self, version_id: VersionId) -> int:
        return [one.version_id for one in self.written].index(version_id)


def outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except StoreError as error:
        return type(error)


# SeaweedFS 4.48 takes the folder of `a/b` for an object `a` when it checks a condition on `a`. No conditional write of
# rrbackup goes to a key that has others below it.
FOLDER_IN_THE_WAY = ("seaweedfs", "a")


class Agreement(RuleBasedStateMachine):
    def __init__(self, new_world: Callable[[str], World], kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.model, self.real = Side(MemoryWorld(MemoryStore())), Side(new_world(kind))
        self.bodies = 0

    def both(self, act: Callable[[Side], object]) -> None:
        assert outcome(lambda: act(self.model)) == outcome(lambda: act(self.real))

    def body(self) -> bytes:
        """Different every time: only S3 gives equal bytes equal etags, and nothing may rest on that."""
        self.bodies += 1
        return b"%d" % self.bodies

    @rule(key=KEYS)
    def put(self, key: str) -> None:
        body = self.body()
        self.both(lambda side: side.put(key, body, Always()))

    @rule(key=KEYS)
    def put_if_absent(self, key: str) -> None:
        body = self.body()
        if (self.kind, key) != FOLDER_IN_THE_WAY:
            self.both(lambda side: side.put(key, body, IfAbsent()))

    @rule(key=KEYS, turn=TURNS)
    def put_if_match(self, key: str, turn: int) -> None:
        body = self.body()
        if (self.kind, key) != FOLDER_IN_THE_WAY:
            self.both(lambda side: side.put_if_match(key, body, turn))

    @rule(turn=TURNS)
    def replace(self, turn: int) -> None:
        """A match that may well hold: on the very key that the version belongs to."""
        earlier, body = self.model.earlier(turn), self.body()
        if earlier is not None and (self.kind, earlier.key) != FOLDER_IN_THE_WAY:
            self.both(lambda side: side.put_if_match(earlier.key, body, turn))

    @rule(key=KEYS)
    def mark_deleted(self, key: str) -> None:
        self.both(lambda side: side.world.mark_deleted(key))

    @rule(turn=TURNS)
    def delete(self, turn: int) -> None:
        self.both(lambda side: side.delete(turn))

    @rule(key=KEYS)
    def delete_markers(self, key: str) -> None:
        self.both(lambda side: side.delete_markers(key))

    @rule(key=KEYS)
    def current(self, key: str) -> None:
        self.both(lambda side: side.current(key))

    @rule(turn=TURNS)
    def old(self, turn: int) -> None:
        self.both(lambda side: side.old(turn))

    @rule(turn=TURNS, start=st.integers(0, 3), length=st.none() | st.integers(1, 3))
    def stretch(self, turn: int, start: int, length: int | None) -> None:
        self.both(lambda side: side.stretch(turn, start, length))

    @rule(prefix=PREFIXES)
    def listing(self, prefix: str) -> None:
        self.both(lambda side: side.listing(prefix))

    def teardown(self) -> None:
        self.both(lambda side: side.listing(""))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_store_in_memory_agrees_with(new_world: Callable[[str], World], kind: str) -> None:
    class Here(Agreement):
        def __init__(self) -> None:
            super().__init__(new_world, kind)

    chosen = settings(
        max_examples=EXAMPLES[kind],
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,) if kind in SERVED else tuple(Phase),  # shrinking over a network takes minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Here, settings=chosen)
