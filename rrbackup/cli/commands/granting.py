"""The commands that print rights and rules for the store."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples


@program.command(
    "policy",
    epilog=examples(
        "rrbackup policy write-only",
        "rrbackup policy read-only --apply reader      give it to the IAM user reader",
    ),
)
@click.argument("mode", type=click.Choice(["read-only", "write-only", "read-write", "setup"]))
@click.option(
    "--apply",
    "user",
    metavar="USER",
    help="Make it an inline policy of this IAM user, named rrbackup-MODE; one of that name is replaced.",
)
@click.pass_context
def policy(context: click.Context, mode: str, user: str | None) -> ExitCode:
    """Print the IAM policy with the least rights for MODE.

    It is for the bucket, prefix and names of this configuration. read-only lists, downloads and verifies, write-only
    backs up, read-write does both, heals and deletes garbage, setup runs init, change_password, repair and lifecycle.
    """
    from rrbackup.cli import rights

    return rights.policy(session_of(context), mode, user)


@program.command(
    "lifecycle", epilog=examples("rrbackup lifecycle", "rrbackup lifecycle --apply     put them on the bucket")
)
@click.option("--apply", is_flag=True, help="Put the rules on the bucket. Rules that it has from others stay.")
@click.pass_context
def lifecycle(context: click.Context, apply: bool) -> ExitCode:
    """Print the bucket's life-cycle rules.

    They let old versions of gc_log and garbage_objects expire, of nothing else, and give up unfinished uploads.
    """
    from rrbackup.cli import rights

    return rights.life_cycle(session_of(context), apply=apply)
