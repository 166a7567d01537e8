"""In which stretches an object is fetched: a big one in several, so that they can be under way side by side.

The rule: up to `WHOLE_BYTES` an object is one request. Where others are under way anyway, `LONG` stretches are one. The
last stretch has no end, so that an object that is longer than it should be is noticed.
"""

from collections.abc import Sequence

from attrs import frozen

RANGE_BYTES = 16 << 20
WHOLE_BYTES = 4 * RANGE_BYTES
LONG = 8


@frozen
class Stretch:
    """`length` bytes from `start` on; None is all that there are."""

    start: int
    length: int | None = None


WHOLE = Stretch(0)


def is_whole(size: int) -> bool:
    """Whether an object of that many bytes is one request; a negative size is one that is not known."""
    return size <= WHOLE_BYTES


def stretches(size: int) -> tuple[Stretch, ...]:
    if is_whole(size):
        return (WHOLE,)
    *others, last = range(0, size, RANGE_BYTES)
    return (*(Stretch(start, RANGE_BYTES) for start in others), Stretch(last))


def joined(parts: Sequence[Stretch]) -> Stretch:
    """Stretches that follow one another, as one."""
    first, last = parts[0], parts[-1]
    return Stretch(first.start, None if last.length is None else last.start + last.length - first.start)
