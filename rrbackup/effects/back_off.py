"""Repeating requests to a store that fails or asks for less, with one pace for all threads and clients of the store.

How often a request is sent is decided here and nowhere else: boto3's own repetitions are off, so the two never
multiply. For boto3 it is hooked into botocore's events `before-send` and `needs-retry`.
"""

import random
import time
from collections.abc import Callable, Mapping
from threading import Lock, local
from typing import TYPE_CHECKING, Any, TypeVar

from rrbackup.effects.s3_errors import is_passing, is_throttling
from rrbackup.pure import pacing
from rrbackup.pure.pacing import Pace

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

ATTEMPTS = 10
"""So often a request is sent before the store counts as unavailable."""


class BackOff:
    """The pace of one store. Safe to use from several threads. Clock, chance and waiting may be given for tests."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._wait = wait
        self._lock = Lock()
        self._pace = Pace()
        self._thread = local()

    @property
    def pace(self) -> Pace:
        return self._pace

    def take_turn(self) -> None:
        """Wait until this thread may send a request."""
        now = self._clock()
        with self._lock:
            self._pace, start = pacing.turn(self._pace, now)
        if start > now:
            self._wait(start - now)
            now = self._clock()
        self._thread.sent = now

    def answered(self, throttled: bool) -> None:
        """What came of the request that this thread sent last."""
        with self._lock:
            self._pace = self._slower() if throttled else pacing.faster(self._pace)

    def _slower(self) -> Pace:
        now = self._clock()
        return pacing.slower(self._pace, getattr(self._thread, "sent", now), now)

    def pause(self, failures: int, throttled: bool = False) -> None:
        """Wait before a request that failed `failures` times is sent again."""
        self._wait(pacing.pause(failures, throttled, self._chance()))

    def repeated(self, limit: int, send: Callable[[], T]) -> tuple[T, int]:
        """What `send` gives, called up to `limit` times, and how often it was. It raises what boto3 raises."""
        for attempt in range(1, limit + 1):
            self.take_turn()
            try:
                answer = send()
            except Exception as error:
                if not self._may_repeat(error, attempt, limit):
                    raise
            else:
                self.answered(False)
                return answer, attempt
        raise AssertionError("the last attempt returns or raises")

    def _may_repeat(self, error: Exception, attempt: int, limit: int) -> bool:
        """Whether another attempt makes sense; then it is time for it."""
        said: Mapping[str, object] = getattr(error, "response", None) or {}
        throttled = is_throttling(said)
        self.answered(throttled)
        if attempt == limit or not is_passing(said, error):
            return False
        self.pause(attempt, throttled)
        return True

    def attach(self, client: "S3Client", limit: int) -> None:
        """Let `client`, which must not repeat anything itself, send each request up to `limit` times.

        With a limit of 1 a request that failed is waited for all the same: its sender looks what became of it, and
        sends another.
        """
        in_a_row = 0

        def before_send(**_: object) -> None:
            self.take_turn()

        def needs_retry(
            response: tuple[object, Mapping[str, object]] | None,
            attempts: int,
            caught_exception: Exception | None,
            **_: object,
        ) -> Any:  # botocore takes a number or None, its stubs know None only
            """None lets it end with what there is; a number has it sent again."""
            nonlocal in_a_row
            said = response[1] if response is not None else {}
            throttled, passing = is_throttling(said), is_passing(said, caught_exception)
            self.answered(throttled)
            in_a_row = in_a_row + 1 if passing else 0
            if passing and (attempts < limit or limit == 1):
                self.pause(attempts if limit > 1 else in_a_row, throttled)
            return 0 if passing and attempts < limit else None

        client.meta.events.register("before-send.s3", before_send)
        client.meta.events.register("needs-retry.s3", needs_retry)
