"""What is in the target of a restore before it begins, as values that a plan can be made from."""

from collections.abc import Mapping

from attrs import field, frozen

from rrbackup.pure.model import NOT_RECORDED, Entry, EntryType, PathText

SET_ID = 0o6000
PERMISSIONS = 0o7777


@frozen
class Found:
    """Something in the target. `type` is None for what no commit holds (pipes, devices); `links` counts its names.

    `mounted`: a folder on another device than the one that it is in.
    """

    path: PathText
    type: EntryType | None
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    target: str | None = None
    links: int = 1
    mounted: bool = False

    def has_attributes_of(self, entry: Entry) -> bool:
        """Whether a restore of `entry` would set nothing."""
        return self.mtime_ns == entry.mtime_ns and self._has_mode_of(entry)

    def _has_mode_of(self, entry: Entry) -> bool:
        if self.type is EntryType.SYMLINK or entry.mode == NOT_RECORDED:
            return True
        return self.mode == permissions(entry)


def permissions(entry: Entry) -> int:
    """The bits that a restore gives: files get no set-id bits, because their owners are not restored."""
    mode = entry.mode & PERMISSIONS
    return mode if entry.type is EntryType.DIRECTORY else mode & ~SET_ID


@frozen
class Sighting:
    """What a survey of the target has seen, by path. `unlisted` are folders that could not be listed."""

    found: Mapping[PathText, Found] = field(factory=dict, repr=lambda f: f"<{len(f)} found>")
    unlisted: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        return not self.found and not self.unlisted
