"""What the named cases share: a store with a past, clients to play with, and what is wrong in the end."""

from rrbackup.effects.memory import FaultKind
from rrbackup.pure.steps import Upload
from tests.property import judge
from tests.property.phases import Backup, Collect, End, Profile
from tests.property.protocol import Client
from tests.property.stores import SearchStore
from tests.property.trees import Tree, tree

PAST = tree(a=b"1", b=b"22")
WISHES = {"a": tree(a=b"333", b=b"22"), "b": tree(a=b"4444", b=b"22"), "c": tree(a=b"55555", b=b"22")}
COPY = tree(a=b"1", b=b"22", c=b"22")
"""Needs no upload."""


def past_store() -> SearchStore:
    store = SearchStore()
    assert Client(Profile("past", Backup(PAST)), store).run().end is End.COMMITTED
    return store


def client(store: SearchStore, name: str, wanted: Tree | None = None, *, over: bool = False) -> Client:
    return Client(Profile(name, Backup(wanted or WISHES[name]), take_over=over), store)


def dead(store: SearchStore, wanted: Tree = WISHES["c"]) -> Client:
    """Claimed, uploaded its first file, and gone."""
    gone = client(store, "dead", wanted).until(Upload)
    gone.step()
    return gone.kill()


def collector(store: SearchStore, *, over: bool = False) -> Client:
    return Client(Profile("collector", Collect(), take_over=over), store)


def faults(store: SearchStore, *clients: Client) -> list[str]:
    """What is wrong now, with nobody at work."""
    wanted = {"past.1": PAST}
    for each in clients:
        assert isinstance(each.profile.goal, Backup)
        wanted[f"{each.profile.name}.{each.number}"] = each.profile.goal.tree
    found = judge.contents(store)
    return [
        *judge.violations(found, wanted),
        *judge.unrest(found),
        *(f"4: leaked {ref}" for ref in judge.leaks(found)),
    ]


def versions(store: SearchStore, key: str) -> set[str]:
    return {version for version, _ in judge.contents(store).get(key, ())}


def committed(store: SearchStore) -> list[str]:
    """Who has committed, oldest first."""
    return [transaction.partition(".")[0] for transaction in judge.commits(judge.contents(store))]


LOST = (FaultKind.LOST, FaultKind.NOT_SENT, FaultKind.TWICE)
"""Applied without an answer; not applied without an answer; applied, repeated, and refused the second time."""
