"""Keeping a claim alive while a bulk effect runs, so that other clients see life (design.md, "Recovery").

Nothing depends on it but courtesy: a client whose claim was taken over is fenced, and finds out at the latest when it
publishes. Here it finds out earlier, and stops uploading.
"""

from threading import Event, Thread
from types import TracebackType
from typing import Self

from rrbackup.effects.control import Control
from rrbackup.errors import RRBackupError
from rrbackup.pure.claims import renewing
from rrbackup.pure.model import SeenClaim
from rrbackup.pure.steps import Wrote, expecting

RENEW_SECONDS = 300.0
"""A third of what a client of the same host waits for."""


def renewed(control: Control, seen: SeenClaim) -> SeenClaim:
    """What lies at the claim object after one attempt to renew `seen`: two requests at most."""
    record = renewing(seen)
    answer = control.write_claim(record, expecting(seen.etag))
    if isinstance(answer, Wrote):
        return SeenClaim(record, answer.etag, answer.version_id)
    return control.read_claim()


class Renewal:
    """Renews `claim` every `seconds` from a thread of its own, from entering to leaving; None never does."""

    def __init__(self, control: Control, claim: SeenClaim, seconds: float | None) -> None:
        self.claim = claim
        self._control = control
        self._seconds = seconds
        self._transaction = claim.record.transaction if claim.record else None
        self._ended = Event()
        self._thread = Thread(target=self._keep, name="renew the claim", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether another client has taken the claim over."""
        record = self.claim.open
        return record is None or record.transaction != self._transaction

    def __enter__(self) -> Self:
        if self._seconds is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._seconds is not None:
            self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(self._seconds) and not self.lost:
            try:
                self.claim = renewed(self._control, self.claim)
            except RRBackupError:
                continue  # the store may answer again next time; the uploads tell of one that does not
