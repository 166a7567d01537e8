"""Finding out whether a store really has conditional writes, by trying them on the claim object itself.

Some stores refuse the headers, some ignore them, and some check them without holding on to the answer until the
write is done. So a wrong condition must be refused, and of several right ones sent at once exactly one may win.
Everything written is an idle record, so that whatever happens, what stays behind is one.
"""

from collections.abc import Callable, Iterator
from itertools import count, islice
from threading import Barrier

from attrs import field, frozen

from rrbackup.effects.store import Condition, IfAbsent, IfMatch, Store, Stored
from rrbackup.effects.workers import workers
from rrbackup.errors import ConditionFailed, StoreError
from rrbackup.pure.model import VersionId

_NOBODYS_ETAG = '"00000000000000000000000000000000"'
_RACERS = 4
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
        """None for a refused condition."""
        return self._write(next(self.serials), condition)

    def write_at_once(self, condition: Condition) -> list[Stored]:
        """Send it several times at the same moment; the answers of those that won."""
        start = Barrier(_RACERS)

        def racer(serial: int) -> Stored | None:
            start.wait(_PATIENCE_S)
            return self._write(serial, condition)

        with workers(_RACERS) as pool:
            answers = list(pool.map(racer, islice(self.serials, _RACERS)))
        return [stored for stored in answers if stored is not None]

    def _write(self, serial: int, condition: Condition) -> Stored | None:
        try:
            return self.store.put(self.key, self.idle_body(serial), condition=condition)
        except ConditionFailed:
            return None
        except StoreError as refusal:
            # The bare class is what a store says that does not know the headers; its subclasses are other troubles.
            if type(refusal) is StoreError:
                raise _Unsupported(f"The store does not accept conditions ({refusal}).") from refusal
            raise


def probe_conditional_writes(
    store: Store, key: str, idle_body: Callable[[int], bytes], current_etag: str | None
) -> ProbeResult:
    """Try it in at most 7 requests; where the answer is no, one more.

    `idle_body(i)` gives another idle record for every i from 0; `current_etag` is that of the idle record that
    lies at `key`, None if there is none. Raises `ConditionFailed` if somebody else wrote there meanwhile.
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
        raise _Unsupported("The store ignores If-None-Match.")


def _only_winner(trial: _Trial, etag: str) -> Stored:
    winners = trial.write_at_once(IfMatch(etag))
    if len(winners) > 1:
        raise _Unsupported(f"The store let {len(winners)} of {_RACERS} writers win that excluded each other.")
    if winners:
        return winners[0]
    if trial.store.head(trial.key).etag == etag:
        raise _Unsupported("The store refuses conditions that hold.")
    raise _interference(trial)


def _interference(trial: _Trial) -> ConditionFailed:
    return ConditionFailed(
        f"somebody else wrote {trial.key} while conditional writes were tried on it", hint="Run it again."
    )
