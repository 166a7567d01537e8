"""Finding out about conditional writes on a store that is too busy to answer, or answers oddly: no verdict follows from
what a store could not do just now."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock

import pytest

from rrbackup import Config, DirectorySettings, open_repository
from rrbackup.effects.memory import MemoryStore
from rrbackup.effects.probe import ProbeResult, probe_conditional_writes
from rrbackup.effects.single_writer import SingleWriter
from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, Stored
from rrbackup.effects.store_rules import ALWAYS
from rrbackup.errors import AccessDenied, ConditionFailed, OutcomeUnknown, StoreError, StoreUnavailable
from rrbackup.events import Event, Notice

KEY = "gc_log"
CREATE, WRONG_MATCH, WRONG_CREATE, RACE = 1, 2, 3, 4
"""The first of the requests that are made for each."""
RACERS = 4
WON = None
BUSY = ConditionFailed("409", busy=True)
REFUSED = ConditionFailed("412")
ODD = StoreError("405")
LOST = OutcomeUnknown("no answer")
Answer = StoreError | None


class Troubled(SingleWriter):
    """Answers conditional writes by their number, from 1, as the script says; where it says nothing, or that the
    write wins, like the store behind."""

    def __init__(self, store: Store, script: Mapping[int, Answer], after: Answer = WON) -> None:
        super().__init__(store)
        self.script, self.after = script, after
        self.sent = 0
        self.lock = Lock()

    def put(self, key: str, body: bytes | Iterable[bytes], *, condition: Condition = ALWAYS, **rest: object) -> Stored:
        with self.lock:
            self.sent += condition != ALWAYS
            trouble = self.script.get(self.sent, self.after if self.sent > max(self.script, default=0) else WON)
            if trouble is not WON and condition != ALWAYS:
                raise trouble
            return self._store.put(key, body, condition=condition)


def idle(number: int) -> bytes:
    return b"idle %d" % number


def race(*answers: Answer, number: int = 0) -> dict[int, Answer]:
    return {RACE + number * RACERS + at: answer for at, answer in enumerate(answers)}


def tried(store: Store) -> ProbeResult:
    found = probe_conditional_writes(store, KEY, idle, None)
    assert store.head(KEY).etag == found.etag
    return found


@pytest.mark.parametrize("races", [1, 2, 4])
def test_a_race_that_nobody_won_because_all_were_in_the_way_of_each_other_is_run_again(races: int) -> None:
    busy = {at: answer for number in range(races) for at, answer in race(*[BUSY] * RACERS, number=number).items()}
    assert tried(Troubled(MemoryStore(), busy)).conditional


def test_a_store_that_stays_busy_gets_no_verdict() -> None:
    store = Troubled(MemoryStore(), {WRONG_CREATE: WON}, after=BUSY)
    with pytest.raises(StoreUnavailable, match="too busy") as caught:
        tried(store)
    assert "nothing is remembered" in caught.value.hint
    assert len(list(store.list_versions(KEY))) == 1


def test_one_refusal_because_of_a_write_under_way_among_real_ones_leaves_it_open() -> None:
    store = Troubled(MemoryStore(), race(BUSY), after=REFUSED)
    with pytest.raises(StoreUnavailable):
        tried(store)


def test_a_store_that_refuses_what_holds_every_time_is_told_apart_from_a_busy_one() -> None:
    found = tried(Troubled(MemoryStore(), {WRONG_CREATE: WON}, after=REFUSED))
    assert (found.conditional, found.why) == (False, "The store refuses conditions that hold.")


@pytest.mark.parametrize("at", [CREATE, WRONG_MATCH, WRONG_CREATE])
@pytest.mark.parametrize("answer", [BUSY, ODD], ids=["busy", "odd"])
def test_one_answer_that_says_nothing_is_asked_for_again(at: int, answer: Answer) -> None:
    assert tried(Troubled(MemoryStore(), {at: answer})).conditional


@pytest.mark.parametrize("at", [WRONG_MATCH, WRONG_CREATE])
def test_being_busy_does_not_count_as_refusing_a_wrong_condition(at: int) -> None:
    """The store ignores conditions, and happens to be busy when a wrong one comes."""
    assert not tried(Troubled(MemoryStore(conditional=False), {at: BUSY})).conditional


def test_a_store_that_never_takes_a_condition_has_none() -> None:
    found = tried(Troubled(MemoryStore(), {}, after=ODD))
    assert (found.conditional, found.why) == (False, "The store does not accept conditions (405).")


def test_a_backup_on_a_store_that_stays_busy_remembers_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/a").write_bytes(b"1")
    config = Config(
        base_path=str(tmp_path / "base"),
        local_manifest_file=str(tmp_path / "manifest"),
        local_lock_file=str(tmp_path / "lock"),
        directory=DirectorySettings(path=str(tmp_path / "unused")),
    )
    memory = MemoryStore()
    with pytest.raises(StoreUnavailable, match="too busy"):
        open_repository(config, store=Troubled(memory, {WRONG_CREATE: REFUSED}, after=BUSY)).backup()
    assert list(memory.list_versions("manifest_diffs")) == []
    events: list[Event] = []
    assert open_repository(config, store=memory).backup(on_event=events.append).version_id
    record = open_repository(config, store=memory)._client.control.read_claim().record
    assert record is not None
    assert record.conditional_writes is True
    assert not any(isinstance(event, Notice) for event in events)


@pytest.mark.parametrize("trouble", [LOST, ODD, AccessDenied("403"), StoreUnavailable("503")])
def test_what_goes_wrong_in_a_race_is_no_verdict_even_with_a_winner(trouble: StoreError) -> None:
    with pytest.raises(type(trouble)) as caught:
        tried(Troubled(MemoryStore(), race(WON, REFUSED, REFUSED, trouble)))
    assert caught.value is trouble


def test_two_winners_are_a_verdict_although_another_answer_was_lost() -> None:
    class Careless(SingleWriter):
        """Refuses what is wrong, but lets everybody into a race: it looks before it writes."""

        def __init__(self, store: Store) -> None:
            super().__init__(store)
            self.racing = False
            self.lost = iter([True])
            self.lock = Lock()

        def put(
            self, key: str, body: bytes | Iterable[bytes], *, condition: Condition = ALWAYS, **rest: object
        ) -> Stored:
            with self.lock:
                self.racing = self.racing or (isinstance(condition, IfMatch) and "0000" not in condition.etag)
                stored = self._store.put(key, body, condition=ALWAYS if self.racing else condition)
                if self.racing and condition != ALWAYS and next(self.lost, False):
                    raise LOST
                return stored

    found = tried(Careless(MemoryStore()))
    assert (found.conditional, found.why) == (False, "The store let 3 of 4 writers win that excluded each other.")


def test_a_record_that_somebody_deleted_meanwhile_does_not_show_that_a_condition_is_ignored() -> None:
    memory = MemoryStore()

    class Deleting(SingleWriter):
        """Somebody deletes the record just before the creation that has to be refused."""

        creations: Iterator[Callable[[], None]] = iter([lambda: None, lambda: delete(memory)])

        def put(
            self, key: str, body: bytes | Iterable[bytes], *, condition: Condition = ALWAYS, **rest: object
        ) -> Stored:
            if isinstance(condition, IfAbsent):
                next(self.creations, lambda: None)()
            return self._store.put(key, body, condition=condition)

    with pytest.raises(ConditionFailed, match="somebody else"):
        tried(Deleting(memory))


def delete(memory: MemoryStore) -> None:
    memory.delete_versions([row.ref for row in memory.list_versions(KEY)])
