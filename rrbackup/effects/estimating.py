"""What a backup by a plan will request at most, for a dry run.

The rule: more than it takes where that is not known, never less; other clients and repetitions apart (README,
"Requests").
"""

from rrbackup.config import Config
from rrbackup.effects.ahead import MOST_AT_ONCE
from rrbackup.effects.client import Client
from rrbackup.effects.store_rules import MULTIPART_THRESHOLD, part_size
from rrbackup.pure.checkpoint import due, will_publish
from rrbackup.pure.model import Word
from rrbackup.pure.plan import BackupPlan, Candidate
from rrbackup.pure.prices import Traffic
from rrbackup.pure.secretstream import OVERHEAD_BYTES

_LOOKS = 2
"""At head and claim."""
_WRITES = 3
"""The claim, the diff, the claim cleared."""
_SECOND_LOOKS = 1
"""At the diff that is built on."""
_TRIAL = 8
"""Of conditional writes."""
_MAKING_KEYS = 7
_HEADERS = 1024
_GROWTH = 256
"""What does not shrink grows by one byte for so many at most (ZSTD_compressBound)."""


def traffic_of(client: Client, plan: BackupPlan) -> Traffic:
    looks = _LOOKS + client.looks_for_keys
    if plan.empty:
        return Traffic(gets=looks)
    bodies = sum(_requests_for(_stored_at_most(candidate, client.config)) for candidate in plan.candidates)
    beside = _in_a_new_repository(client, plan) + _for_a_checkpoint(client, plan)
    return Traffic(puts=bodies + _WRITES, gets=looks + _SECOND_LOOKS) + beside


def _in_a_new_repository(client: Client, plan: BackupPlan) -> Traffic:
    """What `init` has perhaps done already."""
    if plan.head is not None:
        return Traffic()
    return Traffic(puts=_TRIAL + (_MAKING_KEYS if client.looks_for_keys else 0))


def _for_a_checkpoint(client: Client, plan: BackupPlan) -> Traffic:
    """It is made of all diffs since the last one, which are fetched in batches."""
    known = client.local.load().manifest
    if plan.head is None or known is None or known.head != plan.head or not will_publish(plan):
        return Traffic()
    if not due(known.since, known.head, len(known.entries), rebuilt=False):
        return Traffic()
    diffs = known.since.diffs if known.since else plan.head.sequence
    return Traffic(puts=2, gets=diffs + MOST_AT_ONCE + _SECOND_LOOKS)


def _stored_at_most(candidate: Candidate, config: Config) -> int:
    """With what compressing and encrypting may add."""
    size = candidate.size
    if Word.COMPRESS in candidate.asked:
        size += size // _GROWTH + _HEADERS
    if Word.ENCRYPT in candidate.asked:
        size += -(-size // config.chunk_size) * OVERHEAD_BYTES + _HEADERS
    return size


def _requests_for(size: int) -> int:
    """One, or one for each part and two around them."""
    if size <= MULTIPART_THRESHOLD:
        return 1
    return -(-size // part_size(size)) + 2
