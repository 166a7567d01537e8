"""The commands, their options and what `-h` says about them, in the order in which a newcomer needs them.

The rule: `-h` and a mistyped command must answer at once, so what does the work, and with it the library, is imported
only when a command runs.
"""

# ruff: noqa: I001 (this is the order in which -h shows them)
from rrbackup.cli.commands import (
    backing_up,
    listing,
    looking,
    restoring,
    copying,
    checking,
    collecting,
    repairing,
    granting,
)
from rrbackup.cli.commands import installing
from rrbackup.cli.program import DEFAULT_COMMAND, program

__all__ = [
    "DEFAULT_COMMAND",
    "backing_up",
    "checking",
    "collecting",
    "copying",
    "granting",
    "installing",
    "listing",
    "looking",
    "program",
    "repairing",
    "restoring",
]
