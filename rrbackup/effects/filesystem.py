"""Reading the tree to be backed up: the scan, and opening one of its files.

The rule decided here: what of a tree is an entry and what a problem, and that both come in
`names.path_order`. Neither the depth of a tree nor the length of its paths is limited. Where links are not
followed, none is, also not one that takes a folder's place while the scan is under way.
"""

import errno
import os
import stat
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

from attrs import evolve, field, frozen

from rrbackup.effects.attributes import Extras
from rrbackup.effects.folders import FOLDER, Folders, enter, enter_no_link
from rrbackup.errors import BasePathMissing, SourceError
from rrbackup.pure.model import EntryType, PathText, Problem, ProblemKind
from rrbackup.pure.names import escape, path_bytes, stays
from rrbackup.pure.scan import LeftOut, Scanned
from rrbackup.pure.unfinished import PREFIX, is_own

# Something else may have taken a file's place since the scan: never wait for a pipe's other end.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

# What a long path, or one through many links, is refused with although each of its names can be opened.
_PATH_REFUSED = (errno.ENAMETOOLONG, errno.ELOOP)

_SPECIAL = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class PathFilter(Protocol):
    """Which paths to leave out."""

    def matches(self, path: PathText, /) -> bool: ...


@frozen
class ScanOptions:
    """What a scan leaves out and what it follows; `all_folders`: also one that holds something is an entry."""

    ignore: PathFilter
    follow_symlinks: bool = True
    visit_mountpoints: bool = True
    extras: Extras = field(factory=Extras)
    all_folders: bool = False


def scan(base: Path | bytes, options: ScanOptions) -> Iterator[Scanned | Problem]:
    """Entries and problems of the tree below `base`, sorted by `names.path_order`.

    An entry is a file, a link (unless links are followed), or a folder: with `all_folders` each that can be listed,
    else one below which there is nothing to keep.
    A problem that is `incomplete` speaks for its path and everything below. Raises, at the first `next`,
    `BasePathMissing` if the base is not there or no folder, and `SourceError` if it cannot be read.
    """
    with base_folders(base, options.follow_symlinks) as folders:
        yield from cast("Iterator[Scanned | Problem]", TreeScan(base, folders, options).run())


class SourceFile:
    """A file of the tree, open for reading, to be left as a context. `before` is what it was when it was opened.

    Made of plain system calls, as few as there can be: a backup makes them for every file.
    """

    def __init__(self, fd: int, before: os.stat_result) -> None:
        self._fd = fd
        self.before = before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes more; fewer at the end of the file."""
        return os.read(self._fd, size)

    def now(self) -> os.stat_result:
        """What it is now."""
        return os.fstat(self._fd)

    def first_hole(self) -> int:
        """Where the file has its first hole, which may be its end. Raises OSError where that cannot be told."""
        return os.lseek(self._fd, 0, os.SEEK_HOLE)


def open_source(base: Path | bytes, path: PathText, *, follow_symlinks: bool) -> SourceFile:
    """Open a file of the tree below `base` for reading.

    Raises `SourceError` if it cannot be opened or is not a file (any more), `BasePathMissing` as `scan` does.
    """
    try:
        fd = _open_file(os.fsencode(base), path_bytes(path), follow_symlinks)
    except OSError as error:
        base_folders(base, follow_symlinks).close()  # says so if the base itself is gone
        raise SourceError(f"cannot open {path}: {error.strerror}") from error
    try:
        before = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        raise SourceError(f"cannot open {path}: {error.strerror}") from error
    if stat.S_ISREG(before.st_mode):
        return SourceFile(fd, before)
    os.close(fd)
    raise SourceError(f"cannot open {path}: it is not a file any more")


def _open_file(base: bytes, relative: bytes, follow: bool) -> int:
    if not follow:
        return _open_by_names(base, relative, _FILE | os.O_NOFOLLOW, follow)
    try:
        return os.open(b"%b/%b" % (base, relative), _FILE)
    except OSError as error:
        if error.errno not in _PATH_REFUSED:
            raise
    return _open_by_names(base, relative, _FILE, follow)


def _open_by_names(base: bytes, relative: bytes, flags: int, follow: bool) -> int:
    folder, _, name = relative.rpartition(b"/")
    with base_folders(base, follow) as folders, folders.opened(folder) as folder_fd:
        return os.open(name, flags, dir_fd=folder_fd)


def base_folders(base: Path | bytes, follow: bool) -> Folders:
    name = os.fsdecode(base)
    try:
        return Folders(os.open(base, FOLDER), enter if follow else enter_no_link)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BasePathMissing(
            f"the base path {name} does not exist or is not a folder",
            hint="Is its disk mounted? Otherwise correct base_path in the configuration.",
        ) from error
    except OSError as error:
        raise SourceError(f"cannot read the base path {name}: {error.strerror}") from error


_Identity = tuple[int, int]


@frozen
class Folder:
    """A folder still to be listed; `itself` is what to report should there be nothing to keep in it."""

    path: PathText
    itself: Scanned
    identity: _Identity


Item = Scanned | Problem | LeftOut | Folder


@frozen
class Level:
    """A folder on the way from the base to where the scan is, and what of it has not been reported yet."""

    identity: _Identity
    rest: Iterator[Item]


class TreeScan:
    """One scan under way."""

    def __init__(self, base: Path | bytes, folders: Folders, options: ScanOptions) -> None:
        self._base = base
        self._folders = folders
        self._ignored = options.ignore.matches
        self._follow = options.follow_symlinks
        self._everywhere = options.visit_mountpoints
        self._extras = options.extras
        self._all_folders = options.all_folders
        with folders.opened(b"") as base_fd:
            self._identity = _identity(os.fstat(base_fd))
        self._above = {self._identity}

    def run(self) -> Iterator[Scanned | Problem | LeftOut]:
        return self._walk(Level(self._identity, iter(self._content_of_base())))

    def _walk(self, top: Level) -> Iterator[Scanned | Problem | LeftOut]:
        """A loop with a stack of its own: trees may be deeper than Python can recurse."""
        levels = [top]
        while levels:
            for item in levels[-1].rest:
                if isinstance(item, Folder):
                    levels.append(self._enter(item))
                    break
                yield item
            else:
                self._above.discard(levels.pop().identity)

    def _enter(self, folder: Folder) -> Level:
        self._above.add(folder.identity)
        return Level(folder.identity, iter(self._content(folder)))

    def _content_of_base(self) -> list[Item]:
        try:
            return self._list(b"", "")
        except OSError as error:
            name = os.fsdecode(self._base)
            raise SourceError(f"cannot list the base path {name}: {error.strerror}") from error

    def _content(self, folder: Folder) -> list[Item]:
        try:
            items = self._list(path_bytes(folder.path), folder.path)
        except OSError as error:
            return [_unreadable(folder.path, "cannot list the folder", error)]
        follows_from_others = not self._all_folders and any(map(_keeps_folder, items))
        return items if follows_from_others else [folder.itself, *items]

    def _list(self, folder: bytes, text: str) -> list[Item]:
        items, ignored = list[Item](), self._ignored
        with self._folders.opened(folder) as fd, os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                path = PathText(f"{text}/{name if stays(name) else escape(os.fsencode(name))}")
                if ignored(path):
                    continue
                own = name.startswith(PREFIX) and is_own(name)
                item = _unfinished(path) if own else self._look(entry, path, fd)
                if item:
                    items.append(self._with_extra(item, entry, fd) if self._extras.wanted else item)
        items.sort(key=attrgetter("path"))
        return items

    def _look(self, entry: os.DirEntry[str], path: PathText, fd: int) -> Item | None:
        try:
            seen = entry.stat(follow_symlinks=self._follow)
            mode = seen.st_mode
            if stat.S_ISREG(mode):
                return _file(path, seen, mode)
            if stat.S_ISLNK(mode):
                return _other(path, EntryType.SYMLINK, seen, _target(entry, fd))
        except OSError as error:
            return self._not_seen(entry, path, error)
        if stat.S_ISDIR(seen.st_mode):
            return self._folder(path, seen)
        return Problem(path, ProblemKind.SPECIAL, f"passed over: {_SPECIAL[stat.S_IFMT(seen.st_mode)]}")

    def _with_extra(self, item: Item, entry: os.DirEntry[str], fd: int) -> Item:
        if isinstance(item, Problem | LeftOut):
            return item
        try:
            extra = self._extras.of(entry, fd, follow=self._follow)
        except OSError as error:
            return _unreadable(item.path, "cannot read its attributes", error)
        if isinstance(item, Folder):
            return evolve(item, itself=item.itself._replace(extra=extra))
        return item._replace(extra=extra)

    def _folder(self, path: PathText, seen: os.stat_result) -> Item:
        identity = _identity(seen)
        if identity in self._above:
            return Problem(path, ProblemKind.CYCLE, "passed over: it leads back to a folder that it is in")
        itself = _other(path, EntryType.DIRECTORY, seen)
        if self._everywhere or seen.st_dev == self._identity[0]:
            return Folder(path, itself, identity)
        return itself

    def _not_seen(self, entry: os.DirEntry[str], path: PathText, error: OSError) -> Problem | None:
        followed = self._follow and entry.is_symlink()
        if followed and error.errno == errno.ELOOP:
            return Problem(path, ProblemKind.CYCLE, "passed over: a link that leads to itself")
        if followed:
            return _unreadable(path, "cannot follow the link", error)
        if error.errno == errno.ENOENT:
            return None  # deleted since its folder was listed
        return _unreadable(path, "cannot read its attributes", error)


def _keeps_folder(item: Item) -> bool:
    """Whether a folder with this in it needs no entry: it has one below, or an older one there is kept."""
    if isinstance(item, LeftOut):
        return False
    return not isinstance(item, Problem) or item.kind.incomplete


def path_of(folder: str, name: str) -> PathText:
    """The path of a name in a folder. The plain scan, which has no time for a call, says the same in place."""
    return PathText(f"{folder}/{name if stays(name) else escape(os.fsencode(name))}")


def _identity(seen: os.stat_result) -> _Identity:
    return seen.st_dev, seen.st_ino


def _target(entry: os.DirEntry[str], fd: int) -> str:
    return escape(os.readlink(os.fsencode(entry.name), dir_fd=fd))


def _file(path: PathText, seen: os.stat_result, mode: int) -> Scanned:
    """By the plain tuple's means: that of named ones takes twice as long."""
    shared = _identity(seen) if seen.st_nlink > 1 else None
    found = (path, EntryType.FILE, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, stat.S_IMODE(mode))
    return tuple.__new__(Scanned, (*found, None, shared, None))


def _other(path: PathText, kind: EntryType, seen: os.stat_result, target: str | None = None) -> Scanned:
    mode = stat.S_IMODE(seen.st_mode)
    return Scanned(path, kind, 0, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino, mode, target)


def _unfinished(path: PathText) -> Problem:
    return Problem(path, ProblemKind.SPECIAL, "passed over: rrbackup has not finished it")


def _unreadable(path: PathText, what: str, error: OSError) -> Problem:
    return Problem(path, ProblemKind.UNREADABLE, f"{what}: {error.strerror}")
