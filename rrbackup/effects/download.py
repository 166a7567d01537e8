"""Carrying out the plan of a restore: every object is fetched once, checked, and only then put in its place.

A file that cannot be fetched, checked or written is a problem of that file; the rest goes on. Entries that share an
object share its one request.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Lock

from rrbackup.effects.budget import ByteBudget
from rrbackup.effects.fetching import Fetcher
from rrbackup.effects.restore import FileWriter, Target
from rrbackup.effects.spare import Spare
from rrbackup.effects.telling import Telling
from rrbackup.effects.transfer import HELD_BYTES, SMALL_BYTES
from rrbackup.effects.workers import side_by_side, workers
from rrbackup.errors import (
    DamagedObject,
    ObjectMissing,
    RestoredWithout,
    RRBackupError,
    SourceError,
    StoreError,
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

IN_MEMORY_BYTES = 1 << 20
"""Content of up to this size that belongs to several files is kept until all of them are written, one by one."""

OPEN_COPIES = 96
"""So many files, beside one for each thread, are open at once for bigger ones. Each takes two descriptors, and many
systems allow 1,024."""

_KINDS: dict[type[RRBackupError], ProblemKind] = {
    DamagedObject: ProblemKind.DAMAGED,
    ObjectMissing: ProblemKind.DAMAGED,
    UnsupportedFormat: ProblemKind.DAMAGED,
    StoreUnavailable: ProblemKind.UNREADABLE,
    StoreError: ProblemKind.UNREADABLE,
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
        self._copies = Spare(OPEN_COPIES)
        self._held = ByteBudget(HELD_BYTES)
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
                self._held.end()
                if not isinstance(error, Exception):
                    self._telling.end()
                raise

    def _restore_group(self, group: Sequence[Entry]) -> None:
        """All entries that share one object."""
        with self._held.taken(min(max(group[0].size, 0), SMALL_BYTES)):  # of a bigger one, a part
            self._restore_held(group)

    def _restore_held(self, group: Sequence[Entry]) -> None:
        """With one request, unless too many big files would be open at once."""
        if len(group) > 1 and 0 <= group[0].size <= IN_MEMORY_BYTES:
            self._restore_one_by_one(group)
            return
        while group and not self._stopped:
            further = self._further_copies(len(group) - 1)
            try:
                self._restore_at_once(group[: 1 + further])
            finally:
                self._copies.give_back(further)
            group = group[1 + further :]

    def _further_copies(self, count: int) -> int:
        """So many are borrowed."""
        return next((taken for taken in range(count) if not self._copies.borrow(1)), count)

    def _restore_one_by_one(self, group: Sequence[Entry]) -> None:
        pieces: list[bytes] = []
        if not self._got(group, lambda: pieces.extend(self._content(group[0]))):
            return
        for entry in group:
            with ExitStack() as stack:
                if not self._stopped and (copy := self._open(entry, stack)):
                    self._write([copy], pieces)

    def _restore_at_once(self, group: Sequence[Entry]) -> None:
        with ExitStack() as stack:
            copies = [copy for entry in group if (copy := self._open(entry, stack)) is not None]
            if copies:
                self._got([copy.entry for copy in copies], lambda: self._write(copies, self._content(copies[0].entry)))

    def _open(self, entry: Entry, stack: ExitStack) -> "_Copy | None":
        writers: list[FileWriter] = []
        sparse = entry.extra is not None and entry.extra.sparse
        opening = partial(self._target.file, entry.path, entry.mode, sparse=sparse)
        self._guarded(entry.path, lambda: writers.append(stack.enter_context(opening())))
        return _Copy(entry, writers[0], self._gives) if writers else None

    def _got(self, entries: Sequence[Entry], action: Callable[[], None]) -> bool:
        """Run something that fetches the content of these; what fails becomes a problem of each."""
        try:
            action()
            self._unavailable = 0
            return True
        except StoreUnavailable as error:
            self._unavailable += 1
            if self._unavailable >= UNAVAILABLE_LIMIT:
                raise
            self._fail_all(entries, error)
        except (DamagedObject, ObjectMissing, UnsupportedFormat) as error:
            self._fail_all(entries, error)
        except StoreError as error:
            if type(error) is not StoreError:  # one that concerns more than this object
                raise
            self._fail_all(entries, error)
        return False

    def _content(self, entry: Entry) -> Iterator[bytes]:
        for data in self._fetcher.content_of(entry):
            if self._stopped:
                return
            self._telling.event(BytesMoved(entry.path, len(data)))
            yield data

    def _write(self, copies: Sequence["_Copy"], content: Iterable[bytes]) -> None:
        written = 0
        for data in content:
            for copy in copies:
                if not copy.failed:
                    copy.failed = not self._guarded(copy.entry.path, partial(copy.writer.write, data))
            if all(copy.failed for copy in copies):
                return  # the rest would be fetched for nothing
            written += len(data)
        if not self._stopped:
            self._put_in_place(copies, written)

    def _put_in_place(self, copies: Sequence["_Copy"], written: int) -> None:
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

    def _fail_all(self, entries: Iterable[Entry], error: RRBackupError) -> None:
        for entry in entries:
            self._fail(entry.path, error)

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
