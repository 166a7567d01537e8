"""What costs much and gives the same every time is done once in a process of tests.

Nothing here changes what a test sees: equal arguments give equal results. `cheap_keys` does change the keys, so it is
only for tests in which nobody else derives them: no other process, and no independent reader.
"""

import gc
import hashlib
from functools import cache
from typing import Any

import pytest
from argon2.low_level import hash_secret_raw
from botocore.loaders import create_loader

from rrbackup.effects import botocore_loading

_PLACE = "rrbackup.effects.keys.hash_secret_raw"
_derived = cache(hash_secret_raw)
_loader = cache(create_loader)
_read_description = botocore_loading._QuickFiles.load_file
_description = cache(botocore_loading._QuickFiles().load_file)
_LEAST: dict[str, int] = {"time_cost": 3, "memory_cost": 8}
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


def once(patch: pytest.MonkeyPatch) -> None:
    """Derive a key from the same password, salt and cost once; read boto3's descriptions of the service once."""
    patch.setattr(_PLACE, _derived)
    patch.setattr("botocore.session.create_loader", _loader)
    patch.setattr(botocore_loading._QuickFiles, "load_file", lambda files, path: _description(path))


def descriptions_anew(patch: pytest.MonkeyPatch) -> None:
    """Read them again: clients that were made of those that are kept may have changed them."""
    patch.setattr("botocore.session.create_loader", create_loader)
    patch.setattr(botocore_loading._QuickFiles, "load_file", _read_description)


def cheap_keys(patch: pytest.MonkeyPatch) -> None:
    """Keys that cost next to nothing, and still are others for another password, salt or cost."""
    patch.setattr(_PLACE, _cheaply)


def leave_out_what_stays() -> None:
    """Modules and collected tests stay until the end: Python need not go through them for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


def _cheaply(**options: Any) -> bytes:
    told = b"%d %d " % (options["time_cost"], options["memory_cost"])
    salt = hashlib.sha256(told + options["salt"]).digest()[:16]
    return hash_secret_raw(**{**options, **_LEAST, "salt": salt})
