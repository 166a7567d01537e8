"""Going on with an interrupted backup: which uploads of an earlier run count as done.

The rule: an upload that this client's journal knows is adopted if the claim that was taken over is of the upload's own
*line*, so that nobody but this client has held the claim since; if the version is still there after the fence; if no
diff refers to it; and if this client has never set about deleting it. Everything else in the journal is garbage.
"""

from collections.abc import Iterable

from attrs import evolve, frozen

from rrbackup.pure.claims import line_of
from rrbackup.pure.dedup import DedupKey, dedup_key, may_be_shared
from rrbackup.pure.model import Claim, ObjectRef, TransactionId, VersionRef
from rrbackup.pure.names import is_file_key
from rrbackup.pure.outcomes import FileResult, Settled
from rrbackup.pure.plan import Candidate


@frozen
class Receipt:
    """One upload: the content that was sent, and where it lies. `line` is that of the claim it was sent under."""

    line: TransactionId
    sha256: str
    size: int
    object: ObjectRef


@frozen
class JournalContent:
    """What this client wrote down of its transactions since the last one that was settled.

    `discarded` are versions that it has set about deleting: the deletion may still be on its way.
    """

    transactions: frozenset[TransactionId] = frozenset()
    receipts: frozenset[Receipt] = frozenset()
    discarded: frozenset[VersionRef] = frozenset()

    def of_files(self, base: str) -> "JournalContent":
        """Without receipts whose key no file below `base` can have: their lines are damaged."""
        return evolve(self, receipts=frozenset(r for r in self.receipts if is_file_key(base, r.object.key)))

    def sent_under(self, claim: Claim) -> frozenset[Receipt]:
        """What was sent under the line of a claim, if that claim is one of our own."""
        return self.of_line(line_of(claim)) if claim.transaction in self.transactions else frozenset()

    def of_line(self, line: TransactionId) -> frozenset[Receipt]:
        return frozenset(receipt for receipt in self.receipts if receipt.line == line)

    def adoptable(self, line: TransactionId) -> frozenset[Receipt]:
        """What a backup of this line may adopt, as far as can be told without looking into the store."""
        return frozenset(receipt for receipt in self.of_line(line) if receipt.object.ref not in self.discarded)


def refs_of(receipts: Iterable[Receipt]) -> frozenset[VersionRef]:
    return frozenset(receipt.object.ref for receipt in receipts)


def contents_of(receipts: Iterable[Receipt]) -> dict[DedupKey, ObjectRef]:
    """The stored contents that a file may refer to instead of being uploaded."""
    objects = ((receipt.sha256, receipt.object) for receipt in receipts if may_be_shared(receipt.object))
    return {dedup_key(sha256, ref.asked): ref for sha256, ref in objects}


def with_known_sizes(candidates: tuple[Candidate, ...], receipts: Iterable[Receipt]) -> tuple[Candidate, ...]:
    """Candidates that may turn out to be stored already are to be hashed before they are sent."""
    sizes = frozenset(receipt.size for receipt in receipts)
    return tuple(evolve(c, known_size=True) if c.size in sizes and not c.known_size else c for c in candidates)


def not_needed(receipts: Iterable[Receipt], results: Iterable[FileResult]) -> tuple[VersionRef, ...]:
    """Adopted versions to which no file of the commit refers after all."""
    objects = (result.object for result in results if isinstance(result, Settled))
    used = frozenset(ref.ref for ref in objects if ref is not None)
    return tuple(sorted(refs_of(receipts) - used, key=lambda ref: (ref.key, ref.version_id)))
