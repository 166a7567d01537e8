"""What an entry may say beyond content, mode and time: owner, extended attributes, hard links, holes.

The rule: an entry says of it only what is set, and None where nothing is. Whether a file has holes is noted when its
content is read, because what a file system says of it meanwhile comes and goes; so it alone never makes a changed
entry.
"""

from collections.abc import Iterable, Iterator

from attrs import evolve

from rrbackup.pure.attributes import Extra
from rrbackup.pure.model import PathText, Problem
from rrbackup.pure.scan import LeftOut, Scanned

_NOTHING = Extra()


def with_hardlinks(found: Iterable[Scanned | Problem | LeftOut]) -> Iterator[Scanned | Problem | LeftOut]:
    """Each file that is another name of one before it (in path order) names that one."""
    first: dict[tuple[int, int], PathText] = {}
    for item in found:
        yield item if not isinstance(item, Scanned) or item.shared is None else _named(item, item.shared, first)


def _named(item: Scanned, shared: tuple[int, int], first: dict[tuple[int, int], PathText]) -> Scanned:
    leader = first.setdefault(shared, item.path)
    if leader == item.path:
        return item
    return item._replace(extra=evolve(item.extra or _NOTHING, hardlink=leader))


def with_holes(extra: Extra | None, sparse: bool) -> Extra | None:
    """What was scanned, and whether the content that was read has holes."""
    return _normal(evolve(extra or _NOTHING, sparse=sparse)) if extra is not None or sparse else None


def carried(old: Extra | None, scanned: Extra | None) -> Extra | None:
    """What a file whose content nobody read is recorded with now."""
    return with_holes(scanned, old is not None and old.sparse)


def _normal(extra: Extra) -> Extra | None:
    return None if extra == _NOTHING else extra
