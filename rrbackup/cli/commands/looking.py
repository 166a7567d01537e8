"""The commands that look for something in the history."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples
from rrbackup.cli.times import AT, VersionCommand


@program.command(
    "find",
    epilog=examples(
        "rrbackup find '*/todo.txt'              in any folder",
        "rrbackup find /photos                   everything that was ever in that folder",
        "rrbackup find '*.iso' --json | jq '[.found[].size] | add'",
    ),
)
@click.argument("pattern")
@click.pass_context
def find(context: click.Context, pattern: str) -> ExitCode:
    """Find files in all versions.

    PATTERN is a filter as in ignore_files: a Unix wildcard over the whole path with its leading slash. Each state of
    each file is a line: size in bytes, time of modification, the commit that brought it, the last one that has it
    (latest if it is still there), the version id of that one, path.
    """
    from rrbackup.cli import looking

    return looking.find(session_of(context), pattern)


@program.command(
    "history", epilog=examples("rrbackup history /notes/todo.txt", "rrbackup history /notes/todo.txt --json")
)
@click.argument("path")
@click.pass_context
def history(context: click.Context, path: str) -> ExitCode:
    """Show what became of PATH, oldest first.

    The commit, size, time of modification, which of its contents it is (the same number is the same content), and what
    happened: new, changed, attributes (time or mode), stored again, deleted, back.
    """
    from rrbackup.cli import looking

    return looking.history(session_of(context), path)


@program.command(
    "diff",
    cls=VersionCommand,
    epilog=examples(
        "rrbackup diff latest~1                       what the last commit changed",
        "rrbackup diff --at 2026-11-01                since then",
        "rrbackup diff --at 2026-11-01 --at 2026-11-20",
    ),
)
@click.argument("before", metavar="VERSION")
@click.argument("after", metavar="[VERSION]", default="latest")
@AT
@click.pass_context
def diff(context: click.Context, before: str, after: str) -> ExitCode:
    """Show what differs between two versions.

    Either may be the older one. What the second one (the latest if not given) has new, changed, deleted or renamed,
    then as list_files does. A file is renamed if its content is new at one path and gone from another, which stands
    behind an arrow.
    """
    from rrbackup.cli import looking

    return looking.diff(session_of(context), before, after)


@program.command("stats", epilog=examples("rrbackup stats", "rrbackup stats --json | jq .stored"))
@click.pass_context
def stats(context: click.Context) -> ExitCode:
    """Show how the repository grew.

    For each commit: files new (+), changed (~) and deleted (-), bytes of them that were new and that were stored
    already, bytes added to the store, bytes stored so far. Then the whole, by pipeline. What commits refer to is
    counted: neither a listing of the store nor any file is needed.
    """
    from rrbackup.cli import looking

    return looking.stats(session_of(context))


@program.command("explain", epilog=examples("rrbackup explain /cache/page.html", "rrbackup explain /gone --json"))
@click.argument("path")
@click.pass_context
def explain(context: click.Context, path: str) -> ExitCode:
    """Explain why PATH is backed up or not, and how.

    Which filter of ignore_files, skip_delete and file_pipeline decides, counted from 1, and what the last commit holds.
    PATH is counted from base_path, with its leading slash, and need not exist.
    """
    from rrbackup.cli import looking

    return looking.explain(session_of(context), path)
