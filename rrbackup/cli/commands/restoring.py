"""The commands that bring files back."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import LIMIT_DOWNLOAD, THREADS, GivenPath
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples
from rrbackup.cli.times import AT, VersionCommand

_OVERWRITE = ("always", "if-changed", "never")


@program.command(
    "download",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup download latest /tmp/restored",
        "rrbackup download latest~1 /tmp/restored unwanted.txt",
        "rrbackup download --at '2026-11-20 14:00' /tmp/restored",
        "rrbackup download latest /tmp/one --path /letters/2026.odt --path /photos",
        "rrbackup download latest /tmp/restored --overwrite if-changed",
        "rrbackup download latest /srv/data --delete --dry-run",
    ),
)
@click.argument("version")
@click.argument("target", type=GivenPath(file_okay=False))
@click.argument("ignore_filters", required=False, type=GivenPath(exists=True, dir_okay=False))
@AT
@click.option("--path", "paths", multiple=True, metavar="PATH", help="Only this file or folder. May be repeated.")
@click.option("--include", multiple=True, metavar="FILTER", help="Only what matches, e.g. '*.jpg'. May be repeated.")
@click.option("--exclude", multiple=True, metavar="FILTER", help="Leave out what matches. May be repeated.")
@click.option(
    "--overwrite",
    type=click.Choice(_OVERWRITE),
    default="always",
    show_default=True,
    help="What becomes of files that exist: replace them, replace those that differ, leave them.",
)
@click.option("--delete", is_flag=True, help="Remove from TARGET what the version does not have.")
@click.option("--owner/--no-owner", default=None, help="Give back owners; if not said, only root does.")
@THREADS
@LIMIT_DOWNLOAD
@click.option("--dry-run", is_flag=True, help="Only show what would be done, and what it costs.")
@click.pass_context
def download(
    context: click.Context,
    /,
    version: str,
    target: str,
    ignore_filters: str | None,
    dry_run: bool,
    **wishes: object,
) -> ExitCode:
    """Download VERSION into the folder TARGET.

    The folder is created if need be. Existing files are overwritten, other files left alone. Every file is
    checked before it takes its place; one that is damaged is named, and the rest goes on (exit code 3).

    --path takes a path as list_files shows it. Whatever is selected keeps its whole path below TARGET.

    The file IGNORE_FILTERS names what to leave out, one Unix wildcard a line, matched against the whole path with
    its leading slash: /foo* leaves out everything that begins with foo in the root, *.iso every such file. A * also
    matches slashes. --include and --exclude take such filters too; what is left out stays out, whatever includes it.

    With --overwrite if-changed, a file that has the size and time of the version is left as it is, so a download that
    was broken off goes on where it was. One of the right size but another time is read and compared.

    --delete makes TARGET equal to the version, within what is selected: it never follows a link, leaves mount points
    that the version does not know and this client's own files alone, and in base_path also what ignore_files covers.
    """
    from rrbackup.cli import restoring

    wanted = restoring.Wanted.of(version, target, ignore_filters, wishes)
    act = restoring.plan_download if dry_run else restoring.download
    return act(session_of(context), wanted)


@program.command(
    "cat",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup cat latest /letters/2026.odt > 2026.odt",
        "rrbackup cat latest~3 /etc/fstab | diff - /etc/fstab",
    ),
)
@click.argument("version")
@click.argument("path")
@AT
@click.pass_context
def cat(context: click.Context, version: str, path: str) -> ExitCode:
    """Write the file PATH of VERSION to standard output.

    PATH is written as list_files shows it. A file of up to 64 MiB is checked before its first byte is written. A bigger
    one is written while it is read, and its last piece only after all of it has been checked: if that fails, the exit
    code is 1, and what was written is neither complete nor to be trusted.
    """
    from rrbackup.cli import restoring

    return restoring.cat(session_of(context), version, path)
