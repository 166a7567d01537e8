"""From the last manifest and a scan to a plan: what to look at, what to record, and why.

The rule: a file is a *candidate* when its size, times or inode differ from what the local manifest remembers
(`reason_to_read`); whether it is then uploaded depends on its content alone. Everything that needs no content
(links, folders, deletions, a changed mode) is decided here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from attrs import define, evolve, field, frozen

from rrbackup.errors import ConfigError
from rrbackup.pure.attributes import Extra
from rrbackup.pure.exclusions import why_left_out
from rrbackup.pure.extras import carried
from rrbackup.pure.keeping import Keeper
from rrbackup.pure.local_format import Row, entry_in
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
from rrbackup.pure.pairing import pair_up
from rrbackup.pure.reason import Reason
from rrbackup.pure.rules import Detection, Rules
from rrbackup.pure.scan import LeftOut, Scanned

CLOCK_GRANULARITY_NS = 2_000_000_000
"""The coarsest timestamps among file systems in use (FAT: two seconds)."""


@frozen
class Candidate:
    """A file whose content has to be looked at. `known_size`: content of this size is in the repository, so it
    may turn out unchanged or a duplicate; otherwise an upload is certain. `anew`: what is stored of it does not do.
    `copied` is the entry of another repository, whose content this is to be."""

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
    extra: Extra | None = None
    copied: Entry | None = None


@frozen
class Planned:
    """A change that needs no content, and why."""

    change: Change
    reason: Reason
    stamp: LocalStamp | None = None


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


def make_plan(
    head: HeadRef | None, old: Iterable[Row], found: Iterable[Scanned | Problem | LeftOut], rules: Rules
) -> BackupPlan:
    """The plan that takes the manifest `old` of `head` to what was `found` on disk (both in path order).

    Both are gone through once, side by side, and not kept. Raises ConfigError if no pipeline rule matches a file that
    would have to be stored.
    """
    walk = _Walk(rules)
    trusts = rules.trust_stat
    for before, now, same in pair_up(old, walk.passing(found)):
        if same and trusts and now is not None:
            walk.stay(now)
        else:
            walk.step(before, now)
    return walk.plan(head)


@define
class _Walk:
    """What a walk along manifest and disk has come to. `sizes` are those of the manifest's files.

    What is gone is judged at the end: only then is it known what else has its place, and what could not be read.
    """

    rules: Rules
    candidates: list[Candidate] = field(factory=list)
    planned: list[Planned] = field(factory=list)
    gone: list[LocalEntry] = field(factory=list)
    problems: list[Problem] = field(factory=list)
    left_out: dict[str, Reason] = field(factory=dict)
    places: list[Scanned] = field(factory=list)
    sizes: set[int] = field(factory=set)
    unchanged: int = 0
    scanned: int = 0

    def passing(self, found: Iterable[Scanned | Problem | LeftOut]) -> Iterator[Scanned]:
        places = bool(self.rules.skip_delete)
        for item in found:
            if isinstance(item, Scanned):
                self.scanned += 1
                if places:
                    self.places.append(item)
                yield item
            else:
                self._pass_over(item)

    def _pass_over(self, item: Problem | LeftOut) -> None:
        if isinstance(item, Problem):
            self.problems.append(item)
        else:
            self.left_out[item.path] = item.reason

    def stay(self, now: Scanned) -> None:
        self.sizes.add(now.size)
        self.unchanged += 1

    def step(self, before: Row | None, now: Scanned | None) -> None:
        old = None if before is None else entry_in(before)
        if old is not None:
            self.sizes.add(old.entry.size)
        if now is None:
            assert old is not None
            self.gone.append(old)
        else:
            self._add(_compare(old, now, self.rules))

    def _add(self, step: Candidate | Planned | None) -> None:
        match step:
            case Candidate():
                self.candidates.append(step)
            case Planned():
                self.planned.append(step)
            case None:
                self.unchanged += 1

    def plan(self, head: HeadRef | None) -> BackupPlan:
        unreadable = frozenset(p.path for p in self.problems if p.kind is ProblemKind.UNREADABLE)
        keeper = Keeper(self.rules.ignore, self.rules.skip_delete, self.places, unreadable)
        stays = keeper.staying([old.entry for old in self.gone])
        for old in self.gone:
            self._add(None if old.entry.path in stays else _gone(old, keeper, self.left_out))
        return BackupPlan(
            head,
            tuple(_with_known_size(candidate, self.sizes) for candidate in self.candidates),
            tuple(sorted(self.planned, key=lambda planned: path_order(planned.change.entry.path))),
            tuple(self.problems),
            self.unchanged,
            self.scanned,
        )


def _with_known_size(candidate: Candidate, sizes: Set[int]) -> Candidate:
    previous = candidate.previous
    unrecorded = previous is not None and previous.size == NOT_RECORDED
    known = unrecorded or candidate.size == 0 or candidate.size in sizes
    return evolve(candidate, known_size=True) if known else candidate


def _compare(old: LocalEntry | None, new: Scanned, rules: Rules) -> Candidate | Planned | None:
    if new.type is not EntryType.FILE:
        return _compare_plain(old, new)
    reason = Reason.NEW if old is None else reason_to_read(old, new, rules.detection)
    if reason is None and old is not None and _wants_more(old.entry, rules):
        reason = Reason.REPROCESS
    if reason is not None:
        return _candidate(old, new, reason, rules)
    assert old is not None
    entry = evolve(old.entry, mode=new.mode, extra=carried(old.entry.extra, new.extra))
    if entry == old.entry:
        return None
    reason = Reason.MODE if entry.mode != old.entry.mode else Reason.EXTRA
    return Planned(Change(Status.CHANGED, entry), reason, old.stamp)


def _wants_more(entry: Entry, rules: Rules) -> bool:
    """Whether a file has to be stored again, for words that it was not stored with."""
    return rules.reprocess and lacks_words(entry, rules.words(entry.path))


def lacks_words(entry: Entry, words: tuple[Word, ...] | None) -> bool:
    """Whether a file is stored with less than `words`."""
    return entry.object is not None and not frozenset(words or ()) <= frozenset(entry.object.asked)


def _candidate(old: LocalEntry | None, new: Scanned, reason: Reason, rules: Rules) -> Candidate:
    words = words_for(new.path, rules)
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
        extra=new.extra,
    )


def storing_again(head: HeadRef | None, found: Sequence[tuple[Entry, Scanned]], rules: Rules) -> BackupPlan:
    """The plan that stores these entries of `head` again from what is on disk, as what is stored of them is damaged.

    Raises ConfigError like `make_plan`.
    """
    candidates = (_candidate(LocalEntry(entry), now, Reason.DAMAGED, rules) for entry, now in found)
    return BackupPlan(head, tuple(evolve(candidate, anew=True) for candidate in candidates))


def under(plan: BackupPlan, rules: Rules) -> BackupPlan:
    """The plan as `rules` has it: it may have been made under another configuration, or without the password.

    Raises ConfigError like `make_plan`.
    """
    return evolve(plan, candidates=tuple(_under(candidate, rules) for candidate in plan.candidates))


def _under(candidate: Candidate, rules: Rules) -> Candidate:
    words = words_for(candidate.path, rules)
    key = rules.key(candidate.path, words)
    same = candidate.key == key and candidate.asked == words
    return candidate if same else evolve(candidate, key=key, asked=words)


def words_for(path: PathText, rules: Rules) -> tuple[Word, ...]:
    """The pipeline that a file is to be stored with. Raises ConfigError where there is none."""
    words = rules.words(path)
    if words is None:
        raise ConfigError(
            "file_pipeline",
            [f"no rule matches {path}"],
            hint='end file_pipeline with a rule for everything else, such as ["*", []]',
        )
    return words


def _compare_plain(old: LocalEntry | None, new: Scanned) -> Planned | None:
    """Links and folders: what the scan says is all there is to know."""
    entry = Entry(new.path, new.type, 0, new.mtime_ns, new.mode, new.target, extra=new.extra)
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
    if old.mtime_ns != new.mtime_ns:
        return Reason.MTIME
    return Reason.MODE if old.mode != new.mode else Reason.EXTRA


def _gone(old: LocalEntry, keeper: Keeper, left_out: Mapping[str, Reason]) -> Planned:
    return Planned(Change(Status.DELETED, old.entry), _why_gone(old.entry.path, keeper, left_out))


def _why_gone(path: str, keeper: Keeper, left_out: Mapping[str, Reason]) -> Reason:
    if keeper.ignore.covers(path):
        return Reason.IGNORED
    if (reason := why_left_out(path, left_out)) is not None:
        return reason
    return Reason.IN_THE_WAY if keeper.skip_delete.covers(path) else Reason.GONE
