"""The commands that print what a machine needs to have rrbackup at hand: schedules, completion, the manual."""

import datetime

import click

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import GivenPath
from rrbackup.cli.program import COMPLETE_VARIABLE, PROGRAM_NAME, program, session_of
from rrbackup.cli.teaching import examples


class _TimeOfDay(click.DateTime):
    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime.datetime:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no time of day; write it as HH:MM, from 00:00 to 23:59", param, ctx)


@program.command(
    "schedule",
    epilog=examples(
        "rrbackup -c /etc/rrbackup.json schedule systemd",
        "rrbackup schedule cron --time 03:15",
        "(crontab -l; rrbackup -q schedule cron) | crontab -",
    ),
)
@click.argument("kind", type=click.Choice(["systemd", "cron"]))
@click.option(
    "--time",
    "at",
    metavar="HH:MM",
    type=_TimeOfDay(["%H:%M"]),
    default="02:30",
    help="When each day, local time; 02:30 if not given.",
)
@click.option(
    "--metrics", metavar="FILE", type=GivenPath(dir_okay=False), help="Have each backup write its metrics there."
)
@click.pass_context
def schedule(context: click.Context, kind: str, at: datetime.datetime, metrics: str | None) -> ExitCode:
    """Print what runs the backup each day.

    systemd: a service and its timer, which makes up for a time at which the machine was off. cron: a line for the
    crontab. Both stay silent unless something is wrong. Nothing is installed. Relative paths in the configuration count
    from the working folder, so the one of now is written down.
    """
    from rrbackup.cli import schedule as scheduling

    return scheduling.schedule(session_of(context), kind, at.hour, at.minute, metrics)


@program.command(
    "completion",
    epilog=examples(
        'eval "$(rrbackup completion bash)"                                  in ~/.bashrc',
        'eval "$(rrbackup completion zsh)"                                   in ~/.zshrc',
        "rrbackup completion fish > ~/.config/fish/completions/rrbackup.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> ExitCode:
    """Print what lets a shell complete commands and options."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    values = kind(program, {}, PROGRAM_NAME, COMPLETE_VARIABLE)
    script = values.source_template % values.source_vars()
    return session_of(context).listing({"script": script}, script.splitlines())


@program.command(
    "man",
    epilog=examples("rrbackup man | man -l -", "rrbackup man > ~/.local/share/man/man1/rrbackup.1"),
)
@click.pass_context
def man(context: click.Context) -> ExitCode:
    """Print the manual page.

    It says what -h says of each command.
    """
    from rrbackup.cli.manual import manual

    lines = list(manual(program, context.find_root()))
    return session_of(context).listing({"page": "\n".join(lines) + "\n"}, lines)
