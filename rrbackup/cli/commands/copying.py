"""The command that copies the history into another repository."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import LIMIT_DOWNLOAD, LIMIT_UPLOAD, THREADS, GivenPath, WholeNumber
from rrbackup.cli.program import TAKE_OVER, program, session_of
from rrbackup.cli.teaching import examples


@program.command(
    "copy",
    epilog=examples(
        "rrbackup copy --to disk.json --dry-run     what would be copied",
        "rrbackup copy --to disk.json               all of it; later, what is new",
        "rrbackup copy --to disk.json --last 30     begin with the last 30 commits",
    ),
)
@click.option(
    "--to",
    "to",
    metavar="CONFIG",
    type=GivenPath(),
    required=True,
    help="The configuration of the repository to copy into.",
)
@click.option(
    "--last",
    type=WholeNumber(min=1),
    metavar="N",
    help="Begin with the last N commits, where nothing was copied before.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be copied. Nothing is written.")
@TAKE_OVER
@THREADS
@LIMIT_UPLOAD
@LIMIT_DOWNLOAD
@click.pass_context
def copy(context: click.Context, to: str, last: int | None, dry_run: bool, take_over: bool) -> ExitCode:
    """Copy the history into another repository.

    CONFIG says where that is, a disk for instance, and how and under which password contents are stored there; its
    local_manifest_file must be another one. Every commit keeps its time, host and place in the order; every content is
    read, checked, and stored once. The other repository must be empty, or an earlier copy on top of which nobody has
    backed up: then what it lacks is added. Whatever interrupts a copy, what was copied is whole, and the next run goes
    on.
    """
    from rrbackup.cli import copying

    return copying.copy(session_of(context), to, last=last, dry_run=dry_run, take_over=take_over)
