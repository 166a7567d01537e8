"""Looking at the target of a restore before anything is written: what is there, and what it holds.

The rule decided here: as for writing, no link is ever followed, and only folders that somebody asks about are listed. A
target that does not exist holds nothing.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from io import FileIO
from pathlib import Path
from threading import Lock

from attrs import evolve

from rrbackup.effects.attributes import read_xattrs
from rrbackup.effects.folders import FOLDER, Folders, enter_no_link
from rrbackup.effects.workers import FETCH_THREADS, side_by_side, workers
from rrbackup.errors import SourceError
from rrbackup.events import Comparing, OnEvent, Scanning, ignore_event
from rrbackup.pure.model import EntryType, PathText
from rrbackup.pure.names import escape, path_bytes
from rrbackup.pure.target import Found, Sighting

Leads = Callable[[Found], bool]
"""Whether a folder has to be listed."""

_CHUNK_BYTES = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY

_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.SYMLINK,
}


def survey(target: Path, leads: Leads, on_event: OnEvent = ignore_event, *, xattrs: bool = False) -> Sighting:
    """What is in the target and in those of its folders that `leads` asks for. Raises SourceError for the target.

    `xattrs` says whether their extended attributes are of interest.
    """
    try:
        root = os.open(target, FOLDER)
    except FileNotFoundError:
        return Sighting()
    except OSError as error:
        raise SourceError(f"cannot restore into {target}: {error.strerror}") from error
    with closing(Folders(root, enter_no_link)) as folders:
        survey = _Survey(folders, leads, xattrs)
        for found in survey.run():
            on_event(Scanning(str(target), found))
        return survey.sighting()


class _Survey:
    def __init__(self, folders: Folders, leads: Leads, xattrs: bool) -> None:
        self._folders = folders
        self._leads = leads
        self._xattrs = xattrs
        self._found: dict[PathText, Found] = {}
        self._unlisted: set[PathText] = set()

    def run(self) -> Iterator[int]:
        """Folder by folder; gives how much was found so far."""
        waiting = [PathText("")]
        while waiting:
            folder = waiting.pop()
            try:
                waiting.extend(self._list(folder))
            except OSError:
                self._unlisted.add(folder)
            yield len(self._found)

    def sighting(self) -> Sighting:
        return Sighting(self._found, frozenset(self._unlisted))

    def _list(self, folder: PathText) -> list[PathText]:
        """Notes what is in the folder; gives the folders in it that are to be listed as well."""
        below: list[PathText] = []
        with self._folders.opened(path_bytes(folder) if folder else b"") as fd, os.scandir(fd) as entries:
            device = os.fstat(fd).st_dev
            for entry in entries:
                found = _look(entry, PathText(f"{folder}/{escape(os.fsencode(entry.name))}"), fd, device)
                if self._xattrs and found.type in (EntryType.FILE, EntryType.DIRECTORY):
                    found = evolve(found, xattrs=read_xattrs(f"/proc/self/fd/{fd}/{entry.name}", follow=False))
                self._found[found.path] = found
                if found.type is EntryType.DIRECTORY and self._leads(found):
                    below.append(found.path)
        return below


def _look(entry: os.DirEntry[str], path: PathText, fd: int, device: int) -> Found:
    seen = entry.stat(follow_symlinks=False)
    kind = _TYPES.get(stat.S_IFMT(seen.st_mode))
    target = escape(os.readlink(os.fsencode(entry.name), dir_fd=fd)) if kind is EntryType.SYMLINK else None
    size = seen.st_size if kind is EntryType.FILE else 0
    mounted = kind is EntryType.DIRECTORY and seen.st_dev != device
    mode = stat.S_IMODE(seen.st_mode)
    ids, identity = (seen.st_uid, seen.st_gid), (seen.st_dev, seen.st_ino)
    return Found(path, kind, size, seen.st_mtime_ns, mode, target, seen.st_nlink, mounted, ids, identity)


# --- contents ----------------------------------------------------------------------------------------------------


def digests(
    target: Path, paths: Iterable[PathText], threads: int | None, on_event: OnEvent = ignore_event
) -> Mapping[PathText, str]:
    """The SHA-256 of these files of the target, without those that cannot be read. Tells how far it has come."""
    paths = tuple(paths)
    threads = threads or FETCH_THREADS  # no answering times here
    if not paths:
        return {}
    with closing(Folders(os.open(target, FOLDER), enter_no_link)) as folders, workers(threads) as pool:
        reader = _Reader(folders, on_event)
        return dict(_known(side_by_side(pool, threads, lambda path: (path, reader.digest(path)), paths)))


def _known(pairs: Iterable[tuple[PathText, str | None]]) -> Iterator[tuple[PathText, str]]:
    return ((path, digest) for path, digest in pairs if digest is not None)


class _Reader:
    """Reads files of the target, side by side."""

    def __init__(self, folders: Folders, on_event: OnEvent) -> None:
        self._folders = folders
        self._on_event = on_event
        self._lock = Lock()
        self._so_far = Comparing(0, 0)

    def digest(self, path: PathText) -> str | None:
        digest = hashlib.sha256()
        self._tell(files=1)
        for data in self._pieces(path):
            if data is None:
                return None
            digest.update(data)
            self._tell(size=len(data))
        return digest.hexdigest()

    def _pieces(self, path: PathText) -> Iterator[bytes | None]:
        """None in place of what cannot be read."""
        folder, _, name = path_bytes(path).rpartition(b"/")
        try:
            with self._folders.opened(folder) as folder_fd, FileIO(os.open(name, _READ, dir_fd=folder_fd)) as file:
                while data := file.read(_CHUNK_BYTES):
                    yield data
        except OSError:
            yield None

    def _tell(self, files: int = 0, size: int = 0) -> None:
        with self._lock:
            self._so_far = Comparing(self._so_far.files + files, self._so_far.size + size)
            self._on_event(self._so_far)
