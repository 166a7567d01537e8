"""The manual page, made of what `-h` says of the program and of each command.

The rule: nothing is written here that `-h` does not say, so the two cannot differ.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import version

import click

from rrbackup.cli.options import GLOBAL_OPTIONS
from rrbackup.cli.program import Command

_AS_IT_IS = "\b"


def manual(program: click.Group, context: click.Context) -> Iterator[str]:
    """Lines for man (roff)."""
    summary, _, rest = (program.help or "").partition("\n")
    yield f'.TH RRBACKUP 1 "" "rrbackup {version("rrbackup")}" "User Commands"'
    yield from (".SH NAME", f"rrbackup \\- {_escaped(summary.rstrip('.'))}")
    yield from (".SH SYNOPSIS", r".B rrbackup", r"[\fIOPTIONS\fR] [\fICOMMAND\fR] [\fIARGUMENTS\fR]")
    yield from (".SH DESCRIPTION", *_text(rest))
    yield from (".SH OPTIONS", *_options(GLOBAL_OPTIONS, context))
    yield ".SH COMMANDS"
    for name, command in program.commands.items():
        yield from _command(name, command, context)
    yield from (".SH NOTES", *_text(program.epilog or ""))


def _command(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    own = command.params if isinstance(command, Command) else command.get_params(context)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f".SS {_escaped(name)} {_escaped(usage)}", *_text(command.help or ""))
    yield from _options(own, context)
    yield from _text(command.epilog or "")


def _options(parameters: Sequence[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield from (".TP", f"\\fB{_escaped(record[0])}\\fR", _escaped(record[1]))


def _text(text: str) -> Iterator[str]:
    for paragraph in _paragraphs(text):
        if paragraph[0].strip() == _AS_IT_IS:
            yield from (".PP", ".nf", *map(_escaped, paragraph[1:]), ".fi")
        else:
            yield from (".PP", *(_escaped(line.strip()) for line in paragraph))


def _paragraphs(text: str) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip(" "):
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []


def _escaped(line: str) -> str:
    text = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
