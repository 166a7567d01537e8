"""The verbs that bring files back."""

import glob
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from rrbackup.config_places import places_below
from rrbackup.config_relations import JOURNAL_SUFFIX
from rrbackup.effects.attributes import gives_for
from rrbackup.effects.download import Restorer
from rrbackup.effects.restore import Target
from rrbackup.effects.sample_memory import SUFFIX as SAMPLED_SUFFIX
from rrbackup.effects.target_survey import digests, survey
from rrbackup.errors import UsageError
from rrbackup.events import DownloadPlanned, Notice, OnEvent, ProblemFound, ignore_event
from rrbackup.pure.filters import Filters
from rrbackup.pure.keeping import folders_above
from rrbackup.pure.model import Entry, EntryType, PathText, Problem
from rrbackup.pure.names import parse_path
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
        self._refuse_store_below(target, entries, link.version_id)
        needed = {folder for entry in entries for folder in folders_above(entry.path)}

        def leads(found: Found) -> bool:
            return found.path in needed or (delete and not found.mounted and selection.may_want_below(found.path))

        xattrs = any(entry.extra is not None and entry.extra.xattrs for entry in entries)
        sighting = survey(target, leads, tell, xattrs=xattrs)
        hashed = digests(target, doubtful(entries, sighting, wishes), self._threads, tell)
        return make_restore_plan(link.version_id, commit, sighting, hashed, wishes)

    def _refuse_store_as(self, target: Path) -> None:
        """A file of a commit could take the place of one of the store's."""
        store, top = self.config.directory_path(), Path(os.path.realpath(target))
        if store is not None and top.is_relative_to(store):
            where = "is the folder of the store itself" if top == store else f"is in the store {store}"
            raise UsageError(f"{target} {where}", hint="choose another target")

    def _refuse_store_below(self, target: Path, entries: Iterable[Entry], version: str) -> None:
        store = self.config.directory
        for place in _inside(target, () if store is None else (store.path,)):
            reached = Selection((place,))
            if found := next((entry.path for entry in entries if reached.wants(entry.path)), None):
                raise UsageError(
                    f"commit {version} has {found}, and below {target} that is a place of the store",
                    hint=f"choose another target, or leave it out with --exclude {shlex.quote(glob.escape(place))}",
                )

    def _protected(self, target: Path) -> Iterator[Selection]:
        """What is never removed: what this client itself needs, and in the tree that is backed up what it ignores."""
        if inside := tuple(_inside(target, self._own_files())):
            yield Selection(inside)
        if Path(os.path.realpath(target)) == self.config.base() and self.config.ignore_files:
            yield Selection(include=Filters.of(self.config.ignore_files))

    def _own_files(self) -> Iterator[str]:
        config, manifest = self.config, self.config.local_manifest_file
        yield from (manifest, manifest + JOURNAL_SUFFIX, manifest + SAMPLED_SUFFIX, config.local_lock_file)
        if config.directory is not None:
            yield config.directory.path
        if config.crypto is not None and config.crypto.crypt_password_file is not None:
            yield config.crypto.crypt_password_file
        if config.loaded_from is not None:
            yield os.fspath(config.loaded_from)


def _inside(target: Path, own: Iterable[str]) -> Iterator[PathText]:
    """Where those paths of this machine lie below the target."""
    top = os.path.realpath(target)
    return (text for path in own for text in places_below(top, path))


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
