"""The commands that list commits, and what is in them."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples
from rrbackup.cli.times import AT, VersionCommand


@program.command(
    "list_versions",
    epilog=examples("rrbackup list_versions", "rrbackup list_versions --json | jq -r '.versions[-1].version_id'"),
)
@click.pass_context
def list_versions(context: click.Context) -> ExitCode:
    """List all versions, newest last.

    Time, version id, number, files new (+), changed (~) and deleted (-), size of the new and changed files, host.
    Where what lies on top is forged or damaged, it is named, those below are listed, and the exit code is 1.
    """
    from rrbackup.cli import actions

    return actions.list_versions(session_of(context))


@program.command(
    "list_files",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup list_files latest",
        "rrbackup list_files --at '2026-11-20 14:00'",
        "rrbackup list_files latest~1 -v       also owner and where the content of each is",
        "rrbackup list_files latest --json | jq -r '.files[].path'",
    ),
)
@click.argument("version")
@AT
@click.pass_context
def list_files(context: click.Context, version: str) -> ExitCode:
    """List the files of VERSION.

    Mode, size in bytes, time of modification, path.
    """
    from rrbackup.cli import actions

    return actions.list_files(session_of(context), version)


@program.command(
    "list_changes",
    cls=VersionCommand,
    epilog=examples("rrbackup list_changes latest", "rrbackup list_changes latest~3"),
)
@click.argument("version")
@AT
@click.pass_context
def list_changes(context: click.Context, version: str) -> ExitCode:
    """List what VERSION changed.

    Whether it is new, changed or deleted, then as list_files does.
    """
    from rrbackup.cli import actions

    return actions.list_changes(session_of(context), version)
