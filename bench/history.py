"""Makes a repository with many commits, fast: python -m bench.history CONFIG FIRST LAST

Each commit changes a link, which needs no upload; every tenth one also adds a file. The tree is the configured one.
"""

import sys
from pathlib import Path

import rrbackup

LINKS = 50
FILE_EVERY = 10


def edit(base: Path, number: int) -> None:
    link = base / f"link-{number % LINKS}"
    link.unlink(missing_ok=True)
    link.symlink_to(f"somewhere/{number}")
    if number % FILE_EVERY == 0:
        (base / f"file-{number:05}").write_text(f"what was new in commit {number}\n")


def main(configuration: Path, first: int, last: int) -> None:
    config = rrbackup.load_config(configuration)
    with rrbackup.open_repository(config) as repository:
        for number in range(first, last):
            edit(config.base(), number)
            if repository.backup().version_id is None:
                sys.exit(f"commit {number} was to find a change")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
