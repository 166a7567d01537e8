"""What else the local manifest knows of a path, and when it is enough to look at how a line begins and ends."""

import pytest
from attrs import evolve

from rrbackup.pure.attributes import Extra, Owner, XAttr
from rrbackup.pure.local_format import decode_local, encode_local, entry_in, rows_of, says
from rrbackup.pure.model import Entry, EntryType, LocalEntry, LocalManifest, LocalStamp, PathText
from rrbackup.pure.scan import Scanned

ANN = Extra(Owner(1000, 100, "ann"), (XAttr("user.%0A", "AP8="),), "/a")
FOUND = Scanned(PathText('/x"extra":y'), EntryType.FILE, 3, 10, 20, 7, 0o644)
ENTRY = Entry(FOUND.path, EntryType.FILE, 3, 10, 0o644, None, "ab" * 32)


def row_of(extra: Extra | None) -> bytes:
    """The line of an entry, as it stands in the file."""
    manifest = LocalManifest(None, (LocalEntry(evolve(ENTRY, extra=extra), LocalStamp(20, 7)),))
    data = b"".join(encode_local(manifest))
    assert tuple(decode_local(data, "x").entries) == tuple(manifest.entries)
    assert list(rows_of(manifest.entries)) == list(manifest.entries)
    row = data.split(b"\n")[1]
    assert entry_in(row).entry.extra == extra
    return row


@pytest.mark.parametrize("extra", [None, ANN, Extra(hardlink="/a"), Extra(Owner(0, 0))])
def test_a_line_says_what_was_found_only_if_it_says_the_same_of_everything(extra: Extra | None) -> None:
    row = row_of(extra)
    assert says(row, FOUND._replace(extra=extra))
    for other in {None, ANN, Extra(hardlink="/b"), Extra(Owner(0, 1))} - {extra}:
        assert not says(row, FOUND._replace(extra=other))


def test_a_line_of_a_file_with_holes_is_looked_at() -> None:
    assert not says(row_of(Extra(sparse=True)), FOUND)
    assert not says(row_of(evolve(ANN, sparse=True)), FOUND._replace(extra=ANN))
