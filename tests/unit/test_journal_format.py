"""The upload journal as lines: what is written comes back, and what cannot be read is passed over."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.pure import journal_format
from rrbackup.pure.adoption import JournalContent, Receipt
from rrbackup.pure.model import ObjectRef, TransactionId, VersionId, VersionRef, Word

texts = st.text(max_size=5)
transactions = st.builds(TransactionId, texts)
refs = st.builds(VersionRef, texts, st.builds(VersionId, texts))
words = st.lists(st.sampled_from(list(Word)), unique=True, max_size=3).map(tuple)
sizes = st.integers(0, 1 << 62)
objects = st.builds(
    ObjectRef, texts, st.builds(VersionId, texts), sizes, texts, format=st.just(2), asked=words, applied=words
)
receipts = st.builds(Receipt, transactions, texts, sizes, objects)

RECEIPT = Receipt(TransactionId("t1"), "ab" * 32, 3, ObjectRef("files/a", VersionId("v1"), 3, "etag"))


@given(
    st.frozensets(transactions.filter(bool)),
    st.frozensets(receipts, max_size=5),
    st.frozensets(refs, max_size=5),
    st.randoms(use_true_random=False),
)
def test_what_is_written_comes_back_in_any_order(
    started: frozenset[TransactionId],
    sent: frozenset[Receipt],
    discarded: frozenset[VersionRef],
    random: object,
) -> None:
    lines = [
        *map(journal_format.encode_transaction, started),
        *map(journal_format.encode_receipt, sent),
        *map(journal_format.encode_discarded, discarded),
    ]
    random.shuffle(lines)  # type: ignore[attr-defined]
    assert journal_format.decode_journal(lines) == JournalContent(started, sent, discarded)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff{",
        b"[]",
        b"7",
        b"{}",
        b'{"transaction":[]}',
        b'{"transaction":null}',
        b'{"receipt":[]}',
        b'{"receipt":{"line":"t1"}}',
        b'{"receipt":{"line":"t1","sha256":"x","size":"3","object":{}}}',
        b'{"discarded":["files/a"]}',
        b'{"discarded":["files/a",7]}',
        journal_format.encode_receipt(RECEIPT)[:-2],
        journal_format.encode_receipt(RECEIPT).rpartition(b" ")[0][:-2],
        b"[" * 100_000,
    ],
)
def test_a_line_that_cannot_be_read_is_passed_over(line: bytes) -> None:
    known = [journal_format.encode_transaction(TransactionId("t1")), journal_format.encode_receipt(RECEIPT)]
    lines = [known[0], line, journal_format.with_digest(line), known[1]]
    assert journal_format.decode_journal(lines) == JournalContent(
        frozenset({TransactionId("t1")}), frozenset({RECEIPT})
    )


@pytest.mark.parametrize(
    "encoded",
    [journal_format.encode_receipt(RECEIPT), journal_format.encode_discarded(VersionRef("k", VersionId("v")))],
)
def test_a_line_of_which_any_bit_is_not_as_it_was_written_does_not_count(encoded: bytes) -> None:
    for at in range(8 * len(encoded)):
        garbled = bytearray(encoded)
        garbled[at // 8] ^= 1 << at % 8
        assert journal_format.decode_journal([bytes(garbled)]) == JournalContent()


@pytest.mark.parametrize("key", ["filet/a", "files", "", "files/../gc_log"])
def test_a_receipt_whose_key_is_no_key_of_a_file_does_not_count(key: str) -> None:
    garbled = evolve(RECEIPT, object=evolve(RECEIPT.object, key=key))
    journal = JournalContent(frozenset({TransactionId("t1")}), frozenset({RECEIPT, garbled}))
    assert journal.of_files("files") == evolve(journal, receipts=frozenset({RECEIPT}))
