"""The options that every command has.

The rule: they may stand before the command or after it. Each occurrence writes into the context's `meta`, which
click shares between the program and its command, so the last one that was given counts.
"""

from collections.abc import Callable
from typing import TypeVar

import click
from attrs import frozen

DEFAULT_CONFIG = "configuration.json"

_PREFIX = "rrbackup."

Decorated = TypeVar("Decorated", bound=Callable[..., object])


@frozen
class GlobalOptions:
    config: str = DEFAULT_CONFIG
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, context: click.Context) -> "GlobalOptions":
        given = {
            name.removeprefix(_PREFIX): value for name, value in context.meta.items() if name.startswith(_PREFIX)
        }
        return cls(**given)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        context.meta[f"{_PREFIX}{parameter.name}"] = value


_OPTIONS = (
    click.option(
        "--c", "-c", "--config", "config", metavar="FILE", help=f"The configuration. Default: {DEFAULT_CONFIG}."
    ),
    click.option("--json", is_flag=True, help="Print one JSON document to standard output, errors included."),
    click.option("-q", "--quiet", is_flag=True, help="No progress, notices, warnings and summaries."),
    click.option("-v", "--verbose", is_flag=True, help="More details; with a bug, its traceback."),
)
