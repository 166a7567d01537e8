"""What of a target goes when it is made equal to a commit.

The rule: what the commit does not have, what the selection names, and what is not protected. A folder goes only if
all that is in it goes, so one that could not be listed stays, and so does a mount point. What the commit has stays
even where the selection leaves it out. A folder that could not be listed is named, unless a restore has shut it.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from rrbackup.pure.keeping import folders_above
from rrbackup.pure.model import Entry, EntryType, PathText
from rrbackup.pure.names import path_order
from rrbackup.pure.selection import Selection
from rrbackup.pure.target import Found, Sighting


@frozen
class Removals:
    """`extras` are what the commit has not; `obstacles` what stands, with all that is in it, where the commit has
    something of another type, by the path of the outermost. In `unseen` folders there may be more.
    """

    extras: tuple[Found, ...] = ()
    obstacles: Mapping[PathText, tuple[Found, ...]] = field(factory=dict)
    unseen: tuple[PathText, ...] = ()


@frozen
class Removing:
    commit: Sequence[Entry]
    sighting: Sighting
    selection: Selection
    protected: tuple[Selection, ...] = ()

    def removals(self) -> Removals:
        entries = {entry.path: entry.type for entry in self.commit}
        folders = {folder for path in entries for folder in folders_above(path)}
        goes = self._going(entries, folders)
        blocking = {path for path in goes if path in entries or path in folders}
        return Removals(
            tuple(found for path, found in goes.items() if not _within(path, blocking)),
            {path: tuple(_and_below(path, goes)) for path in blocking},
            self._unseen(),
        )

    def _unseen(self) -> tuple[PathText, ...]:
        if not self.sighting.unlisted:
            return ()
        return tuple(sorted(filter(self._is_missed, self.sighting.unlisted - self._closed()), key=path_order))

    def _closed(self) -> set[PathText]:
        """Those that have the mode which the commit gives them: a restore before may have shut them."""
        folders = (entry for entry in self.commit if entry.type is EntryType.DIRECTORY)
        modes = ((entry, self.sighting.found.get(entry.path)) for entry in folders)
        return {entry.path for entry, found in modes if found is not None and found.mode == entry.mode}

    def _going(self, entries: Mapping[PathText, EntryType], folders: set[str]) -> dict[PathText, Found]:
        """What can go, innermost first."""
        stays: set[str] = set()
        goes: dict[PathText, Found] = {}
        for path in sorted(self.sighting.found, key=path_order, reverse=True):
            found = self.sighting.found[path]
            if path in stays or not self._may_go(found) or _belongs(found, entries.get(path), path in folders):
                stays.update(folders_above(path))
            else:
                goes[path] = found
        return goes

    def _is_missed(self, unlisted: PathText) -> bool:
        return self.selection.may_want_below(unlisted) and not self._is_protected(unlisted)

    def _is_protected(self, path: PathText) -> bool:
        return any(those.wants(path) for those in self.protected)

    def _may_go(self, found: Found) -> bool:
        if found.mounted or found.path in self.sighting.unlisted:
            return False
        return self.selection.wants(found.path) and not self._is_protected(found.path)


def _belongs(found: Found, entry: EntryType | None, leads: bool) -> bool:
    """Whether something of that type is what the commit has there, or what a file or link can take the place of."""
    if leads:
        return found.type is EntryType.DIRECTORY
    if entry is None:
        return False
    return (entry is EntryType.DIRECTORY) is (found.type is EntryType.DIRECTORY)


def _within(path: str, outer: set[PathText]) -> bool:
    return path in outer or not outer.isdisjoint(folders_above(path))


def _and_below(path: PathText, goes: Mapping[PathText, Found]) -> Iterator[Found]:
    yield goes[path]
    yield from (found for below, found in goes.items() if below.startswith(f"{path}/"))
