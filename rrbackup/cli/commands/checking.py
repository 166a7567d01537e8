"""The commands that look whether all is well, and store again what is not."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import LIMIT_DOWNLOAD, METRICS, THREADS
from rrbackup.cli.program import TAKE_OVER, UPGRADE, program, session_of
from rrbackup.cli.teaching import examples
from rrbackup.cli.times import AT, VersionCommand

_READ_DATA = click.option(
    "--read-data",
    is_flag=False,
    flag_value="100%",
    metavar="[AMOUNT]",
    help="Read contents too, decrypt them and compare their digests: all, or a share such as 5%, or a size such as "
    "2GB. The next run reads others, until all were read.",
)


@program.command(
    "verify",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup verify                       from listings alone: no file is read",
        "rrbackup verify --read-data           read everything, which costs a whole download",
        "rrbackup verify --read-data 5%        every day: all is read within three weeks",
        "rrbackup verify latest                only what the latest commit needs",
        "rrbackup verify --at 2026-11-20       only what that commit needs",
        "rrbackup verify --metrics /var/lib/node_exporter/rrbackup-verify.prom",
        "rrbackup verify --json | jq '.damaged[].touches[].path'",
    ),
)
@click.argument("version", required=False)
@AT
@_READ_DATA
@THREADS
@LIMIT_DOWNLOAD
@METRICS
@click.pass_context
def verify(context: click.Context, version: str | None, read_data: str | None, metrics: str | None) -> ExitCode:
    """Check that everything is there that was committed.

    The commits are checked link by link, with their checkpoints and the salt object; and every stored version of a file
    that a commit refers to must be listed with the size and the etag that were recorded. With VERSION, the files of
    this commit alone. What is damaged is listed with the commits and paths that it touches (exit code 1).
    """
    from rrbackup.cli import checking

    return checking.verify(session_of(context), version, read_data, metrics)


@program.command(
    "heal",
    epilog=examples(
        "rrbackup heal                         what is missing or has the wrong size",
        "rrbackup heal --read-data             also what has the wrong content",
    ),
)
@_READ_DATA
@THREADS
@LIMIT_DOWNLOAD
@TAKE_OVER
@UPGRADE
@click.pass_context
def heal(context: click.Context, read_data: str | None, take_over: bool, upgrade: bool) -> ExitCode:
    """Store damaged files of the latest commit again.

    That is done, as a new commit, with those whose content is still on disk as it was committed; the others are named
    (exit code 3). Damage is what verify finds. Earlier commits stay as they are, and nothing is deleted.
    """
    from rrbackup.cli import checking

    return checking.heal(session_of(context), read_data=read_data, take_over=take_over, upgrade=upgrade)


@program.command(
    "doctor",
    epilog=examples("rrbackup doctor", "rrbackup -q doctor          only what is not fine", "rrbackup --json doctor"),
)
@click.pass_context
def doctor(context: click.Context) -> ExitCode:
    """Look for what may go wrong, before it does.

    Configuration, space, credentials, clock, versioning, life-cycle rules, rights, password, commits, open
    transactions, unfinished uploads: each with a verdict, and what to do. Nothing in the store is changed. The exit
    code is 1 if something is wrong.
    """
    from rrbackup.cli import checking

    return checking.doctor(session_of(context))
