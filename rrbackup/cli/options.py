"""The options that every command has.

The rule: they may stand before the command or after it. Each occurrence writes into the context's `meta`, which
click shares between the program and its command, so the last one that was given counts.
"""

import os
import re
from collections.abc import Callable, Container, Iterable, Sequence
from typing import TypeVar

import click
from attrs import frozen

from rrbackup.errors import UsageError
from rrbackup.pure.sizes import parse_size
from rrbackup.pure.threads import MOST_ASKED

Decorated = TypeVar("Decorated", bound=Callable[..., object])

DEFAULT_CONFIG = "configuration.json"

_PREFIX = "rrbackup."
_CONFIG_COMES = re.compile("-[qv]*c")


@frozen
class GlobalOptions:
    config: str = DEFAULT_CONFIG
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    threads: int | None = None
    limit_upload: int | None = None
    limit_download: int | None = None

    @classmethod
    def of(cls, context: click.Context) -> "GlobalOptions":
        given = context.meta.items()
        return cls(**{name.removeprefix(_PREFIX): value for name, value in given if name.startswith(_PREFIX)})


class GivenPath(click.Path):
    """A path on this machine. The empty text, mostly an unset variable of a script, would be the working folder."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if not value:
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


class WholeNumber(click.IntRange):
    name = "whole number"


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        context.meta[f"{_PREFIX}{parameter.name}"] = value


def _remember_rate(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    try:
        rate = parse_size(value)
    except UsageError as error:
        raise click.BadParameter(f"{error.message}; {error.hint}", context, parameter) from None
    if rate < 1:
        raise click.BadParameter(f"{value} lets nothing pass; leave it out", context, parameter)
    _remember(context, parameter, rate)


def _print_version(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        # takes longer to import than everything else that this needs
        from importlib.metadata import version

        click.echo(f"rrbackup {version('rrbackup')}")
        context.exit()


def _flag(names: Sequence[str], text: str) -> click.Option:
    return click.Option(names, is_flag=True, expose_value=False, callback=_remember, help=text)


GLOBAL_OPTIONS: tuple[click.Parameter, ...] = (
    click.Option(
        ["--c", "-c", "--config", "config"],
        metavar="FILE",
        type=GivenPath(),
        expose_value=False,
        callback=_remember,
        help=f"The configuration; {DEFAULT_CONFIG} in the working folder if not given.",
    ),
    _flag(["--json"], "Print one JSON document to standard output, errors included."),
    _flag(["-q", "--quiet"], "No progress, notices, warnings and summaries."),
    _flag(["-v", "--verbose"], "More details; for a bug, its traceback."),
    click.Option(
        ["--version", "print_version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version of rrbackup and stop.",
    ),
)


class WithGlobalOptions(click.Command):
    """A command that has them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]


def place_of_command(args: Sequence[str], taking_value: Container[str]) -> int | None:
    """Where the first word stands that is neither an option nor the value of one; None where no command is named."""
    words = iter(enumerate(args))
    for place, word in words:
        if word in taking_value or _CONFIG_COMES.fullmatch(word):
            next(words, None)
        elif not word.startswith("-"):
            return place
    return None


def before_value(options: Iterable[click.Parameter]) -> frozenset[str]:
    """The names of those options that take the next word as their value."""
    taking = (option for option in options if isinstance(option, click.Option) and not option.is_flag)
    return frozenset(name for option in taking for name in option.opts)


def _limit(direction: str) -> Callable[[Decorated], Decorated]:
    return click.option(
        f"--limit-{direction}",
        metavar="RATE",
        expose_value=False,
        callback=_remember_rate,
        help=f"{direction.capitalize()} no more than this many bytes a second, such as 500KB or 2MiB.",
    )


THREADS = click.option(
    "--threads",
    type=WholeNumber(1, MOST_ASKED),
    metavar="N",
    expose_value=False,
    callback=_remember,
    help="Move so many files at a time. If not said, as many as make it faster, between 16 and 64.",
)
LIMIT_UPLOAD = _limit("upload")
LIMIT_DOWNLOAD = _limit("download")
METRICS = click.option(
    "--metrics",
    metavar="FILE",
    type=GivenPath(dir_okay=False),
    help="Write how it went to FILE for Prometheus, also after a failure.",
)
