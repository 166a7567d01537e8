"""The way in, and the only way out: runs a command and turns whatever happens into words and an exit code.

The rules: with `--json`, an error is a document on standard output like any result; without it, a line on standard
error. A traceback appears only for a bug, and only with `-v`. A process that was interrupted ends at once: the
interpreter would wait for every thread that has a request under way.
"""

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from rrbackup.cli.commands import DEFAULT_COMMAND, program
from rrbackup.cli.exit_codes import INTERRUPTIONS, ExitCode
from rrbackup.cli.failures import Failure, failure_of, is_bug
from rrbackup.cli.output import Output
from rrbackup.cli.program import COMPLETE_VARIABLE, PROGRAM_NAME
from rrbackup.cli.signals import listen_to_signals
from rrbackup.errors import RRBackupError


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` and give the exit code. Never raises.

    None: the process is this command; it listens to signals, and interrupted, it ends here.
    """
    if args is None:
        _collect_cycles_seldom()
        listen_to_signals()
        if asked := os.environ.get(COMPLETE_VARIABLE):
            return _complete(asked)
    code = _code_of(list(sys.argv[1:] if args is None else args), Output.of_process())
    if args is None:
        if code in INTERRUPTIONS:
            _end_process(code)
        _leave_cycles()
    return code


def _collect_cycles_seldom() -> None:
    """Values have no cycles, but the collector looks through all of a million of them again and again."""
    gc.set_threshold(1_000_000, 50, 50)


def _leave_cycles() -> None:
    """What the process leaves behind goes with it; the interpreter would look through it for a tenth of a second."""
    gc.freeze()


def _complete(asked: str) -> int:
    """Tell a shell how the command line in its environment could go on."""
    from click.shell_completion import shell_complete

    return shell_complete(program, {}, PROGRAM_NAME, COMPLETE_VARIABLE, asked)


def _end_process(code: ExitCode) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, broken or closed
            stream.flush()
    os._exit(code)


def _code_of(words: list[str], output: Output) -> ExitCode:
    try:
        return _guarded(words, output)
    except BrokenPipeError:
        output.abandon()
        return ExitCode.FAILED


def _guarded(words: list[str], output: Output) -> ExitCode:
    try:
        code = _run(words, output)
        output.flush()
        return code
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (the last line of defence; it says what it is)
        return _failed(error, words, output)


def _run(words: list[str], output: Output) -> ExitCode:
    """What the command returned. A request for help, or for the version, ends as `click.exceptions.Exit`."""
    try:
        with program.make_context(PROGRAM_NAME, list(words), obj=output) as context:
            code = program.invoke(context)
    except click.exceptions.Exit as end:
        return ExitCode(end.exit_code)
    return ExitCode(code)


def _failed(error: BaseException, words: Sequence[str], output: Output) -> ExitCode:
    failure = failure_of(error, (program.command_in(words) or DEFAULT_COMMAND).replace("-", "_"))
    if is_bug(error) and not {"-v", "--verbose"}.isdisjoint(words):
        output.raw("".join(traceback.format_exception(error)))
    if "--json" in words:
        _tell_json(failure, output)
    else:
        failure.tell(output)
    return failure.exit_code


def _tell_json(failure: Failure, output: Output) -> None:
    try:
        output.document(failure.document())
        output.flush()
    except RRBackupError:
        failure.tell(output)
