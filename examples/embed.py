"""Embedding rrbackup: back up a folder, with a progress display of one's own, and show what came of it.

    python examples/embed.py ~/documents /mnt/disk/backup

The library prints nothing and ends nothing; it hands over events, results and errors.
"""

import sys
from pathlib import Path

import rrbackup


class Progress:
    """Prints a line for every tenth of the bytes, and every file as it is done."""

    def __init__(self) -> None:
        self._size = 0
        self._moved = 0
        self._tenths = 0

    def __call__(self, event: rrbackup.Event) -> None:
        match event:
            case rrbackup.PlanMade(files=files, size=size):
                print(f"{files} files to look at, {size} bytes")
                self._size = size
            case rrbackup.BytesMoved(count=count):
                self._advance(count)
            case rrbackup.FileDone(path=path, uploaded=uploaded):
                print(f"  {path}: {'uploaded' if uploaded else 'known already'}")
            case rrbackup.ProblemFound(problem=problem):
                print(f"  problem: {problem}")
            case rrbackup.Notice(text=text):
                print(f"  note: {text}")
            case _:
                pass

    def _advance(self, count: int) -> None:
        self._moved += count
        tenths = min(10, self._moved * 10 // max(1, self._size))
        if tenths > self._tenths:
            self._tenths = tenths
            print(f"  {tenths * 10} %")


def configuration(source: Path, store: Path) -> rrbackup.Config:
    """Built in code; `rrbackup.load_config` reads one from a file."""
    return rrbackup.Config(
        base_path=source,
        local_manifest_file=store.with_name(f"{store.name}.manifest"),
        local_lock_file=store.with_name(f"{store.name}.lock"),
        directory=rrbackup.DirectorySettings(path=store),
        ignore_files=("*.tmp",),
    )


def back_up(config: rrbackup.Config) -> bool:
    """Whether everything is in the backup."""
    with rrbackup.open_repository(config) as repository:
        result = repository.backup(on_event=Progress())
        print(f"version {result.version_id}" if result.version_id else "nothing has changed")
        for version in repository.list_versions():
            print(f"{version.sequence}: {version.counts.new} new, {version.counts.changed} changed")
        return result.complete


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: embed.py FOLDER STORE", file=sys.stderr)
        return 2
    source, store = map(Path, sys.argv[1:])
    try:
        return 0 if back_up(configuration(source, store)) else 3
    except rrbackup.Busy as error:
        print(f"later, perhaps: {error}", file=sys.stderr)
    except rrbackup.RRBackupError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
