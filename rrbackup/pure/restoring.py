"""From a commit's entries and what is in the target to the steps of a restore, and why each of them.

The rule: with `always` whatever the commit holds is written; with `never` what is there stays; with `if-changed` a file
whose size and mtime are those of the entry counts as unchanged, one of another size is fetched, and one of the same
size but another mtime is hashed: if the content is right, only its attributes are set. Nothing that stands in the way
is removed unless the target is to be made equal, and then only what the selection names and nobody protects. A folder
that has an entry and is only there for what is in it gets mode and time where the restore makes it, and stays as it is
where it is there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve, field, frozen

from rrbackup.pure.giving import Gives
from rrbackup.pure.joining import joined
from rrbackup.pure.keeping import folders_above
from rrbackup.pure.model import NOT_RECORDED, Entry, EntryType, PathText, Problem, ProblemKind, VersionId
from rrbackup.pure.names import path_order
from rrbackup.pure.removing import Removals, Removing
from rrbackup.pure.restore_plan import Overwrite, RestoreAct, RestorePlan, RestoreReason, RestoreStep
from rrbackup.pure.selection import Selection
from rrbackup.pure.target import Found, Sighting


@frozen
class Wishes:
    """What one of `protected` names is never removed."""

    selection: Selection = field(factory=Selection)
    overwrite: Overwrite = Overwrite.ALWAYS
    delete: bool = False
    protected: tuple[Selection, ...] = ()
    gives: Gives = field(factory=Gives)


# --- what has to be hashed ---------------------------------------------------------------------------------------


def wanted(entries: Sequence[Entry], wishes: Wishes) -> Sequence[Entry]:
    if wishes.selection.everything:
        return entries
    return tuple(entry for entry in entries if wishes.selection.wants(entry.path))


def doubtful(entries: Iterable[Entry], sighting: Sighting, wishes: Wishes) -> tuple[PathText, ...]:
    """The files whose content only a look at it can tell from the entry's."""
    if wishes.overwrite is not Overwrite.IF_CHANGED:
        return ()
    return tuple(
        e.path for e in entries if (found := sighting.found.get(e.path)) is not None and _is_doubtful(e, found)
    )


def _is_doubtful(entry: Entry, found: Found) -> bool:
    if entry.type is not EntryType.FILE or found.type is not EntryType.FILE:
        return False
    return entry.size == NOT_RECORDED or (entry.size == found.size and entry.mtime_ns != found.mtime_ns)


# --- the plan ----------------------------------------------------------------------------------------------------


def make_restore_plan(
    version_id: VersionId,
    commit: Sequence[Entry],
    sighting: Sighting,
    digests: Mapping[PathText, str],
    wishes: Wishes,
) -> RestorePlan:
    """`commit` is everything that the commit holds, `digests` are the SHA-256 of what was `doubtful`."""
    entries = wanted(commit, wishes)
    removals = (
        Removing(commit, sighting, wishes.selection, wishes.protected).removals() if wishes.delete else Removals()
    )
    planner = _Planner(sighting, digests, wishes.overwrite, removals, wishes.gives)
    if entries is not commit:
        entries = _with_new_folders(commit, entries, planner)
    decided = _linked([planner.decide(entry) for entry in entries], joined(entries), sighting)
    steps = [step for step in decided if isinstance(step, RestoreStep)]
    obstacles = _removing(planner.obstacles(), RestoreReason.OBSTACLE)
    leftovers = _removing(removals.extras, RestoreReason.EXTRA)
    return RestorePlan(
        version_id,
        obstacles,
        tuple(_stamped_again(steps, (*obstacles, *steps, *leftovers), sighting)),
        leftovers,
        (*(problem for problem in decided if isinstance(problem, Problem)), *map(_not_cleared, removals.unseen)),
        wishes.gives,
    )


def _with_new_folders(commit: Sequence[Entry], entries: Sequence[Entry], planner: "_Planner") -> Sequence[Entry]:
    """`entries`, and those of the folders above them that have to be made, in path order."""
    above = {folder for entry in entries for folder in folders_above(entry.path)}
    taken = {entry.path for entry in entries}
    return tuple(e for e in commit if e.path in taken or (e.path in above and planner.makes(e)))


def _stamped_again(
    steps: Sequence[RestoreStep], changes: Iterable[RestoreStep], sighting: Sighting
) -> Iterator[RestoreStep]:
    """Folders that are right, but in which something comes or goes, need their time anew."""
    moving = (RestoreAct.WRITE, RestoreAct.REPLACE, RestoreAct.REMOVE)
    right = {step.path for step in steps if step.folder and step.why is RestoreReason.SAME}
    touched = {_lies_in(step.path, sighting) for step in changes if step.act in moving} if right else set()
    for step in steps:
        again = step.path in right and step.path in touched
        yield evolve(step, act=RestoreAct.UPDATE, why=RestoreReason.CONTAINS) if again else step


def _lies_in(path: PathText, sighting: Sighting) -> str | None:
    """The folder in which something is made for that path: the nearest above it that is there."""
    return next((folder for folder in folders_above(path) if folder in sighting.found), None)


def _linked(
    decided: Sequence[RestoreStep | Problem], links: Mapping[PathText, PathText], sighting: Sighting
) -> Sequence[RestoreStep | Problem]:
    """The other names of files become links of the first, where that one is what the commit says, or will be."""
    if not links:
        return decided
    sound = {step.path: step for step in decided if isinstance(step, RestoreStep) and _sound(step)}
    return [_as_link(step, sound.get(links.get(step.path, step.path)), sighting) for step in decided]


def _sound(step: RestoreStep) -> bool:
    return step.act is not RestoreAct.LEAVE or step.why is RestoreReason.SAME


def _as_link(step: RestoreStep | Problem, first: RestoreStep | None, sighting: Sighting) -> RestoreStep | Problem:
    if isinstance(step, Problem) or first is None or first.path == step.path or not _sound(step):
        return step
    if step.writes:
        return evolve(step, link_to=first.path)
    if first.writes:
        return evolve(step, act=RestoreAct.REPLACE, why=RestoreReason.LINKED, link_to=first.path)
    here, there = sighting.found[step.path], sighting.found[first.path]
    if here.identity == there.identity:
        return step
    return evolve(step, act=RestoreAct.REPLACE, why=RestoreReason.APART, link_to=first.path)


def _removing(found: Iterable[Found], why: RestoreReason) -> tuple[RestoreStep, ...]:
    """Deepest first, so that folders are empty by the time they go."""
    ordered = sorted(found, key=lambda item: path_order(item.path), reverse=True)
    return tuple(RestoreStep(RestoreAct.REMOVE, f.path, why, folder=f.type is EntryType.DIRECTORY) for f in ordered)


@frozen
class _Planner:
    sighting: Sighting
    digests: Mapping[PathText, str]
    overwrite: Overwrite
    removals: Removals
    gives: Gives
    _in_the_way: set[PathText] = field(factory=set, init=False)

    def decide(self, entry: Entry) -> RestoreStep | Problem:
        if self.sighting.empty:
            return RestoreStep(RestoreAct.WRITE, entry.path, RestoreReason.ABSENT, entry)
        blocked = self._blocked_above(entry)
        if blocked is not None:
            return blocked
        found = self.sighting.found.get(entry.path)
        if found is None:
            return RestoreStep(RestoreAct.WRITE, entry.path, RestoreReason.ABSENT, entry)
        if self.overwrite is Overwrite.NEVER:
            return RestoreStep(RestoreAct.LEAVE, entry.path, RestoreReason.EXISTS, entry)
        if found.type is not entry.type:
            return self._of_another_type(entry, found)
        return self._of_the_same_type(entry, found)

    def _blocked_above(self, entry: Entry) -> Problem | None:
        """What stands where a folder above the entry is needed, unless it may be removed."""
        for folder in folders_above(entry.path):
            found = self.sighting.found.get(PathText(folder))
            if found is not None and found.type is not EntryType.DIRECTORY:
                if found.path not in self.removals.obstacles:
                    return _blocked(entry, f"{_called(found)} stands where the folder {folder} is needed")
                self._in_the_way.add(found.path)
            if folder in self.sighting.unlisted and self.overwrite is not Overwrite.ALWAYS:
                return _blocked(entry, f"the folder {folder} of the target cannot be listed")
        return None

    def makes(self, folder: Entry) -> bool:
        """Whether a folder is not there, as far as one can see, and can be made."""
        if folder.type is not EntryType.DIRECTORY or folder.path in self.sighting.found:
            return False
        hidden = any(above in self.sighting.unlisted for above in folders_above(folder.path))
        return not hidden and self._blocked_above(folder) is None

    def _of_another_type(self, entry: Entry, found: Found) -> RestoreStep | Problem:
        """A rename puts a file or link in the place of any other, but neither takes a folder's place, nor makes
        room.
        """
        if EntryType.DIRECTORY in (entry.type, found.type):
            if found.path not in self.removals.obstacles:
                return _blocked(entry, f"{_called(found)} stands in its place")
            self._in_the_way.add(found.path)
        return RestoreStep(RestoreAct.REPLACE, entry.path, RestoreReason.TYPE, entry)

    def _of_the_same_type(self, entry: Entry, found: Found) -> RestoreStep:
        if entry.type is EntryType.DIRECTORY:
            return self._with_attributes(entry, found)
        if self.overwrite is Overwrite.ALWAYS:
            return RestoreStep(RestoreAct.REPLACE, entry.path, RestoreReason.ASKED, entry)
        differs = self._difference(entry, found)
        if differs is not None:
            return RestoreStep(RestoreAct.REPLACE, entry.path, differs, entry)
        return self._with_attributes(entry, found)

    def _with_attributes(self, entry: Entry, found: Found) -> RestoreStep:
        """Of something whose content is right. A file with several names is not touched: one may lie elsewhere."""
        if found.has(self.gives.of(entry)):
            folder = entry.type is EntryType.DIRECTORY
            return RestoreStep(RestoreAct.LEAVE, entry.path, RestoreReason.SAME, entry, folder=folder)
        if entry.type is EntryType.FILE and found.links > 1:
            return RestoreStep(RestoreAct.REPLACE, entry.path, RestoreReason.SHARED, entry)
        act = RestoreAct.REPLACE if entry.type is EntryType.SYMLINK else RestoreAct.UPDATE
        return RestoreStep(act, entry.path, RestoreReason.ATTRIBUTES, entry)

    def _difference(self, entry: Entry, found: Found) -> RestoreReason | None:
        """RestoreReason the content is not that of the entry."""
        if entry.type is EntryType.SYMLINK:
            return RestoreReason.TARGET if found.target != entry.target else None
        if _is_doubtful(entry, found):
            return None if self.digests.get(entry.path) == entry.sha256 else RestoreReason.CONTENT
        return RestoreReason.SIZE if found.size != entry.size else None

    def obstacles(self) -> Iterator[Found]:
        """What is in the way of entries that are written, with all that is in it; to be asked after all is decided."""
        for path in self._in_the_way:
            yield from self.removals.obstacles[path]


def _called(found: Found) -> str:
    names = {EntryType.FILE: "a file", EntryType.SYMLINK: "a link", EntryType.DIRECTORY: "a folder"}
    return names[found.type] if found.type is not None else "something that is neither file, folder nor link"


def _blocked(entry: Entry, why: str) -> Problem:
    return Problem(entry.path, ProblemKind.UNWRITABLE, f"cannot write {entry.path}: {why}")


def _not_cleared(folder: PathText) -> Problem:
    where = f"the folder {folder} of the target" if folder else "the target"
    return Problem(
        folder, ProblemKind.UNWRITABLE, f"{where} cannot be listed, so what the commit does not have stays there"
    )
