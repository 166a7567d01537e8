"""Copying a history into another repository: what is left to copy, and what each commit comes to there.

Rule 1: of which commit of the source one of the target's is a copy, the target itself says: the transaction id of a
copied diff is half chance, half the hash of that and of the diff it was copied from. So every attempt has an id of its
own, and nothing has to be remembered elsewhere.
Rule 2: a content is known by its digest, and stored again only where the target has none with the same digest and the
words that its own configuration asks for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from attrs import evolve, field, frozen

from rrbackup.errors import DamagedChain, DamagedObject, UsageError
from rrbackup.pure.dedup import DedupKey, dedup_key
from rrbackup.pure.manifest import check_fits
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Entry,
    EntryType,
    HeadRef,
    Link,
    LocalEntry,
    ObjectRef,
    PathText,
    Status,
    TransactionId,
)
from rrbackup.pure.plan import BackupPlan, Candidate, Planned, words_for
from rrbackup.pure.reason import Reason
from rrbackup.pure.report import Version
from rrbackup.pure.rules import Rules
from rrbackup.pure.soundness import Lost

NONCE_DIGITS = 16
_EMPTY_SHA256 = sha256().hexdigest()


# --- which commit is a copy of which ---------------------------------------------------------------------------


def transaction_for(original: Link, nonce: str) -> TransactionId:
    """The id of a transaction that copies `original`; `nonce` are `NONCE_DIGITS` random hexadecimal digits."""
    parts = (nonce, original.diff.repository, original.version_id, original.sha256)
    mark = sha256(b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts))
    return TransactionId(nonce + mark.hexdigest()[:NONCE_DIGITS])


def is_copy(link: Link, original: Link) -> bool:
    own = link.diff.transaction
    return own == transaction_for(original, own[:NONCE_DIGITS])


def copied_so_far(commits: Sequence[Link], newest: Link | None, target: str) -> int:
    """How many of `commits` (oldest first) lie at or below the one that `newest`, the target's last commit, copies.

    Raises UsageError where it copies none of them.
    """
    if newest is None:
        return 0
    for number in range(len(commits), 0, -1):
        if is_copy(newest, commits[number - 1]):
            return number
    raise UsageError(
        f"the newest commit of {target}, {newest.version_id} (#{newest.diff.sequence}), is no copy of a commit of this "
        "repository",
        hint="copy into an empty place, or into an earlier copy of this very repository on top of which nobody has "
        "backed up",
    )


def check_same(original: Iterable[Entry], copy: Iterable[Entry], target: str) -> None:
    """Raise DamagedChain unless the two manifests hold the same files, wherever their contents are."""
    wanted = {entry.path: _facts(entry) for entry in original}
    found = {entry.path: _facts(entry) for entry in copy}
    for path in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(path), found.get(path)
        if (
            one is None
            or other is None
            or evolve(other, size=one.size if one.size == NOT_RECORDED else other.size) != one
        ):
            raise DamagedChain(
                f"the newest commit of {target} says something else of {path} than the commit that it copies",
                hint="copy into an empty place, and find out who may write to this one",
            )


def _facts(entry: Entry) -> Entry:
    return evolve(entry, object=None)


# --- what is to be done ----------------------------------------------------------------------------------------


@frozen
class Step:
    """One commit to copy: the changes that take what the target holds before to what it has to hold."""

    original: Link
    changes: tuple[Change, ...] = field(repr=lambda changes: f"<{len(changes)} changes>")


def steps(commits: Sequence[Link], whole: Iterable[Entry] | None) -> tuple[Step, ...]:
    """For `commits`, oldest first; `whole` is the manifest of the first of them, where the target is empty."""
    if whole is None or not commits:
        return tuple(Step(link, link.diff.changes) for link in commits)
    first = Step(commits[0], tuple(Change(Status.NEW, entry) for entry in whole))
    return (first, *steps(commits[1:], None))


@frozen
class Holding:
    """What the target holds: its entries, the contents that may be referred to, and how many bytes those have."""

    entries: Mapping[PathText, LocalEntry]
    stored: Mapping[DedupKey, ObjectRef]
    sizes: Mapping[str, int]


def plan_step(head: HeadRef | None, step: Step, holding: Holding, rules: Rules) -> BackupPlan:
    """What the commit machine has to do for one commit: contents to store, and changes that need none.

    Raises DamagedChain, DamagedObject, ConfigError.
    """
    found = [_planned(change, holding, rules) for change in step.changes]
    return BackupPlan(
        head,
        tuple(item for item in found if isinstance(item, Candidate)),
        tuple(item for item in found if isinstance(item, Planned)),
    )


def _planned(change: Change, holding: Holding, rules: Rules) -> Candidate | Planned | None:
    entry, held = change.entry, holding.entries.get(change.entry.path)
    before = None if held is None else held.entry
    check_fits(change, present=before is not None)
    if change.status is Status.DELETED:
        assert before is not None
        return Planned(Change(Status.DELETED, before), Reason.GONE)
    reason = Reason.NEW if before is None else Reason.CONTENT
    wanted = wanted_content(entry, rules)
    if wanted is not None and wanted not in holding.stored:
        words = wanted[1]
        key = rules.key(entry.path, words)
        return Candidate(
            entry.path, entry.size, entry.mtime_ns, entry.mode, reason, before, key, words, anew=True, copied=entry
        )
    if wanted is None:
        now = evolve(entry, size=0, object=None)
    else:
        now = evolve(entry, size=holding.sizes[wanted[0]], object=holding.stored[wanted])
    if now == before:
        return None
    return Planned(Change(Status.NEW if before is None else Status.CHANGED, now), reason)


def wanted_content(entry: Entry, rules: Rules) -> DedupKey | None:
    """What the target has to hold for an entry; None for what needs no object. Raises DamagedObject, ConfigError."""
    if entry.type is not EntryType.FILE or entry.sha256 == _EMPTY_SHA256:
        return None
    if entry.object is None or entry.sha256 is None:
        raise DamagedObject(
            f"the commit says of {entry.path} neither where its content is nor that it is empty",
            hint="nothing from this commit on can be copied; with --last, copy those after the file has changed",
        )
    return dedup_key(entry.sha256, words_for(entry.path, rules))


def by_content(candidates: Iterable[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """The files that are to have the same content, stored in the same way, together."""
    groups: dict[DedupKey, list[Candidate]] = {}
    for candidate in candidates:
        assert candidate.copied is not None
        assert candidate.copied.sha256 is not None
        groups.setdefault(dedup_key(candidate.copied.sha256, candidate.asked), []).append(candidate)
    return tuple(map(tuple, groups.values()))


# --- what is told of it ----------------------------------------------------------------------------------------


@frozen
class CopyPlan:
    """What a copy would do: `commits` are those of the source that the target lacks, oldest first.

    `already` counts the source's commits up to the newest that the target has; `skipped`, those that `last` leaves out.
    `objects` contents with `bytes` are to be stored, `unrecorded` of them of a size that rrbackup 1.0 did not record.
    `lost` is what the copy will lack, because it cannot be read here any more.
    """

    commits: tuple[Version, ...]
    already: int
    skipped: int
    objects: int
    bytes: int
    unrecorded: int = 0
    lost: Lost | None = None


@frozen
class CopiedCommit:
    """One commit of the source, and what it became."""

    original: Version
    copy: Version


@frozen
class CopyResult:
    """What a copy did. `objects` and `bytes` count the contents that were stored; `lost` is what the copy lacks."""

    commits: tuple[CopiedCommit, ...]
    already: int
    skipped: int
    objects: int
    bytes: int
    lost: Lost | None = None


def estimate(todo: Sequence[Step], already: int, skipped: int, holding: Holding, rules: Rules) -> CopyPlan:
    """What `todo` would come to, from what the commits say alone."""
    missing = dict(_missing(todo, holding, rules))
    return CopyPlan(
        tuple(Version.of(step.original) for step in todo),
        already,
        skipped,
        len(missing),
        sum(max(0, size) for size in missing.values()),
        sum(size == NOT_RECORDED for size in missing.values()),
    )


def _missing(todo: Iterable[Step], holding: Holding, rules: Rules) -> Iterator[tuple[DedupKey, int]]:
    for step in todo:
        for change in step.changes:
            wanted = None if change.status is Status.DELETED else wanted_content(change.entry, rules)
            if wanted is not None and wanted not in holding.stored:
                yield wanted, change.entry.size
