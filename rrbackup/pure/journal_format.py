"""The lines of the upload journal: one JSON object each, and the beginning of its digest.

A line that cannot be read, or is not what was written, is passed over. Of uploads and transactions that costs uploads,
not safety. That a version was discarded is on the disk before its deletion is sent, so a crash does not lose it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from cattrs.errors import BaseValidationError

from rrbackup.pure.adoption import JournalContent, Receipt
from rrbackup.pure.format2 import sha256_hex
from rrbackup.pure.model import TransactionId, VersionId, VersionRef
from rrbackup.pure.wire import SHAPES, converter

DIGEST_DIGITS = 16


def encode_transaction(transaction: TransactionId) -> bytes:
    return with_digest(orjson.dumps({"transaction": transaction}))


def encode_receipt(receipt: Receipt) -> bytes:
    return with_digest(orjson.dumps({"receipt": converter.unstructure(receipt)}))


def encode_discarded(ref: VersionRef) -> bytes:
    return with_digest(orjson.dumps({"discarded": [ref.key, ref.version_id]}))


def with_digest(text: bytes) -> bytes:
    """A disk may garble a line so that it can still be read, and a commit would say what is not so."""
    return b"%b %b" % (text, sha256_hex(text)[:DIGEST_DIGITS].encode())


def _checked(line: bytes) -> bytes:
    text, _, _ = line.rpartition(b" ")
    if line != with_digest(text):
        raise ValueError("a line that nobody wrote")
    return text


def decode_journal(lines: Iterable[bytes]) -> JournalContent:
    transactions: set[TransactionId] = set()
    receipts: set[Receipt] = set()
    discarded: set[VersionRef] = set()
    for fact in _facts(lines):
        match fact:
            case Receipt():
                receipts.add(fact)
            case VersionRef():
                discarded.add(fact)
            case _:
                transactions.add(fact)
    return JournalContent(frozenset(transactions), frozenset(receipts), frozenset(discarded))


Fact = TransactionId | Receipt | VersionRef


def _facts(lines: Iterable[bytes]) -> Iterator[Fact]:
    for line in lines:
        try:
            yield _fact(orjson.loads(_checked(line)))
        except (BaseValidationError, orjson.JSONDecodeError, *SHAPES):
            continue


def _fact(row: Any) -> Fact:
    match row:
        case {"transaction": str(transaction)}:
            return TransactionId(transaction)
        case {"receipt": dict(fields)}:
            return converter.structure(fields, Receipt)
        case {"discarded": [str(key), str(version_id)]}:
            return VersionRef(key, VersionId(version_id))
        case _:
            raise ValueError("a row of another kind")
