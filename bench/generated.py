"""Manifests that no backup has made: what planning costs for a million files, without uploading a million files.

    python -m bench.generated entries CONFIG COUNT     a commit, and a local manifest with so many made-up entries
    python -m bench.generated tree CONFIG FOLDER       the same with the entries that FOLDER would give
    python -m bench.generated nothing CONFIG COUNT     a backup whose scan yields those made-up entries again
    python -m bench.generated scan COUNT               that scan alone

When nothing has changed, a backup reads the head and the local manifest, and no file object. So the head is a real one,
of a commit with one file, and the local manifest is written by rrbackup's own code, with other entries. A harness run
checks that the backup finds nothing changed.
"""

import hashlib
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest.mock import patch

from attrs import evolve

import rrbackup
from rrbackup.effects import planning
from rrbackup.effects.filesystem import ScanOptions, scan
from rrbackup.pure.filters import Filters
from rrbackup.pure.model import Entry as CommittedEntry
from rrbackup.pure.model import EntryType, LocalEntry, LocalStamp, ObjectRef, PathText, Problem, VersionId
from rrbackup.pure.scan import Scanned

SECOND = 1_000_000_000
FILES_IN_A_FOLDER = 100


def made_up(count: int) -> Iterator[Scanned]:
    """As from a scan of folders with a hundred files each, in path order."""
    for number in range(count):
        folder, file = divmod(number, FILES_IN_A_FOLDER)
        time_ns = (1_700_000_000 + number) * SECOND + 123_456_789
        path = PathText(f"/home/somebody/folder-{folder:06}/document-{file:03}.txt")
        yield Scanned(path, EntryType.FILE, 1000 + number % 5000, time_ns, time_ns, 10_000_000 + number, 0o644)


def remembered(seen: Scanned) -> LocalEntry:
    """What a local manifest would say of it after a backup."""
    digest = hashlib.sha256(seen.path.encode()).hexdigest()
    stored = ObjectRef(f"files{seen.path}", VersionId(digest[:32]), seen.size, f'"{digest[32:]}"')
    entry = CommittedEntry(seen.path, seen.type, seen.size, seen.mtime_ns, seen.mode, None, digest, stored)
    return LocalEntry(entry, LocalStamp(seen.ctime_ns, seen.inode))


def found_in(folder: Path) -> Iterator[Scanned]:
    for item in scan(folder, ScanOptions(Filters.of([]))):
        assert not isinstance(item, Problem), item
        yield item


def remember(configuration: Path, found: Iterable[Scanned]) -> None:
    """Commit what is there, then pretend that it was `found`."""
    with rrbackup.open_repository(rrbackup.load_config(configuration)) as repository:
        repository.backup()
        local = repository._client.local
        manifest = local.load().manifest
        assert manifest is not None
        local.save(evolve(manifest, entries=tuple(map(remembered, found))))


def back_up(configuration: Path, count: int) -> None:
    def pretended(*_: object) -> Iterator[Scanned]:
        return made_up(count)

    with (
        patch.object(planning, "scan", pretended),
        rrbackup.open_repository(rrbackup.load_config(configuration)) as repository,
    ):
        result = repository.backup()
    if result.version_id is not None or result.unchanged != count:
        sys.exit(f"nothing was to be found changed, but: {result}")


def main(words: list[str]) -> None:
    match words:
        case ["entries", configuration, count]:
            remember(Path(configuration), made_up(int(count)))
        case ["tree", configuration, folder]:
            remember(Path(configuration), found_in(Path(folder)))
        case ["nothing", configuration, count]:
            back_up(Path(configuration), int(count))
        case ["scan", count]:
            deque(made_up(int(count)), maxlen=0)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
