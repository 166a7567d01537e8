"""Encrypted metadata records: what they open under, and nothing else."""

from base64 import b64encode

import pytest
from attrs import evolve

from rrbackup.errors import DamagedObject, PasswordMissing, UnsupportedFormat
from rrbackup.pure.framing import FREE_RECORD_BYTES, PLAIN, Framing, is_encrypted
from rrbackup.pure.header import split_frame
from rrbackup.pure.keys import Keyring
from rrbackup.pure.model import RepositoryId, Word

KEYS = Keyring(RepositoryId("r"), bytes(32))
OTHERS = Keyring(RepositoryId("r"), bytes(31) + b"\1")
ELSEWHERE = Keyring(RepositoryId("other"), bytes(32))
RECORD = b'{"a name": "and its digest"}' * 20


def framing(*words: Word, keys: Keyring = KEYS, nonce: bytes = bytes(24)) -> Framing:
    return Framing(words, unlock=lambda: keys, nonce=lambda: nonce, key="gc_log")


@pytest.mark.parametrize("words", [(Word.ENCRYPT,), (Word.COMPRESS, Word.ENCRYPT)])
@pytest.mark.parametrize("record", [b"", b"{}", RECORD])
def test_a_record_comes_back_whatever_the_reader_would_write(words: tuple[Word, ...], record: bytes) -> None:
    data = framing(*words).wrap("claim", record)
    assert is_encrypted(data)
    for reader in (framing(), framing(*words), framing(Word.COMPRESS)):
        assert reader.unwrap(data, "claim", "x") == record


def test_nothing_of_a_record_lies_open() -> None:
    data = framing(Word.ENCRYPT).wrap("claim", RECORD)
    assert b"name" not in data
    assert b64encode(KEYS.master) not in data


def test_a_record_that_does_not_shrink_is_encrypted_without_compression() -> None:
    text, _ = split_frame(framing(Word.COMPRESS, Word.ENCRYPT).wrap("claim", b"{}"), "x")
    assert b'"pipeline":["encrypt"]' in text


def test_each_record_has_the_nonce_that_was_drawn_for_it() -> None:
    one, two = (framing(Word.ENCRYPT, nonce=bytes([number]) * 24).wrap("claim", RECORD) for number in (1, 2))
    assert one != two
    assert bytes([1]) * 24 in one


@pytest.mark.parametrize(
    "reader",
    [
        pytest.param(framing(keys=OTHERS), id="other keys"),
        pytest.param(framing(keys=ELSEWHERE), id="another repository"),
        pytest.param(framing().at("manifest_diffs"), id="another object"),
    ],
)
def test_a_record_opens_nowhere_else(reader: Framing) -> None:
    with pytest.raises(DamagedObject, match="the claim"):
        reader.unwrap(framing(Word.ENCRYPT).wrap("claim", RECORD), "claim", "the claim")


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(DamagedObject, match="kind 'claim', not 'diff'"):
        framing().unwrap(framing(Word.ENCRYPT).wrap("claim", RECORD), "diff", "x")


@pytest.mark.parametrize("place", ["header", "nonce", "content", "authenticator"])
def test_a_record_that_was_changed_is_refused(place: str) -> None:
    data = bytearray(framing(Word.ENCRYPT).wrap("claim", RECORD))
    length = len(split_frame(bytes(data), "x")[0])
    data[{"header": length, "nonce": length + 10, "content": length + 60, "authenticator": -1}[place]] ^= 1
    with pytest.raises((DamagedObject, UnsupportedFormat)):
        framing().unwrap(bytes(data), "claim", "x")


def test_without_the_keys_nothing_is_read_or_written() -> None:
    with pytest.raises(PasswordMissing):
        PLAIN.unwrap(framing(Word.ENCRYPT).wrap("claim", RECORD), "claim", "x")
    with pytest.raises(PasswordMissing):
        evolve(PLAIN, words=(Word.ENCRYPT,)).wrap("claim", RECORD)


def test_a_record_that_shrinks_more_than_a_reader_believes_is_not_compressed() -> None:
    framed = Framing((Word.COMPRESS,))
    for size, words in ((FREE_RECORD_BYTES, b'["compress"]'), (FREE_RECORD_BYTES + 1, b"[]")):
        data = framed.wrap("claim", bytes(size))
        assert b'"pipeline":' + words in data[:64]
        assert framed.unwrap(data, "claim", "x") == bytes(size)
