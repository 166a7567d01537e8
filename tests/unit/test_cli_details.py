"""What `-v` adds to listings: where the content is, and all else that was recorded of an entry."""

import re

import pytest

from rrbackup.cli.human import change_lines, entry_lines
from rrbackup.pure.attributes import Extra, Owner, XAttr
from rrbackup.pure.model import Change, Entry, EntryType, ObjectRef, PathText, Status, VersionId

STORED = ObjectRef("files/a", VersionId("v1"), 3, "e")
OBJECT = "    files/a  version v1  3 bytes, stored as it is"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (None, []),
        (Extra(Owner(1000, 100, "ann", "users")), ["    owner ann (1000), group users (100)"]),
        (Extra(Owner(5, 6)), ["    owner no name (5), group no name (6)"]),
        (Extra(hardlink="/b/first"), ["    another name of the file /b/first"]),
        (Extra(xattrs=(XAttr("user.a", ""), XAttr("user.b%0A", ""))), ["    attributes user.a, user.b%0A"]),
        (Extra(sparse=True), ["    with holes"]),
        (
            Extra(Owner(0, 0, "root", "root"), (XAttr("user.a", ""),), "/b", True),
            [
                "    owner root (0), group root (0)",
                "    attributes user.a",
                "    another name of the file /b",
                "    with holes",
            ],
        ),
    ],
)
def test_what_is_recorded_of_a_file_is_told_below_it(extra: Extra | None, told: list[str]) -> None:
    entry = Entry(PathText("/a"), size=3, object=STORED, extra=extra)
    first, *rest = entry_lines([entry], verbose=True)
    assert rest == [OBJECT, *told]
    assert list(entry_lines([entry], verbose=False)) == [first]
    assert list(change_lines([Change(Status.NEW, entry)], verbose=True)) == [f"new      {first}", *rest]


def test_a_link_shows_its_target_and_its_owner() -> None:
    link = Entry(PathText("/a"), EntryType.SYMLINK, target="../b", extra=Extra(Owner(0, 0, "root", "root")))
    first, owner = entry_lines([link], verbose=True)
    assert first.endswith("/a -> ../b")
    assert owner == "    owner root (0), group root (0)"


def test_a_hostile_name_of_a_user_does_nothing_to_the_terminal() -> None:
    entry = Entry(PathText("/a"), extra=Extra(Owner(0, 0, "\x1b[31mroot\n", "\x9b1m\u2028")))
    _, owner = entry_lines([entry], verbose=True)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028]", owner)
