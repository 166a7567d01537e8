"""Where the password comes from.

The rule decided here: the order of the sources; the first one that is given decides, and one that is given but does
not work is an error, not a reason to try the next. No message ever holds a password, a command or what it printed.
"""

import shlex
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from attrs import field, frozen

from rrbackup.errors import UsageError

ENVIRONMENT = "RRBACKUP_PASSWORD"


@frozen
class PasswordSources:
    """What the configuration says. `command` is split like a shell's words, but no shell runs it."""

    text: str | None = field(default=None, repr=False)
    file: Path | None = None
    command: str | None = field(default=None, repr=False)


def find_password(
    sources: PasswordSources,
    environment: Mapping[str, str],
    prompt: Callable[[], str] | None,
    variable: str = ENVIRONMENT,
) -> str | None:
    """The password, or None where there is no source of one. `prompt` is None where there is no terminal.

    Raises UsageError, naming the source, where it cannot be read or gives an empty password.
    """
    if sources.text is not None:
        return _checked(sources.text, "crypto.crypt_password")
    if sources.file is not None:
        return _checked(_from_file(sources.file), f"the file {sources.file}")
    if sources.command is not None:
        return _checked(_from_command(sources.command), "crypto.crypt_password_command")
    if variable in environment:
        return _checked(environment[variable], variable)
    return _checked(prompt(), "the terminal") if prompt is not None else None


def _checked(password: str, source: str) -> str:
    if not password:
        raise UsageError(f"the password from {source} is empty", hint="Set one, or take that source out.")
    return password


def _from_file(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"the password file {path} cannot be read: {error.strerror}") from None
    return _first_line(content, f"the password file {path}")


def _from_command(command: str) -> str:
    """Its errors and questions go to the terminal, its output comes here."""
    source = "crypto.crypt_password_command"
    done: subprocess.CompletedProcess[bytes] | None = None
    with suppress(OSError, ValueError, IndexError):  # they quote the command; IndexError: it has no word
        done = subprocess.run(shlex.split(command), stdout=subprocess.PIPE, check=False)
    if done is None:
        _fail(f"{source}: it cannot be run")
    if done.returncode != 0:
        _fail(f"{source}: it ended with status {done.returncode}")
    return _first_line(done.stdout, source)


def _fail(message: str) -> NoReturn:
    raise UsageError(message, hint="Give a program and its arguments; pipes and variables need sh -c.")


def _first_line(content: bytes, source: str) -> str:
    """The text without one line break at its end."""
    text: str | None = None
    with suppress(UnicodeDecodeError):  # left before an error is raised: it quotes the password
        text = content.decode("utf-8")
    if text is None:
        raise UsageError(f"{source}: the password is not UTF-8 text")
    line = text.removesuffix("\n").removesuffix("\r")
    if "\n" in line:
        raise UsageError(f"{source}: more than one line", hint="The password is the only line.")
    return line
