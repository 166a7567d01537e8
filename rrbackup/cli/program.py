"""The program itself: `rrbackup` without a command, and what its commands share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from rrbackup.cli.options import (
    GLOBAL_OPTIONS,
    GlobalOptions,
    WithGlobalOptions,
    before_value,
    place_of_command,
)
from rrbackup.cli.output import Output
from rrbackup.cli.teaching import PROGRAM, exit_codes

if TYPE_CHECKING:
    from rrbackup.cli.session import Session

PROGRAM_NAME = "rrbackup"
DEFAULT_COMMAND = "backup"
COMPLETE_VARIABLE = "_RRBACKUP_COMPLETE"
"""Set by a shell that asks how a command line could go on."""

_ASKS_FOR_TEXT = frozenset({"-h", "--help", "--version"})


class Command(WithGlobalOptions):
    """One command."""


class Program(WithGlobalOptions, click.Group):
    """`rrbackup`: without a command it backs up, and dashes do for underscores."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = self._place_of_command(args)
        if place is not None:
            args = _command_first(args, place)
        elif _ASKS_FOR_TEXT.isdisjoint(args) and not ctx.resilient_parsing:
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def command_in(self, args: Sequence[str]) -> str | None:
        """The name of the command, as it is written there; None where there is none."""
        place = self._place_of_command(args)
        return None if place is None else args[place]

    def _place_of_command(self, args: Sequence[str]) -> int | None:
        options = (option for command in self.commands.values() for option in (*command.params, *GLOBAL_OPTIONS))
        return place_of_command(args, before_value(options))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name.replace("-", "_"))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer needs them, which is the order below."""
        return list(self.commands)


def _command_first(args: list[str], place: int) -> list[str]:
    """A command understands what may stand before it, and its own options besides; behind `--` there are no options."""
    before = args[:place]
    if "--" in before or not _ASKS_FOR_TEXT.isdisjoint(before):
        return args
    return [args[place], *before, *args[place + 1 :]]


def session_of(context: click.Context) -> "Session":
    from rrbackup.cli.session import Session

    return Session(GlobalOptions.of(context), context.ensure_object(Output))


TAKE_OVER = click.option(
    "--take-over",
    is_flag=True,
    help="End another client's open transaction first. Safe for the repository: should that client be alive after "
    "all, its backup fails.",
)
UPGRADE = click.option(
    "--upgrade",
    is_flag=True,
    help="Continue a repository of rrbackup 1.0. Needed once; stop every client of 1.0 first, as none of them can be "
    "kept from writing.",
)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=PROGRAM,
    epilog=exit_codes(),
)
def program() -> None:
    pass
