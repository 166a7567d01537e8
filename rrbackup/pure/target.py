"""What is in the target of a restore before it begins, as values that a plan can be made from."""

from collections.abc import Mapping

from attrs import field, frozen

from rrbackup.pure.attributes import XAttr
from rrbackup.pure.giving import Given, Ids
from rrbackup.pure.model import NOT_RECORDED, EntryType, PathText


@frozen
class Found:
    """Something in the target. `type` is None for what no commit holds (pipes, devices).

    `links` counts the names that it has, all of which have the same `identity`. `mounted`: a folder on another device
    than the one that it is in. `xattrs` are empty where nobody asked for them.
    """

    path: PathText
    type: EntryType | None
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    target: str | None = None
    links: int = 1
    mounted: bool = False
    ids: Ids = (0, 0)
    identity: tuple[int, int] | None = None
    xattrs: tuple[XAttr, ...] = ()

    def has(self, given: Given) -> bool:
        """Whether there is nothing to set. What it has beyond that stays."""
        right = self.mtime_ns == given.mtime_ns and (given.ids is None or given.ids == self.ids)
        if self.type is EntryType.SYMLINK:
            return right
        return right and given.mode in (self.mode, NOT_RECORDED) and set(given.xattrs) <= set(self.xattrs)


@frozen
class Sighting:
    """What a survey of the target has seen, by path. `unlisted` are folders that could not be listed."""

    found: Mapping[PathText, Found] = field(factory=dict, repr=lambda f: f"<{len(f)} found>")
    unlisted: frozenset[PathText] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.found and not self.unlisted
