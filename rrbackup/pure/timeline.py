"""What became of paths from commit to commit, out of one pass over the chain.

The rule: a *state* is what a commit records of one path. It lasts from the commit that brought it to the last one
before another took its place, so the commits that hold it stand in a row. What a checkpoint says of lost commits below
the chain counts as brought by the first commit that is left, `or_earlier`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from rrbackup.pure.manifest import check_fits
from rrbackup.pure.model import Entry, Link, PathText, Status
from rrbackup.pure.names import path_order
from rrbackup.pure.report import Version
from rrbackup.pure.soundness import Lost, ManifestState

_BEFORE = -1
"""Where the checkpoint stands that lies below the first commit."""


@frozen
class Step:
    """From the commit with number `at` on, counted from 0, a path has this state; None: it is gone."""

    at: int
    entry: Entry | None


Timelines = Mapping[PathText, Sequence[Step]]


def timelines(commits: Sequence[Link], base: Iterable[Entry], wanted: Callable[[str], bool]) -> Timelines:
    """The steps of every path that is wanted, in path order. `commits` come oldest first, above the manifest `base`.

    Raises DamagedChain where a change does not fit what was there before.
    """
    steps = {entry.path: [Step(_BEFORE, entry)] for entry in base if wanted(entry.path)}
    for number, link in enumerate(commits):
        for change in link.diff.changes:
            path = change.entry.path
            before = steps.get(path)
            if before is None and not wanted(path):
                continue
            check_fits(change, present=before is not None and before[-1].entry is not None)
            gone = change.status is Status.DELETED
            steps.setdefault(path, []).append(Step(number, None if gone else change.entry))
    return {path: steps[path] for path in sorted(steps, key=path_order)}


# --- searching -----------------------------------------------------------------------------------------------------


@frozen
class Found:
    """A state of a path: recorded by `commits` commits in a row, from `first` to `last`.

    `current`: the newest commit has it. `or_earlier`: it may have begun in commits before `first` that are lost.
    """

    entry: Entry
    first: Version
    last: Version
    commits: int
    current: bool
    or_earlier: bool = False


@frozen
class SearchResult:
    """What a search found, by path and then oldest first, made while it is asked for; `lost` could not be searched.

    `state` tells what lies on top of the commits that were searched, and does not count; None where nothing does.
    """

    lost: Lost | None
    _versions: Sequence[Version] = field(repr=False)
    _timelines: Timelines = field(repr=False)
    state: ManifestState | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self._timelines)

    def __iter__(self) -> Iterator[Found]:
        for steps in self._timelines.values():
            yield from _found(steps, self._versions)


def _found(steps: Sequence[Step], versions: Sequence[Version]) -> Iterator[Found]:
    ends = [*(step.at for step in steps[1:]), len(versions)]
    for step, end in zip(steps, ends, strict=True):
        start = max(step.at, 0)
        if step.entry is not None and start < end:
            current = end == len(versions)
            yield Found(step.entry, versions[start], versions[end - 1], end - start, current, step.at == _BEFORE)


# --- one path ------------------------------------------------------------------------------------------------------


class Happening(StrEnum):
    """What a commit did to a path."""

    NEW = "new"
    CHANGED = "changed"
    ATTRIBUTES = "attributes"
    STORED = "stored again"
    DELETED = "deleted"
    BACK = "back"


@frozen
class PathEvent:
    """What the commit `version` did to a path; a deletion repeats what was there.

    `content` numbers the different contents from 1 in the order of their coming: the same number is the same content.
    """

    happening: Happening
    version: Version
    entry: Entry
    content: int
    or_earlier: bool = False


@frozen
class PathHistory:
    """All that happened to one path, oldest first; nothing where no commit has ever held it. `lost` is not known.

    `state` is that of `SearchResult`.
    """

    path: PathText
    events: tuple[PathEvent, ...] = ()
    lost: Lost | None = None
    state: ManifestState | None = field(default=None, repr=False)


def path_history(
    path: PathText,
    versions: Sequence[Version],
    steps: Sequence[Step],
    lost: Lost | None,
    state: ManifestState | None = None,
) -> PathHistory:
    return PathHistory(path, tuple(_events(versions, steps)), lost, state)


def _events(versions: Sequence[Version], steps: Sequence[Step]) -> Iterator[PathEvent]:
    contents: dict[object, int] = {}
    last: Entry | None = None
    present = False
    for step in steps:
        entry = step.entry or last
        assert entry is not None
        happening = _happening(last if present else None, step.entry, known=last is not None)
        content = contents.setdefault(content_of(entry), len(contents) + 1)
        if step.at != _BEFORE or _lasts(steps, versions):
            yield PathEvent(happening, versions[max(step.at, 0)], entry, content, step.at == _BEFORE)
        last, present = entry, step.entry is not None


def _lasts(steps: Sequence[Step], versions: Sequence[Version]) -> bool:
    """Whether a commit that is left has the state before the first one."""
    return bool(versions) and (len(steps) == 1 or steps[1].at > 0)


def _happening(before: Entry | None, now: Entry | None, *, known: bool) -> Happening:
    """`before` is what the commit before has, None where it has nothing; `known`: an earlier one had the path."""
    if now is None:
        return Happening.DELETED
    if before is None:
        return Happening.BACK if known else Happening.NEW
    if content_of(before) != content_of(now):
        return Happening.CHANGED
    return Happening.STORED if evolve(now, object=before.object) == before else Happening.ATTRIBUTES


def content_of(entry: Entry) -> object:
    """What makes two states of a path the same content."""
    return entry.type, entry.target, entry.sha256
