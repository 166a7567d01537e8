"""How a body is cut into parts: the sizes that S3 allows, and no byte lost between them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.store_rules import MIB, batches, normal_prefix, part_size, pieces

TIB = 1 << 40


@pytest.mark.parametrize(
    ("size_hint", "expected_mib"),
    [
        (0, 8),
        (-1, 8),
        (8 * MIB, 8),
        (9_500 * 8 * MIB, 8),
        (9_500 * 8 * MIB + 1, 9),
        (TIB, 111),
        (5 * TIB, 552),
        (48 * TIB, 5_299),
    ],
)
def test_the_size_of_a_part(size_hint: int, expected_mib: int) -> None:
    assert part_size(size_hint) == expected_mib * MIB


@given(size_hint=st.integers(0, 45 * TIB))
def test_any_size_stays_within_what_s3_allows(size_hint: int) -> None:
    size = part_size(size_hint)
    assert -(-size_hint // size) <= 9_500
    assert 5 * MIB <= size <= 5 * 1024 * MIB


@given(body=st.lists(st.binary(max_size=7), max_size=12), size=st.integers(1, 9))
def test_pieces_are_the_body_cut_evenly(body: list[bytes], size: int) -> None:
    whole = b"".join(body)
    for source in (body, whole):
        cut = list(pieces(source, size))
        assert b"".join(piece.data for piece in cut) == whole
        assert [piece.last for piece in cut] == [False] * (len(cut) - 1) + [True]
        assert all(len(piece.data) == size for piece in cut[:-1])
        assert len(cut) == max(1, -(-len(whole) // size))


def test_no_more_than_a_piece_and_a_chunk_is_taken_from_a_source_in_advance() -> None:
    taken = []

    def source() -> Iterator[bytes]:
        for number in range(10):
            taken.append(number)
            yield b"12"

    first = next(pieces(source(), 4))
    assert (first.data, taken) == (b"1212", [0, 1, 2])


def test_batches_are_full_but_for_the_last() -> None:
    assert list(batches(range(7), 3)) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert list(batches([], 3)) == []


@pytest.mark.parametrize(("given_prefix", "expected"), [("", ""), ("/", ""), ("a", "a/"), ("/a/b/", "a/b/")])
def test_a_prefix_ends_with_a_slash_or_is_empty(given_prefix: str, expected: str) -> None:
    assert normal_prefix(given_prefix) == expected
