"""How many files move at a time: a hill climb on throughput, for who has not said how many.

The rule: begin with 16. Twice as many are tried against the number in force, in windows that take turns: fewer, more,
fewer, more. They stay if the windows with more were together at least 15 % faster, and each of them faster than each
with fewer; then the next step is tried at once, up to 64. Otherwise it goes back, and after a rest of 20 windows it
looks again. Above 16 it then tries half as many first, and these stay if both of their windows together are at most 5 %
slower: so what no longer helps is given up.

Windows take turns, and the slowest is held against the fastest, so that neither a line that gets faster nor big files
after small ones look like a gain; the 15 % are for noise. It does not swing, because for what lies between 5 % and 15 %
it moves in neither direction. A window is four items for each thread and a quarter of a second at least; items that
were begun before a change are not counted.

What is measured is *worth*: the bytes of an item, and 128 KiB for the item itself, which is about what a thread could
move while it waits for an answer. So the rate is nearly the same for small and big files, whether answering times or
bandwidth bound it.

Times are seconds of one monotonic clock, and come from outside.
"""

from attrs import evolve, frozen

from rrbackup.pure.threads import FIRST_THREADS, MOST_THREADS

ITEM_WORTH = 128 << 10
GAIN = 1.15
"""So much faster must more threads be to stay."""
LOSS = 1.05
"""So much faster may they be and go nevertheless, when fewer are tried."""
WINDOW_ITEMS = 4
"""For each thread."""
WINDOW_S = 0.25
REST_WINDOWS = 20
"""After a number has been settled on, before another is tried."""

_WINDOWS = 4
_NEVER = 1 << 62


@frozen
class Done:
    """What has been done in all by the time `at`."""

    items: int = 0
    worth: int = 0
    at: float = 0.0


@frozen
class Climb:
    """`look_at`: once so many items are done, `after` has something to say.

    `rates` are those of the trial's windows, of `settled` and `tried` in turn. `since` is where the window begins, None
    as long as items from before the last change come in. `up` is the direction that is tried next.
    """

    settled: int
    most: int
    look_at: int
    fewest: int = FIRST_THREADS
    tried: int | None = None
    rates: tuple[float, ...] = ()
    since: Done | None = None
    rests_until: float | None = None
    up: bool = True

    @property
    def threads(self) -> int:
        """How many are to be at work now."""
        return self.tried if self.tried is not None and len(self.rates) % 2 else self.settled


def begin(threads: int | None, items: int) -> Climb:
    """`threads` stays as it is if given; `items` is how many there are at most: no more threads are needed."""
    if threads is not None or items <= FIRST_THREADS:
        fixed = min(threads or FIRST_THREADS, items)
        return Climb(fixed, fixed, _NEVER)
    return _window(_trial(Climb(FIRST_THREADS, min(MOST_THREADS, items), 0), up=True), Done())


def worth(size: int) -> int:
    return ITEM_WORTH + max(0, size)


def after(climb: Climb, done: Done) -> Climb:
    """What follows from what has been done by now."""
    if climb.rests_until is not None:
        return _rested(climb, done)
    if climb.since is None:
        return evolve(climb, since=done, look_at=done.items + WINDOW_ITEMS * climb.threads)
    seconds = done.at - climb.since.at
    if seconds < WINDOW_S:
        return evolve(climb, look_at=done.items + climb.threads)
    rate = (done.worth - climb.since.worth) / seconds
    return _judged(evolve(climb, rates=(*climb.rates, rate)), done)


# --- one trial ---------------------------------------------------------------------------------------------------


def _judged(climb: Climb, done: Done) -> Climb:
    won = _won(climb)
    if won is None:
        return _window(climb, done)
    if won and climb.tried is not None:
        return _next_step(climb, climb.tried, done)
    return _rest(_trial(climb, up=not climb.up), done)


def _won(climb: Climb) -> bool | None:
    """Whether the number that is tried is to be the settled one; None as long as that is open."""
    before, tried = climb.rates[::2], climb.rates[1::2]
    if not tried:
        return None
    whole = len(climb.rates) == _WINDOWS
    if climb.up:
        ahead = min(tried) > max(before)
        return ahead and sum(tried) >= GAIN * sum(before) if whole or not ahead else None
    if whole:
        return LOSS * sum(tried) >= sum(before)
    return False if GAIN * max(tried) < min(before) else None


def _next_step(climb: Climb, settled: int, done: Done) -> Climb:
    """The same direction again, where there is more of it; the last window is the first of the next trial."""
    last = climb.rates[-1]
    climb = evolve(climb, settled=settled)
    if settled == (climb.most if climb.up else climb.fewest):
        return _rest(_trial(climb, up=not climb.up), done)
    return _window(evolve(_trial(climb, up=climb.up), rates=(last,)), done)


def _trial(climb: Climb, *, up: bool) -> Climb:
    """Of twice or half as many, within the bounds; in the other direction where there is no more of this one."""
    up = (up and climb.settled < climb.most) or climb.settled <= climb.fewest
    tried = min(2 * climb.settled, climb.most) if up else max(climb.settled // 2, climb.fewest)
    return evolve(climb, up=up, tried=tried, rates=())


def _window(climb: Climb, done: Done) -> Climb:
    """A window that begins when all that was begun before, with whatever number, must have come in."""
    return evolve(climb, since=None, look_at=done.items + max(climb.settled, climb.tried or 0))


def _rest(climb: Climb, done: Done) -> Climb:
    pause = REST_WINDOWS * WINDOW_ITEMS * climb.settled
    return evolve(climb, rests_until=done.at + REST_WINDOWS * WINDOW_S, look_at=done.items + pause)


def _rested(climb: Climb, done: Done) -> Climb:
    if climb.rests_until is not None and done.at < climb.rests_until:
        return evolve(climb, look_at=done.items + climb.settled)
    return _window(evolve(climb, rests_until=None), done)
