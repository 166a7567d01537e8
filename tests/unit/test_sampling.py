"""What a check that reads only some contents reads: an amount, in turn, none twice before all were read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.errors import UsageError
from rrbackup.pure.model import VersionId, VersionRef
from rrbackup.pure.sampling import (
    EVERYTHING,
    KEY_BYTES,
    Amount,
    Turn,
    decode_turn,
    encode_turn,
    parse_amount,
    sample,
)

KEY = bytes(range(KEY_BYTES))


def versions(*sizes: int) -> dict[VersionRef, int]:
    return {VersionRef(f"files/{number}", VersionId(f"v{number}")): size for number, size in enumerate(sizes)}


@pytest.mark.parametrize(
    ("text", "of_a_million"),
    [
        ("5%", 50_000),
        ("0.5 %", 5_000),
        ("100%", 1_000_000),
        ("0.00001%", 1),
        ("700B", 700),
        ("2kb", 2_000),
        ("1.5KiB", 1_536),
        ("2GB", 2 * 10**9),
        ("2GiB", 2 << 30),
        (" 1 TB ", 10**12),
    ],
)
def test_amounts_are_shares_or_bytes(text: str, of_a_million: int) -> None:
    assert parse_amount(text).of(1_000_000) == of_a_million


@pytest.mark.parametrize(
    "text", ["", "0%", "101%", "-1%", "5", "latest", "0GB", "0.4B", "2G", "1e3B", "\uff15%", "5%%"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no amount"):
        parse_amount(text)


def test_everything_is_everything_even_without_bytes() -> None:
    assert set(sample(versions(0, 5, 0), EVERYTHING, Turn(KEY))) == set(versions(0, 5, 0))


def test_at_least_one_is_read_where_there_is_one() -> None:
    assert len(sample(versions(10, 10), Amount(percent=0.001), Turn(KEY))) == 1
    assert sample({}, EVERYTHING, Turn(KEY)) == ()


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=40), st.floats(0.1, 100))
def test_a_sample_has_the_amount_and_without_its_last_version_would_not(sizes: list[int], percent: float) -> None:
    found = versions(*sizes)
    chosen = sample(found, Amount(percent=percent), Turn(KEY))
    wanted = sum(sizes) * percent / 100
    assert len(set(chosen)) == len(chosen)
    assert sum(found[ref] for ref in chosen) >= wanted
    assert sum(found[ref] for ref in chosen[:-1]) < wanted or chosen[:-1] == ()


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=40), st.floats(0.1, 100), st.integers(0, 2**64))
def test_successive_samples_read_all_before_they_read_any_again(sizes: list[int], percent: float, key: int) -> None:
    found = versions(*sizes)
    turn, read = Turn(key.to_bytes(KEY_BYTES, "big")), list[VersionRef]()
    while len(read) < 2 * len(found):
        for ref in sample(found, Amount(percent=percent), turn):
            read.append(ref)
            turn = turn.after(ref)
    assert set(read[: len(found)]) == set(found)
    assert read[len(found) : 2 * len(found)] == read[: len(found)]


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1))
def test_what_comes_and_goes_between_runs_disturbs_nothing(before: set[int], after: set[int]) -> None:
    all_of_them = versions(*[1] * 31)
    by_number = list(all_of_them)
    (read,) = sample({by_number[n]: 1 for n in before}, Amount(bytes=1), Turn(KEY))
    turn = Turn(KEY).after(read)
    order = turn.order({by_number[n]: 1 for n in after})
    assert sorted(order, key=by_number.index) == [by_number[n] for n in sorted(after)]
    if read in order:
        assert order[-1] == read


def test_another_key_gives_another_order() -> None:
    found = versions(*[1] * 30)
    assert Turn(KEY).order(found) != Turn(bytes(KEY_BYTES)).order(found)


def test_a_turn_is_remembered() -> None:
    turn = Turn(KEY).after(next(iter(versions(1))))
    assert decode_turn(encode_turn(turn)) == turn


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{}", b'{"key": "zz", "place": ""}', b'{"key": "00", "place": ""}', b"\xff"]
)
def test_a_turn_that_cannot_be_read_is_forgotten(data: bytes) -> None:
    assert decode_turn(data) is None
