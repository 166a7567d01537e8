"""What a person's time means: local or not, how far it reaches, which commit it chooses, and what is no time at all."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from rrbackup.effects.points_in_time import at, named_by
from rrbackup.errors import NoSuchVersion, UsageError
from rrbackup.pure.chain import At, resolve
from rrbackup.pure.model import Diff, DiffKind, Link, RepositoryId, TransactionId, VersionId

NS = 1_000_000_000
NOON = 1_795_176_000
"""2026-11-20 12:00:00 UTC."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone with summer time, by its rule: no zone data is needed."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds", "unit_ns"),
    [
        ("2026-11-20 13:00", NOON, 60 * NS),
        ("2026-11-20T13:00", NOON, 60 * NS),
        ("2026-11-20 13:00:00", NOON, NS),
        ("2026-11-20 12:00:00Z", NOON, NS),
        ("2026-11-20t12:00:00z", NOON, NS),
        ("2026-11-20 14:30:00+02:30", NOON, NS),
        ("2026-11-20 14:30:00 +0230", NOON, NS),
        ("2026-11-20 07:00:00-05", NOON, NS),
        ("2026-11-20 13:00:00.5", NOON + 0.5, NS // 10),
        ("2026-11-20 12:00:00,000000Z", NOON, NS // 10**6),
        ("2026-11-20 12:00:00.000000000Z", NOON, 1),
        ("2026-11-20", NOON - 13 * 3600, 86_400 * NS),
        ("2026-11-20Z", NOON - 12 * 3600, 86_400 * NS),
        ("2026-11-20+02:00", NOON - 14 * 3600, 86_400 * NS),
        ("  2026-11-20 13:00 ", NOON, 60 * NS),
        ("1969-12-31T23:59:59Z", -1, NS),
    ],
)
def test_a_time_reaches_to_the_end_of_its_last_unit(text: str, seconds: float, unit_ns: int) -> None:
    assert at(text).until_ns == int(seconds * 2) * (NS // 2) + unit_ns - 1


def test_a_day_with_a_changed_clock_ends_where_the_clock_says() -> None:
    assert at("2026-10-25").until_ns - at("2026-10-24").until_ns == 25 * 3600 * NS
    assert at("2026-03-29").until_ns - at("2026-03-28").until_ns == 23 * 3600 * NS


def test_a_time_that_the_clock_showed_twice_is_refused_and_both_ways_are_told() -> None:
    with pytest.raises(UsageError, match="the clock showed '2026-10-25 02:30' twice") as caught:
        at("2026-10-25 02:30")
    first, second = caught.value.hint.removeprefix("say which is meant: ").split(" or ")
    assert at(second).until_ns - at(first).until_ns == 3600 * NS
    assert at("2026-10-25 03:00").until_ns > at(second).until_ns
    assert at("2026-10-25 01:59").until_ns < at(first).until_ns


def test_a_time_that_the_clock_never_showed_is_refused() -> None:
    with pytest.raises(UsageError, match="'2026-03-29 02:30' is not a time here"):
        at("2026-03-29 02:30")
    assert at("2026-03-29 03:00").until_ns - at("2026-03-29 01:59").until_ns == 60 * NS


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "yesterday", "14:00", "2026-11-20 14", "2026-11-20 14:00.5", "20-11-2026", "2026/11/20", "now"),
        *("2026-13-01", "2026-02-30", "2026-11-20 24:00", "2026-11-20 23:60", "2026-11-20 23:59:60", "0000-01-01"),
        *("2026-11-20 14:00 +24:00", "2026-11-20 14:00 +01:60", "2026-11-20 14:00 CET", "2026-11-20 14:00Z Z"),
        *(
            "9999-12-31",
            "0001-01-01T00:00+23:00",
            "2026-11-\uff12\uff10",
            "2026-11-20 14:00:00.1234567890",
            "@2026-11-20",
        ),
    ],
)
def test_nonsense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time") as caught:
        at(text)
    assert "2026-11-20 14:00" in caught.value.hint


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert isinstance(at(text), At)


def test_only_a_mark_makes_a_version_a_time() -> None:
    assert named_by("2026-11-20") == "2026-11-20"
    assert named_by("latest~1") == "latest~1"
    assert named_by("@2026-11-20 13:00") == at("2026-11-20 13:00")
    with pytest.raises(UsageError):
        named_by("@")


# --- which commit ------------------------------------------------------------------------------------------


def _link(sequence: int, created_ns: int, kind: DiffKind = DiffKind.COMMIT) -> Link:
    diff = Diff(RepositoryId("r"), sequence, None, TransactionId("t"), kind, created_ns, "host")
    return Link(VersionId(f"v{sequence}"), "e", "s", diff)


def _chosen(times: list[int], until: int) -> str:
    newest_first = [_link(number, time) for number, time in enumerate(times, start=1)][::-1]
    return resolve(At(until, "then"), newest_first).version_id


def test_a_commit_of_that_very_moment_is_not_later() -> None:
    assert [_chosen([10, 20, 30], until) for until in (10, 19, 20, 29, 30, 99)] == ["v1", "v1", "v2", "v2", "v3", "v3"]


def test_where_a_clock_ran_back_the_last_commit_of_the_chain_counts() -> None:
    assert _chosen([10, 40, 20, 50], 30) == "v3"
    assert _chosen([10, 40, 20, 50], 40) == "v3"
    assert _chosen([30, 10], 15) == "v2"


def test_a_time_before_the_first_commit_names_no_commit() -> None:
    with pytest.raises(NoSuchVersion, match="no commit is from then or before"):
        _chosen([10, 20], 9)
    with pytest.raises(NoSuchVersion):
        _chosen([], 9)


def test_a_fence_is_no_commit() -> None:
    fence = _link(2, 20, DiffKind.FENCE)
    assert not At(99, "").allows(fence)
    assert At(99, "").allows(evolve(fence, diff=evolve(fence.diff, kind=DiffKind.COMMIT)))
