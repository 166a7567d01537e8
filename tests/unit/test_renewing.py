"""Renewals beside uploads that look at the claim too."""

import threading

from rrbackup.effects.control import Control
from rrbackup.effects.renewing import Renewal
from rrbackup.pure.claims import Signature, opening
from rrbackup.pure.model import Claim, SeenClaim, TransactionId, VersionId
from rrbackup.pure.steps import Expect, Wrote

LIMIT_S = 60


def claim_of(letter: str) -> SeenClaim:
    record = opening(Signature(TransactionId(letter * 32), "host", 0), None, (), SeenClaim())
    return SeenClaim(record, f"etag {letter}", VersionId(letter))


class TakenOver(Control):
    """A claim that another client takes over once it has been renewed, before the renewal's answer arrives."""

    def __init__(self) -> None:
        self.renewed: list[Claim] = []
        self.under_way, self.looked_at = threading.Event(), threading.Event()

    def write_claim(self, record: Claim, expect: Expect) -> Wrote:
        self.renewed.append(record)
        self.under_way.set()
        assert self.looked_at.wait(LIMIT_S)
        return Wrote(VersionId("renewed"), "etag of the renewal", "")

    def read_claim(self) -> SeenClaim:
        return claim_of("b")


def test_what_was_seen_to_be_lost_is_not_found_again_by_a_renewal_that_began_before() -> None:
    store = TakenOver()
    with Renewal(store, claim_of("a"), 0.0) as renewal:
        assert store.under_way.wait(LIMIT_S)
        assert renewal.is_lost(look=True)
        store.looked_at.set()
    assert renewal.lost
    assert renewal.claim == claim_of("b")
    assert len(store.renewed) == 1, "the other client's claim was renewed"
