"""What is said of a chain that does not fit, and what is told from the diffs in it."""

import pytest
from attrs import evolve

from rrbackup.errors import DamagedChain, TransactionLost
from rrbackup.pure import chain
from rrbackup.pure.model import (
    Change,
    Diff,
    DiffKind,
    Entry,
    ObjectRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    Word,
)
from tests.unit.test_chain import encrypted, entry, fetch_from, make_chain


def stored(path: str, *applied: Word, written: int = 2, version: str = "v1") -> Change:
    ref = ObjectRef("files" + path, VersionId(version), 3, '"e"', written, applied, applied)
    return Change(Status.NEW, Entry(PathText(path), sha256="aa", object=ref))


def diff_of(*changes: Change) -> Diff:
    return Diff(RepositoryId("r"), 1, None, TransactionId("t"), DiffKind.COMMIT, 0, "host", changes)


def test_each_way_not_to_fit_has_words_of_its_own() -> None:
    child, parent, first = make_chain((), (), ())
    with pytest.raises(DamagedChain, match="the diff v2 below v3 is not the diff that it was built on"):
        chain.check_parent(child, evolve(parent, sha256="00"))
    with pytest.raises(DamagedChain, match="the diff v2 below v3 has a sequence number that does not fit"):
        chain.check_parent(child, evolve(parent, diff=evolve(parent.diff, sequence=1)))
    with pytest.raises(DamagedChain, match="the diff v2 below v3 belongs to another repository"):
        chain.check_parent(child, evolve(parent, diff=evolve(parent.diff, repository=RepositoryId("x"))))
    chain.check_parent(parent, first)


def test_an_unencrypted_diff_is_named_together_with_the_one_below() -> None:
    links = encrypted(make_chain((), (), ()), 2)
    fetch, _ = fetch_from(links)
    with pytest.raises(DamagedChain, match="the diff v3 is not encrypted, but v2 before it is"):
        chain.walk(VersionId("v3"), 0, fetch)


def test_a_walk_ends_at_the_first_diff_wherever_it_was_to_end() -> None:
    """Below the first diff there is nothing to fetch, whatever was asked for."""
    links = make_chain((), ())
    fetch, asked = fetch_from(links)
    assert chain.walk(VersionId("v2"), -5, fetch) == tuple(links)
    assert asked == ["v2", "v1"]


def test_descending_fetches_one_diff_at_a_time_down_to_the_first() -> None:
    links = make_chain((), (), ())
    fetch, asked = fetch_from(links)
    going_down = chain.descend(VersionId("v3"), fetch)
    assert (next(going_down), asked) == (links[0], ["v3"])
    assert (list(going_down), asked) == (links[1:], ["v3", "v2", "v1"])


def test_descending_checks_each_diff_by_itself_and_against_the_one_above() -> None:
    newest, middle, first = make_chain((), (), ())
    unfit = evolve(middle, sha256="00")
    with pytest.raises(DamagedChain, match="the diff v2 below v3 is not the diff"):
        list(chain.descend(VersionId("v3"), fetch_from([newest, unfit, first])[0]))
    orphaned = evolve(newest, diff=evolve(newest.diff, parent=None))
    with pytest.raises(DamagedChain, match="v3 has sequence 3 and no parent"):
        list(chain.descend(VersionId("v3"), fetch_from([orphaned])[0]))


def test_what_repairs_have_set_aside_is_gathered_from_all_links() -> None:
    newest, middle, first = make_chain((), (), ())
    forged = (VersionId("x1"), VersionId("x2"))
    repaired = [evolve(newest, diff=evolve(newest.diff, sets_aside=forged[:1])), middle]
    repaired.append(evolve(first, diff=evolve(first.diff, sets_aside=forged)))
    assert chain.set_aside_by(repaired) == set(forged)
    assert chain.set_aside_by([newest, middle, first]) == frozenset()


def test_a_head_that_a_repair_has_set_back_is_noticed() -> None:
    newest, middle, first = (link.head for link in make_chain((), (), ()))
    for head, after, last in ((middle, 2, None), (middle, 2, middle), (newest, 3, first), (newest, 2, middle)):
        chain.check_not_set_back(head, after, last)
    for head, after, last in ((first, 2, None), (middle, 2, evolve(middle, version_id=VersionId("left out")))):
        with pytest.raises(TransactionLost, match="another client has gone back to an earlier commit"):
            chain.check_not_set_back(head, after, last)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), False),
        ((Change(Status.NEW, entry("/empty")),), False),
        ((stored("/a"),), False),
        ((stored("/a", Word.COMPRESS),), False),
        ((stored("/a", Word.ENCRYPT),), True),
        ((Change(Status.NEW, entry("/empty")), stored("/a"), stored("/b", Word.COMPRESS, Word.ENCRYPT)), True),
    ],
)
def test_whether_a_diff_refers_to_something_encrypted(changes: tuple[Change, ...], expected: bool) -> None:
    assert chain.refers_to_encrypted(diff_of(*changes)) is expected


def test_what_rrbackup_1_stored_is_found_once_each_in_the_order_of_the_links() -> None:
    old = [stored(f"/{name}", written=1) for name in "ab"]
    again = Change(Status.DELETED, old[0].entry)
    links = make_chain((old[0], Change(Status.NEW, entry("/empty"))), (stored("/new"), old[1]), (again,))
    found = [ref.key for ref in chain.old_objects(links)]
    assert found == ["files/a", "files/b"]
