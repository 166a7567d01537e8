"""The last manifest and a scan side by side, path by path, as two streams that are not kept.

The rule: where a line of the local manifest begins as the scan would have written it, nothing has changed, and the line
is not even decoded.
"""

from collections.abc import Iterable, Iterator

from rrbackup.pure.local_format import Row, path_in, says
from rrbackup.pure.names import path_order
from rrbackup.pure.scan import Scanned

Pair = tuple[Row | None, Scanned | None, bool]


def pair_up(old: Iterable[Row], new: Iterable[Scanned]) -> Iterator[Pair]:
    """Walk two sequences in path order side by side; either half is None where it lacks the path.

    The third is true where a line says just what the scan found: then there is no need to decode it.
    """
    olds, news = iter(old), iter(new)
    left, right = next(olds, None), next(news, None)
    while left is not None or right is not None:
        same = left is not None and right is not None and says(left, right)
        side = 0 if same else _side(left, right)
        yield (left if side <= 0 else None, right if side >= 0 else None, same)
        if side <= 0:
            left = next(olds, None)
        if side >= 0:
            right = next(news, None)


def _side(left: Row | None, right: Scanned | None) -> int:
    """Negative: the left path comes first; positive: the right one; zero: they are the same."""
    if left is None:
        return 1
    if right is None:
        return -1
    path = path_in(left)
    if path == right.path:
        return 0
    return -1 if path_order(path) < path_order(right.path) else 1
