"""The commands, their options and what `-h` says about them. What they do is in `actions`.

The rule: `-h` and a mistyped command must answer at once, so `actions`, and with it the library, is imported only
when a command runs.
"""

from typing import TYPE_CHECKING

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import GlobalOptions, WithGlobalOptions, command_in
from rrbackup.cli.output import Output
from rrbackup.cli.teaching import PROGRAM, examples, exit_codes

if TYPE_CHECKING:
    from rrbackup.cli.session import Session

DEFAULT_COMMAND = "backup"

_ASKS_FOR_TEXT = frozenset({"-h", "--help", "--version"})


class Command(WithGlobalOptions):
    """One command."""


class Program(WithGlobalOptions, click.Group):
    """`rrbackup`: without a command it backs up, and dashes do for underscores."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if command_in(args) is None and _ASKS_FOR_TEXT.isdisjoint(args):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name.replace("-", "_"))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer needs them, which is the order below."""
        return list(self.commands)


def _session(context: click.Context) -> "Session":
    from rrbackup.cli.session import Session

    return Session(GlobalOptions.of(context), context.ensure_object(Output))


_TAKE_OVER = click.option(
    "--take-over",
    is_flag=True,
    help="End another client's open transaction first. Safe for the repository: should that client be alive after "
    "all, its backup fails.",
)
_UPGRADE = click.option(
    "--upgrade",
    is_flag=True,
    help="Continue a repository of rrbackup 1.0. Needed once; stop every client of 1.0 first, as none of them can be "
    "kept from writing.",
)
_ALLOW_EMPTY = click.option(
    "--allow-empty", is_flag=True, help="Commit the deletion of everything, should the base path be empty."
)


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help=PROGRAM,
    epilog=exit_codes(),
)
def program() -> None:
    pass


@program.command(
    "init",
    epilog=examples(
        "rrbackup init                                                 asks what it must know",
        "rrbackup init --base-path ~/documents --directory /mnt/disk/backup",
        "rrbackup init --base-path /srv --bucket my-backups --prefix this-host",
        "rrbackup --c nas.json init --base-path /srv --bucket b --endpoint https://s3.example.com",
    ),
)
@click.option("--base-path", type=click.Path(exists=True, file_okay=False), help="The folder to back up.")
@click.option("--bucket", help="The S3 bucket to back up to. It must exist.")
@click.option("--endpoint", metavar="URL", help="Where the bucket is, if not at Amazon.")
@click.option("--region", help="The region of the bucket.")
@click.option("--prefix", help="A folder in the bucket, so that several backups can share it.")
@click.option("--directory", type=click.Path(), help="The directory to back up to, in place of a bucket.")
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
    return actions.init(_session(context), wishes, recovery_kit=recovery_kit)


@program.command(
    "backup",
    epilog=examples(
        "rrbackup                       the same as: rrbackup backup",
        "rrbackup backup --dry-run      what would be done, and why",
        "rrbackup -q                    for cron: says nothing unless something is wrong",
        "rrbackup --json | jq .bytes",
    ),
)
@click.option("--dry-run", is_flag=True, help="Show what would be done to each file, and why; write nothing.")
@click.option(
    "--reprocess",
    is_flag=True,
    help="Also store files again that have not changed, where file_pipeline now asks for more than they are stored "
    "with.",
)
@_ALLOW_EMPTY
@_TAKE_OVER
@_UPGRADE
@click.pass_context
def backup(
    context: click.Context, dry_run: bool, reprocess: bool, allow_empty: bool, take_over: bool, upgrade: bool
) -> ExitCode:
    """Back up what has changed, as one commit.

    If nothing has changed, nothing is written. What an interrupted backup left behind is cleaned up first. A file
    that cannot be read keeps its last committed state, and the exit code is 3.
    """
    from rrbackup.cli import actions

    session, wanted = _session(context), {"allow_empty": allow_empty, "reprocess": reprocess}
    if dry_run:
        return actions.plan_backup(session, **wanted)
    return actions.backup(session, **wanted, take_over=take_over, upgrade=upgrade)


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

    return actions.list_versions(_session(context))


@program.command(
    "list_files",
    epilog=examples(
        "rrbackup list_files latest",
        "rrbackup list_files latest~1 -v       also where the content of each is stored",
        "rrbackup list_files latest --json | jq -r '.files[].path'",
    ),
)
@click.argument("version")
@click.pass_context
def list_files(context: click.Context, version: str) -> ExitCode:
    """List the files of VERSION.

    Mode, size in bytes, time of modification, path.
    """
    from rrbackup.cli import actions

    return actions.list_files(_session(context), version)


@program.command("list_changes", epilog=examples("rrbackup list_changes latest", "rrbackup list_changes latest~3"))
@click.argument("version")
@click.pass_context
def list_changes(context: click.Context, version: str) -> ExitCode:
    """List what VERSION changed.

    Whether it is new, changed or deleted, then as list_files does.
    """
    from rrbackup.cli import actions

    return actions.list_changes(_session(context), version)


@program.command(
    "download",
    epilog=examples(
        "rrbackup download latest /tmp/restored",
        "rrbackup download latest~1 /tmp/restored unwanted.txt",
    ),
)
@click.argument("version")
@click.argument("target", type=click.Path(file_okay=False))
@click.argument("ignore_filters", required=False, type=click.Path(exists=True, dir_okay=False))
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

    return actions.download(_session(context), version, target, ignore_filters)


@program.command(
    "garbage_collect",
    epilog=examples("rrbackup garbage_collect", "rrbackup garbage_collect -v     name what is deleted"),
)
@_TAKE_OVER
@_UPGRADE
@click.pass_context
def garbage_collect(context: click.Context, take_over: bool, upgrade: bool) -> ExitCode:
    """Delete every stored version that no commit refers to.

    Seldom needed, because a backup cleans up after an interrupted one by itself.
    """
    from rrbackup.cli import actions

    return actions.collect_garbage(_session(context), take_over=take_over, upgrade=upgrade)


@program.command("clean_gc_log", epilog=examples("rrbackup clean_gc_log"))
@_TAKE_OVER
@_UPGRADE
@click.pass_context
def clean_gc_log(context: click.Context, take_over: bool, upgrade: bool) -> ExitCode:
    """Delete what clients that may only write have left.

    They list it in the object garbage_objects; what a commit refers to is never deleted.
    """
    from rrbackup.cli import actions

    return actions.clean_garbage_list(_session(context), take_over=take_over, upgrade=upgrade)


@program.command(
    "change_password",
    epilog=examples(
        "rrbackup change_password                                        asks for the new password",
        "rrbackup change_password --new-password-file /root/new-password",
    ),
)
@click.option(
    "--new-password-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Its only line is the new password. Without it, RRBACKUP_NEW_PASSWORD counts, or the terminal is asked.",
)
@click.pass_context
def change_password(context: click.Context, new_password_file: str | None) -> ExitCode:
    """Change the password.

    The keys stay the same and are wrapped anew by one small write, so nothing is uploaded again. Write the new password
    into the configuration afterwards. Older versions of the salt object still open with the old password; the output
    names them and says how to remove them.
    """
    from rrbackup.cli import actions

    return actions.change_password(_session(context), new_password_file)


@program.command(
    "repair", epilog=examples("rrbackup repair", "rrbackup repair --head 7kQ2", "rrbackup repair --salt 3fL1")
)
@click.option("--head", metavar="VERSION", help="Go on from this commit, whatever lies on top. Deletes nothing.")
@click.option("--salt", metavar="VERSION", help="Put this version of the salt object on top again.")
@click.pass_context
def repair(context: click.Context, head: str | None, salt: str | None) -> ExitCode:
    """Go back to a sound commit, or to a sound version of the salt object.

    Whoever may write to the store can put a forged commit on top, or a forged salt object, so that the password seems
    wrong. Without an option, the versions of the salt object are listed, newest first, with those that the password
    opens, and then what is not sound among the commits (exit code 1).
    """
    from rrbackup.cli import actions

    return actions.repair(_session(context), head, salt)


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

    It is for the bucket, prefix and names of this configuration. read-only lists and downloads, write-only backs up,
    read-write does both and deletes garbage, setup runs init, change_password, repair and lifecycle.
    """
    from rrbackup.cli import rights

    return rights.policy(_session(context), mode, user)


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

    return rights.life_cycle(_session(context), apply=apply)
