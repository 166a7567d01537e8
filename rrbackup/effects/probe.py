"""Finding out whether a store really has conditional writes, by trying them on the claim object itself.

Some stores refuse the headers, some ignore them, and some check them without holding on to the answer until the
write is done. So a wrong condition must be refused, and of several right ones sent at once exactly one may win.
Everything written is an idle record, so that whatever happens, what stays behind is one.

A verdict, either way, follows from what the store has done, never from what it could not do just now: a refusal
because of another write under way (`ConditionFailed.busy`) counts as an answer only where somebody won meanwhile, an
odd refusal only where it is given twice, and a lost answer never does. What came to no end is tried again, boundedly.
"""

from collections.abc import Callable, Iterator
from itertools import count, islice
from threading import Barrier

from attrs import field, frozen

from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, Stored
from rrbackup.effects.workers import workers
from rrbackup.errors import ConditionFailed, StoreError, StoreUnavailable
from rrbackup.pure.model import VersionId

_NOBODYS_ETAG = '"00000000000000000000000000000000"'
_RACERS = 4
_TRIES = 5
"""So often something is tried to which a busy store gives no answer."""
_PATIENCE_S = 60


@frozen
class ProbeResult:
    """`etag` and `version_id` are those of the record that now lies there; `why` is a sentence."""

    conditional: bool
    etag: str
    version_id: VersionId
    why: str


class _Unsupported(Exception):
    """The store has shown that it has no conditional writes; the message says how."""


@frozen
class _Trial:
    """Writes to one key, every time another record."""

    store: Store
    key: str
    idle_body: Callable[[int], bytes]
    serials: Iterator[int] = field(factory=count)

    def write(self, condition: Condition) -> Stored | None:
        """None for a condition that the store looked at and refused."""
        for _ in range(_TRIES):
            match self._answered(condition):
                case ConditionFailed(busy=True):
                    continue
                case ConditionFailed():
                    return None
                case StoreError() as trouble:
                    raise trouble
                case stored:
                    return stored
        raise self.inconclusive()

    def _answered(self, condition: Condition) -> Stored | StoreError:
        answer = self.send(next(self.serials), condition)
        if not _is_odd(answer):
            return answer
        second = self.send(next(self.serials), condition)
        if _is_odd(second):
            raise _Unsupported(f"The store does not accept conditions ({second}).")
        return second

    def write_at_once(self, condition: Condition) -> list[Stored | StoreError]:
        """Send it several times at the same moment; every answer."""
        start = Barrier(_RACERS)

        def racer(serial: int) -> Stored | StoreError:
            start.wait(_PATIENCE_S)
            return self.send(serial, condition)

        with workers(_RACERS) as pool:
            return list(pool.map(racer, islice(self.serials, _RACERS)))

    def send(self, serial: int, condition: Condition) -> Stored | StoreError:
        try:
            return self.store.put(self.key, self.idle_body(serial), condition=condition)
        except StoreError as refusal:
            return refusal

    def inconclusive(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.store.describe()} was too busy to show whether it keeps writers apart: it refused each of "
            f"{_TRIES} attempts to write {self.key} because of another that was under way",
            hint="nothing was published, and nothing is remembered of the trial; run again when it is less busy",
        )


def _is_odd(answer: Stored | StoreError) -> bool:
    """The bare class is what a store says that does not know the headers; its subclasses are other troubles."""
    return type(answer) is StoreError


def probe_conditional_writes(
    store: Store, key: str, idle_body: Callable[[int], bytes], current_etag: str | None
) -> ProbeResult:
    """Try it in 7 requests, or a few more where the answer is no or the store is busy.

    `idle_body(i)` gives another idle record for every i from 0; `current_etag` is that of the idle record that
    lies at `key`, None if there is none. Raises `ConditionFailed` if somebody else wrote there meanwhile,
    `OutcomeUnknown` for a lost answer, `StoreUnavailable` where the store stays too busy to show anything.
    """
    trial = _Trial(store, key, idle_body)
    try:
        etag = _created(trial) if current_etag is None else current_etag
        _expect_refusals(trial)
        winner = _only_winner(trial, etag)
    except _Unsupported as shown:
        last = store.put(key, idle_body(next(trial.serials)))
        return ProbeResult(False, last.etag, last.version_id, str(shown))
    return ProbeResult(True, winner.etag, winner.version_id, "The store keeps conditional writers apart.")


def _created(trial: _Trial) -> str:
    created = trial.write(IfAbsent())
    if created is None:
        raise _interference(trial)
    return created.etag


def _expect_refusals(trial: _Trial) -> None:
    if trial.write(IfMatch(_NOBODYS_ETAG)) is not None:
        raise _Unsupported("The store ignores If-Match.")
    if trial.write(IfAbsent()) is not None:
        if trial.write(IfAbsent()) is None:
            raise _interference(trial)  # only somebody who deleted the record can have let the first one in
        raise _Unsupported("The store ignores If-None-Match.")


def _only_winner(trial: _Trial, etag: str) -> Stored:
    """Races until somebody wins. That nobody does although the condition holds tells something only if the store
    was never busy."""
    busy = False
    for _ in range(_TRIES):
        answers = trial.write_at_once(IfMatch(etag))
        winner = _winner(answers)
        if winner is not None:
            return winner
        if trial.store.head(trial.key).etag != etag:
            raise _interference(trial)
        busy = busy or any(isinstance(answer, ConditionFailed) and answer.busy for answer in answers)
    if busy:
        raise trial.inconclusive()
    raise _Unsupported("The store refuses conditions that hold.")


def _winner(answers: list[Stored | StoreError]) -> Stored | None:
    """Two winners are a verdict whatever else was answered; one is none while the outcome of another is unknown."""
    winners = [answer for answer in answers if isinstance(answer, Stored)]
    if len(winners) > 1:
        raise _Unsupported(f"The store let {len(winners)} of {_RACERS} writers win that excluded each other.")
    for answer in answers:
        if isinstance(answer, StoreError) and not isinstance(answer, ConditionFailed):
            raise answer
    return winners[0] if winners else None


def _interference(trial: _Trial) -> ConditionFailed:
    return ConditionFailed(
        f"somebody else wrote {trial.key} while conditional writes were tried on it", hint="Run it again."
    )
