"""The records of the claim object: opening a transaction, taking one over, leaving an idle record behind.

Rule: every record differs from every other, by transaction and serial, so that no two ever share an etag; and the
claim object is only ever replaced under a condition, never deleted.
"""

from attrs import evolve, frozen

from rrbackup.pure.model import Claim, ClaimState, HeadRef, SeenClaim, TransactionId


@frozen
class Signature:
    """Who writes: a transaction of this client. `created_ns` is for people."""

    transaction: TransactionId
    host: str
    created_ns: int
    conditional_writes: bool = True


def opening(who: Signature, head: HeadRef | None, keys: tuple[str, ...]) -> Claim:
    """A claim on the head that was observed, naming every key that may be written."""
    return Claim(
        transaction=who.transaction,
        serial=1,
        state=ClaimState.OPEN,
        host=who.host,
        created_ns=who.created_ns,
        head=head.version_id if head else None,
        head_sequence=head.sequence if head else 0,
        keys=keys,
        conditional_writes=who.conditional_writes,
    )


def taking_over(who: Signature, seen: SeenClaim, head: HeadRef | None) -> Claim:
    """A small claim of our own that names the record in which the victim's keys are listed."""
    victim = seen.open
    assert victim is not None
    return evolve(opening(who, head, ()), keys_version=victim.keys_version or seen.version_id)


def idle(who: Signature, serial: int) -> Claim:
    """The record that ends a transaction."""
    return Claim(
        transaction=who.transaction,
        serial=serial,
        state=ClaimState.IDLE,
        host=who.host,
        created_ns=who.created_ns,
        conditional_writes=who.conditional_writes,
    )
