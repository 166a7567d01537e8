"""How hard a store may be pressed: the pace that all threads of one client share, and the pause before a repetition.

The rule: an answer that says "slower" doubles the interval between any two requests, once for all requests that were
sent before it; every other answer shortens it a little, until requests need not wait at all. So many threads that are
refused together slow down together, and do not come back all at once. Times are seconds of one monotonic clock.
"""

from attrs import evolve, frozen

FIRST_INTERVAL_S = 0.05
LONGEST_INTERVAL_S = 0.5
_EASING = 0.9
_NEGLIGIBLE_S = 0.001

LONGEST_PAUSE_S = 20.0
_PAUSE_S = 0.05
_PAUSE_AFTER_THROTTLING_S = 0.5


@frozen
class Pace:
    """`interval` lies between two requests, the next of which may be sent at `next_turn`.

    `slowed_at` is when it last slowed down: what was sent before that says nothing new.
    """

    interval: float = 0.0
    next_turn: float = 0.0
    slowed_at: float = float("-inf")


def turn(pace: Pace, now: float) -> tuple[Pace, float]:
    """The next request's turn: when it may be sent, and the pace for those after it."""
    if not pace.interval:
        return pace, now
    start = max(now, pace.next_turn)
    return evolve(pace, next_turn=start + pace.interval), start


def slower(pace: Pace, sent: float, now: float) -> Pace:
    """After the store refused, because of its load, a request that was sent at `sent`."""
    if sent <= pace.slowed_at:
        return pace
    interval = min(max(2 * pace.interval, FIRST_INTERVAL_S), LONGEST_INTERVAL_S)
    return Pace(interval, max(pace.next_turn, now + interval), now)


def faster(pace: Pace) -> Pace:
    """After any other answer."""
    if not pace.interval:
        return pace
    interval = pace.interval * _EASING
    return evolve(pace, interval=interval if interval > _NEGLIGIBLE_S else 0.0)


def pause(failures: int, throttled: bool, chance: float) -> float:
    """Seconds before a request that failed `failures` times is sent again; `chance` lies between 0 and 1.

    It doubles with each failure up to a bound, and chance spreads it, so that clients do not come back together.
    """
    first = _PAUSE_AFTER_THROTTLING_S if throttled else _PAUSE_S
    return chance * min(first * float(2 ** (failures - 1)), LONGEST_PAUSE_S)


# --- limits that the user sets -----------------------------------------------------------------------------------


@frozen
class Line:
    """A line that takes so many bytes a second; what has been put on it so far is through at `free_at`."""

    bytes_per_second: int
    free_at: float = float("-inf")


def put_on(line: Line, count: int, now: float) -> tuple[Line, float]:
    """The line with `count` bytes more on it, and when they are through: the sender goes on no earlier."""
    free_at = max(line.free_at, now) + count / line.bytes_per_second
    return evolve(line, free_at=free_at), free_at
