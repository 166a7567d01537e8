"""What find, history, diff, stats and explain do, and the rows that they show.

The rule: where a part of the history is lost, or what lies on top of it is not sound, what is whole is shown, the
rest is told, and the run ends with `ExitCode.FAILED`, as in list_versions.
"""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping

from rrbackup.cli import human
from rrbackup.cli import looking_documents as documents
from rrbackup.cli.exit_codes import ExitCode
from rrbackup.cli.session import Session
from rrbackup.cli.tables import Column, Row, Table
from rrbackup.cli.texts import counted, human_bytes, local_time
from rrbackup.config import Config
from rrbackup.pure.comparison import Difference, DifferenceKind
from rrbackup.pure.exclusions import EXCLUDING_KEYS
from rrbackup.pure.explanation import Decision, Explanation
from rrbackup.pure.names import path_text
from rrbackup.pure.report import Version
from rrbackup.pure.scan import LeftOut
from rrbackup.pure.soundness import Lost, ManifestState
from rrbackup.pure.statistics import CommitStats, PipelineStats, RepositoryStats
from rrbackup.pure.timeline import Found, PathEvent, PathHistory, SearchResult

Looked = SearchResult | PathHistory | RepositoryStats

_TIME = 19
_SEEN = 24

FOUND = (
    Column("size", 14, right=True),
    Column("modified", _TIME),
    Column("first seen", _SEEN),
    Column("last seen", _SEEN),
    Column("version id"),
    Column("path"),
)
EVENTS = (
    Column("time"),
    Column("version id"),
    Column("number", right=True),
    Column("size", right=True),
    Column("modified"),
    Column("content"),
    Column("what"),
)
DIFFERENCES = (
    Column("what", 7),
    Column("mode", 10),
    Column("size", 14, right=True),
    Column("modified"),
    Column("path"),
)
GROWTH = (
    Column("time"),
    Column("version id"),
    Column("number", right=True),
    Column("new", right=True),
    Column("changed", right=True),
    Column("deleted", right=True),
    Column("new bytes", right=True),
    Column("shared bytes", right=True),
    Column("stored", right=True),
    Column("stored in all", right=True),
)


def _shown(session: Session, document: Mapping[str, object], table: Table, result: Looked) -> ExitCode:
    session.table(document, table)
    return ending(session, result.lost, result.state)


def ending(session: Session, lost: Lost | None, state: ManifestState | None) -> ExitCode:
    if lost is None and state is None:
        return ExitCode.DONE
    if not session.options.json:
        for line in _amiss_lines(lost, state):
            session.output.problem(line)
        if state is not None:
            session.output.hint(human.way_out(state))
    return ExitCode.FAILED


def _amiss_lines(lost: Lost | None, state: ManifestState | None) -> Iterator[str]:
    if state is not None:
        yield from human.problem_lines(state)  # which tells of what is lost, too
    elif lost is not None:
        yield from human.lost_lines(lost)


def _seen(version: Version) -> str:
    return f"{local_time(version.created_ns)} #{version.sequence}"


# --- find --------------------------------------------------------------------------------------------------


def find(session: Session, pattern: str) -> ExitCode:
    with session.repository() as repository:
        result = repository.find(pattern)
    if not result:
        session.note(f"no commit holds anything that {pattern} matches")
    return _shown(session, documents.found(result), Table(FOUND, map(_found_cells, result)), result)


def _found_cells(found: Found) -> Row:
    _, size, modified, path = human.entry_cells(found.entry)
    first = f"{_seen(found.first)}{' or earlier' if found.or_earlier else ''}"
    last = "latest" if found.current else _seen(found.last)
    return size, modified, first, last, found.last.version_id, path


# --- history -----------------------------------------------------------------------------------------------


def history(session: Session, path: str) -> ExitCode:
    config = session.configuration()
    with session.opened(config) as repository:
        result = repository.history(path)
    rows = tuple(map(_event_cells, result.events))
    ending = _shown(session, documents.history(result), Table(EVENTS, rows), result)
    if result.events or ending is not ExitCode.DONE:
        return ending
    instead = _on_disk(config, path) or f"rrbackup find {shlex.quote(path)} also finds what was below it"
    session.note(f"no commit has ever held {path} itself; {instead}")
    return ExitCode.MISSING


def _on_disk(config: Config, path: str) -> str:
    """How to write it, where somebody wrote the whole path as the disk has it; else empty."""
    base, whole = os.path.abspath(config.base_path).rstrip("/"), os.path.normpath(path)
    below = whole.removeprefix(f"{base}/")
    if not base or below == whole:
        return ""
    return f"counted from base_path it is {path_text(os.fsencode(below))}"


def _event_cells(event: PathEvent) -> Row:
    version, (_, size, modified, _) = event.version, human.entry_cells(event.entry)
    what = f"{event.happening}{', or earlier' if event.or_earlier else ''}"
    time, number = local_time(version.created_ns), f"#{version.sequence}"
    return time, version.version_id, number, size, modified, f"content {event.content}", what


# --- diff --------------------------------------------------------------------------------------------------


def diff(session: Session, before: str, after: str) -> ExitCode:
    with session.repository() as repository, session.listening() as listen:
        result = repository.diff(before, after, listen)
    session.table(documents.differences(result), Table(DIFFERENCES, map(_difference_cells, result)))
    return ending(session, None, result.state)


def _difference_cells(difference: Difference) -> Row:
    mode, size, modified, path = human.entry_cells(difference.entry)
    if difference.kind is DifferenceKind.RENAMED and difference.before is not None:
        path = f"{path} <- {difference.before.path}"
    return difference.kind, mode, size, modified, path


# --- stats -------------------------------------------------------------------------------------------------


def stats(session: Session) -> ExitCode:
    with session.repository() as repository:
        result = repository.stats()
    if not result.commits:
        session.note("there are no versions yet")
    ending = _shown(session, documents.stats(result), Table(GROWTH, tuple(map(_growth_cells, result.commits))), result)
    if not session.options.json:
        session.output.lines(_summary(result))
    return ending


def _growth_cells(stats: CommitStats) -> Row:
    version, counts = stats.version, stats.version.counts
    sizes = map(human_bytes, (stats.bytes_new, stats.bytes_shared, stats.stored_new, stats.stored))
    return (
        local_time(version.created_ns),
        version.version_id,
        f"#{version.sequence}",
        f"+{counts.new}",
        f"~{counts.changed}",
        f"-{counts.deleted}",
        *sizes,
    )


def _summary(result: RepositoryStats) -> Iterator[str]:
    if not result.commits:
        return
    first, newest = result.commits[0], result.commits[-1]
    yield f"latest:  {counted(newest.entries, 'entry', 'entries')}, {human_bytes(newest.bytes)}"
    objects, versions = counted(result.objects, "object", "objects"), counted(result.versions, "version", "versions")
    yield f"stored:  {objects} in {versions}, {human_bytes(result.stored)}"
    yield from map(_pipeline_line, result.pipelines)
    if result.unrecorded:
        yield f"         {counted(result.unrecorded, 'version', 'versions')} of which no size is known"
    if (commits := len(result.commits) - 1) > 0:
        grown = newest.stored - first.stored
        since = f"{counted(commits, 'commit', 'commits')} since {_seen(first.version)}"
        yield f"growth:  {human_bytes(grown)} in {since}, {human_bytes(grown // commits)} each"


def _pipeline_line(stats: PipelineStats) -> str:
    how = f"with {' and '.join(stats.applied)}" if stats.applied else "as it is"
    versions = counted(stats.versions, "version", "versions")
    return f"         {versions} {how}: {human_bytes(stats.bytes)} of content in {human_bytes(stats.stored)}"


# --- explain -----------------------------------------------------------------------------------------------


def explain(session: Session, path: str) -> ExitCode:
    config = session.configuration()
    with session.opened(config) as repository, session.listening() as listen:
        result = repository.explain(path, listen)
    session.listing(documents.explanation(result), _explanation_lines(result))
    if result.entry is None and not result.below and (written := _on_disk(config, path)):
        session.note(written)
    return ending(session, None, result.state)


def _explanation_lines(result: Explanation) -> Iterator[str]:
    yield result.path or "/"
    yield f"  ignored:      {_decision(result.ignored, 'ignore_files')}"
    if result.included is not None:
        yield f"  included:     {_decision(result.included, 'include_files')}, whatever else leaves it out"
    if result.excluded is not None:
        yield f"  excluded:     yes, by {_excluded(result.excluded)}"
    yield f"  skip_delete:  {_decision(result.kept, 'skip_delete')}"
    yield f"  pipeline:     {_decision(result.pipeline, 'file_pipeline')}{_asked(result)}"
    yield f"  last commit:  {_last(result)}"
    yield from (f"    {line}" for line in _held(result))


def _excluded(left_out: LeftOut) -> str:
    key = EXCLUDING_KEYS[left_out.reason]
    return key if left_out.marker is None else f"{key}, because {left_out.path} holds {left_out.marker}"


def _decision(decision: Decision | None, key: str) -> str:
    if decision is None:
        return f"no, no filter of {key} matches" if key != "file_pipeline" else "no rule matches: it cannot be stored"
    which = f'{key} number {decision.number}, "{decision.pattern}"'
    if key == "file_pipeline":
        return which
    return f"yes, by {which}, which matches {decision.matched}"


def _asked(result: Explanation) -> str:
    if result.words is None:
        return ""
    return f", asks for {' and '.join(result.words) or 'nothing: it is stored as it is'}"


def _last(result: Explanation) -> str:
    if result.version is None:
        return "there is none yet"
    which = f"{result.version.version_id}, {_seen(result.version)}"
    if result.entry is not None:
        return f"{which}, holds"
    below = counted(result.below, "entry", "entries")
    return f"{which}, holds {f'a folder with {below}' if result.below else 'nothing there'}"


def _held(result: Explanation) -> Iterable[str]:
    if result.entry is None:
        return
    yield from human.entry_lines([result.entry], verbose=True)
    if result.lacks_words:
        yield "stored with less than its pipeline asks for now: backup --reprocess would store it again"
