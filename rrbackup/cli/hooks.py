"""The commands of `before_backup` and `after_backup`.

The rules: a text is split like a shell's words and no shell runs it, as with `crypt_password_command`. What a command
prints goes to standard error, so that `--json` stays one document. It gets the environment without passwords, and what
is known of the backup in variables of its own. They belong to the command line: a program that embeds the library has
code of its own before and after, and would not expect to have programs started.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from rrbackup.cli.exit_codes import INTERRUPTIONS, ExitCode
from rrbackup.errors import CommandFailed
from rrbackup.pure.report import BackupResult

_SECRET = ("RRBACKUP_PASSWORD", "RRBACKUP_NEW_PASSWORD")


def run_hook(key: str, command: str, configuration: str, known: Mapping[str, str], done_before: str = "") -> None:
    """Run the command of this key. Raises CommandFailed, which does not quote it: it may hold a secret.

    `done_before` is for its message.
    """
    usual = {name: value for name, value in os.environ.items() if name not in _SECRET}
    environment = {**usual, "RRBACKUP_CONFIGURATION": configuration, **known}
    try:
        done = subprocess.run(shlex.split(command), env=environment, stdout=_standard_error(), check=False)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no command"
        raise CommandFailed(f"{key} cannot be run: {why}{done_before}", hint=_HINT) from None
    if done.returncode != 0:
        raise CommandFailed(f"{key} {_ended(done.returncode)}{done_before}", hint=_LOOK_ABOVE)


def _ended(status: int) -> str:
    if status > 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


_LOOK_ABOVE = "What it printed stands above."
_HINT = "The command is a program with its arguments; pipes and variables need sh -c."


def _standard_error() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # None, or no file, as in a test
        return subprocess.DEVNULL


def outcome_variables(code: ExitCode, result: BackupResult | None, error: str) -> dict[str, str]:
    """What `after_backup` is told."""
    variables = {
        "RRBACKUP_OUTCOME": _outcome(code),
        "RRBACKUP_EXIT_CODE": str(code.value),
        "RRBACKUP_ERROR": error.replace("\0", "?"),
    }
    return variables if result is None else {**variables, **_counts(result)}


def _outcome(code: ExitCode) -> str:
    if code in INTERRUPTIONS:
        return "interrupted"
    return {ExitCode.DONE: "done", ExitCode.INCOMPLETE: "incomplete"}.get(code, "failed")


def _counts(result: BackupResult) -> dict[str, str]:
    return {
        "RRBACKUP_VERSION": result.version_id or "",
        "RRBACKUP_NEW": str(result.counts.new),
        "RRBACKUP_CHANGED": str(result.counts.changed),
        "RRBACKUP_DELETED": str(result.counts.deleted),
        "RRBACKUP_UNCHANGED": str(result.unchanged),
        "RRBACKUP_UPLOADED_BYTES": str(result.uploaded_bytes),
        "RRBACKUP_PROBLEMS": str(len(result.problems)),
    }
