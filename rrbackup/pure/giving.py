"""What a restore sets on a path besides its content.

The rule: an owner is given only where owners are restored at all, and set-user-id and set-group-id bits are given to
a file only with its owner: without it, they would lend out the rights of whoever restores. Attributes of the kinds
`security` and `trusted` are the system's, and only root gives them.
"""

from collections.abc import Mapping

from attrs import field, frozen

from rrbackup.pure.attributes import Owner, XAttr
from rrbackup.pure.model import NOT_RECORDED, Entry, EntryType

SET_ID = 0o6000
PERMISSIONS = 0o7777

_OF_THE_SYSTEM = ("security.", "trusted.")

Ids = tuple[int, int]
"""User and group as this machine numbers them."""


@frozen
class Given:
    """`mode` is NOT_RECORDED where it stays as it is, and so is the owner where there are no `ids`."""

    mode: int
    mtime_ns: int
    ids: Ids | None = None
    xattrs: tuple[XAttr, ...] = ()


@frozen
class Gives:
    """`owners` tells whom each recorded owner is on this machine; empty where owners are not restored."""

    owners: Mapping[Owner, Ids] = field(factory=dict, repr=False)
    system: bool = False

    def of(self, entry: Entry) -> Given:
        extra = entry.extra
        ids = self.owners.get(extra.owner) if extra is not None and extra.owner is not None else None
        xattrs = tuple(filter(self._may_set, extra.xattrs)) if extra is not None else ()
        return Given(_mode(entry, owned=ids is not None), entry.mtime_ns, ids, xattrs)

    def _may_set(self, xattr: XAttr) -> bool:
        return self.system or not xattr.name.startswith(_OF_THE_SYSTEM)


def _mode(entry: Entry, *, owned: bool) -> int:
    if entry.mode == NOT_RECORDED:
        return NOT_RECORDED
    mode = entry.mode & PERMISSIONS
    return mode if owned or entry.type is EntryType.DIRECTORY else mode & ~SET_ID
