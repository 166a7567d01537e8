"""Copying a history: commit after commit through the target's commit machine, so that a crash leaves a shorter copy.

The rule decided here: the target is looked at before anything is written to it, and again once it is settled; what is
neither empty nor a copy of this very source stays untouched.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from attrs import evolve, frozen

from rrbackup.effects import planning, settling
from rrbackup.effects.checkpoints import Reach
from rrbackup.effects.client import Client
from rrbackup.effects.committing import due_checkpoint, held_meanwhile, lost, run_job, sender
from rrbackup.effects.opening import rules_of
from rrbackup.effects.settling import Permissions, Rest
from rrbackup.effects.stored_contents import CopyTransfer, StoredContents
from rrbackup.errors import ConfigError, RRBackupError
from rrbackup.events import CommitCopied, CopyPlanned, OnEvent
from rrbackup.pure import chain, commit
from rrbackup.pure.checkpoint import counted
from rrbackup.pure.claims import Origin
from rrbackup.pure.copying import (
    NONCE_DIGITS,
    CopiedCommit,
    CopyPlan,
    CopyResult,
    Holding,
    Step,
    check_same,
    copied_so_far,
    estimate,
    plan_step,
    steps,
    transaction_for,
)
from rrbackup.pure.dedup import DedupKey, catalogue
from rrbackup.pure.model import (
    Change,
    HeadRef,
    Link,
    LocalEntry,
    LocalManifest,
    ObjectRef,
    PathText,
    SeenClaim,
    SinceCheckpoint,
    Status,
)
from rrbackup.pure.names import path_order
from rrbackup.pure.outcomes import Settled
from rrbackup.pure.report import Version
from rrbackup.pure.soundness import Lost
from rrbackup.pure.stretch import Stretch


@frozen
class History:
    """What is to be copied: the commits of the source, oldest first, in the stretch of the chain they lie in.

    Those before them are `lost`.
    """

    stretch: Stretch
    commits: tuple[Link, ...]
    lost: Lost | None

    @classmethod
    def of(cls, reach: Reach) -> "History":
        return cls(Stretch(reach.base, reach.links), tuple(reversed(chain.commits(reach.links))), reach.lost)

    def manifest(self, link: Link) -> tuple[LocalEntry, ...]:
        return tuple(self.stretch.up_to(link).manifest().entries)


@frozen
class Found:
    """The target as it was looked at, and what is left to be copied; `lost` would have come first."""

    head: HeadRef | None
    manifest: LocalManifest
    todo: tuple[Step, ...]
    already: int
    skipped: int
    lost: Lost | None


def check_local_files(source: Client, target: Client) -> None:
    """Raise ConfigError where both clients would remember what they know in the same file."""
    if source.local.manifest_path == target.local.manifest_path:
        raise ConfigError(
            "of the copy",
            [f"local_manifest_file: {target.local.manifest_path} is that of the repository to be copied as well"],
            hint="each repository needs a file of its own: give the copy's configuration another local_manifest_file",
        )


def look_at(target: Client, head: HeadRef | None, history: History, last: int | None, on_event: OnEvent) -> Found:
    """Raises UsageError where the target holds something else, DamagedChain where it is not what was copied."""
    manifest = planning.manifest_at(target, head, on_event)
    place, newest = target.store.describe(), _newest_commit(target) if head is not None else None
    already = copied_so_far(history.commits, newest, place)
    if newest is not None:
        original = history.manifest(history.commits[already - 1])
        check_same((item.entry for item in original), (item.entry for item in manifest.entries), place)
    skipped = 0 if newest is not None or last is None else max(0, len(history.commits) - last)
    missing = history.commits[already + skipped :]
    whole = None if newest is not None or not missing else history.manifest(missing[0])
    entries = None if whole is None else (item.entry for item in whole)
    lost = None if newest is not None or skipped else history.lost
    return Found(head, manifest, steps(missing, entries), already, skipped, lost)


def _newest_commit(target: Client) -> Link | None:
    return next((link for link in target.control.newest_first() if chain.commits((link,))), None)


def plan(target: Client, found: Found) -> CopyPlan:
    """What is left to do, from what the commits say."""
    rules = rules_of(target.config, target.keys.opened)
    growing = Growing.of(found.manifest)
    return evolve(estimate(found.todo, found.already, found.skipped, growing.holding(), rules), lost=found.lost)


def copy(
    source: Client,
    target: Client,
    look: Callable[[HeadRef | None], Found],
    may: Permissions,
    on_event: OnEvent,
) -> CopyResult:
    """Copy what `look` finds to be missing. Raises like a backup, and whatever is wrong with the source's contents."""
    before = look(settling.observe_head(target))
    source.unlock_for_reading(_objects(before.todo))
    rest = settling.settle_or_create(target, may, on_event)
    with held_meanwhile(target, rest) as still:
        found = before if rest.head == before.head else look(rest.head)
        on_event(_announcement(plan(target, found)))
    writer = _Writer(source, target, still(), found, on_event)
    writer.copy(found.todo)
    if writer.rest.held and not found.todo:  # nothing has taken the place of the claim that the recovery holds
        settling.settle(target, evolve(may, continues=False), on_event)
    return CopyResult(tuple(writer.done), found.already, found.skipped, writer.objects, writer.bytes, found.lost)


def _objects(todo: Sequence[Step]) -> list[ObjectRef]:
    return [
        change.entry.object
        for step in todo
        for change in step.changes
        if change.status is not Status.DELETED and change.entry.object is not None
    ]


def _announcement(planned: CopyPlan) -> CopyPlanned:
    return CopyPlanned(len(planned.commits), planned.objects, planned.bytes)


class Growing:
    """The manifest of the target and the contents that it may refer to, brought forward commit by commit."""

    def __init__(self, head: HeadRef | None, since: SinceCheckpoint | None) -> None:
        self.head = head
        self.since = since
        self.entries: dict[PathText, LocalEntry] = {}
        self.stored: dict[DedupKey, ObjectRef] = {}
        self.sizes: dict[str, int] = {}

    @classmethod
    def of(cls, manifest: LocalManifest) -> "Growing":
        growing = cls(manifest.head, SinceCheckpoint() if manifest.head is None else manifest.since)
        for item in manifest.entries:
            growing._put(item)
        return growing

    def _put(self, item: LocalEntry) -> None:
        self.entries[item.entry.path] = item
        if item.entry.sha256 is not None:
            self.sizes[item.entry.sha256] = item.entry.size
        for key, ref in catalogue((item,)).items():
            self.stored.setdefault(key, ref)

    def take(self, link: Link) -> None:
        for change in link.diff.changes:
            self._apply(change)
        self.head, self.since = link.head, counted(self.since, link)

    def _apply(self, change: Change) -> None:
        if change.status is Status.DELETED:
            del self.entries[change.entry.path]
        else:
            self._put(LocalEntry(change.entry))

    def holding(self) -> Holding:
        return Holding(self.entries, self.stored, self.sizes)

    def manifest(self) -> LocalManifest:
        return LocalManifest(self.head, self.entries.values(), self.since)

    def sorted(self) -> LocalManifest:
        """As it is remembered."""
        entries = tuple(self.entries[path] for path in sorted(self.entries, key=path_order))
        return LocalManifest(self.head, entries, self.since)


class _Writer:
    """Publishes one commit of the target after the other."""

    def __init__(self, source: Client, target: Client, rest: Rest, found: Found, on_event: OnEvent) -> None:
        self.rest = rest
        self.done: list[CopiedCommit] = []
        self.objects = 0
        self.bytes = 0
        self._contents = StoredContents(source.fetcher())
        self._target = target
        self._before = found.manifest
        self._growing = Growing.of(found.manifest)
        self._rules = rules_of(target.config, target.keys.opened)
        self._claim = rest.claim
        self._adopted = rest.adopted
        self._on_event = on_event

    def copy(self, todo: Sequence[Step]) -> None:
        """What was copied is remembered, also where the rest fails."""
        try:
            for step in todo:
                self._commit(step)
        except RRBackupError:
            with suppress(RRBackupError):  # what stopped the copy says more
                self._remember()
            raise
        self._remember()

    def _commit(self, step: Step) -> None:
        job = self._job(step)
        send = sender(self._target, job, self._contents, {}, self._on_event, hashes_first=False)
        end = run_job(self._target, job, CopyTransfer(send, self._adopted), self._on_event)
        assert end.ending.link is not None
        self._target.local.drop_journal()
        self._count(step.original, end)
        if job.plan.candidates or job.claim.open is not None:
            self._claim, self._adopted = self._claim_after(), frozenset()

    def _job(self, step: Step) -> commit.Job:
        target, growing, original = self._target, self._growing, step.original
        plan = plan_step(growing.head, step, growing.holding(), self._rules)
        who = target.signature()
        return commit.Job(
            evolve(who, transaction=transaction_for(original, secrets.token_hex(NONCE_DIGITS // 2))),
            target.repository_of(growing.head),
            plan,
            settling.try_store(target, self._claim),
            deletes=target.deletes,
            adopted=self._adopted,
            checkpoint=due_checkpoint(target, growing.manifest(), self._on_event),
            origin=Origin(original.diff.created_ns, original.diff.host),
        )

    def _claim_after(self) -> SeenClaim:
        """The idle record that the last commit left. Raises TransactionLost where another client has begun."""
        seen = self._target.control.read_claim()
        if seen.open is not None:
            raise lost("what was copied so far is whole and stays")
        return seen

    def _count(self, original: Link, end: commit.Ended) -> None:
        link = end.ending.link
        assert link is not None
        self._growing.take(link)
        sent = [result for result in end.results if isinstance(result, Settled) and result.uploaded]
        self.objects += len(sent)
        self.bytes += sum(result.content.size for result in sent)
        self.done.append(CopiedCommit(Version.of(original), Version.of(link)))
        self._on_event(CommitCopied(original.version_id, link.version_id, link.diff.sequence))

    def _remember(self) -> None:
        self._target.local.save(self._growing.sorted() if self.done else self._before)
