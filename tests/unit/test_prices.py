"""What an operation costs, and how people read it."""

import pytest

from rrbackup.cli.texts import dollars
from rrbackup.pure.prices import NANO, Cost, Traffic, cost_of


@pytest.mark.parametrize(
    ("traffic", "storage_class", "cost"),
    [
        (Traffic(), None, Cost(0, 0)),
        (Traffic(gets=1_000), None, Cost(NANO * 4 // 10_000, 0)),
        (Traffic(puts=1_000), None, Cost(NANO * 5 // 1_000, 0)),
        (Traffic(gets=1_000), "STANDARD_IA", Cost(NANO // 1_000, 0)),
        (Traffic(bytes_out=1 << 30), None, Cost(0, NANO * 9 // 100)),
        (Traffic(bytes_out=1 << 30), "GLACIER_IR", Cost(NANO * 3 // 100, NANO * 9 // 100)),
        (Traffic(gets=1_000), "SOMEBODY_ELSES", Cost(NANO * 4 // 10_000, 0)),
    ],
)
def test_costs_are_those_of_the_price_list(traffic: Traffic, storage_class: str | None, cost: Cost) -> None:
    assert cost_of(traffic, storage_class) == cost


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (400, "$0.000001"),
        (400_000, "$0.0004"),
        (NANO // 100, "$0.01"),
        (NANO * 5 // 4, "$1.25"),
        (NANO * 1234, "$1234.00"),
    ],
)
def test_small_amounts_are_not_shown_as_nothing(nano: int, text: str) -> None:
    assert dollars(nano) == text
