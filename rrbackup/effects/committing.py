"""Running a transaction: a backup's commit, or a collection of garbage, and what is remembered of it."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from attrs import evolve, frozen

from rrbackup.effects.checkpoints import next_checkpoint, take_back
from rrbackup.effects.client import Client
from rrbackup.effects.coding import Coder
from rrbackup.effects.opening import rules_of
from rrbackup.effects.renewing import RENEW_SECONDS, Renewal
from rrbackup.effects.runner import Transfer, run
from rrbackup.effects.settling import Rest, try_store
from rrbackup.effects.transfer import BackupTransfer, Options, Source, Sources
from rrbackup.errors import StalePlan, TransactionLost
from rrbackup.events import Notice, OnEvent, Published
from rrbackup.pure import collection, commit
from rrbackup.pure.adoption import Receipt, contents_of, with_known_sizes
from rrbackup.pure.checkpoint import will_publish
from rrbackup.pure.dedup import DedupKey, catalogue
from rrbackup.pure.manifest import fold_links, stamped
from rrbackup.pure.model import CheckpointRef, Link, LocalManifest, ObjectRef, VersionRef
from rrbackup.pure.outcomes import FileResult
from rrbackup.pure.plan import BackupPlan, under


@frozen
class Committed:
    """`link` is None where nothing had changed after all."""

    link: Link | None = None
    results: tuple[FileResult, ...] = ()


def commit_plan(
    client: Client,
    plan: BackupPlan,
    rest: Rest,
    manifest: LocalManifest,
    on_event: OnEvent,
    damaged: frozenset[VersionRef] = frozenset(),
) -> Committed:
    """Run a plan that was made since then; nothing new refers to what is `damaged`.

    Raises DamagedObject if the head is damaged, TransactionLost if another client won, or the plan saw its commit.
    """
    if plan.head != rest.head:
        raise lost("nothing was published")
    if plan.empty and not rest.held:
        client.local.save(manifest)
        return Committed()
    plan = under(plan, rules_of(client.config, client.keys.opened))
    plan = evolve(plan, candidates=with_known_sizes(plan.candidates, rest.adopted))
    if will_publish(plan):
        client.control.check_head()  # before anything is uploaded
    claim = try_store(client, rest.claim)
    job = commit.Job(
        client.signature(),
        client.repository_of(rest.head),
        plan,
        claim,
        deletes=client.deletes,
        adopted=rest.adopted,
        checkpoint=_checkpoint(client, plan, manifest, on_event),
    )
    known = contents_of(job.adopted) | catalogue(manifest.entries, damaged)
    base = Source(client.config.base(), client.config.follow_symlinks)
    transfer = sender(client, job, base, known, on_event)
    return _concluded(client, run_job(client, job, transfer, on_event), plan, manifest)


def run_job(client: Client, job: commit.Job, transfer: Transfer, on_event: OnEvent) -> commit.Ended:
    """Drive the commit machine. Raises TransactionLost if another client won."""
    world = evolve(client.world(transfer), before_publish=client.control.check_head)
    end = run(commit.begin(job), commit.next_effect, commit.advance, world)
    assert isinstance(end, commit.Ended)
    link = end.ending.link
    if job.checkpoint is not None and link is None and client.deletes:
        take_back(client.control, job.checkpoint)
    if end.ending.lost:
        client.local.drop_journal()
        raise lost("nothing was published, and what was uploaded has been taken back")
    if link is not None:
        on_event(Published(link.version_id, link.diff.sequence))
    return end


def _checkpoint(client: Client, plan: BackupPlan, manifest: LocalManifest, on_event: OnEvent) -> CheckpointRef | None:
    """What the commit of this plan will name, where it is as good as certain to be published."""
    return due_checkpoint(client, manifest, on_event) if will_publish(plan) else None


def due_checkpoint(client: Client, manifest: LocalManifest, on_event: OnEvent) -> CheckpointRef | None:
    """A checkpoint for a commit on top of `manifest` to name, where one is due."""
    rebuilt = client.local.load().manifest is None
    return next_checkpoint(client.control, manifest, rebuilt=rebuilt, tell=lambda why: on_event(Notice(why)))


def refuse_stale(plan: BackupPlan, rest: Rest) -> None:
    """Raises StalePlan for one that was made on another head than the one from which its backup goes on."""
    if plan.head != rest.head:
        raise StalePlan(
            "the plan was made against a commit that is no longer the newest", hint="make a new plan and run that"
        )


@contextmanager
def held_meanwhile(client: Client, rest: Rest) -> Iterator[Callable[[], Rest]]:
    """Keep the claim of a rest alive that a recovery holds; the function gives the rest as it is then.

    It raises TransactionLost if another client has taken the claim over.
    """
    with Renewal(client.control, rest.claim, RENEW_SECONDS if rest.held else None) as renewal:

        def still() -> Rest:
            if rest.held and renewal.lost:
                raise lost("nothing was published")
            return evolve(rest, claim=renewal.claim)

        yield still


def sender(
    client: Client,
    job: commit.Job,
    source: Sources,
    known: Mapping[DedupKey, ObjectRef],
    on_event: OnEvent,
    *,
    hashes_first: bool = True,
) -> BackupTransfer:
    """Sends contents from `source` as the client's configuration wants them stored, and writes receipts down."""
    config = client.config
    line = job.line
    coder = Coder(config.compress_level, client.keys.opened, config.chunk_size, secrets.token_bytes)
    return BackupTransfer(
        client.content_store,
        source,
        known,
        Options(coder, client.threads, config.s3.storage_class if config.s3 else None, hashes_first),
        lambda content, ref: client.local.note_receipt(Receipt(line, content.sha256, content.size, ref)),
        on_event,
    )


def _concluded(client: Client, end: commit.Ended, plan: BackupPlan, manifest: LocalManifest) -> Committed:
    link = end.ending.link
    client.local.save(stamped(fold_links(manifest, (link,) if link else ()), plan, end.results))
    client.local.drop_journal()
    return Committed(link, end.results)


def collect(client: Client, rest: Rest, only: frozenset[VersionRef] | None) -> tuple[VersionRef, ...]:
    """Delete what no diff refers to, of everything or of `only`. Raises TransactionLost if another client came."""
    job = collection.Job(
        client.signature(), client.repository_of(rest.head), rest.head, try_store(client, rest.claim), only
    )
    end = run(collection.begin(job), collection.next_effect, collection.advance, client.world())
    assert isinstance(end, collection.Ended)
    client.local.drop_journal()
    if end.lost:
        raise lost("nothing more was deleted")
    return end.removed


def lost(consequence: str) -> TransactionLost:
    """The error of a transaction that another client was faster than, or ended."""
    return TransactionLost(
        f"another client has committed or taken over meanwhile; {consequence}", hint="run again when it has ended"
    )
