"""Which versions of the manifest object end a sound chain, and which of them lie there for nothing.

The rules decided here:

- A version is unsound if its bytes, or those of a diff below it, are not what an honest client of this version would
  have left there. What else hinders reading (a password, rights, the network) is no finding, but an error.
- A diff that names a usable checkpoint needs nothing of what lies below it: a chain that is broken below ends there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from attrs import frozen

from rrbackup.errors import (
    DamagedChain,
    DamagedObject,
    HeadDeleted,
    ObjectMissing,
    StoreError,
    StoreWentBack,
    UnsupportedFormat,
)
from rrbackup.pure.chain import check_first, check_parent, set_aside_by
from rrbackup.pure.model import HeadRef, Link, VersionId
from rrbackup.pure.report import Version

Finding = DamagedObject | DamagedChain | UnsupportedFormat
FINDINGS = (DamagedObject, DamagedChain, UnsupportedFormat)

Look = Callable[[VersionId], Link | Finding]
"""One version, or what is wrong with it by itself. Raises what is no finding."""

Resumes = Callable[[Link], bool]
"""Whether a diff names a checkpoint that can be used, so that it is whole without what lies below it."""


def amiss(error: Exception) -> bool:
    """Whether reading the chain from its head failed for something that is not so with a sound version below.

    The bare StoreError is what a store says of a version id that it can never have given.
    """
    kinds = (*FINDINGS, HeadDeleted, ObjectMissing, StoreWentBack)
    return isinstance(error, kinds) or type(error) is StoreError


@frozen
class Unsound:
    """A version of the manifest object that does not count, and why.

    `foreign`: a newer rrbackup may have written it.
    """

    version_id: VersionId
    reason: str
    foreign: bool = False


@frozen
class Lost:
    """What is missing below a chain that is broken: the commits before number `before`, its first one that is whole."""

    before: int
    first_whole: VersionId
    reason: str


@frozen
class ManifestState:
    """What the versions of the manifest object amount to.

    `head` is the newest sound version, None where there is none; `commits` are those of its chain, newest last.
    `unsound` lies above it, newest first; `strays` lie below it, no part of the chain and not set aside by a repair.
    `marker` is a delete marker on top. `lost` tells what is missing below the chain, so that commits before are gone.
    """

    head: VersionId | None
    commits: tuple[Version, ...] = ()
    unsound: tuple[Unsound, ...] = ()
    strays: tuple[Unsound, ...] = ()
    marker: VersionId | None = None
    lost: Lost | None = None

    @property
    def repaired(self) -> bool:
        """Whether a repair could change nothing: what is lost stays lost."""
        return not (self.unsound or self.strays or self.marker)

    @property
    def sound(self) -> bool:
        return self.repaired and self.lost is None


class Chains:
    """The chains among the versions `newest_first`. Each version is judged once, however many name it as parent."""

    def __init__(self, newest_first: Sequence[VersionId], look: Look, resumes: Resumes = lambda link: False) -> None:
        self.newest_first = tuple(newest_first)
        self._listed = frozenset(newest_first)
        self._look = look
        self._resumes = resumes
        self._verdicts: dict[VersionId, Finding | None] = {}
        self._ends: dict[VersionId, Finding] = {}

    def fault(self, version_id: VersionId) -> Finding | None:
        """Why no sound chain ends in this version; None if one does."""
        if version_id not in self._verdicts:
            self._judge(version_id)
        return self._verdicts[version_id]

    def _judge(self, version_id: VersionId) -> None:
        path: list[Link] = []
        found: Finding | None = None
        wanted: VersionId | None = version_id
        while wanted is not None and found is None:
            link = self._step(path[-1] if path else None, wanted)
            if not isinstance(link, Link):
                found = link
            elif wanted in self._verdicts:
                found, wanted = self._verdicts[wanted], None
            else:
                path.append(link)
                wanted = link.diff.parent.version_id if link.diff.parent else None
        self._verdicts[version_id] = found
        self._verdicts.update(self._verdicts_of(path, found))

    def _verdicts_of(self, path: Sequence[Link], found: Finding | None) -> dict[VersionId, Finding | None]:
        """Those of the diffs that lead down to `found`: from the last one up that resumes, they are whole."""
        verdicts: dict[VersionId, Finding | None] = {}
        for link in reversed(path):
            if found is not None and self._resumes(link):
                self._ends[link.version_id] = found
                found = None
            verdicts[link.version_id] = found
        return verdicts

    def _step(self, child: Link | None, wanted: VersionId) -> Link | Finding:
        """The diff `wanted`, held against the one above it."""
        if wanted not in self._listed:
            above = f" that {child.version_id} names as the one before it" if child is not None else ""
            return DamagedChain(f"the diff {wanted}{above} is not in the store")
        link = self._look(wanted)
        if isinstance(link, Link):
            try:
                check_first(link)
                if child is not None:
                    check_parent(child, link)
            except DamagedChain as error:
                return error
        return link

    def chain(self, version_id: VersionId) -> tuple[Link, ...]:
        """The sound chain that ends in this version, newest first."""
        return tuple(self._down_from(version_id))

    def _down_from(self, version_id: VersionId) -> Iterator[Link]:
        wanted: VersionId | None = version_id
        while wanted is not None:
            link = self._look(wanted)
            assert isinstance(link, Link)
            yield link
            ended = link.diff.parent is None or link.version_id in self._ends
            wanted = None if ended or link.diff.parent is None else link.diff.parent.version_id

    def lost(self, links: tuple[Link, ...]) -> Lost | None:
        """What is missing below the sound chain `links`."""
        if not links or links[-1].version_id not in self._ends:
            return None
        end = links[-1]
        return Lost(end.diff.sequence, end.version_id, self._ends[end.version_id].message)

    def fork(self, links: tuple[Link, ...], seen: HeadRef | None) -> Finding | None:
        """Whether the sound chain `links` passes by a head that this client has seen, and that is sound itself.

        Not if a repair has set that one aside: then it is for the user to say whether this was meant.
        """
        if seen is None or any(link.as_parent == seen.as_parent for link in links):
            return None
        if seen.version_id not in self._listed or seen.version_id in set_aside_by(links):
            return None
        if self.fault(seen.version_id) is not None or self.chain(seen.version_id)[0].as_parent != seen.as_parent:
            return None
        newest = f"{seen.version_id}, the newest that this client has seen"
        if self.lost(links) is not None and seen.sequence < links[-1].diff.sequence:
            return DamagedChain(
                f"what lies between the diff {links[0].version_id} and {newest}, is lost, so nobody can tell whether "
                "it builds on that"
            )
        return DamagedChain(f"the diff {links[0].version_id} does not build on {newest}")


def unsound_for(version_id: VersionId, found: Finding) -> Unsound:
    return Unsound(version_id, found.message, isinstance(found, UnsupportedFormat))


def newest_sound(
    newest_first: Iterable[VersionId], fault: Callable[[VersionId], Finding | None]
) -> tuple[VersionId | None, tuple[Unsound, ...]]:
    """The newest version without a fault, and all above it."""
    unsound: list[Unsound] = []
    for version_id in newest_first:
        found = fault(version_id)
        if found is None:
            return version_id, tuple(unsound)
        unsound.append(unsound_for(version_id, found))
    return None, tuple(unsound)
