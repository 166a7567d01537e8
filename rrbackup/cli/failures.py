"""What went wrong, for people and for programs: from any exception to one value, and from that to text or JSON.

The rule: nobody but a developer sees a traceback. What is not an error of rrbackup's own tree is a bug, and says so.
"""

from collections.abc import Mapping

import click
from attrs import frozen

from rrbackup.cli.exit_codes import ExitCode, exit_code_of
from rrbackup.cli.output import Output
from rrbackup.cli.signals import Signalled
from rrbackup.errors import ConfigError, RRBackupError, UsageError

_READING = (
    *("list_versions", "list_files", "list_changes", "find", "history", "diff", "stats", "explain", "cat", "doctor"),
    *("policy", "schedule", "completion", "man"),
)
_AFTER_INTERRUPTION: Mapping[str, str] = {
    "backup": "a commit exists as a whole or not at all; the next backup goes on: what was uploaded as a whole, and is "
    "still on the disk, is not sent again",
    "heal": "a commit exists as a whole or not at all; the next run that writes takes back what this one left",
    "verify": "nothing was changed; a check of contents goes on from where this one ended",
    **dict.fromkeys(_READING, "nothing was changed"),
    "download": "the files that were finished are complete; run it again with --overwrite if-changed for the others",
    "init": "run it again; what was done already is not done twice",
}
_ANY_OTHER = "the last commit is as it was; the next run that writes ends what this one left open"


@frozen
class Failure:
    """`type` is the name of the error's class, `problems` the faults of a configuration."""

    type: str
    message: str
    hint: str
    exit_code: ExitCode
    problems: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        error = {
            "type": self.type,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code.value,
        }
        return {"error": {**error, "problems": self.problems} if self.problems else error}

    def tell(self, output: Output) -> None:
        output.error(self.message)
        if self.hint:
            output.hint(self.hint)


def failure_of(error: BaseException, command: str) -> Failure:
    """`command` is the name of the command that was under way."""
    message, hint = _words(error, command)
    problems = error.problems if isinstance(error, ConfigError) else ()
    return Failure(_type(error), message, hint, exit_code_of(error), problems)


def is_bug(error: BaseException) -> bool:
    return not isinstance(error, RRBackupError | click.ClickException | click.Abort | KeyboardInterrupt)


def _type(error: BaseException) -> str:
    match error:
        case click.UsageError():
            return UsageError.__name__
        case KeyboardInterrupt() | click.Abort():
            return "Interrupted"
        case _:
            return type(error).__name__


def _words(error: BaseException, command: str) -> tuple[str, str]:
    match error:
        case RRBackupError():
            return error.message, error.hint
        case click.ClickException():
            return _on_one_line(error), _usage_hint(error, command)
        case KeyboardInterrupt() | click.Abort():
            by = f" by {error}" if isinstance(error, Signalled) else ""
            return f"interrupted{by}", _AFTER_INTERRUPTION.get(command, _ANY_OTHER)
        case _:
            hint = "please report it, with what the same command prints with -v"
            return f"{type(error).__name__}: {error} (this is a bug in rrbackup)", hint


def _on_one_line(error: click.ClickException) -> str:
    """click lists the choices for a word that is missing below each other."""
    message = error.format_message()
    return " ".join(message.split()) if isinstance(error, click.MissingParameter) else message


def _usage_hint(error: click.ClickException, command: str) -> str:
    """An option without its value comes from a parser that knows no context."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"see {context.command_path if context else f'rrbackup {command}'} -h"
