"""Keeping a claim alive while a bulk effect runs, so that other clients see life (design.md, "Recovery").

Nothing depends on it but courtesy: a client whose claim was taken over is fenced, and finds out at the latest when it
publishes. Here it finds out earlier, and stops uploading.
"""

from threading import Event, Lock, Thread
from types import TracebackType
from typing import Protocol, Self

from rrbackup.effects.control import Control
from rrbackup.errors import Cancelled, RRBackupError
from rrbackup.pure.claims import renewing
from rrbackup.pure.model import SeenClaim
from rrbackup.pure.steps import Wrote, expecting

RENEW_SECONDS = 300.0
"""A third of what a client of the same host waits for."""


class Lost(Protocol):
    """Whether the claim has been lost, so that further uploads are for nothing; `look` reads it anew."""

    def __call__(self, *, look: bool = False) -> bool: ...


def renewed(control: Control, seen: SeenClaim) -> SeenClaim:
    """What lies at the claim object after one attempt to renew `seen`: two requests at most."""
    record = renewing(seen)
    answer = control.write_claim(record, expecting(seen.etag))
    if isinstance(answer, Wrote):
        return SeenClaim(record, answer.etag, answer.version_id)
    return control.read_claim()


class Renewal:
    """Renews `claim` every `seconds` from a thread of its own, from entering to leaving; None never does.

    Leaving waits for a renewal under way, except on an interruption: whatever that renewal writes is conditional.
    """

    def __init__(self, control: Control, claim: SeenClaim, seconds: float | None) -> None:
        self._control = control
        self._seconds = seconds
        self._transaction = claim.record.transaction if claim.record else None
        self._seen = Lock()
        self.lost = False
        self._see(claim)
        self._ended = Event()
        self._thread = Thread(target=self._keep, name="renew the claim", daemon=True)

    def _see(self, claim: SeenClaim) -> None:
        """`lost` says whether another client has taken the claim over, as far as is known; what is lost stays lost."""
        with self._seen:
            if not self.lost:
                self.claim, self.lost = claim, self._is_anothers(claim)

    def is_lost(self, *, look: bool = False) -> bool:
        """Like `lost`; with `look`, the claim is read first: something went wrong that a take-over would explain."""
        return self.lost or (look and self._look())

    def _look(self) -> bool:
        try:
            seen = self._control.read_claim()
        except RRBackupError:
            return False  # what went wrong first says more
        if self._is_anothers(seen):
            self._see(seen)
            return True
        return False  # not kept: what a renewal has seen meanwhile may be newer

    def _is_anothers(self, seen: SeenClaim) -> bool:
        return seen.open is None or seen.open.transaction != self._transaction

    def __enter__(self) -> Self:
        if self._seconds is not None:
            try:
                self._thread.start()
            except BaseException:
                self._ended.set()  # interrupted, it may have begun
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        interrupted = error is not None and not isinstance(error, Exception)
        if self._seconds is not None and not interrupted:
            self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds) and not self._is_anothers(claim := self.claim):
            try:
                self._see(renewed(self._control, claim))
            except Cancelled:
                return  # the uploads end for the same reason
            except RRBackupError:
                continue  # the store may answer again next time; the uploads tell of one that does not
