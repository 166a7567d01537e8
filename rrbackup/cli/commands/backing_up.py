"""init and backup."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import LIMIT_UPLOAD, METRICS, THREADS, GivenPath
from rrbackup.cli.program import TAKE_OVER, UPGRADE, program, session_of
from rrbackup.cli.teaching import examples

_ALLOW_EMPTY = click.option(
    "--allow-empty", is_flag=True, help="Commit the deletion of everything, should the base path be empty."
)


@program.command(
    "init",
    epilog=examples(
        "rrbackup init                                                 asks what it must know",
        "rrbackup init --base-path ~/documents --directory /mnt/disk/backup",
        "rrbackup init --base-path /srv --bucket my-backups --prefix this-host",
        "rrbackup --c nas.json init --base-path /srv --bucket b --endpoint https://s3.example.com",
    ),
)
@click.option("--base-path", type=GivenPath(exists=True, file_okay=False), help="The folder to back up.")
@click.option("--bucket", help="The S3 bucket to back up to. It must exist.")
@click.option("--endpoint", metavar="URL", help="Where the bucket is, if not at Amazon.")
@click.option("--region", help="The region of the bucket.")
@click.option("--prefix", help="A folder in the bucket, so that several backups can share it.")
@click.option("--directory", type=GivenPath(), help="The directory to back up to, in place of a bucket.")
@click.option(
    "--recovery-kit/--no-recovery-kit",
    default=None,
    help="Put a script that restores without rrbackup, and the description of the format, into the store as RECOVER/. "
    "Asked on a terminal.",
)
@click.pass_context
def init(
    context: click.Context,
    base_path: str | None,
    bucket: str | None,
    endpoint: str | None,
    region: str | None,
    prefix: str | None,
    directory: str | None,
    recovery_kit: bool | None,
) -> ExitCode:
    """Write a configuration, and make the store ready.

    A configuration that exists is never overwritten; then only the store is made ready: a directory is created, a
    bucket is checked and its versioning switched on. The local manifest and the lock lie beside the configuration.
    """
    from rrbackup.cli import actions
    from rrbackup.cli.initial import Wishes

    wishes = Wishes(base_path, bucket, endpoint, region, prefix, directory)
    return actions.init(session_of(context), wishes, recovery_kit=recovery_kit)


@program.command(
    "backup",
    epilog=examples(
        "rrbackup                       the same as: rrbackup backup",
        "rrbackup backup --dry-run      what would be done, and why",
        "rrbackup -q                    for cron: says nothing unless something is wrong",
        "rrbackup --json | jq .bytes",
        "rrbackup backup --metrics /var/lib/node_exporter/rrbackup.prom",
    ),
)
@click.option("--dry-run", is_flag=True, help="Show what would be done to each file, and why; write nothing.")
@click.option(
    "--reprocess",
    is_flag=True,
    help="Also store files again that have not changed, where file_pipeline now asks for more than they are stored "
    "with.",
)
@THREADS
@LIMIT_UPLOAD
@METRICS
@_ALLOW_EMPTY
@TAKE_OVER
@UPGRADE
@click.pass_context
def backup(
    context: click.Context,
    dry_run: bool,
    reprocess: bool,
    metrics: str | None,
    allow_empty: bool,
    take_over: bool,
    upgrade: bool,
) -> ExitCode:
    """Back up what has changed, as one commit.

    If nothing has changed, nothing is written. What an interrupted backup left behind is cleaned up first. A file
    that cannot be read keeps its last committed state, and the exit code is 3. The commands before_backup and
    after_backup of the configuration are run around it, but not with --dry-run.
    """
    from rrbackup.cli import actions

    session, wanted = session_of(context), {"allow_empty": allow_empty, "reprocess": reprocess}
    if dry_run and metrics is not None:
        raise click.UsageError("--metrics is about backups, and --dry-run makes none")
    if dry_run:
        return actions.plan_backup(session, **wanted)
    return actions.backup(session, **wanted, take_over=take_over, upgrade=upgrade, metrics=metrics)
