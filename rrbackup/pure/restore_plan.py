"""The plan of a restore as a value: what is done to each path, and why."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import field, frozen

from rrbackup.pure.giving import Gives
from rrbackup.pure.model import Entry, EntryType, PathText, Problem, VersionId
from rrbackup.pure.prices import Traffic
from rrbackup.pure.ranges import stretches


class Overwrite(StrEnum):
    """What becomes of a file that is in the target already."""

    ALWAYS = "always"
    IF_CHANGED = "if-changed"
    NEVER = "never"


class RestoreAct(StrEnum):
    """What is done to a path. `UPDATE`: the content is right, only attributes are set."""

    WRITE = "write"
    REPLACE = "replace"
    UPDATE = "update"
    LEAVE = "leave"
    REMOVE = "remove"


class RestoreReason(StrEnum):
    ABSENT = "not there"
    ASKED = "there already"
    TYPE = "something else is there"
    SIZE = "size differs"
    CONTENT = "content differs"
    TARGET = "link target differs"
    ATTRIBUTES = "mode, time, owner or attributes differ"
    SHARED = "its attributes differ, and the file has other names"
    LINKED = "another name of a file that is written"
    APART = "not the same file as its other name"
    SAME = "unchanged"
    CONTAINS = "something in it changes"
    EXISTS = "exists"
    EXTRA = "not in the commit"
    OBSTACLE = "in the way"


@frozen
class RestoreStep:
    """What is done to one path, and why. `entry` is what the commit holds there; None where it is removed.

    `link_to` is the path of which it is made a hard link, instead of a file of its own.
    """

    act: RestoreAct
    path: PathText
    why: RestoreReason
    entry: Entry | None = None
    folder: bool = False
    link_to: PathText | None = None

    @property
    def size(self) -> int:
        """Bytes of content that are written."""
        return max(0, self.entry.size) if self.entry is not None and self.writes else 0

    @property
    def writes(self) -> bool:
        """Whether content is written."""
        return self.act in (RestoreAct.WRITE, RestoreAct.REPLACE) and self.link_to is None


@frozen
class RestorePlan:
    """What a download would do, in this order: remove what is in the way, write, remove what is left over.

    `problems` are the entries that cannot be restored as the target stands.
    """

    version_id: VersionId
    obstacles: tuple[RestoreStep, ...] = field(default=(), repr=lambda s: f"<{len(s)} steps>")
    steps: tuple[RestoreStep, ...] = field(default=(), repr=lambda s: f"<{len(s)} steps>")
    leftovers: tuple[RestoreStep, ...] = field(default=(), repr=lambda s: f"<{len(s)} steps>")
    problems: tuple[Problem, ...] = ()
    gives: Gives = field(factory=Gives, repr=False)

    def __iter__(self) -> Iterator[RestoreStep]:
        yield from self.obstacles
        yield from self.steps
        yield from self.leftovers

    def counts(self) -> Mapping[RestoreAct, int]:
        """How many paths each act concerns."""
        return Counter(step.act for step in self)

    def fetched(self) -> tuple[Entry, ...]:
        """The files whose content is needed."""
        written = (step.entry for step in self.steps if step.writes)
        return tuple(entry for entry in written if entry is not None and entry.type is EntryType.FILE)

    @property
    def bytes_to_write(self) -> int:
        return sum(step.size for step in self.steps)

    def traffic(self) -> Traffic:
        """Requests and bytes for the contents; equal contents are fetched once. Sizes of 1.0's objects are not
        known.
        """
        entries = {entry.object.ref: entry for entry in self.fetched() if entry.object is not None}
        objects = [(entry.object, entry.size) for entry in entries.values() if entry.object is not None]
        return Traffic(
            gets=sum(len(stretches(fetched.stored_size)) for fetched, _ in objects),
            bytes_out=sum(max(fetched.stored_size, 0) or max(size, 0) for fetched, size in objects),
        )
