"""The verbs that bring files back."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from rrbackup.effects.attributes import gives_for
from rrbackup.effects.download import Restorer
from rrbackup.effects.restore import Target
from rrbackup.effects.target_survey import digests, survey
from rrbackup.errors import UsageError
from rrbackup.events import DownloadPlanned, Notice, OnEvent, ProblemFound, ignore_event
from rrbackup.pure.filters import Filters
from rrbackup.pure.keeping import folders_above
from rrbackup.pure.model import Entry, EntryType, Problem
from rrbackup.pure.names import parse_path, path_text
from rrbackup.pure.prices import Cost, cost_of
from rrbackup.pure.report import DownloadResult
from rrbackup.pure.restore_plan import Overwrite, RestoreAct, RestorePlan
from rrbackup.pure.restoring import Wishes, doubtful, make_restore_plan, wanted
from rrbackup.pure.selection import Selection, no_such_path, parse_patterns
from rrbackup.pure.target import Found
from rrbackup.verbs.opened import Opened

VERIFIED_BYTES = 64 << 20
"""Up to this size `cat` gives out nothing before all of a file has been checked."""


@frozen
class Asked:
    """What of a commit is brought back, and onto what."""

    selection: Selection
    overwrite: Overwrite
    delete: bool
    owner: bool | None


class Restores(Opened):
    """Downloads."""

    def download(
        self,
        version: str,
        target: str | os.PathLike[str],
        ignore: Iterable[str] = (),
        on_event: OnEvent = ignore_event,
        *,
        paths: Iterable[str] = (),
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        overwrite: Overwrite = Overwrite.ALWAYS,
        delete: bool = False,
        owner: bool | None = None,
    ) -> DownloadResult:
        """Write one commit's entries below `target`: those at or below `paths` (all, if there are none) that `include`
        (filters) covers, without those that `ignore` or `exclude` cover. (These are one list, as they are for the
        command line, which reads one from a file.)

        `overwrite` says what becomes of files that exist, `delete` removes from the target what the commit does not
        have, as far as it is selected. `owner` says whether owners are given back; None: if this is root. Every file
        is checked before it takes its place; what fails is a problem of that file. Raises NoSuchVersion, NoSuchPath,
        UsageError, SourceError for the target, StoreError, ModeError, and before anything is written WrongPassword.
        """
        asked = Asked(_selection(paths, include, ignore, exclude), Overwrite(overwrite), delete, owner)
        plan = self._plan(version, Path(target), asked, on_event)
        on_event = self._telling(on_event)
        self._client.unlock_for_reading([entry.object for entry in plan.fetched() if entry.object is not None])
        on_event(DownloadPlanned(len(plan.fetched()), plan.bytes_to_write))
        for problem in plan.problems:
            on_event(ProblemFound(problem))
        with Target(Path(target)) as folder:
            if folder.cleared:
                on_event(Notice(f"{folder.cleared} unfinished files of a download that was killed were removed"))
            restorer = Restorer(self._client.fetcher(), folder, on_event, self._threads)
            problems = restorer.restore(plan)
        return _result(plan, restorer, problems)

    def plan_download(
        self,
        version: str,
        target: str | os.PathLike[str],
        ignore: Iterable[str] = (),
        on_event: OnEvent = ignore_event,
        *,
        paths: Iterable[str] = (),
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        overwrite: Overwrite = Overwrite.ALWAYS,
        delete: bool = False,
        owner: bool | None = None,
    ) -> RestorePlan:
        """What `download` with the same arguments would do now. Reads the commit and the target, writes nothing."""
        asked = Asked(_selection(paths, include, ignore, exclude), Overwrite(overwrite), delete, owner)
        return self._plan(version, Path(target), asked, on_event)

    def download_cost(self, plan: RestorePlan) -> Cost | None:
        """What the plan's requests and bytes cost at Amazon's list price; None where the store is no S3."""
        s3 = self.config.s3
        return cost_of(plan.traffic(), s3.storage_class) if s3 is not None else None

    def cat(self, version: str, path: str, on_event: OnEvent = ignore_event) -> Iterator[bytes]:
        """The content of one file, in pieces.

        A file of up to `VERIFIED_BYTES` is checked as a whole before the first piece is given out. Of a bigger one
        the last piece comes only after the whole has been checked: DamagedObject in its place means that what came
        before may be wrong, and that it is not all. Raises NoSuchVersion, NoSuchPath, UsageError for what is no file,
        StoreError, ModeError, WrongPassword.
        """
        self._refuse_write_only()
        link, entries = self._manifest(version, on_event)
        entry = _file_at(path, entries, link.version_id)
        self._client.unlock_for_reading([entry.object] if entry.object is not None else [])
        pieces = self._client.fetcher().content_of(entry)
        return iter(list(pieces)) if 0 <= entry.size <= VERIFIED_BYTES else pieces

    # --- planning ----------------------------------------------------------------------------------------------

    def _plan(self, version: str, target: Path, asked: Asked, on_event: OnEvent) -> RestorePlan:
        self._refuse_write_only()
        self._refuse_store_as(target)
        tell = self._telling(on_event)
        link, commit = self._manifest(version, on_event)
        selection, delete = asked.selection, asked.delete
        selection.check_paths((entry.path for entry in commit), link.version_id)
        protected = tuple(self._protected(target)) if delete else ()
        wishes = Wishes(selection, asked.overwrite, delete, protected, gives_for(commit, owners=asked.owner))
        entries = wanted(commit, wishes)
        needed = {folder for entry in entries for folder in folders_above(entry.path)}

        def leads(found: Found) -> bool:
            return found.path in needed or (delete and not found.mounted and selection.may_want_below(found.path))

        xattrs = any(entry.extra is not None and entry.extra.xattrs for entry in entries)
        sighting = survey(target, leads, tell, xattrs=xattrs)
        hashed = digests(target, doubtful(entries, sighting, wishes), self._threads, tell)
        return make_restore_plan(link.version_id, commit, sighting, hashed, wishes)

    def _refuse_store_as(self, target: Path) -> None:
        """A file of a commit could take the place of one of the store's."""
        if (path := self.config.directory_path()) is None:
            return
        store, top = Path(os.path.realpath(path)), Path(os.path.realpath(target))
        if top.is_relative_to(store):
            where = "is the folder of the store itself" if top == store else f"is in the store {store}"
            raise UsageError(f"{target} {where}", hint="choose another target")

    def _protected(self, target: Path) -> Iterator[Selection]:
        """What is never removed: what this client itself needs, and in the tree that is backed up what it ignores."""
        top = Path(os.path.realpath(target))
        inside = [path_text(os.fsencode(own.relative_to(top))) for own in self._own_files() if own.is_relative_to(top)]
        if inside:
            yield Selection(tuple(inside))
        if top == self.config.base() and self.config.ignore_files:
            yield Selection(include=Filters.of(self.config.ignore_files))

    def _own_files(self) -> Iterator[Path]:
        config = self.config
        yield from (config.manifest_path(), config.journal_path(), config.lock_path())
        for path in (config.directory_path(), config.password_file_path(), config.loaded_from):
            if path is not None:
                yield Path(os.path.realpath(path))


def _selection(
    paths: Iterable[str], include: Iterable[str], ignore: Iterable[str], exclude: Iterable[str]
) -> Selection:
    left_out = (*parse_patterns(ignore, "ignore"), *parse_patterns(exclude, "exclude"))
    return Selection.of(paths, parse_patterns(include, "include"), left_out)


def _file_at(path: str, entries: Iterable[Entry], version: str) -> Entry:
    named = parse_path(path)
    for entry in entries:
        if entry.path == named:
            if entry.type is EntryType.FILE:
                return entry
            what = "a folder" if entry.type is EntryType.DIRECTORY else f"a link to {entry.target}"
            raise UsageError(f"{path} is {what} in commit {version}", hint="cat writes files; download brings all back")
        if not named or entry.path.startswith(f"{named}/"):
            raise UsageError(f"{path} is a folder in commit {version}", hint="download it with --path")
    raise no_such_path(named, version)


def _result(plan: RestorePlan, restorer: Restorer, problems: tuple[Problem, ...]) -> DownloadResult:
    done = [step for step in plan.steps if step.path not in restorer.unrestored]
    left = sum(step.act is RestoreAct.LEAVE for step in done)
    return DownloadResult(
        plan.version_id, len(done) - left, restorer.bytes_written, (*plan.problems, *problems), left, restorer.removed
    )
