"""The scan of a tree where more than `ignore_files` decides; without those keys, the plain scan does not pay for them.

The rule decided here: a folder that is left out is entered only where `include_files` may match something below it,
and then all of it is gone through at once, because only then is it known whether the folder above holds anything. What
is left out by a mark or for its size is told as `LeftOut`, once, with the reason.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from rrbackup.effects.filesystem import Folder, Item, ScanOptions, TreeScan, base_folders, path_of
from rrbackup.effects.folders import Folders
from rrbackup.effects.markers import mark_in
from rrbackup.errors import BasePathMissing, SourceError
from rrbackup.pure.exclusions import Exclusions
from rrbackup.pure.model import EntryType, PathText, Problem
from rrbackup.pure.names import path_bytes
from rrbackup.pure.reason import Reason
from rrbackup.pure.scan import LeftOut, Scanned


def scan_selected(
    base: Path | bytes, options: ScanOptions, exclusions: Exclusions
) -> Iterator[Scanned | Problem | LeftOut]:
    """Like `filesystem.scan`, and what was left out although `options` names it not. Raises like it."""
    with base_folders(base, options.follow_symlinks) as folders:
        yield from _SelectiveScan(base, folders, options, exclusions).run()


def left_out(base: Path | bytes, path: PathText, exclusions: Exclusions, *, follow_symlinks: bool) -> LeftOut | None:
    """What on the disk, as it is now, leaves `path` out; None where nothing does or nothing can be seen."""
    if exclusions.include.covers(path):
        return None
    try:
        with base_folders(base, follow_symlinks) as folders:
            mark = _mark_above(folders, path, exclusions)
            if mark is None:
                return _size_of(folders, path, exclusions, follow_symlinks)
            return None if path == f"{mark.path}/{mark.marker}" else mark
    except (BasePathMissing, SourceError):
        return None


def _mark_above(folders: Folders, path: PathText, exclusions: Exclusions) -> LeftOut | None:
    """The outermost folder above `path` that is marked."""
    end = path.find("/", 1)
    while end != -1:
        folder = PathText(path[:end])
        try:
            with folders.opened(path_bytes(folder)) as fd:
                mark = mark_in(folder, os.listdir(fd), fd, exclusions)
        except OSError:
            return None
        if mark is not None:
            return mark
        end = path.find("/", end + 1)
    return None


def _size_of(folders: Folders, path: PathText, exclusions: Exclusions, follow: bool) -> LeftOut | None:
    above, _, name = path_bytes(path).rpartition(b"/")
    try:
        with folders.opened(above) as fd:
            seen = os.stat(name, dir_fd=fd, follow_symlinks=follow)
    except OSError:
        return None
    is_file = stat.S_ISREG(seen.st_mode)
    return LeftOut(path, Reason.LARGE) if is_file and exclusions.too_large(seen.st_size) else None


class _SelectiveScan(TreeScan):
    def __init__(self, base: Path | bytes, folders: Folders, options: ScanOptions, exclusions: Exclusions) -> None:
        super().__init__(base, folders, options)
        self._exclusions = exclusions
        self._include = exclusions.include
        self._closed: set[str] = set()  # left out, but entered

    def _content(self, folder: Folder) -> list[Item]:
        items = super()._content(folder)
        if folder.path in self._closed:
            self._closed.discard(folder.path)
            return [item for item in items if item is not folder.itself]
        return items

    def _list(self, folder: bytes, text: str) -> list[Item]:
        with self._folders.opened(folder) as fd, os.scandir(fd) as entries:
            found = sorted((path_of(text, entry.name), entry.name, entry) for entry in entries)
            admitted = text != "" and self._include.covers(text)
            closed = text in self._closed
            mark = None
            if text and not admitted and not closed:
                mark = mark_in(PathText(text), {name for _, name, _ in found}, fd, self._exclusions)
            items: list[Item] = [mark] if mark is not None else []
            for path, name, entry in found:
                is_mark = mark is not None and name == mark.marker
                if admitted or self._include.matches(path) or (is_mark and not self._ignored(path)):
                    items += _some(self._seen(entry, path, fd))
                elif closed or self._ignored(path) or (mark is not None and not is_mark):
                    items += self._admitted_below(entry, path, fd, walked=closed)
                else:
                    items += _some(self._unless_large(self._seen(entry, path, fd)))
            return items

    def _seen(self, entry: "os.DirEntry[str]", path: PathText, fd: int) -> Item | None:
        item = self._look(entry, path, fd)
        return self._with_extra(item, entry, fd) if item is not None and self._extras.wanted else item

    def _unless_large(self, item: Item | None) -> Item | None:
        if isinstance(item, Scanned) and item.type is EntryType.FILE and self._exclusions.too_large(item.size):
            return LeftOut(item.path, Reason.LARGE)
        return item

    def _admitted_below(self, entry: "os.DirEntry[str]", path: PathText, fd: int, *, walked: bool) -> list[Item]:
        """What `include_files` takes in below something that is left out. `walked`: so is the folder above."""
        if not self._include.may_match_below(path) or not entry.is_dir(follow_symlinks=self._follow):
            return []
        item = self._look(entry, path, fd)
        if not isinstance(item, Folder):
            return []
        self._closed.add(path)
        return [item] if walked else list(self._walk(self._enter(item)))


def _some(item: Item | None) -> list[Item]:
    return [] if item is None else [item]
