"""What a restore gives besides content, and which names it joins: rules without a disk."""

import grp
import pwd

import pytest
from attrs import evolve

from rrbackup.effects.attributes import gives_for, ids_of
from rrbackup.pure.attributes import Extra, Owner, XAttr
from rrbackup.pure.giving import Given, Gives
from rrbackup.pure.joining import joined
from rrbackup.pure.model import NOT_RECORDED, Entry, EntryType, PathText
from rrbackup.pure.target import Found

ANN = Owner(1000, 100, "ann", "users")
USER, CAPABILITY = XAttr("user.a", "YQ=="), XAttr("security.capability", "YQ==")


def entry(path: str = "/a", mode: int = 0o6755, extra: Extra | None = None) -> Entry:
    return Entry(PathText(path), mode=mode, mtime_ns=7, sha256="ab", extra=extra)


@pytest.mark.parametrize(
    ("what", "gives", "given"),
    [
        (entry(), Gives(), Given(0o755, 7)),
        (entry(extra=Extra(ANN)), Gives(), Given(0o755, 7)),
        (entry(extra=Extra(ANN)), Gives({ANN: (5, 6)}), Given(0o6755, 7, (5, 6))),
        (entry(), Gives({ANN: (5, 6)}), Given(0o755, 7)),
        (entry(mode=NOT_RECORDED), Gives(), Given(NOT_RECORDED, 7)),
        (evolve(entry(), type=EntryType.DIRECTORY), Gives(), Given(0o6755, 7)),
        (entry(extra=Extra(xattrs=(CAPABILITY, USER))), Gives(), Given(0o755, 7, None, (USER,))),
        (entry(extra=Extra(xattrs=(CAPABILITY, USER))), Gives(system=True), Given(0o755, 7, None, (CAPABILITY, USER))),
    ],
)
def test_set_id_bits_come_with_the_owner_and_the_systems_attributes_by_root(
    what: Entry, gives: Gives, given: Given
) -> None:
    assert gives.of(what) == given


def test_owners_are_given_by_root_or_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry(extra=Extra(Owner(4_000_000_000, 4_000_000_001)))]
    for euid, owners, given in ((0, None, True), (0, False, False), (1000, None, False), (1000, True, True)):
        monkeypatch.setattr("os.geteuid", lambda euid=euid: euid)
        gives = gives_for(entries, owners=owners)
        assert gives.of(entries[0]).ids == ((4_000_000_000, 4_000_000_001) if given else None)
        assert gives.system is (euid == 0)


def test_an_owner_is_looked_up_by_name_and_else_keeps_the_number() -> None:
    me, mine = pwd.getpwall()[0], grp.getgrall()[0]
    assert ids_of(Owner(4_000_000, 4_000_001, me.pw_name, mine.gr_name)) == (me.pw_uid, mine.gr_gid)
    for name in ("no such name here", "with\0nul", "\udcff", ""):
        assert ids_of(Owner(4_000_000, 4_000_001, name, name)) == (4_000_000, 4_000_001)


def test_what_is_there_is_compared_with_what_would_be_given() -> None:
    found = Found(PathText("/a"), EntryType.FILE, mtime_ns=7, mode=0o755, ids=(5, 6), xattrs=(USER, CAPABILITY))
    assert found.has(Given(0o755, 7))
    assert found.has(Given(NOT_RECORDED, 7, (5, 6), (USER,)))
    assert not found.has(Given(0o755, 8))
    assert not found.has(Given(0o700, 7))
    assert not found.has(Given(0o755, 7, (5, 5)))
    assert not found.has(Given(0o755, 7, None, (XAttr("user.a", "Yg=="),)))
    assert evolve(found, type=EntryType.SYMLINK).has(Given(0o700, 7))


# --- names of one file -------------------------------------------------------------------------------------------


def named(path: str, first: str = "/a") -> Entry:
    return entry(path, extra=Extra(hardlink=first))


def test_names_are_joined_to_the_first_that_is_wanted() -> None:
    assert joined([entry("/a"), named("/b"), entry("/c"), named("/d")]) == {"/b": "/a", "/d": "/a"}
    assert joined([named("/b"), named("/d"), named("/e", "/x")]) == {"/d": "/b"}


@pytest.mark.parametrize(
    "other",
    [
        evolve(named("/b"), sha256="cd"),
        evolve(named("/b"), size=9),
        evolve(named("/b"), mtime_ns=8),
        evolve(named("/b"), mode=0o600),
        evolve(named("/b"), extra=Extra(ANN, hardlink="/a")),
        evolve(named("/b"), type=EntryType.DIRECTORY),
    ],
)
def test_a_name_of_which_something_else_was_recorded_is_a_file_of_its_own(other: Entry) -> None:
    assert joined([entry("/a"), other]) == {}


def test_holes_and_places_in_the_store_do_not_part_names() -> None:
    assert joined([entry("/a", extra=Extra(sparse=True)), named("/b")]) == {"/b": "/a"}
