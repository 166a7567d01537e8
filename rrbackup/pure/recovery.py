"""The recovery machine: ending a transaction that somebody left open.

Rule 1: it is level-triggered. Its state is what was observed; `next_effect` names the first thing that is missing
until nothing is. A crash in the middle needs no code: the next run observes again.
Rule 2: safety never depends on time or on who is believed dead. Courtesy does: an open claim that is not known to be
dead stops us, unless it was not renewed for long, or we are told to take over. What a client of rrbackup 1.0 left open
is taken over once the user has said (`upgrade`) that there are none any more.

The story, as one would write it without machine::

    observe the head, then the claim
    the claim is open and not ours:
        is its transaction in the chain?   (it committed and died before clearing)
        otherwise, if it may be alive: stop
        take it over: replace it by a claim of ours                           lost: observe again
    the claim is ours:
        not known to be committed: publish a fence, so that it never can be   lost: observe again
        sweep the keys that the claim names
        what an interrupted backup of our own has uploaded is wanted: keep it, and the claim (`adoption.py`)
        otherwise clear the claim                                             lost: observe again
"""

from attrs import evolve, field, frozen

from rrbackup.pure import claims, format1, sweep
from rrbackup.pure.adoption import JournalContent, Receipt, refs_of
from rrbackup.pure.claims import Patience, Signature
from rrbackup.pure.model import (
    ClaimState,
    Diff,
    DiffKind,
    HeadRef,
    Link,
    RepositoryId,
    SeenClaim,
    VersionRef,
)
from rrbackup.pure.steps import (
    ChainSeen,
    ClaimSeen,
    Effect,
    HeadSeen,
    KeysSeen,
    Outcome,
    Publish,
    ReadChain,
    ReadClaim,
    ReadClaimKeys,
    ReadHead,
    Refused,
    Unclear,
    WriteClaim,
    Wrote,
    expecting,
    published,
)
from rrbackup.pure.sweep import Sweep


@frozen
class Task:
    """What a recovery may do; never changes while it runs.

    The transactions in `journal` are of this very client: their process is known to be gone since we hold its lock.
    With `continues`, a backup follows that can use what they uploaded. `new_repository` is used only where the
    repository has no diff yet; `upgrade` permits to continue what rrbackup 1.0 wrote.
    """

    who: Signature
    new_repository: RepositoryId
    journal: JournalContent = field(factory=JournalContent)
    continues: bool = False
    take_over: bool = False
    upgrade: bool = False
    patience: Patience = field(factory=Patience)
    deletes: bool = True
    known_head: HeadRef | None = None


@frozen
class Facts:
    """What has been observed and done so far; None means not yet known.

    `victim` is the claim that we replaced, `committed` whether its transaction is in the chain, `fence` the diff
    of ours that ended it.
    """

    task: Task
    head_seen: bool = False
    head: HeadRef | None = None
    claim: SeenClaim | None = None
    victim: SeenClaim | None = None
    committed: bool | None = None
    fence: HeadRef | None = None
    search: Sweep | None = None

    @property
    def ours(self) -> bool:
        return self.claim is not None and self.claim.belongs_to(self.task.who.transaction)

    @property
    def outdated(self) -> bool:
        """What we would write on is of rrbackup 1.0, and we have not been told to."""
        record = self.claim.open if self.claim else None
        old_head = self.head is not None and self.head.format == format1.FORMAT
        old_claim = record is not None and record.transaction == claims.OLD_CLIENT
        return (old_head or old_claim) and not self.task.upgrade

    @property
    def blocked(self) -> bool:
        """An open claim stands in the way that may be alive, and we have not been told to take over."""
        task, seen = self.task, self.claim or SeenClaim()
        record = seen.open
        if record is None or self.ours or self.committed is not False or task.take_over:
            return False
        dead = record.transaction in {*task.journal.transactions, claims.OLD_CLIENT}
        return not (dead or task.patience.is_over(seen, task.who.host))

    @property
    def wanted(self) -> frozenset[Receipt]:
        """What the backup that follows can use, if it is still there: our claim says whose line it continues."""
        record = self.claim.open if self.claim and self.ours else None
        if record is None or record.line is None or self.committed:
            return frozenset()
        return self.task.journal.adoptable(record.line)

    @property
    def adopted(self) -> frozenset[Receipt]:
        """What of it is there, once the recovery has come to its end."""
        kept = self.search.kept if self.search else frozenset()
        return frozenset(receipt for receipt in self.wanted if receipt.object.ref in kept)

    @property
    def strays(self) -> frozenset[VersionRef]:
        """Uploads of ours under a claim that another client ended: no recovery of ours goes through their keys."""
        victim = self.victim.open if self.victim else None
        swept = self.task.journal.sent_under(victim) if victim else frozenset()
        return refs_of(self.task.journal.receipts - swept - self.adopted)


def begin(task: Task) -> Facts:
    return Facts(task)


def next_effect(facts: Facts) -> Effect | None:
    """What the world must do now; None when the repository is idle, when `facts.blocked`, or when the claim is ours
    and stands for what was `adopted`."""
    if not facts.head_seen:
        return ReadHead(facts.task.known_head)
    if facts.claim is None:
        return ReadClaim()
    if facts.claim.open is None or facts.outdated or facts.blocked:
        return None
    if facts.committed is None:
        return ReadChain(facts.claim.open.head_sequence)
    return _when_ours(facts, facts.claim) if facts.ours else _take_over(facts, facts.claim)


def _take_over(facts: Facts, seen: SeenClaim) -> WriteClaim:
    record = claims.taking_over(facts.task.who, seen, facts.head, continuing=_continues(facts, seen))
    return WriteClaim(record, expecting(seen.etag))


def _continues(facts: Facts, seen: SeenClaim) -> bool:
    """Whether the claim to be taken over is one of our own, with uploads that can still be of use."""
    task = facts.task
    assert seen.open is not None
    own = task.continues and not facts.committed and seen.open.transaction in task.journal.transactions
    return own and bool(task.journal.adoptable(claims.line_of(seen.open)))


def _when_ours(facts: Facts, seen: SeenClaim) -> Effect | None:
    assert seen.open is not None
    if facts.fence is None and not facts.committed:
        return Publish(_fence_of(facts), expecting(facts.head.etag if facts.head else None))
    if facts.search is None:
        assert seen.open.keys_version is not None
        return ReadClaimKeys(seen.open.keys_version)
    return sweep.next_effect(facts.search) or (None if facts.adopted else _clearing(facts, seen))


def _clearing(facts: Facts, seen: SeenClaim) -> WriteClaim:
    assert seen.open is not None
    return WriteClaim(claims.clearing(facts.task.who, seen), expecting(seen.etag))


def _fence_of(facts: Facts) -> Diff:
    return fence(facts.task.who, facts.head, facts.task.new_repository)


def fence(who: Signature, head: HeadRef | None, new_repository: RepositoryId) -> Diff:
    """A diff without changes: whoever builds on the head before it can no longer publish."""
    return Diff(
        repository=head.repository if head else new_repository,
        sequence=head.sequence + 1 if head else 1,
        parent=head.as_parent if head else None,
        transaction=who.transaction,
        kind=DiffKind.FENCE,
        created_ns=who.created_ns,
        host=who.host,
    )


def advance(facts: Facts, outcome: Outcome) -> Facts:
    """What is known after `outcome` of the effect that `facts` asked for."""
    match next_effect(facts), outcome:
        case ReadHead(), HeadSeen(head) if not facts.head_seen:
            return evolve(facts, head_seen=True, head=head)
        case ReadClaim(), ClaimSeen(claim) if facts.claim is None:
            return _observed(facts, claim)
        case ReadChain(), ChainSeen(links):
            return _with_chain(facts, links)
        case WriteClaim(record), Wrote(version_id, etag):
            return _holding(facts, SeenClaim(record, etag, version_id))
        case Publish(diff), Wrote():
            stood = published(diff, outcome).head
            return evolve(facts, head=stood, fence=stood)
        case Publish(), Refused() | Unclear():
            return _again(facts, facts.victim)
        case WriteClaim(), Refused() | Unclear():
            return _again(facts, facts.victim if facts.ours else facts.claim)
        case ReadClaimKeys(), KeysSeen(keys):
            return evolve(facts, search=_search(facts, keys))
        case _:
            return _swept(facts, outcome)


def _observed(facts: Facts, claim: SeenClaim) -> Facts:
    """A transaction that builds on the very head that stands has not committed: no need to read the chain."""
    sequence = facts.head.sequence if facts.head else 0
    unmoved = claim.open is not None and sequence <= claim.open.head_sequence
    victim = facts.victim if claim.belongs_to(facts.task.who.transaction) else None
    return evolve(facts, claim=claim, victim=victim, committed=False if unmoved else None)


def _again(facts: Facts, victim: SeenClaim | None) -> Facts:
    """Observe anew. A fence of one who no longer holds the claim would only hit whoever does."""
    return Facts(facts.task, victim=victim)


def _with_chain(facts: Facts, links: tuple[Link, ...]) -> Facts:
    """Look, in what came after the base, for the victim's commit, and for a fence of ours whose answer was lost.

    A victim that has published a fence can publish nothing else any more: that one will do.
    """
    victim = (facts.victim or facts.claim or SeenClaim()).open
    parties = {victim.transaction if victim else None, facts.task.who.transaction if facts.ours else None}
    theirs = [link for link in links if link.diff.transaction in parties]
    fences = [link.head for link in theirs if link.diff.kind is DiffKind.FENCE]
    return evolve(
        facts,
        head=links[0].head if links else facts.head,
        committed=any(link.diff.kind is DiffKind.COMMIT for link in theirs),
        fence=fences[0] if fences else None,
    )


def _holding(facts: Facts, claim: SeenClaim) -> Facts:
    """Our record stands: a claim that took the victim's place, or the idle one at the end."""
    if claim.record is not None and claim.record.state is ClaimState.IDLE:
        return evolve(facts, claim=claim)
    return evolve(facts, claim=claim, victim=facts.claim)


def _search(facts: Facts, keys: tuple[str, ...] | None) -> Sweep:
    """Without a list of keys (a life-cycle rule may have expired it) everything is looked through."""
    return Sweep(facts.task.who.transaction, keys, facts.task.deletes, wanted=refs_of(facts.wanted))


def _swept(facts: Facts, outcome: Outcome) -> Facts:
    assert facts.search is not None
    search = sweep.advance(facts.search, outcome)
    return begin(facts.task) if search.superseded else evolve(facts, search=search)
