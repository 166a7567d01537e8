"""What is particular to a store in a folder: its marker, its rights, its volume."""

import os
import stat
from collections.abc import Iterator

from rrbackup.config import Config
from rrbackup.effects.directory_marker import open_volume
from rrbackup.pure import diagnosis
from rrbackup.pure.diagnosis import LITTLE_BYTES, Diagnosis
from rrbackup.pure.model import Mode

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH


def free_bytes(path: os.PathLike[str]) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def look_at_folder(config: Config) -> Iterator[Diagnosis]:
    """Raises StoreMissing or UnsupportedFormat for what is no store, or not one of this version."""
    root = config.directory_path()
    assert root is not None
    hashed = open_volume(os.fsencode(root)).hashed
    yield diagnosis.fine("folder", f"{root} is a store{', with hashed names' if hashed else ''}")
    yield from _rights(root, config.mode)
    yield diagnosis.of_space("space", str(root), free_bytes(root), LITTLE_BYTES)
    yield from _volume(root, config)


def _rights(root: os.PathLike[str], mode: Mode) -> Iterator[Diagnosis]:
    subject, others = "rights to the folder", os.stat(root).st_mode
    needed = os.R_OK | os.X_OK | (0 if mode is Mode.READ_ONLY else os.W_OK)
    if not os.access(root, needed):
        finding = f"{root} may not be {'read' if mode is Mode.READ_ONLY else 'written to'} by this user"
        yield diagnosis.wrong(subject, finding, "correct its owner and rights, and how its volume is mounted")
    elif others & _OTHERS_WRITE:
        yield diagnosis.warning(subject, f"other users may write to {root}", f"chmod go-w {root}")
    elif others & _OTHERS_READ:
        yield diagnosis.warning(subject, f"other users may look into {root}", f"chmod go-rx {root}")
    else:
        yield diagnosis.fine(subject, "this user alone has any")


def _volume(root: os.PathLike[str], config: Config) -> Iterator[Diagnosis]:
    base = config.base()
    if not base.is_dir():
        yield diagnosis.unknown("volume", f"{base} is not there to be compared")
    elif os.stat(root).st_dev == os.stat(base).st_dev:
        yield diagnosis.warning(
            "volume",
            f"{root} is on the same volume as {base}: what breaks one breaks both",
            "keep the backup on another disk, better in another place",
        )
    else:
        yield diagnosis.fine("volume", f"{root} is on another volume than {base}")
