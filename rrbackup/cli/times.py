"""`--at TIME`, which stands in the place of a VERSION.

The rule: what is given with it comes before the other arguments, in the order in which it is given, with an `@` in
front, which is how a time is written where a version is taken.
"""

from collections.abc import Sequence

import click

from rrbackup.cli.program import Command

_OPTION = "--at"

AT = click.option(
    _OPTION,
    "times",
    metavar="TIME",
    multiple=True,
    expose_value=False,
    help="In place of VERSION: the last commit not later than TIME, such as 2026-11-20, '2026-11-20 14:00' or "
    "2026-11-20T14:00:07Z. Local time, unless Z or an offset such as +01:00 stands behind it.",
)


class VersionCommand(Command):
    """A command that takes a VERSION first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_times_first(args))


def with_times_first(args: Sequence[str]) -> list[str]:
    """A last `--at` without a value stays, for click to complain about."""
    times: list[str] = []
    rest: list[str] = []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word.startswith(f"{_OPTION}="):
            times.append(word.removeprefix(f"{_OPTION}="))
        elif word == _OPTION and (time := next(words, None)) is not None:
            times.append(time)
        else:
            rest.append(word)
    return [*(f"@{time}" for time in times), *rest]
