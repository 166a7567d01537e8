"""The records of the claim object: opening a transaction, taking one over, leaving an idle record behind.

Rule: a record differs from the one that it replaces, by transaction or serial, so that the two never share an etag;
the claim object is only ever replaced under a condition, never deleted; and what a trial of the store found is handed
on from record to record.
"""

from attrs import evolve, frozen

from rrbackup.pure.model import Claim, ClaimState, HeadRef, SeenClaim, TransactionId, VersionId

OLD_CLIENT = TransactionId("rrbackup-1.0")
"""Stands for whatever transaction a client of rrbackup 1.0 has left open: it gave them no ids."""

VERDICT_SERIAL = 1_000
"""The serial of the record after a trial, beyond those that the trial used."""


@frozen
class Signature:
    """Who writes: a transaction of this client. `created_ns` is for people."""

    transaction: TransactionId
    host: str
    created_ns: int


@frozen
class Origin:
    """What a commit keeps that is a copy of one in another repository: when that was made, and where."""

    created_ns: int
    host: str


@frozen
class Patience:
    """For how long an open claim that was not renewed counts as alive: one of the client's own host, one of another's.

    None means for ever. It is courtesy only: whatever is taken over can no longer publish.
    """

    own_host_ns: int | None = None
    others_ns: int | None = None

    def limit_ns(self, claiming: str, host: str) -> int | None:
        """For a claim of the host `claiming`, as seen from `host`."""
        return self.own_host_ns if claiming == host else self.others_ns

    def is_over(self, seen: SeenClaim, host: str) -> bool:
        limit = self.limit_ns(seen.record.host, host) if seen.record is not None else None
        return limit is not None and seen.age_ns >= limit


def opening(who: Signature, head: HeadRef | None, keys: tuple[str, ...], after: SeenClaim) -> Claim:
    """A claim on the head that was observed, naming every key that may be written; it replaces `after`.

    Where that is an open claim, it is the one that our own recovery holds, and this one continues its line.
    """
    return evolve(_new(who, head, keys, after), line=line_of(after.open) if after.open else None)


def _new(who: Signature, head: HeadRef | None, keys: tuple[str, ...], after: SeenClaim) -> Claim:
    return Claim(
        transaction=who.transaction,
        serial=1,
        state=ClaimState.OPEN,
        host=who.host,
        created_ns=who.created_ns,
        head=head.version_id if head else None,
        head_sequence=head.sequence if head else 0,
        keys=keys,
        conditional_writes=after.record.conditional_writes if after.record else None,
    )


def taking_over(who: Signature, seen: SeenClaim, head: HeadRef | None, *, continuing: bool = False) -> Claim:
    """A small claim of our own that names the record in which the victim's keys are listed.

    `continuing` keeps the victim's line: only for a transaction of this very client.
    """
    assert seen.open is not None
    line = line_of(seen.open) if continuing else None
    return evolve(_new(who, head, (), seen), keys_version=keys_version(seen), line=line)


def line_of(record: Claim) -> TransactionId:
    """The first transaction of the unbroken line of one client that `record` belongs to."""
    return record.line or record.transaction


def renewing(seen: SeenClaim) -> Claim:
    """The next record of a transaction that goes on: small, and it names the one that lists the keys."""
    assert seen.record is not None
    return evolve(seen.record, serial=seen.record.serial + 1, keys=(), keys_version=keys_version(seen))


def keys_version(seen: SeenClaim) -> VersionId | None:
    """Where the keys of an open claim are listed."""
    assert seen.record is not None
    return seen.record.keys_version or seen.version_id


def of_old_client(keys: tuple[str, ...], created_ns: int) -> Claim:
    """What the gc_log of rrbackup 1.0 amounts to: an open transaction that may write `keys`."""
    host = "a client of rrbackup 1.0"
    return Claim(OLD_CLIENT, 0, ClaimState.OPEN, host, created_ns, keys=keys, conditional_writes=None)


def clearing(who: Signature, after: SeenClaim) -> Claim:
    """The idle record that ends our own claim `after`."""
    assert after.record is not None
    return _idle(who, after.record.serial + 1, after.record.conditional_writes)


def trial(who: Signature, number: int) -> Claim:
    """An idle record to try the store with: what it can do is not known yet."""
    return _idle(who, number, None)


def verdict(who: Signature, conditional_writes: bool) -> Claim:
    """The idle record that says what a trial found."""
    return _idle(who, VERDICT_SERIAL, conditional_writes)


def _idle(who: Signature, serial: int, conditional_writes: bool | None) -> Claim:
    return Claim(
        transaction=who.transaction,
        serial=serial,
        state=ClaimState.IDLE,
        host=who.host,
        created_ns=who.created_ns,
        conditional_writes=conditional_writes,
    )
