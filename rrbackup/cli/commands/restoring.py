"""The commands that bring files back."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples
from rrbackup.cli.times import AT, VersionCommand


@program.command(
    "download",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup download latest /tmp/restored",
        "rrbackup download latest~1 /tmp/restored unwanted.txt",
        "rrbackup download --at '2026-11-20 14:00' /tmp/restored",
    ),
)
@click.argument("version")
@click.argument("target", type=click.Path(file_okay=False))
@click.argument("ignore_filters", required=False, type=click.Path(exists=True, dir_okay=False))
@AT
@click.pass_context
def download(context: click.Context, version: str, target: str, ignore_filters: str | None) -> ExitCode:
    """Download VERSION into the folder TARGET.

    The folder is created if need be. Existing files are overwritten, other files left alone. Every file is
    checked before it takes its place; one that is damaged is named, and the rest goes on (exit code 3).

    The file IGNORE_FILTERS names what to leave out, one Unix wildcard a line, matched against the whole path with
    its leading slash: /foo* leaves out everything that begins with foo in the root, *.iso every such file. A * also
    matches slashes.
    """
    from rrbackup.cli import actions

    return actions.download(session_of(context), version, target, ignore_filters)
