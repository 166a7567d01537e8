"""Where a new password comes from: a file, the environment, or a person, in this order."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rrbackup.effects.passwords import PasswordSources, find_password
from rrbackup.errors import UsageError

ENVIRONMENT = "RRBACKUP_NEW_PASSWORD"


def new_password(file: str | None, ask: Callable[[bool], str] | None) -> str:
    """Raises UsageError where there is none."""
    found = find_password(
        PasswordSources(file=Path(file) if file is not None else None),
        os.environ,
        None if ask is None else partial(ask, True),
        variable=ENVIRONMENT,
    )
    if found is None:
        raise UsageError("no new password was given", hint=f"use --new-password-file, or set {ENVIRONMENT}")
    return found
