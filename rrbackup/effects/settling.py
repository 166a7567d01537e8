"""Bringing a repository to rest before anything is written: recovery, and finding out what the store can do."""

from datetime import UTC, datetime, timedelta

from attrs import frozen

from rrbackup.effects.client import Client
from rrbackup.effects.probe import probe_conditional_writes
from rrbackup.effects.runner import run
from rrbackup.effects.upgrading import upgrade_keys
from rrbackup.errors import ClientAtWork, ConditionFailed, OutcomeUnknown, StoreMissing, StoreUnavailable
from rrbackup.events import Notice, OnEvent
from rrbackup.pure import claims, format1, recovery, sweep
from rrbackup.pure.adoption import Receipt
from rrbackup.pure.claims import Patience
from rrbackup.pure.model import Claim, HeadRef, SeenClaim, TransactionId
from rrbackup.pure.sizes import counted, human_bytes
from rrbackup.pure.steps import MustMatch, Refused, Unclear, Wrote

_SECOND = 1_000_000_000
_YEAR_9000 = 221_845_392_000
_TRIALS = 5
"""So many trials of a store may come to no end."""


@frozen
class Rest:
    """A repository at rest: the head that was seen, and no open claim but, for the sake of what an interrupted backup
    has `adopted` uploads of, one of our own."""

    head: HeadRef | None
    claim: SeenClaim
    adopted: frozenset[Receipt] = frozenset()

    @property
    def held(self) -> bool:
        return self.claim.open is not None


@frozen
class Permissions:
    """What the user allowed: to end another client's transaction, to continue what rrbackup 1.0 wrote. `continues`
    says that a backup follows, which can use the uploads of an interrupted one."""

    take_over: bool = False
    upgrade: bool = False
    continues: bool = False


def settle(client: Client, may: Permissions, on_event: OnEvent) -> Rest:
    """Recover what an earlier run left open.

    Raises ClientAtWork if another client may be at work, UpgradeNeeded if rrbackup 1.0 wrote here, and WrongPassword.
    """
    if may.upgrade:
        upgrade_keys(client)
    client.unlock(create=True, upgrade=may.upgrade)
    if client.keys.made is not None:
        on_event(Notice(client.keys.made))
    task = recovery.Task(
        who=client.signature(),
        new_repository=client.repository_of(None),
        journal=client.local.journal(),
        continues=may.continues,
        take_over=may.take_over,
        upgrade=may.upgrade,
        patience=client.patience(),
        deletes=client.deletes,
        known_head=client.local.known_head(),
    )
    facts = run(recovery.begin(task), recovery.next_effect, recovery.advance, client.world())
    assert facts.claim is not None
    if facts.outdated:
        raise format1.upgrade_needed(client.store.describe())
    if facts.blocked:
        raise _at_work(facts.claim, task.patience, task.who.host)
    if facts.victim is not None:
        on_event(Notice(_recovered(facts)))
    _settle_journal(client, facts)
    if client.control.single_writer:
        on_event(Notice(SINGLE_WRITER))
    return Rest(facts.head, facts.claim, facts.adopted)


SINGLE_WRITER = (
    "single writer: this store does not honour conditional writes, so only the local lock keeps writers apart"
)


def _settle_journal(client: Client, facts: recovery.Facts) -> None:
    """Uploads of a transaction of ours that another client ended: what no diff refers to is garbage."""
    if facts.strays:
        search = sweep.of_receipts(facts.strays, TransactionId(""), client.deletes)
        run(search, sweep.next_effect, sweep.advance, client.world())
    if not facts.adopted:
        client.local.drop_journal()


def _at_work(claim: SeenClaim, patience: Patience, host: str) -> ClientAtWork:
    record = claim.open
    assert record is not None
    heard, seconds = claim.age_ns // _SECOND, (patience.limit_ns(record.host, host) or 0) // _SECOND
    since = datetime.fromtimestamp(0, UTC) + timedelta(seconds=max(0, min(record.created_ns // _SECOND, _YEAR_9000)))
    return ClientAtWork(
        f"another client is at work: {record.host}, since {since:%Y-%m-%d %H:%M:%S} UTC, last heard of "
        f"{counted(heard, 'second', 'seconds')} ago (transaction {record.transaction})",
        hint=f"wait for it to end; it counts as dead once it was silent for {seconds} seconds. If it is "
        "dead, run again with --take-over. That is always safe for the repository: should it be alive after all, its "
        "backup fails",
    )


def _recovered(facts: recovery.Facts) -> str:
    victim = facts.victim.open if facts.victim else None
    return f"an interrupted transaction of {victim.host if victim else 'another client'} was ended: {_outcome(facts)}"


def _outcome(facts: recovery.Facts) -> str:
    if facts.committed:
        return "it had committed"
    if not facts.adopted:
        return "it had not committed, and what it uploaded has been taken back"
    size = sum(receipt.size for receipt in facts.adopted)
    files = counted(len(facts.adopted), "file", "files")
    return f"it had not committed; what it uploaded, {files} with {human_bytes(size)}, is not sent again"


# --- what the store can do -------------------------------------------------------------------------------------


def try_store(client: Client, claim: SeenClaim) -> SeenClaim:
    """Find out whether the store honours conditions, unless a record says so already; leaves an idle record.

    Uses the claim object itself, so that no scratch object stays behind. The finding is written down last: a trial
    that is cut off counts for nothing. A trial in which an answer was lost, or another client wrote, is begun anew on
    what lies there then. Raises ClientAtWork, or StoreUnavailable where answers keep getting lost.
    """
    seen = claim
    for _ in range(_TRIALS):
        if seen.record is not None and seen.record.conditional_writes is not None:
            return seen
        try:
            return _tried(client, seen)
        except (ConditionFailed, OutcomeUnknown) as error:
            trouble = error
        seen = client.control.read_claim()
        _refuse_anothers(seen, claim)
    raise _no_trial(client, trouble) from trouble


def _tried(client: Client, claim: SeenClaim) -> SeenClaim:
    """One trial. Raises ConditionFailed or OutcomeUnknown where it came to no end."""
    who = client.signature()
    found = probe_conditional_writes(
        client.store,
        client.control.names.claim,
        lambda number: client.control.encode_claim(claims.trial(who, number)),
        claim.etag,
    )
    client.control.single_writer = not found.conditional
    return _written_down(client, claims.verdict(who, found.conditional), found.etag)


def _written_down(client: Client, record: Claim, etag: str) -> SeenClaim:
    """Leave the finding in the claim object, where every client reads it."""
    match client.control.write_claim(record, MustMatch(etag)):
        case Wrote(version_id=version_id, etag=written):
            return SeenClaim(record, written, version_id)
        case Refused():
            raise ConditionFailed(
                f"{client.control.names.claim} was written by another client, or by this very request"
            )
        case Unclear():
            raise OutcomeUnknown(f"{client.control.names.claim} may have been written")


def _refuse_anothers(seen: SeenClaim, ours: SeenClaim) -> None:
    if seen.open is None or (ours.open is not None and ours.open.transaction == seen.open.transaction):
        return
    raise ClientAtWork(
        f"another client is at work: {seen.open.host} claimed the repository while this one tried the store "
        f"(transaction {seen.open.transaction})",
        hint="run again when it has ended",
    )


def _no_trial(client: Client, trouble: ConditionFailed | OutcomeUnknown) -> ClientAtWork | StoreUnavailable:
    if isinstance(trouble, ConditionFailed):
        return ClientAtWork(
            f"another client is trying {client.store.describe()}: {client.control.names.claim} was written by somebody "
            f"else in {_TRIALS} trials",
            hint="run again when it has ended",
        )
    return StoreUnavailable(
        f"{client.store.describe()} lost answers in {_TRIALS} trials of what it can do: {trouble.message}",
        hint="nothing was published; run again when the store can be reached",
    )


def observe_head(client: Client) -> HeadRef | None:
    """The newest diff, for a plan. A folder that the first backup would create counts as an empty repository.

    Raises StoreMissing like `settle_or_create`.
    """
    try:
        client.unlock(create=False)
        return client.control.read_head(client.local.known_head())
    except StoreMissing:
        if not _may_be_created(client):
            raise
        client.require_password(ask=False)
        return None


def settle_or_create(client: Client, may: Permissions, on_event: OnEvent) -> Rest:
    """Settle, where the first backup creates the folder of a directory store.

    A folder that this client has known and that is gone raises StoreMissing: its disk may not be mounted.
    """
    try:
        return settle(client, may, on_event)
    except StoreMissing:
        if not _may_be_created(client):
            raise
    client.require_password(ask=True)  # a folder that is made for nothing would be in the way of asking why
    for sentence in client.store.prepare():
        on_event(Notice(sentence))
    return settle(client, may, on_event)


def _may_be_created(client: Client) -> bool:
    return client.config.directory is not None and client.local.known_head() is None
