"""What the process ends with: one table from errors to exit codes.

The rule: the first row whose class fits decides, and what fits none has failed. Scripts rely on these numbers.
"""

from collections.abc import Mapping
from enum import IntEnum

import click

from rrbackup.cli.signals import HungUp, Terminated
from rrbackup.errors import (
    Busy,
    ConfigError,
    NoSuchPath,
    NoSuchVersion,
    StoreMissing,
    UpgradeNeeded,
    UsageError,
    WrongPassword,
)


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    MISSING = 10
    BUSY = 11
    PASSWORD = 12
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "done",
    ExitCode.FAILED: "failed, or damage was found; the message says what",
    ExitCode.USAGE: "the command or the configuration makes no sense",
    ExitCode.INCOMPLETE: "done, but some files could not be read or restored; each is named",
    ExitCode.MISSING: "no such bucket, directory, version or path",
    ExitCode.BUSY: "another client is at work, or has won",
    ExitCode.PASSWORD: "wrong password, or none given",
    ExitCode.HUNG_UP: "interrupted by SIGHUP",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "interrupted by SIGTERM",
}

_TABLE: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (HungUp, ExitCode.HUNG_UP),
    (Terminated, ExitCode.TERMINATED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (click.Abort, ExitCode.INTERRUPTED),
    (click.UsageError, ExitCode.USAGE),
    (UsageError, ExitCode.USAGE),
    (ConfigError, ExitCode.USAGE),
    (UpgradeNeeded, ExitCode.USAGE),
    (StoreMissing, ExitCode.MISSING),
    (NoSuchVersion, ExitCode.MISSING),
    (NoSuchPath, ExitCode.MISSING),
    (Busy, ExitCode.BUSY),
    (WrongPassword, ExitCode.PASSWORD),
)


INTERRUPTIONS = frozenset({ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED})


def exit_code_of(error: BaseException) -> ExitCode:
    return next((code for kind, code in _TABLE if isinstance(error, kind)), ExitCode.FAILED)
