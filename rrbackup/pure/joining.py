"""Which entries of a restore become hard links of one another.

The rule: of the entries that were names of one file, and that say the same, the first that is wanted is written, and
the others are linked to it. One that says something else (it could not be read when the others could) is a file of
its own.
"""

from collections.abc import Iterable, Mapping

from attrs import evolve

from rrbackup.pure.model import Entry, EntryType, PathText


def joined(entries: Iterable[Entry]) -> Mapping[PathText, PathText]:
    """The path to link to, by the path of each entry that is to be a link."""
    entries = [entry for entry in entries if entry.type is EntryType.FILE]
    groups = {entry.extra.hardlink for entry in entries if entry.extra is not None} - {None}
    if not groups:
        return {}
    first: dict[str | None, Entry] = {}
    links: dict[PathText, PathText] = {}
    for entry in entries:
        group = (entry.extra.hardlink if entry.extra is not None else None) or entry.path
        if group not in groups:
            continue
        leader = first.setdefault(group, entry)
        if leader is not entry and _said(leader) == _said(entry):
            links[entry.path] = leader.path
    return links


def _said(entry: Entry) -> Entry:
    """Without what two names of one file differ in, and without where the content is stored."""
    extra = evolve(entry.extra, hardlink=None, sparse=False) if entry.extra is not None else None
    empty = extra is None or extra == type(extra)()
    return evolve(entry, path=PathText(""), object=None, extra=None if empty else extra)
