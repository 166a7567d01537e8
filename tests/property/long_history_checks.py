"""Comparisons between what the front gave or committed and what the model of a long history knows."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from rrbackup import Entry, Mode, Status
from rrbackup.effects.memory_faults import Call as Request
from rrbackup.errors import RRBackupError
from rrbackup.pure.model import Change
from rrbackup.pure.report import BackupResult, Listing
from tests.property.long_history_clients import Actor, WatchedClient
from tests.property.long_history_disk import UNRECORDED, Tree, look
from tests.property.long_history_forecast import READING
from tests.property.long_history_judge import Link

CHANGING = frozenset(
    {"put", "create_upload", "upload_part", "complete_upload", "delete_versions", "abort_upload", "mark_deleted"}
)
Facts = Mapping[str, tuple[str, str, int, int]]


def facts_of(tree: Tree) -> Facts:
    return {path: seen.facts for path, seen in tree.items()}


# --- commits -------------------------------------------------------------------------------------------------------


def check_link(link: Link, wanted: Tree, before: Tree | None = None, author: Actor | None = None) -> None:
    """Invariants 2 and 8: a diff gives the tree that its author had, stored as the author's rules ask for."""
    assert link.facts == facts_of(wanted), f"2: {link.version} is not the tree that was to be committed"
    if author is None or before is None:
        return
    for path, entry in link.entries.items():
        is_new = path not in before or before[path].facts[:2] != wanted[path].facts[:2]
        if is_new and wanted[path].kind == "file":
            stored = entry.get("object")
            assert (stored is None) is (wanted[path].content == b""), path
            asked = set() if stored is None else set(stored.get("asked", ()))
            assert stored is None or asked == author.words_for(path), f"8: {path} is stored with {asked}"


def check_reprocessed(entries: Mapping[str, Mapping[str, object]], actor: Actor, scanned: Iterable[str]) -> None:
    """After a backup with `reprocess`, nothing on this disk is stored with less than the rules ask for."""
    for path in scanned:
        stored = entries[path].get("object")
        if isinstance(stored, dict):
            assert actor.words_for(path) <= set(stored.get("asked", ())), f"8: {path} was not processed again"


# --- requests ------------------------------------------------------------------------------------------------------


def check_requests(mode: Mode, what: str, requests: Iterable[Request]) -> None:
    """Invariant 5, and that nothing is written by what only looks."""
    for request in requests:
        if what in READING or what == "plan" or mode is Mode.READ_ONLY:
            assert request.method not in CHANGING, f"5: {what} by a {mode} client made {request}"
        if mode is not Mode.READ_WRITE:
            assert request.method != "delete_versions", f"5: a {mode} client made {request}"
        if mode is Mode.WRITE_ONLY and request.key.startswith("files/"):
            assert request.method not in ("get", "read"), f"5: a {mode} client made {request}"


def outcome_of(what: str, client: WatchedClient, result: object, error: RRBackupError | None) -> str:
    """For the count of what has happened."""
    if client.crashed:
        return f"{what}: crashed"
    if client.number and client.interlude is None:
        return f"{what}: interrupted"
    if client.struck:
        return f"{what}: unanswered"
    if error is not None:
        return f"{what}: refused"
    idle = isinstance(result, BackupResult) and result.version_id is None
    return f"{what}: nothing to do" if idle else f"{what}: done"


# --- listings and restores -----------------------------------------------------------------------------------------


def check_files(listing: Listing[Entry], commits: Mapping[str, Tree]) -> str:
    """The version that was listed."""
    version = listing.version.version_id
    kinds = {"file": "file", "directory": "folder"}
    found = {str(entry.path): (kinds[entry.type], entry.sha256 or "", entry.mode, entry.mtime_ns) for entry in listing}
    assert found == facts_of(commits[version])
    return version


def check_changes(listing: Listing[Change], commits: Mapping[str, Tree]) -> str:
    """Every path that differs from the commit before is named as what it is; others have only been stored anew."""
    version = listing.version.version_id
    ids = list(commits)
    number = ids.index(version)
    after = facts_of(commits[version])
    before = facts_of(commits[ids[number - 1]]) if number else {}
    named = {str(change.entry.path): change.status for change in listing}
    differing = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert differing <= named.keys()
    for path, status in named.items():
        assert status is _status(path in before, path in after), path
    return version


def _status(before: bool, after: bool) -> Status:
    if before and after:
        return Status.CHANGED
    return Status.NEW if after else Status.DELETED


def check_restored(target: Path, tree: Tree) -> None:
    """Invariants 2 and 10."""
    found = look(target)
    assert found.unread == frozenset()
    assert {path: _as_recorded(path, tree, seen.facts) for path, seen in found.tree.items()} == facts_of(tree)


def _as_recorded(path: str, tree: Tree, facts: tuple[str, str, int, int]) -> tuple[str, str, int, int]:
    """Modes that rrbackup 1.0 did not record may be any."""
    unrecorded = path in tree and tree[path].mode == UNRECORDED
    return (*facts[:2], UNRECORDED, facts[3]) if unrecorded else facts
