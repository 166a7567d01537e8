"""Which versions end a sound chain: against a rule that is written down another way, for all small histories."""

from collections.abc import Mapping
from itertools import product

import pytest
from attrs import evolve

from rrbackup.errors import (
    AccessDenied,
    DamagedObject,
    HeadDeleted,
    NoSuchVersion,
    ObjectMissing,
    OldClientWrote,
    PasswordMissing,
    StoreError,
    StoreUnavailable,
    StoreWentBack,
    TransactionLost,
    UnsupportedFormat,
    WrongPassword,
)
from rrbackup.pure.chain import check_not_set_back, set_aside_by
from rrbackup.pure.model import Diff, DiffKind, HeadRef, Link, ParentRef, RepositoryId, TransactionId, VersionId
from rrbackup.pure.soundness import Chains, Finding, Look, amiss, newest_sound


def link(name: str, after: Link | None, **changes: object) -> Link:
    sequence = after.diff.sequence + 1 if after else 1
    below = after.as_parent if after else None
    diff = Diff(RepositoryId("r"), sequence, below, TransactionId(name), DiffKind.COMMIT, 0, "host")
    changed: Diff = evolve(diff, **changes)  # type: ignore[arg-type]
    return Link(VersionId(name), f'"{name}"', f"sha of {name}", changed)


def chains(*oldest_first: Link | tuple[str, Finding]) -> Chains:
    found: dict[VersionId, Link | Finding] = {}
    for one in oldest_first:
        found.update({one.version_id: one} if isinstance(one, Link) else {VersionId(one[0]): one[1]})
    return Chains(tuple(reversed(found)), looking_at(found))


def looking_at(found: Mapping[VersionId, Link | Finding]) -> Look:
    return lambda version_id: found[version_id]


def found_in(made: Chains) -> tuple[str | None, list[str]]:
    head, unsound = newest_sound(made.newest_first, made.fault)
    return head, [one.version_id for one in unsound]


A = link("a", None)
B = link("b", A)
C = link("c", B)
GARBLED = ("g", DamagedObject("g is garbled"))


@pytest.mark.parametrize(
    ("made", "head", "unsound"),
    [
        (chains(), None, []),
        (chains(A, B, C), "c", []),
        (chains(A, B, C, GARBLED), "c", ["g"]),
        (chains(A, GARBLED, B, C), "c", []),
        (chains(A, B, GARBLED, link("x", None, sequence=2)), "b", ["x", "g"]),
        (chains(A, B, link("x", B, sequence=9)), "b", ["x"]),
        (chains(A, B, link("x", B, repository=RepositoryId("other"))), "b", ["x"]),
        (chains(A, B, link("x", B, parent=ParentRef(B.version_id, "other"))), "b", ["x"]),
        (chains(A, B, link("x", B, parent=ParentRef(VersionId("gone"), "x"))), "b", ["x"]),
        (chains(A, B, link("x", C), link("y", link("x", C))), "b", ["y", "x"]),
        (chains(A, B, link("x", A)), "x", []),
        (chains(A, B, link("x", None)), "x", []),
        (chains(B, C), None, ["c", "b"]),
        (chains(evolve(A, encrypted=True), B), "a", ["b"]),
        (chains(link("x", None, sequence=0, parent=ParentRef(VersionId("x"), "sha of x"))), None, ["x"]),
    ],
)
def test_the_newest_sound_version_and_all_above_it(made: Chains, head: str | None, unsound: list[str]) -> None:
    assert found_in(made) == (head, unsound)


def test_whatever_was_asked_for_first_the_verdicts_are_the_same() -> None:
    """Every history of four versions over parents above and below, some garbled, asked for in either order."""
    names = "abcd"
    for parents in product((None, *names), repeat=4):
        for garbled in (None, *names):
            history = _history(names, parents, garbled)
            expected = {name: _plainly_sound(history, name) for name in history}
            for order in (names, names[::-1]):
                made = Chains([VersionId(name) for name in names], looking_at(history))
                verdicts = {VersionId(name): made.fault(VersionId(name)) is None for name in order}
                assert verdicts == expected, (parents, garbled)


def _history(names: str, parents: tuple[str | None, ...], garbled: str | None) -> dict[VersionId, Link | Finding]:
    sequences = {name: 1 + number for number, name in enumerate(names)}
    history: dict[VersionId, Link | Finding] = {}
    for name, parent in zip(names, parents, strict=True):
        below = ParentRef(VersionId(parent), f"sha of {parent}") if parent else None
        history[VersionId(name)] = link(name, None, parent=below, sequence=sequences[name])
    if garbled is not None:
        history[VersionId(garbled)] = DamagedObject("garbled")
    return history


def _plainly_sound(history: Mapping[VersionId, Link | Finding], name: VersionId) -> bool:
    one = history[name]
    if not isinstance(one, Link):
        return False
    parent = one.diff.parent
    if parent is None or one.diff.sequence == 1:
        return parent is None and one.diff.sequence == 1
    below = history[parent.version_id]
    fits = isinstance(below, Link) and below.diff.sequence == one.diff.sequence - 1
    return fits and _plainly_sound(history, parent.version_id)


def test_a_long_pile_of_forgeries_is_judged_in_one_pass() -> None:
    looked: list[str] = []
    pile = [link("0", None, sequence=2)]
    for number in range(1, 3_000):
        pile.append(link(str(number), pile[-1]))
    found = {one.version_id: one for one in pile}

    def look(version_id: VersionId) -> Link:
        looked.append(version_id)
        return found[version_id]

    made = Chains([one.version_id for one in reversed(pile)], look)
    assert newest_sound(made.newest_first, made.fault)[0] is None
    assert len(looked) <= 3 * len(pile)


def test_what_is_no_finding_is_raised() -> None:
    def look(version_id: VersionId) -> Link:
        raise PasswordMissing("no password")

    with pytest.raises(PasswordMissing):
        Chains([VersionId("a")], look).fault(VersionId("a"))


def test_a_version_that_is_not_there_has_a_fault() -> None:
    assert "not in the store" in str(chains(A).fault(VersionId("z")))


# --- chains that end at a checkpoint -------------------------------------------------------------------------------

D = link("d", C)
E = link("e", D)


def resuming(names: str, *oldest_first: Link | tuple[str, Finding]) -> Chains:
    """Where the diffs with these names have a usable checkpoint below them."""
    made = chains(*oldest_first)
    return Chains(made.newest_first, made._look, lambda one: one.version_id in names)


@pytest.mark.parametrize(
    ("made", "head", "unsound", "chain", "before"),
    [
        (resuming("d", A, C, D, E), "e", [], "ed", 4),
        (resuming("c", A, C, D, E), "e", [], "edc", 3),
        (resuming("cd", A, C, D, E), "e", [], "edc", 3),
        (resuming("e", A, C, D, E), "e", [], "e", 5),
        (resuming("bcd", A, B, C, D, E), "e", [], "edcba", None),
        (resuming("d", A, GARBLED, C, D, E, ("x", DamagedObject("x"))), "e", ["x"], "ed", 4),
        (resuming("d", A, C, D, E, link("x", C)), "e", ["x"], "ed", 4),
        (resuming("a", A, C, D, E), "a", ["e", "d", "c"], "a", None),
        (resuming("", A, C, D, E), "a", ["e", "d", "c"], "a", None),
        (resuming("x", A, link("x", None, sequence=9)), "a", ["x"], "a", None),
        (resuming("d", A, evolve(B, sha256="another"), C, D, E), "e", [], "ed", 4),
    ],
)
def test_a_broken_chain_ends_at_the_lowest_checkpoint_above_the_break(
    made: Chains, head: str, unsound: list[str], chain: str, before: int | None
) -> None:
    assert found_in(made) == (head, unsound)
    links = made.chain(VersionId(head))
    assert "".join(one.version_id for one in links) == chain
    lost = made.lost(links)
    assert (lost and (lost.before, lost.first_whole)) == (before and (before, chain[-1]))


@pytest.mark.parametrize(
    ("present", "expected"), [((A, B, C, D, E), []), ((C, D, E, link("x", D)), ["c", "d"]), ((C, D, E), ["c", "d"])]
)
def test_no_checkpoint_is_read_of_a_chain_that_is_whole_and_none_twice(
    present: tuple[Link, ...], expected: list[str]
) -> None:
    asked: list[str] = []

    def resumes(one: Link) -> bool:
        asked.append(one.version_id)
        return one.version_id == "d"

    made = chains(*present)
    watched = Chains(made.newest_first, made._look, resumes)
    for version_id in (*watched.newest_first, *reversed(watched.newest_first)):
        watched.fault(version_id)
    assert asked == expected


def test_above_a_break_nobody_can_tell_whether_a_diff_builds_on_what_was_seen() -> None:
    made = resuming("d", A, C, D, E)
    links = made.chain(E.version_id) if made.fault(E.version_id) is None else ()
    assert "nobody can tell" in str(made.fork(links, A.head))
    assert made.fork(links, B.head) is None
    assert made.fork(links, D.head) is None


# --- forks ---------------------------------------------------------------------------------------------------------


def test_a_fork_passes_by_a_sound_head_that_was_seen() -> None:
    fork = link("x", A)
    made = chains(A, B, fork)
    assert "does not build on b" in str(made.fork((fork, A), B.head))
    for harmless in (None, A.head, fork.head, C.head, evolve(B.head, sha256="another")):
        assert made.fork((fork, A), harmless) is None


def test_a_head_that_is_unsound_or_was_set_aside_makes_no_fork() -> None:
    fork, bad = link("x", A), link("b", A, sequence=7)
    assert chains(A, bad, fork).fork((fork, A), bad.head) is None
    repair = link("f", A, sets_aside=(B.version_id,))
    assert chains(A, B, repair).fork((repair, A), B.head) is None
    assert set_aside_by((repair, A)) == {"b"}


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((kind("x"), True) for kind in (DamagedObject, OldClientWrote, HeadDeleted, ObjectMissing, StoreWentBack)),
        *((kind("x"), True) for kind in (StoreError, UnsupportedFormat)),
        *((kind("x"), False) for kind in (WrongPassword, PasswordMissing, NoSuchVersion)),
        *((kind("x"), False) for kind in (AccessDenied, StoreUnavailable)),
        (ValueError("x"), False),
    ],
)
def test_which_errors_are_worth_a_look_below(error: Exception, expected: bool) -> None:
    assert amiss(error) is expected


@pytest.mark.parametrize(
    ("after", "last", "lost"),
    [
        (2, None, False),
        (1, None, False),
        (3, None, True),
        (2, B.head, False),
        (2, link("x", A).head, True),
        (1, A.head, False),
    ],
)
def test_a_transaction_notices_that_the_chain_was_set_back(after: int, last: HeadRef | None, lost: bool) -> None:
    if lost:
        with pytest.raises(TransactionLost, match="gone back"):
            check_not_set_back(B.head, after, last)
    else:
        check_not_set_back(B.head, after, last)
