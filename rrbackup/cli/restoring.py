"""What the commands that bring files back do; the same rules as in `actions`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from attrs import frozen

from rrbackup.cli import documents, human_restores
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.session import Session
from rrbackup.errors import UsageError
from rrbackup.pure.filters import parse_filter_lines
from rrbackup.pure.restore_plan import Overwrite, RestoreAct
from rrbackup.pure.selection import parse_patterns

NOT_RESTORED = "everything else was restored"
NOT_RESTORABLE = "everything else would be restored"
_NOTHING = "nothing in the version is selected"


class _Options(TypedDict):
    paths: tuple[str, ...]
    include: tuple[str, ...]
    overwrite: Overwrite
    delete: bool
    owner: bool | None


@frozen
class Wanted:
    """What a download was asked for; `ignore` are the filters of the file and of the command line."""

    version: str
    target: str
    ignore: tuple[str, ...]
    options: _Options

    @classmethod
    def of(cls, version: str, target: str, ignore_filters: str | None, given: Mapping[str, object]) -> "Wanted":
        """`given` are the options by their names. Raises UsageError for filters that could never match."""
        from_file = _filters(ignore_filters) if ignore_filters is not None else ()
        options = _Options(
            paths=_texts(given["paths"]),
            include=parse_patterns(_texts(given["include"]), "--include"),
            overwrite=Overwrite(str(given["overwrite"])),
            delete=given["delete"] is True,
            owner=None if given["owner"] is None else bool(given["owner"]),
        )
        return cls(version, target, (*from_file, *parse_patterns(_texts(given["exclude"]), "--exclude")), options)

    @property
    def selects(self) -> bool:
        return bool(self.ignore or self.options["include"])


def _texts(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return tuple(map(str, value))


def _filters(path: str) -> tuple[str, ...]:
    try:
        return parse_filter_lines(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the filter file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the filter file {path} is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from None


def download(session: Session, wanted: Wanted) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.download(wanted.version, wanted.target, wanted.ignore, listen, **wanted.options)
    session.result(documents.download(result), human_restores.download_lines(result, wanted.target))
    if wanted.selects and not (result.files or result.left or result.problems):
        session.note(_NOTHING)
    return session.ending(result.problems, NOT_RESTORED)


def plan_download(session: Session, wanted: Wanted) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        plan = repository.plan_download(wanted.version, wanted.target, wanted.ignore, listen, **wanted.options)
        cost = repository.download_cost(plan)
    lines = human_restores.restore_plan_lines(plan, cost, verbose=session.options.verbose)
    session.listing(documents.restore_plan(plan, cost), lines)
    if wanted.selects and all(step.act is RestoreAct.REMOVE for step in plan) and not plan.problems:
        session.note(_NOTHING)
    return session.ending(plan.problems, NOT_RESTORABLE)


def cat(session: Session, version: str, path: str) -> ExitCode:
    if session.options.json:
        raise UsageError("cat writes the file as it is: it has no JSON form", hint="leave out --json")
    with session.repository() as repository, session.listening() as listen:
        session.output.content(repository.cat(version, path, listen))
    return ExitCode.DONE
