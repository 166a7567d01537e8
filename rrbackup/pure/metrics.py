"""What a run tells Prometheus, in its text format (version 0.0.4), for a collector that reads files.

The rules: success is an exit code of 0, so a backup that lacks files is none; the time of the last success is carried
over from the file that is replaced; counts stand there only if there was a result to count. Each line names the
configuration, so that the files of several backups of one machine can lie in one folder. Backups and checks have
metrics of their own names, and need files of their own: a file is replaced as a whole.
"""

import re
from collections.abc import Iterator
from enum import StrEnum

from attrs import frozen

from rrbackup.pure.report import BackupResult

_NS = 10**9
_LAST_SUCCESS = "last_success_timestamp_seconds"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Measured(StrEnum):
    """Which operation a run was, and what its metrics are called."""

    BACKUP = "backup"
    VERIFY = "verify"


@frozen
class Checked:
    """What a check has counted: versions of files that were looked for and contents that were read, what of both is
    damaged, records of the repository that are, paths that could not be read, and whether all of it is sound.
    """

    versions: int
    read: int
    read_bytes: int
    damaged: int
    records: int
    unread: int
    sound: bool


@frozen
class Run:
    """One operation that has ended. `configuration` is the path of its file; times are nanoseconds."""

    configuration: str
    exit_code: int
    ended_ns: int
    duration_ns: int
    result: BackupResult | Checked | None = None
    measured: Measured = Measured.BACKUP

    @property
    def success(self) -> bool:
        return self.exit_code == 0


@frozen
class _Metric:
    name: str
    help: str
    value: float
    label: str = ""


def last_success_in(text: str, measured: Measured = Measured.BACKUP) -> float | None:
    """The time of the last success that a file says, in seconds since the epoch."""
    line = rf"^rrbackup_{measured}_{_LAST_SUCCESS}(?:\{{.*\}})? (\d+(?:\.\d+)?)$"
    found = re.search(line, text, re.MULTILINE)
    return float(found[1]) if found else None


def another_in(text: str, measured: Measured) -> Measured | None:
    """The other operation whose metrics a file holds."""
    others = (one for one in Measured if one is not measured)
    return next((one for one in others if re.search(rf"^rrbackup_{one}_", text, re.MULTILINE)), None)


def metrics_text(run: Run, last_success: float | None) -> str:
    """`last_success` is what `last_success_in` gave for the file before."""
    seconds = run.ended_ns / _NS if run.success else last_success
    told: set[str] = set()
    lines: list[str] = []
    for metric in _metrics(run, seconds):
        name = f"rrbackup_{run.measured}_{metric.name}"
        if name not in told:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} gauge"]
            told.add(name)
        labels = f'configuration="{_shown(run.configuration)}"{metric.label}'
        lines.append(f"{name}{{{labels}}} {_number(metric.value)}")
    return "\n".join(lines) + "\n"


def _metrics(run: Run, last_success: float | None) -> Iterator[_Metric]:
    what = run.measured
    yield _Metric("success", f"1 if the last {what} ended with exit code 0, else 0.", run.success)
    yield _Metric("exit_code", f"Exit code of the last {what}.", run.exit_code)
    yield _Metric("timestamp_seconds", f"When the last {what} ended.", run.ended_ns / _NS)
    if last_success is not None:
        yield _Metric(_LAST_SUCCESS, f"When the last {what} with success ended.", last_success)
    yield _Metric("duration_seconds", f"How long the last {what} took.", run.duration_ns / _NS)
    match run.result:
        case BackupResult():
            yield from _backed_up(run.result)
        case Checked():
            yield from _checked(run.result)
        case None:
            pass


def _backed_up(result: BackupResult) -> Iterator[_Metric]:
    counts = result.counts
    files = {"new": counts.new, "changed": counts.changed, "deleted": counts.deleted, "unchanged": result.unchanged}
    for what, count in files.items():
        yield _Metric("files", "Entries, by what became of them.", count, f',status="{what}"')
    yield _Metric("bytes", "Size of the new and changed files.", counts.bytes)
    yield _Metric("uploaded_files", "Files that were sent.", result.uploaded_files)
    yield _Metric("uploaded_bytes", "Content of the files that were sent.", result.uploaded_bytes)
    yield _Metric("problems", "Paths that were passed over or not dealt with.", len(result.problems))


def _checked(result: Checked) -> Iterator[_Metric]:
    yield _Metric("sound", "1 if nothing that was looked at is damaged, else 0.", result.sound)
    yield _Metric("versions", "Stored versions of files that were looked for.", result.versions)
    yield _Metric("read_contents", "Contents that were read.", result.read)
    yield _Metric("read_bytes", "Bytes that were read, as stored.", result.read_bytes)
    yield _Metric("damaged", "Damaged or missing things, by what they are.", result.damaged, ',kind="file"')
    yield _Metric("damaged", "Damaged or missing things, by what they are.", result.records, ',kind="record"')
    yield _Metric("unread", "Contents that could not be read for other reasons.", result.unread)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6f}"


def _shown(text: str) -> str:
    """A label's value; half surrogates stand for bytes that are not UTF-8."""
    return text.translate(_ESCAPES).encode("utf-8", "replace").decode("utf-8")
