"""Two or three clients at once, every order of their effects, searched completely."""

import sys

import pytest
from interleaving import Race, Search
from protocol import Backup, Collect, Profile
from trees import tree

from rrbackup.pure.model import Mode

PAST = tree(a=b"1", b=b"22")
A = Profile("A", Backup(tree(a=b"333", b=b"22")))
B = Profile("B", Backup(tree(a=b"4444", b=b"22")), take_over=True)
ANOTHER = Profile("another", Backup(tree(a=b"333", b=b"22")), take_over=True)
POLITE = Profile("polite", Backup(tree(a=b"55555", b=b"22")))
COPY = Profile("copy", Backup(tree(a=b"1", b=b"22", c=b"22")))
DEAD = Profile("dead", Backup(tree(a=b"666666", b=b"22")))
COLLECTOR = Profile("collector", Collect(), take_over=True)
WRITER = Profile("writer", Backup(tree(a=b"7777777", b=b"22")), take_over=True, mode=Mode.WRITE_ONLY)
RACES = (
    Race("two backups", (A, POLITE), PAST, runs=2, deaths=1, strikes=1),
    Race("two first backups", (A, POLITE), runs=2, deaths=1, strikes=1),
    Race("a backup and one that takes over", (A, B), PAST, runs=2, deaths=1, strikes=0),
    Race("a backup and one that takes over, struck", (A, B), PAST, strikes=2),
    Race("a dead claim and two that take over", (B, ANOTHER), PAST, DEAD, deaths=1, strikes=0),
    Race("a backup without claim", (A, COPY), PAST, runs=2, deaths=1, strikes=1),
    Race("a backup and a collection", (A, COLLECTOR), PAST, runs=1, deaths=1, strikes=1),
    Race("a dead claim, a backup and a collection", (B, COLLECTOR), PAST, DEAD),
    Race("three clients", (A, B, COPY), PAST),
    Race("three clients, one collecting", (A, B, COLLECTOR), PAST),
)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_invariant_holds_in_every_order_of_effects(race: Race) -> None:
    search = Search(race).run()
    sys.stdout.write(f"{race.name}: {search.situations} situations, {search.ends} ends, {len(search.outcomes)} outcomes\n")
    assert search.faults == []
