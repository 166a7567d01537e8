"""Carrying out the plan of a restore: every object is fetched once, checked, and only then put in its place.

A file that cannot be fetched, checked or written is a problem of that file; the rest goes on. Entries that share an
object share its one request.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Lock

from rrbackup.effects.fetching import Fetcher
from rrbackup.effects.restore import FileWriter, Target
from rrbackup.effects.telling import Telling
from rrbackup.effects.workers import side_by_side, workers
from rrbackup.errors import (
    DamagedObject,
    ObjectMissing,
    RestoredWithout,
    RRBackupError,
    SourceError,
    StoreUnavailable,
    UnsupportedFormat,
)
from rrbackup.events import BytesMoved, FileDone, OnEvent, ProblemFound
from rrbackup.pure.giving import Gives
from rrbackup.pure.model import (
    Entry,
    EntryType,
    PathText,
    Problem,
    ProblemKind,
    VersionRef,
)
from rrbackup.pure.restore_plan import RestoreAct, RestorePlan, RestoreStep

UNAVAILABLE_LIMIT = 5
"""So many files in a row for which the store did not answer, and it counts as out of reach."""

_KINDS: dict[type[RRBackupError], ProblemKind] = {
    DamagedObject: ProblemKind.DAMAGED,
    ObjectMissing: ProblemKind.DAMAGED,
    UnsupportedFormat: ProblemKind.DAMAGED,
    StoreUnavailable: ProblemKind.UNREADABLE,
    SourceError: ProblemKind.UNWRITABLE,
    RestoredWithout: ProblemKind.UNWRITABLE,
}


class Restorer:
    """Carries out plans below one target. `bytes_written` counts the content of the files that were finished."""

    def __init__(self, fetcher: Fetcher, target: Target, on_event: OnEvent, threads: int | None) -> None:
        self._fetcher = fetcher
        self._target = target
        self._telling = Telling(on_event)
        self._threads = threads
        self._lock = Lock()
        self._problems: list[Problem] = []
        self._unavailable = 0
        self._stopped = False
        self._missing: set[PathText] = set()
        self._gives = Gives()
        self.bytes_written = 0
        self.removed = 0
        self.unrestored: set[PathText] = set()
        """Of those with a problem, what is not in its place."""

    def restore(self, plan: RestorePlan) -> tuple[Problem, ...]:
        """What is in the way goes first; then folders, files and links; what is left over, and modes and times of the
        folders, deepest first, at the end.
        """
        self._gives = plan.gives
        done = [(s.act, s.entry) for s in plan.steps if s.entry is not None and s.act is not RestoreAct.LEAVE]
        folders = [(act, entry) for act, entry in done if entry.type is EntryType.DIRECTORY]
        self._prepare(entry for act, entry in folders if act is RestoreAct.UPDATE)
        self._remove(plan.obstacles)
        self._prepare(entry for act, entry in folders if act is not RestoreAct.UPDATE)
        links = [step for step in plan.steps if step.link_to is not None]
        fetched = plan.fetched()
        leaders = {step.link_to for step in links}
        self._missing = {entry.path for entry in fetched if entry.path in leaders}
        self._restore_files(fetched)
        self._restore_links(links)
        for act, entry in done:
            if entry.type is EntryType.SYMLINK:
                self._guarded(entry.path, partial(self._link, entry))
            elif act is RestoreAct.UPDATE and entry.type is EntryType.FILE:
                self._guarded(entry.path, partial(self._target.update, entry.path, plan.gives.of(entry)))
        self._remove(plan.leftovers)
        for _, entry in reversed(folders):
            self._guarded(entry.path, partial(self._target.finish_directory, entry.path, plan.gives.of(entry)))
        return tuple(self._problems)

    def _prepare(self, folders: Iterable[Entry]) -> None:
        for entry in folders:
            self._guarded(entry.path, partial(self._target.directory, entry.path, entry.mode))

    def _remove(self, steps: Iterable[RestoreStep]) -> None:
        for step in steps:
            self.removed += self._guarded(step.path, partial(self._target.remove, step.path, folder=step.folder))

    def _link(self, entry: Entry) -> None:
        if entry.target is None:
            raise DamagedObject(f"{entry.path} is a link without a target")
        self._target.symlink(entry.path, entry.target, self._gives.of(entry))

    def _restore_links(self, steps: Iterable[RestoreStep]) -> None:
        """Other names of files; where that is not to be had, they become files of their own."""
        apart = [step.entry for step in steps if step.link_to in self._missing or not self._link_hard(step)]
        self._restore_files([entry for entry in apart if entry is not None])

    def _link_hard(self, step: RestoreStep) -> bool:
        """Whether the step is dealt with."""
        linked: list[bool] = []
        assert step.link_to is not None
        first = step.link_to
        done = self._guarded(step.path, lambda: linked.append(self._target.link(step.path, first)))
        return not done or linked == [True]

    def _restore_files(self, entries: Sequence[Entry]) -> None:
        """An interruption waits for nobody: the target gives up what is under way, and nobody is told of it."""
        with workers(self._threads) as pool:
            try:
                side_by_side(pool, self._threads, self._restore_group, by_object(entries), _size)
            except BaseException as error:
                self._stopped = True
                if not isinstance(error, Exception):
                    self._telling.end()
                raise

    def _restore_group(self, group: Sequence[Entry]) -> None:
        """All entries that share one object, with one request."""
        with ExitStack() as stack:
            copies = [copy for entry in group if (copy := self._open(entry, stack)) is not None]
            if copies:
                self._fill(copies)

    def _open(self, entry: Entry, stack: ExitStack) -> "_Copy | None":
        writers: list[FileWriter] = []
        sparse = entry.extra is not None and entry.extra.sparse
        opening = partial(self._target.file, entry.path, entry.mode, sparse=sparse)
        self._guarded(entry.path, lambda: writers.append(stack.enter_context(opening())))
        return _Copy(entry, writers[0], self._gives) if writers else None

    def _fill(self, copies: Sequence["_Copy"]) -> None:
        try:
            self._fetch(copies)
            self._unavailable = 0
        except (DamagedObject, ObjectMissing, UnsupportedFormat) as error:
            self._fail_all(copies, error)
        except StoreUnavailable as error:
            self._unavailable += 1
            if self._unavailable >= UNAVAILABLE_LIMIT:
                raise
            self._fail_all(copies, error)

    def _fetch(self, copies: Sequence["_Copy"]) -> None:
        first, written = copies[0].entry, 0
        for data in self._fetcher.content_of(first):
            if self._stopped:
                return
            for copy in copies:
                if not copy.failed:
                    copy.failed = not self._guarded(copy.entry.path, partial(copy.writer.write, data))
            written += len(data)
            self._telling.event(BytesMoved(first.path, len(data)))
        for copy in copies:
            if not copy.failed and self._guarded(copy.entry.path, copy.commit):
                self._telling.event(FileDone(copy.entry.path, written, uploaded=False))
            if copy.writer.committed:
                self._count(written)
                self._missing.discard(copy.entry.path)

    def _count(self, size: int) -> None:
        with self._lock:
            self.bytes_written += size

    # --- problems ----------------------------------------------------------------------------------------------

    def _guarded(self, path: PathText, action: Callable[[], None]) -> bool:
        """Run something that concerns one path; what fails becomes a problem of it."""
        try:
            action()
        except (SourceError, DamagedObject) as error:
            self._fail(path, error)
            return False
        return True

    def _fail_all(self, copies: Iterable["_Copy"], error: RRBackupError) -> None:
        for copy in copies:
            self._fail(copy.entry.path, error)

    def _fail(self, path: PathText, error: RRBackupError) -> None:
        problem = Problem(path, _KINDS[type(error)], error.message)
        with self._lock:
            self._problems.append(problem)
            if not isinstance(error, RestoredWithout):
                self.unrestored.add(path)
        self._telling.event(ProblemFound(problem))


class _Copy:
    """One entry being written."""

    def __init__(self, entry: Entry, writer: FileWriter, gives: Gives) -> None:
        self.entry = entry
        self._gives = gives
        self.writer = writer
        self.failed = False

    def commit(self) -> None:
        self.writer.commit(self._gives.of(self.entry))


def by_object(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Entries grouped by the object that holds their content; those without one stand alone."""
    groups: dict[VersionRef | str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.object.ref if entry.object else entry.path, []).append(entry)
    return list(groups.values())


def _size(group: Sequence[Entry]) -> int:
    return group[0].size
