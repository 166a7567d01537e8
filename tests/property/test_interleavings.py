"""Two or three clients at once, every order of their effects, searched completely."""

import sys

import pytest
from attrs import evolve

from rrbackup.pure.model import Mode
from tests.property.interleaving import Race, Search
from tests.property.phases import Backup, Collect, Profile
from tests.property.trees import tree
from tests.searched import SITUATIONS, Record

PAST = tree(a=b"1", b=b"22")
A = Profile("A", Backup(tree(a=b"333", b=b"22")))
RENEWING = Profile("renewing", Backup(tree(a=b"333", b=b"9999999", c=b"00000000")), renews=True)
B = Profile("B", Backup(tree(a=b"4444", b=b"22")), take_over=True)
ANOTHER = Profile("another", Backup(tree(a=b"333", b=b"22")), take_over=True)
POLITE = Profile("polite", Backup(tree(a=b"55555", b=b"22")))
COPY = Profile("copy", Backup(tree(a=b"1", b=b"22", c=b"22")))
DEAD = Profile("dead", Backup(tree(a=b"666666", b=b"22")))
COLLECTOR = Profile("collector", Collect(), take_over=True)
WRITER = Profile("writer", Backup(tree(a=b"7777777", b=b"22")), mode=Mode.WRITE_ONLY)
WRITER_TOO = Profile("writer too", Backup(tree(a=b"88888888")), take_over=True, mode=Mode.WRITE_ONLY)
RETURNING = Profile("returning", Backup(tree(a=b"333", b=b"22")), runs=2)
RETURNING_WITH_TWO = Profile("returning", Backup(tree(a=b"333", b=b"9999999")), runs=2)
"""Goes on with what an interrupted run has uploaded."""

CHECKPOINTING = evolve(A, name="checkpointing", checkpoints=True)
COPY_CHECKPOINTING = evolve(COPY, name="copy checkpointing", checkpoints=True)
"""Names a checkpoint without ever having a claim."""

RACES = (
    Race("two backups", (A, POLITE), PAST, deaths=1, strikes=1),
    Race("one that takes over", (A, B), PAST, deaths=1, strikes=1),
    Race("one that takes over, one renews", (RENEWING, B), PAST, deaths=1),
    Race("one without claim", (A, COPY), PAST, deaths=1, strikes=1),
    Race("one collects", (A, COLLECTOR), PAST, deaths=1, strikes=1),
    Race("one goes on, one takes over", (RETURNING, B), PAST, deaths=1),
    Race("three clients", (A, POLITE, COPY), PAST),
    Race("two may not delete", (WRITER, WRITER_TOO), PAST, strikes=1),
    Race("one names checkpoints, one collects", (CHECKPOINTING, COLLECTOR), PAST, deaths=1),
    Race(
        "one names checkpoints without a claim, one collects", (COPY_CHECKPOINTING, COLLECTOR), PAST, runs=2, deaths=1
    ),
)
LARGER_RACES = (
    Race("two may not delete", (WRITER, WRITER_TOO), PAST, runs=2, deaths=1, strikes=1),
    Race("one without claim, twice each", (A, COPY), PAST, runs=2, deaths=1),
    Race("one may not delete, one collects", (WRITER, COLLECTOR), PAST, runs=2, deaths=1, strikes=1),
    Race("three polite clients", (A, POLITE, COPY), PAST, deaths=1),
    Race("one that takes over, one renews", (RENEWING, B), PAST, deaths=1, strikes=1),
    Race("two backups, twice each", (A, POLITE), PAST, runs=2, deaths=1, strikes=1),
    Race("two first backups, twice each", (A, POLITE), runs=2, deaths=1, strikes=1),
    Race("one that takes over, twice each", (A, B), PAST, runs=2, deaths=1),
    Race("one goes on, one takes over, twice each", (RETURNING_WITH_TWO, B), PAST, runs=2, deaths=1),
    Race("one goes on, one collects, twice each", (RETURNING_WITH_TWO, COLLECTOR), PAST, runs=2, deaths=1),
    Race("one goes on, both take over", (evolve(RETURNING_WITH_TWO, take_over=True), B), PAST, claims=3, deaths=1),
    Race("one collects, twice each", (A, COLLECTOR), PAST, runs=2, deaths=1),
    Race("a dead claim, two take over", (B, ANOTHER), PAST, DEAD, claims=3, deaths=1),
    Race("a dead claim, one collects", (B, COLLECTOR), PAST, DEAD, claims=3, deaths=1),
    Race("checkpoints, twice each", (CHECKPOINTING, COLLECTOR), PAST, runs=2, deaths=1, strikes=1),
    Race(
        "checkpoints, without a claim, twice each", (COPY_CHECKPOINTING, COLLECTOR), PAST, runs=2, deaths=1, strikes=1
    ),
    Race("both kinds of checkpoints, one collects", (evolve(B, checkpoints=True), COPY_CHECKPOINTING, COLLECTOR), PAST),
    Race("three clients", (A, B, COPY), PAST),
    Race("three clients, one collects", (A, B, COLLECTOR), PAST),
)


def _searched(race: Race, most: int, record: Record) -> Search:
    search = Search(race).run(most)
    counts = f"{search.situations} situations, {search.ends} ends, {len(search.outcomes)} outcomes"
    sys.stdout.write(f"{race.name}: {counts}\n")
    record(SITUATIONS, search.situations)
    return search


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_invariant_holds_in_every_order_of_effects(race: Race, record_property: Record) -> None:
    search = _searched(race, 50_000, record_property)
    assert search.faults == []
    assert search.situations > 1_000
    assert len(search.outcomes) > 5, "too few ways to end: do these clients meet at all?"


@pytest.mark.deep
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("race", LARGER_RACES, ids=lambda race: race.name)
def test_every_invariant_holds_in_every_order_of_effects_of_larger_races(race: Race, record_property: Record) -> None:
    search = _searched(race, 10_000_000, record_property)
    assert search.faults == []
    assert search.situations > 5_000
