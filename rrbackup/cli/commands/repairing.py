"""change_password and repair."""

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import GivenPath
from rrbackup.cli.program import program, session_of
from rrbackup.cli.teaching import examples


@program.command(
    "change_password",
    epilog=examples(
        "rrbackup change_password                                        asks for the new password",
        "rrbackup change_password --new-password-file /root/new-password",
    ),
)
@click.option(
    "--new-password-file",
    type=GivenPath(exists=True, dir_okay=False),
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

    return actions.change_password(session_of(context), new_password_file)


@program.command(
    "repair", epilog=examples("rrbackup repair", "rrbackup repair --head 7kQ2", "rrbackup repair --salt 3fL1")
)
@click.option("--head", metavar="ID", help="Go on from the commit with this id, whatever lies on top. Deletes nothing.")
@click.option("--salt", metavar="ID", help="Put this version of the salt object on top again.")
@click.pass_context
def repair(context: click.Context, head: str | None, salt: str | None) -> ExitCode:
    """Go back to a sound commit, or a sound salt object.

    Whoever may write to the store can put a forged commit on top, or a forged salt object, so that the password seems
    wrong. Without an option, the versions of the salt object are listed, newest first, with those that the password
    opens, and then what is not sound among the commits (exit code 1).
    """
    from rrbackup.cli import actions

    return actions.repair(session_of(context), head, salt)
