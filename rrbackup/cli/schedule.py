"""The texts that let a machine run the backup by itself: a systemd service with its timer, or a line for cron.

The rules: nothing is installed, only printed. Paths are absolute, and the working folder is the one of now, because
relative paths in the configuration count from there. Each text is quoted as its reader wants it; what no quoting can
carry is refused.
"""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.options import DEFAULT_CONFIG
from rrbackup.cli.session import Session
from rrbackup.cli.texts import shown
from rrbackup.config import load_config
from rrbackup.errors import UsageError
from rrbackup.pure.model import Mode

_FOLDER = "/etc/systemd/system"


@frozen
class Job:
    """`words` is the command; `hour` and `minute` are local time, each day."""

    name: str
    base_path: str
    folder: str
    words: tuple[str, ...]
    hour: int
    minute: int


def schedule(session: Session, kind: str, hour: int, minute: int, metrics: str | None) -> ExitCode:
    config = load_config(session.options.config)
    if config.mode is Mode.READ_ONLY:
        raise UsageError("this configuration is read-only: it cannot back up", hint="name another one with --c")
    file = os.path.abspath(session.options.config)
    words = [*_program(), "-q", "-c", file, "backup"]
    if metrics is not None:
        words += ["--metrics", os.path.abspath(metrics)]
    job = Job(_name(file), os.path.abspath(config.base_path), os.getcwd(), tuple(words), hour, minute)
    _refuse_what_no_line_can_hold(job)
    return _cron(session, job) if kind == "cron" else _systemd(session, job)


def _program() -> Sequence[str]:
    called = os.path.abspath(sys.argv[0])
    return [called] if os.path.basename(called) == "rrbackup" else [os.path.abspath(sys.executable), "-m", "rrbackup"]


def _name(file: str) -> str:
    """A name for units: `/etc/nas.json` gives `rrbackup-nas`."""
    stem = Path(file).stem if Path(file).name != DEFAULT_CONFIG else ""
    return "-".join(["rrbackup", *filter(None, [re.sub(r"[^A-Za-z0-9_]+", "-", stem).strip("-")])])


def _refuse_what_no_line_can_hold(job: Job) -> None:
    for text in (job.folder, job.base_path, *job.words):
        if shown(text) != text or not _is_utf8(text):
            raise UsageError(
                f"the path {shown(text)} holds a control character or bytes that are not UTF-8",
                hint="No service file and no crontab can hold it; rename it, or lead there with a link.",
            )


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# --- systemd -----------------------------------------------------------------------------------------------------


def _systemd(session: Session, job: Job) -> ExitCode:
    units = {f"{job.name}.service": _service(job), f"{job.name}.timer": _timer(job)}
    lines = [line for name, unit in units.items() for line in (f"# {_FOLDER}/{name}", *unit, "")]
    session.note(
        f"put each part into the file that its first line names, then: systemctl enable --now {job.name}.timer"
    )
    return session.listing({name: "\n".join(unit) + "\n" for name, unit in units.items()}, lines[:-1])


def _service(job: Job) -> list[str]:
    return [
        "[Unit]",
        f"Description=Backup of {_percent(job.base_path)}",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={_percent(job.folder)}",
        f"ExecStart={' '.join(map(_quoted, job.words))}",
        "Nice=10",
        "IOSchedulingClass=idle",
    ]


def _timer(job: Job) -> list[str]:
    return [
        "[Unit]",
        f"Description=Daily backup of {_percent(job.base_path)}",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {job.hour:02}:{job.minute:02}:00",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _percent(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{escaped}"'


# --- cron --------------------------------------------------------------------------------------------------------


def _cron(session: Session, job: Job) -> ExitCode:
    command = f"cd {shlex.quote(job.folder)} && exec {shlex.join(job.words)}"
    if "\\" in command:
        raise UsageError("a path holds a backslash, which not every cron reads alike", hint="use systemd, or rename it")
    # To cron a percent sign ends the command; it takes the backslash before one away, also inside quotes.
    line = f"{job.minute} {job.hour} * * * {_cron_percent(command)}"
    session.note("add this line with: crontab -e")
    return session.listing({"crontab": line}, [line])


def _cron_percent(command: str) -> str:
    return command.replace("%", "\\%")
