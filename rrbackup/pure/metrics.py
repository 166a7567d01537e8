"""What a run tells Prometheus, in its text format (version 0.0.4), for a collector that reads files.

The rules: success is an exit code of 0, so a backup that lacks files is none; the time of the last success is carried
over from the file that is replaced; counts stand there only if there was a result to count. Each line names the
configuration, so that the files of several backups of one machine can lie in one folder.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from rrbackup.pure.report import BackupResult

_NS = 10**9
_LAST_SUCCESS = "rrbackup_backup_last_success_timestamp_seconds"
_LAST_SUCCESS_LINE = re.compile(rf"^{_LAST_SUCCESS}(?:\{{.*\}})? (\d+(?:\.\d+)?)$", re.MULTILINE)
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@frozen
class Run:
    """One backup that has ended. `configuration` is the path of its file; times are nanoseconds."""

    configuration: str
    exit_code: int
    ended_ns: int
    duration_ns: int
    result: BackupResult | None = None

    @property
    def success(self) -> bool:
        return self.exit_code == 0


@frozen
class _Metric:
    name: str
    help: str
    value: float
    label: str = ""


def last_success_in(text: str) -> float | None:
    """The time of the last success that a file says, in seconds since the epoch."""
    found = _LAST_SUCCESS_LINE.search(text)
    return float(found[1]) if found else None


def metrics_text(run: Run, last_success: float | None) -> str:
    """`last_success` is what `last_success_in` gave for the file before."""
    seconds = run.ended_ns / _NS if run.success else last_success
    told: set[str] = set()
    lines: list[str] = []
    for metric in _metrics(run, seconds):
        if metric.name not in told:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
            told.add(metric.name)
        labels = f'configuration="{_shown(run.configuration)}"{metric.label}'
        lines.append(f"{metric.name}{{{labels}}} {_number(metric.value)}")
    return "\n".join(lines) + "\n"


def _metrics(run: Run, last_success: float | None) -> Iterator[_Metric]:
    yield _Metric("rrbackup_backup_success", "1 if the last backup ended with exit code 0, else 0.", run.success)
    yield _Metric("rrbackup_backup_exit_code", "Exit code of the last backup.", run.exit_code)
    yield _Metric("rrbackup_backup_timestamp_seconds", "When the last backup ended.", run.ended_ns / _NS)
    if last_success is not None:
        yield _Metric(_LAST_SUCCESS, "When the last backup with success ended.", last_success)
    yield _Metric("rrbackup_backup_duration_seconds", "How long the last backup took.", run.duration_ns / _NS)
    if run.result is not None:
        yield from _counts(run.result)


def _counts(result: BackupResult) -> Iterator[_Metric]:
    counts = result.counts
    files = {"new": counts.new, "changed": counts.changed, "deleted": counts.deleted, "unchanged": result.unchanged}
    for what, count in files.items():
        yield _Metric("rrbackup_backup_files", "Entries, by what became of them.", count, f',status="{what}"')
    yield _Metric("rrbackup_backup_bytes", "Size of the new and changed files.", counts.bytes)
    yield _Metric("rrbackup_backup_uploaded_files", "Files that were sent.", result.uploaded_files)
    yield _Metric("rrbackup_backup_uploaded_bytes", "Content of the files that were sent.", result.uploaded_bytes)
    yield _Metric("rrbackup_backup_problems", "Paths that were passed over or not dealt with.", len(result.problems))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6f}"


def _shown(text: str) -> str:
    """A label's value; half surrogates stand for bytes that are not UTF-8."""
    return text.translate(_ESCAPES).encode("utf-8", "replace").decode("utf-8")
