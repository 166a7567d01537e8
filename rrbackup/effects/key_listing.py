"""Listing the versions of exactly some keys, with few requests.

The rule: one walk over all that lies between the first and the last key costs a request for every thousand versions, a
listing of one key costs one. So a walk is tried first, for as long as it costs less than half of what listing key by
key would. What a walk of several pages did not show is asked for key by key, as such a walk is not complete on every
server (docs/decisions.md, "Listings").
"""

from collections.abc import Iterable, Iterator
from itertools import takewhile

from rrbackup.effects.store import Store, list_exact
from rrbackup.effects.store_rules import PAGE
from rrbackup.effects.workers import FETCH_THREADS, workers
from rrbackup.pure.model import ListedVersion

WORTH_A_WALK = 2
"""Requests for single keys that one page of a walk may cost."""


def versions_of(store: Store, keys: Iterable[str]) -> tuple[ListedVersion, ...]:
    """All versions of exactly these keys."""
    wanted = frozenset(keys)
    found, complete = _walked(store, wanted)
    unseen = [] if complete else sorted(wanted.difference(version.key for version in found))
    with workers(FETCH_THREADS) as pool:
        for versions in pool.map(lambda key: list(list_exact(store, key)), unseen):
            found.extend(versions)
    return tuple(found)


def _walked(store: Store, wanted: frozenset[str]) -> tuple[list[ListedVersion], bool]:
    """What a walk shows of these keys, and whether it shows all there is.

    Where it becomes too long it breaks off, without the key it had come to, of which it may have seen only a part.
    """
    most, count = len(wanted) // WORTH_A_WALK * PAGE, 0
    found: list[ListedVersion] = []
    for row in _up_to_last(store, wanted) if most else ():
        if count == most:
            return [version for version in found if version.key != row.key], False
        count += 1
        if row.key in wanted:
            found.append(row)
    return found, most > 0 and count < PAGE


def _up_to_last(store: Store, wanted: frozenset[str]) -> Iterator[ListedVersion]:
    last = max(key.encode() for key in wanted)
    return takewhile(lambda row: row.key.encode() <= last, store.list_versions(common_prefix(wanted)))


def common_prefix(keys: Iterable[str]) -> str:
    """What all of these keys begin with."""
    keys = list(keys)
    first, last = min(keys), max(keys)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]
