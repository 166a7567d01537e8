"""The commands that delete what no commit refers to."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.program import TAKE_OVER, UPGRADE, program, session_of
from rrbackup.cli.teaching import examples


@program.command(
    "garbage_collect",
    epilog=examples("rrbackup garbage_collect", "rrbackup garbage_collect -v     name what is deleted"),
)
@TAKE_OVER
@UPGRADE
@click.pass_context
def garbage_collect(context: click.Context, take_over: bool, upgrade: bool) -> ExitCode:
    """Delete every stored version that no commit refers to.

    Seldom needed, because a backup cleans up after an interrupted one by itself.
    """
    from rrbackup.cli import actions

    return actions.garbage_collect(session_of(context), take_over=take_over, upgrade=upgrade)


@program.command("clean_gc_log", epilog=examples("rrbackup clean_gc_log"))
@TAKE_OVER
@UPGRADE
@click.pass_context
def clean_gc_log(context: click.Context, take_over: bool, upgrade: bool) -> ExitCode:
    """Delete what clients that may only write have left.

    They list it in the object garbage_objects; what a commit refers to is never deleted.
    """
    from rrbackup.cli import actions

    return actions.clean_gc_log(session_of(context), take_over=take_over, upgrade=upgrade)
