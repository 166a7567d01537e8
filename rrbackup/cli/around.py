"""What stands around a backup: the command before it, the command after it, and the metrics.

The rules: a run that finds another one at work starts neither command, for they may set something up and take it down
that the other one uses. So a lock of its own is held from before the first to after the second; the backup's own lock
is not, so that a command may call rrbackup for something else. Once `before_backup` has begun, `after_backup` runs
however the backup ends, and then the metrics are written, which is also done for a run that never came so far. The
first thing that fails is the run's error; what fails after it is told as a problem.
"""

import time
from collections.abc import Callable
from pathlib import Path

from attrs import define

from rrbackup.cli.exit_codes import ExitCode, exit_code_of
from rrbackup.cli.failures import failure_of
from rrbackup.cli.hooks import outcome_variables, run_hook
from rrbackup.cli.measuring import configuration_file, write_metrics
from rrbackup.cli.session import Session
from rrbackup.config import Config
from rrbackup.effects.local_files import LocalLock
from rrbackup.pure.report import BackupResult

Backup = Callable[[Config], BackupResult]

_SUFFIX = ".commands"
"""The name of the lock is that of the local manifest with this behind it, so what ignores the one ignores the other."""


@define
class _Ending:
    """How the run stands."""

    result: BackupResult | None = None
    error: BaseException | None = None

    @property
    def code(self) -> ExitCode:
        if self.error is not None:
            return exit_code_of(self.error)
        complete = self.result is None or self.result.complete
        return ExitCode.DONE if complete else ExitCode.INCOMPLETE


def run_around(session: Session, metrics: str | None, backup: Backup) -> BackupResult:
    """The result of `backup`, between the commands of the configuration. Raises what went wrong first."""
    started_ns = time.monotonic_ns()
    ending = _Ending()
    _guarded(session, ending, lambda: _run(session, ending, backup))
    if metrics is not None:
        taken_ns = time.monotonic_ns() - started_ns
        _guarded(session, ending, lambda: write_metrics(session, metrics, taken_ns, ending.code, ending.result))
    if ending.error is not None:
        raise ending.error
    assert ending.result is not None
    return ending.result


def _run(session: Session, ending: _Ending, backup: Backup) -> None:
    config = session.configuration()
    if config.before_backup is None and config.after_backup is None:
        ending.result = backup(config)
        return
    with LocalLock(Path(f"{config.manifest_path()}{_SUFFIX}")):
        with LocalLock(config.lock_path()):
            pass
        _guarded(session, ending, lambda: _after_the_first(session, config, ending, backup))
        if config.after_backup is not None:
            message = failure_of(ending.error, "backup").message if ending.error is not None else ""
            known = outcome_variables(ending.code, ending.result, message)
            run_hook("after_backup", config.after_backup, configuration_file(session), known, _done(ending.result))


def _done(result: BackupResult | None) -> str:
    if result is None:
        return ""
    return "; the backup itself is done" + (f": {result.version_id}" if result.version_id else ", nothing had changed")


def _after_the_first(session: Session, config: Config, ending: _Ending, backup: Backup) -> None:
    if config.before_backup is not None:
        run_hook("before_backup", config.before_backup, configuration_file(session), {})
    ending.result = backup(config)


def _guarded(session: Session, ending: _Ending, step: Callable[[], None]) -> None:
    try:
        step()
    except BaseException as error:  # noqa: BLE001 (it is kept and raised at the end)
        if ending.error is None:
            ending.error = error
        else:
            session.output.problem(failure_of(error, "backup").message)
