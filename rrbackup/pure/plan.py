"""From the last manifest and a scan to a plan: what to look at, what to record, and why.

The rule: a file is a *candidate* when its size, times or inode differ from what the local manifest remembers
(`reason_to_read`); whether it is then uploaded depends on its content alone. Everything that needs no content
(links, empty folders, deletions, a changed mode) is decided here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

from attrs import evolve, field, frozen

from rrbackup.errors import ConfigError
from rrbackup.pure.keeping import Keeper, PathFilter
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Entry,
    EntryType,
    HeadRef,
    LocalEntry,
    LocalStamp,
    PathText,
    Problem,
    ProblemKind,
    Status,
    Word,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.scan import Scanned

CLOCK_GRANULARITY_NS = 2_000_000_000
"""The coarsest timestamps among file systems in use (FAT: two seconds)."""


class Detection(StrEnum):
    """When a file counts as possibly changed (configuration key `change_detection`)."""

    STAT = "stat"
    MTIME = "mtime"
    CONTENT = "content"


class Reason(StrEnum):
    NEW = "new"
    TYPE = "type changed"
    SIZE = "size changed"
    MTIME = "mtime changed"
    CTIME = "ctime changed"
    INODE = "inode changed"
    MODE = "mode changed"
    TARGET = "link target changed"
    RECENT = "modified during the last backup"
    UNSEEN = "not seen on this disk before"
    CONTENT = "content comparison asked for"
    GONE = "gone"
    IGNORED = "now ignored"
    IN_THE_WAY = "something else has its place"
    REPROCESS = "file_pipeline asks for more than it is stored with"


@frozen
class Candidate:
    """A file whose content has to be looked at. `known_size`: content of this size is in the repository, so it
    may turn out unchanged or a duplicate; otherwise an upload is certain. `anew`: what is stored of it does not do."""

    path: PathText
    size: int
    mtime_ns: int
    mode: int
    reason: Reason
    previous: Entry | None
    key: str
    asked: tuple[Word, ...] = ()
    known_size: bool = False
    anew: bool = False


@frozen
class Planned:
    """A change that needs no content, and why."""

    change: Change
    reason: Reason
    stamp: LocalStamp | None = None


@frozen
class Rules:
    """What the configuration says about paths, as functions and filters.

    `reprocess`: files that are stored with less processing than `words` asks for now are stored again.
    """

    ignore: PathFilter
    skip_delete: PathFilter
    words: Callable[[str], tuple[Word, ...] | None]
    key: Callable[[PathText, tuple[Word, ...]], str]
    detection: Detection = Detection.STAT
    reprocess: bool = False


@frozen
class BackupPlan:
    """What a backup on top of `head` would do. Holds no handle: inspect it, store it as JSON, run it later."""

    head: HeadRef | None
    candidates: tuple[Candidate, ...] = field(default=(), repr=lambda c: f"<{len(c)} candidates>")
    planned: tuple[Planned, ...] = field(default=(), repr=lambda p: f"<{len(p)} changes>")
    problems: tuple[Problem, ...] = ()
    unchanged: int = 0
    scanned: int = 0

    @property
    def empty(self) -> bool:
        return not self.candidates and not self.planned

    @property
    def bytes_to_read(self) -> int:
        return sum(candidate.size for candidate in self.candidates)


def is_recent(changed_ns: int, now_ns: int) -> bool:
    """Whether a change at `changed_ns` is so fresh that another one could still bear the same timestamp."""
    return changed_ns >= now_ns - CLOCK_GRANULARITY_NS


def reason_to_read(old: LocalEntry, new: Scanned, detection: Detection) -> Reason | None:
    """Why the content of a file must be looked at, or None if it counts as unchanged."""
    entry = old.entry
    checks = (
        (entry.type is not new.type, Reason.TYPE),
        (entry.size != new.size, Reason.SIZE),
        (entry.mtime_ns != new.mtime_ns, Reason.MTIME),
        (detection is Detection.CONTENT, Reason.CONTENT),
        (old.recent, Reason.RECENT),
    )
    for differs, reason in checks:
        if differs:
            return reason
    return _stat_reason(old.stamp, new) if detection is Detection.STAT else None


def _stat_reason(stamp: LocalStamp | None, new: Scanned) -> Reason | None:
    if stamp is None:
        return Reason.UNSEEN
    if stamp.ctime_ns != new.ctime_ns:
        return Reason.CTIME
    return Reason.INODE if stamp.inode != new.inode else None


Pair = tuple[LocalEntry | None, Scanned | None]


def pair_up(old: Iterable[LocalEntry], new: Iterable[Scanned]) -> Iterator[Pair]:
    """Walk two sequences in path order side by side; either half is None where it lacks the path."""
    olds, news = iter(old), iter(new)
    left, right = next(olds, None), next(news, None)
    while left is not None or right is not None:
        side = _side(left, right)
        yield (left if side <= 0 else None, right if side >= 0 else None)
        if side <= 0:
            left = next(olds, None)
        if side >= 0:
            right = next(news, None)


def _side(left: LocalEntry | None, right: Scanned | None) -> int:
    """Negative: the left path comes first; positive: the right one; zero: they are the same."""
    if left is None:
        return 1
    if right is None:
        return -1
    if left.entry.path == right.path:
        return 0
    return -1 if path_order(left.entry.path) < path_order(right.path) else 1


def make_plan(
    head: HeadRef | None,
    old: Sequence[LocalEntry],
    new: Sequence[Scanned],
    problems: Sequence[Problem],
    rules: Rules,
) -> BackupPlan:
    """The plan that takes the manifest `old` of `head` to what `new` (both in path order) found on disk.

    Raises ConfigError if no pipeline rule matches a file that would have to be stored.
    """
    candidates: list[Candidate] = []
    planned: list[Planned] = []
    unchanged = 0
    unreadable = frozenset(p.path for p in problems if p.kind is ProblemKind.UNREADABLE)
    keeper = Keeper(rules.ignore, rules.skip_delete, new, unreadable)
    for before, now in pair_up(old, new):
        step = _gone(before, keeper) if now is None and before is not None else _compare(before, now, rules)
        if isinstance(step, Candidate):
            candidates.append(step)
        elif isinstance(step, Planned):
            planned.append(step)
        else:
            unchanged += 1
    sizes = frozenset(item.entry.size for item in old) if candidates else frozenset()
    return BackupPlan(
        head,
        tuple(_with_known_size(candidate, sizes) for candidate in candidates),
        tuple(planned),
        tuple(problems),
        unchanged,
        len(new),
    )


def _with_known_size(candidate: Candidate, sizes: frozenset[int]) -> Candidate:
    previous = candidate.previous
    unrecorded = previous is not None and previous.size == NOT_RECORDED
    return evolve(candidate, known_size=unrecorded or candidate.size == 0 or candidate.size in sizes)


def _compare(old: LocalEntry | None, new: Scanned | None, rules: Rules) -> Candidate | Planned | None:
    assert new is not None
    if new.type is not EntryType.FILE:
        return _compare_plain(old, new)
    reason = Reason.NEW if old is None else reason_to_read(old, new, rules.detection)
    if reason is None and old is not None and _wants_more(old.entry, rules):
        reason = Reason.REPROCESS
    if reason is not None:
        return _candidate(old, new, reason, rules)
    assert old is not None
    if old.entry.mode != new.mode:
        return Planned(Change(Status.CHANGED, _with_mode(old.entry, new.mode)), Reason.MODE, old.stamp)
    return None


def _wants_more(entry: Entry, rules: Rules) -> bool:
    """Whether a file has to be stored again, for words that it was not stored with."""
    if not rules.reprocess or entry.object is None:
        return False
    return not frozenset(rules.words(entry.path) or ()) <= frozenset(entry.object.asked)


def _with_mode(entry: Entry, mode: int) -> Entry:
    return evolve(entry, mode=mode)


def _candidate(old: LocalEntry | None, new: Scanned, reason: Reason, rules: Rules) -> Candidate:
    words = _words(new.path, rules)
    return Candidate(
        new.path,
        new.size,
        new.mtime_ns,
        new.mode,
        reason,
        old.entry if old else None,
        rules.key(new.path, words),
        words,
        anew=old is not None and _wants_more(old.entry, rules),
    )


def under(plan: BackupPlan, rules: Rules) -> BackupPlan:
    """The plan as `rules` has it: it may have been made under another configuration, or without the password.

    Raises ConfigError like `make_plan`.
    """
    return evolve(plan, candidates=tuple(_under(candidate, rules) for candidate in plan.candidates))


def _under(candidate: Candidate, rules: Rules) -> Candidate:
    words = _words(candidate.path, rules)
    return evolve(candidate, key=rules.key(candidate.path, words), asked=words)


def _words(path: PathText, rules: Rules) -> tuple[Word, ...]:
    words = rules.words(path)
    if words is None:
        raise ConfigError(
            "file_pipeline",
            [f"no rule matches {path}"],
            hint='end file_pipeline with a rule for everything else, such as ["*", []]',
        )
    return words


def _compare_plain(old: LocalEntry | None, new: Scanned) -> Planned | None:
    """Links and empty folders: what the scan says is all there is to know."""
    entry = Entry(new.path, new.type, 0, new.mtime_ns, new.mode, new.target)
    if old is None:
        return Planned(Change(Status.NEW, entry), Reason.NEW)
    if old.entry == entry:
        return None
    return Planned(Change(Status.CHANGED, entry), _plain_reason(old.entry, entry))


def _plain_reason(old: Entry, new: Entry) -> Reason:
    if old.type is not new.type:
        return Reason.TYPE
    if old.target != new.target:
        return Reason.TARGET
    return Reason.MTIME if old.mtime_ns != new.mtime_ns else Reason.MODE


def _gone(old: LocalEntry, keeper: Keeper) -> Planned | None:
    path = old.entry.path
    if keeper.keeps(path):
        return None
    return Planned(Change(Status.DELETED, old.entry), _why_gone(path, keeper))


def _why_gone(path: str, keeper: Keeper) -> Reason:
    if keeper.ignore.covers(path):
        return Reason.IGNORED
    return Reason.IN_THE_WAY if keeper.skip_delete.covers(path) else Reason.GONE
