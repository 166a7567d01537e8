"""The file that tells Prometheus how a command went.

The rule: it is written however the command ends, and a check whose metrics cannot be written has failed but still says
what it found.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rrbackup.cli.exit_codes import ExitCode, exit_code_of
from rrbackup.cli.failures import failure_of
from rrbackup.cli.session import Session
from rrbackup.effects.local_files import write_atomically
from rrbackup.errors import RRBackupError
from rrbackup.pure.metrics import Checked, Measured, Run, another_in, last_success_in, metrics_text
from rrbackup.pure.report import BackupResult

_READABLE = 0o644  # whoever collects metrics is somebody else

T = TypeVar("T")


def configuration_file(session: Session) -> str:
    return os.path.abspath(session.options.config)


def write_metrics(
    session: Session,
    file: str,
    duration_ns: int,
    code: ExitCode,
    result: BackupResult | Checked | None,
    measured: Measured = Measured.BACKUP,
) -> None:
    """Raises RRBackupError where the file cannot be read or replaced, or belongs to another command."""
    path = Path(os.path.abspath(file))
    run = Run(configuration_file(session), code, time.time_ns(), duration_ns, result, measured)
    before = _before(path)
    if (other := another_in(before, measured)) is not None:
        raise RRBackupError(f"{path} holds the metrics of {other}", hint="give each command a file of its own")
    text = metrics_text(run, last_success_in(before, measured))
    write_atomically(path, [text.encode()], mode=_READABLE)


def check_measured(
    session: Session, file: str | None, check: Callable[[], T], ending: Callable[[T], tuple[ExitCode, Checked]]
) -> tuple[T, ExitCode]:
    """What `check` gives, and the exit code that `ending` makes of it; written to `file` if there is one."""
    started_ns = time.monotonic_ns()
    try:
        found = check()
    except BaseException as error:
        _try_to_write(session, file, started_ns, exit_code_of(error), None)
        raise
    code, counts = ending(found)
    written = _try_to_write(session, file, started_ns, code, counts)
    return found, code if written or code is not ExitCode.DONE else ExitCode.FAILED


def _try_to_write(session: Session, file: str | None, started_ns: int, code: ExitCode, counts: Checked | None) -> bool:
    """Whether there is nothing left to write."""
    if file is None:
        return True
    try:
        write_metrics(session, file, time.monotonic_ns() - started_ns, code, counts, Measured.VERIFY)
    except RRBackupError as error:
        session.output.problem(failure_of(error, "verify").message)
        return False
    return True


def _before(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RRBackupError(f"cannot read {path}: {error.strerror}") from error
