"""What people read: from the library's values to lines of text.

The rule: ids and paths are always whole, one thing stands on one line, and a path comes last, so that lines can be
cut by columns. Nothing here depends on a terminal.
"""

import stat
from collections.abc import Iterable, Iterator, Sequence

from rrbackup.cli.texts import PRICE_LIST, counted, dollars, human_bytes, local_time, mode_text, shown
from rrbackup.config import S3Settings
from rrbackup.effects.head_repair import HeadRepaired
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.salt_versions import SaltVersion
from rrbackup.pure.attributes import Extra
from rrbackup.pure.model import NOT_RECORDED, Change, Entry, EntryType, ObjectRef, Status, VersionId, VersionRef
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.prices import Cost, Traffic
from rrbackup.pure.report import BackupResult, CollectResult, Counts, Version
from rrbackup.pure.soundness import Lost, ManifestState

VERSION_COLUMNS = ("time", "version id", "number", "new", "changed", "deleted", "size", "host")
"""The columns of `version_cells`."""

_KINDS = {
    EntryType.FILE: stat.S_IFREG,
    EntryType.DIRECTORY: stat.S_IFDIR,
    EntryType.SYMLINK: stat.S_IFLNK,
}


# --- listings ----------------------------------------------------------------------------------------------


def version_cells(version: Version) -> tuple[str, ...]:
    counts = version.counts
    return (
        local_time(version.created_ns),
        version.version_id,
        f"#{version.sequence}",
        f"+{counts.new}",
        f"~{counts.changed}",
        f"-{counts.deleted}",
        "?" if counts.unrecorded else human_bytes(counts.bytes),
        version.host or "?",
    )


def version_lines(versions: Iterable[Version]) -> Iterator[str]:
    """Aligned columns; all but the first two and the last stand to the right."""
    rows = [version_cells(version) for version in versions]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for time, version_id, *middle, host in rows:
        numbers = "  ".join(cell.rjust(width) for cell, width in zip(middle, widths[2:-1], strict=True))
        yield f"{time.ljust(widths[0])}  {version_id.ljust(widths[1])}  {numbers}  {host}"


def entry_lines(entries: Iterable[Entry], *, verbose: bool) -> Iterator[str]:
    """One line for each entry; `verbose` adds a second one that says where its content is stored."""
    for entry in entries:
        yield _entry_line(entry)
        if verbose:
            yield from _detail_lines(entry)


def change_lines(changes: Iterable[Change], *, verbose: bool) -> Iterator[str]:
    for change in changes:
        yield f"{change.status:<7}  {_entry_line(change.entry)}"
        if verbose:
            yield from _detail_lines(change.entry)


def _detail_lines(entry: Entry) -> Iterator[str]:
    """Where the content is, and what else was recorded."""
    if entry.object is not None:
        yield object_line(entry.object)
    if entry.extra is not None:
        yield from _extra_lines(entry.extra)


def _extra_lines(extra: Extra) -> Iterator[str]:
    if (owner := extra.owner) is not None:
        user, group = (shown(name or "no name") for name in (owner.user, owner.group))
        yield f"    owner {user} ({owner.uid}), group {group} ({owner.gid})"
    if extra.xattrs:
        yield f"    attributes {', '.join(xattr.name for xattr in extra.xattrs)}"
    if extra.hardlink is not None:
        yield f"    another name of the file {extra.hardlink}"
    if extra.sparse:
        yield "    with holes"


def _entry_line(entry: Entry) -> str:
    mode, size, time, path = entry_cells(entry)
    return f"{mode}  {size:>14}  {time}  {path}"


def entry_cells(entry: Entry) -> tuple[str, str, str, str]:
    """Mode, size in bytes, time of modification, path."""
    arrow = f" -> {entry.target}" if entry.target is not None else ""
    mode = "?" * 10 if entry.mode == NOT_RECORDED else mode_text(_KINDS[entry.type], entry.mode)
    size = "?" if entry.size == NOT_RECORDED else str(entry.size)
    return mode, size, local_time(entry.mtime_ns), f"{entry.path}{arrow}"


def object_line(ref: ObjectRef) -> str:
    if ref.format == 1:
        return f"    {ref.key}  version {ref.version_id}  stored by rrbackup 1.0"
    pipeline = f"with {' and '.join(ref.applied)}" if ref.applied else "as it is"
    return f"    {ref.key}  version {ref.version_id}  {counted(ref.stored_size, 'byte', 'bytes')}, stored {pipeline}"


# --- a plan ------------------------------------------------------------------------------------------------


def plan_lines(plan: BackupPlan, traffic: Traffic, cost: Cost | None) -> Iterator[str]:
    """What would be done to each path, and why; then the sum, and what it would cost."""
    yield from map(_candidate_line, plan.candidates)
    yield from map(_planned_line, plan.planned)
    yield _plan_sum(plan)
    if cost is not None and not plan.empty:
        yield f"requests: at most {traffic.requests}, which cost {dollars(cost.requests)} {PRICE_LIST}"


def _candidate_line(candidate: Candidate) -> str:
    # Content of that size is known, so the file may turn out unchanged or a duplicate.
    verb = "read" if candidate.known_size else "upload"
    return _plan_line(verb, human_bytes(candidate.size), candidate.path, candidate.reason)


def _planned_line(planned: Planned) -> str:
    verb = "delete" if planned.change.status is Status.DELETED else "record"
    return _plan_line(verb, "", planned.change.entry.path, planned.reason)


def _plan_line(verb: str, size: str, path: str, reason: str) -> str:
    return f"{verb:<6}  {size:>10}  {path}  ({reason})"


def _plan_sum(plan: BackupPlan) -> str:
    if plan.empty:
        return f"a backup would do nothing: {_unchanged(plan.unchanged)}"
    read = counted(len(plan.candidates), "file", "files")
    other = counted(len(plan.planned), "other change", "other changes")
    return (
        f"a backup would read {read} ({human_bytes(plan.bytes_to_read)}) and record {other}; "
        f"{_unchanged(plan.unchanged)}"
    )


# --- results -----------------------------------------------------------------------------------------------


def backup_lines(result: BackupResult) -> Iterator[str]:
    if result.version_id is None:
        yield f"nothing to commit: {_unchanged(result.unchanged)}"
        return
    yield f"backed up: {_counts(result.counts)}; {_unchanged(result.unchanged)}"
    sent = counted(result.uploaded_files, "file", "files")
    yield f"uploaded:  {sent}, {human_bytes(result.uploaded_bytes)}"
    yield f"version:   {result.version_id} (#{result.sequence})"


def _counts(counts: Counts) -> str:
    return f"{counts.new} new, {counts.changed} changed, {counts.deleted} deleted"


def _unchanged(count: int) -> str:
    return f"{count} unchanged"


def collection_lines(result: CollectResult, *, verbose: bool) -> Iterator[str]:
    if verbose:
        yield from (f"{ref.key}  {ref.version_id}" for ref in result.deleted)
    if not result.deleted:
        yield "nothing to delete: every version that is stored belongs to a commit"
        return
    yield f"deleted {counted(len(result.deleted), 'version', 'versions')} that no commit refers to"


def password_lines(changed: PasswordChanged, s3: S3Settings | None) -> Iterator[str]:
    """`s3` is where the repository is; None for a folder."""
    yield "the password is changed; nothing was uploaded again, because the keys stay the same"
    yield f"version:   {changed.version_id}"
    yield "now write the new password where the configuration has the old one"
    one = len(changed.replaced) == 1
    older, read = ("1 older version", "it") if one else (f"{len(changed.replaced)} older versions", "one of them")
    yield f"an earlier password still opens {older}: who knows it, and can read {read} or has kept a copy, can open"
    yield f"this repository. To remove {'it' if one else 'them'}:"
    for ref in changed.replaced:
        yield f"    {_removing(ref, s3)}"


def _removing(ref: VersionRef, s3: S3Settings | None) -> str:
    if s3 is None:
        return f"delete the file %v{ref.version_id} in the folder {ref.key} of the store"
    key = f"{s3.prefix}/{ref.key}" if s3.prefix else ref.key
    return f"aws s3api delete-object --bucket {s3.bucket} --key {key} --version-id {ref.version_id}"


def manifest_lines(state: ManifestState) -> Iterator[str]:
    """What is not as it should be, newest first, and then where the sound chain ends."""
    yield from problem_lines(state)
    if state.head is None:
        yield "the manifest object has no sound version"
        return
    newest = f", its newest commit is {state.commits[-1].version_id}" if state.commits else ""
    yield f"the newest sound version of the manifest object is {state.head}{newest}"
    if not state.repaired:
        yield way_out(state)


def way_out(state: ManifestState) -> str:
    """What to do where something lies on, or beside, the newest sound version."""
    repair = f"to go on from there: rrbackup repair --head {state.head}"
    if not any(unsound.foreign for unsound in state.unsound):
        return repair
    return f"if a newer rrbackup wrote there, use that; if somebody forged it, {repair}"


def problem_lines(state: ManifestState) -> Iterator[str]:
    if state.marker is not None:
        yield f"{state.marker}  a delete marker lies on the manifest object"
    yield from (f"{unsound.version_id}  not sound: {unsound.reason}" for unsound in state.unsound)
    yield from (f"{stray.version_id}  beside the chain: {stray.reason}" for stray in state.strays)
    if state.lost is not None:
        yield from lost_lines(state.lost)


def lost_lines(lost: Lost) -> Iterator[str]:
    yield f"lost: the commits before number {lost.before} ({lost.reason})"
    yield f"{lost.first_whole}  and all commits after it are whole: it names a checkpoint"


def head_repaired_lines(repaired: HeadRepaired) -> Iterator[str]:
    if repaired.version_id is None:
        yield f"nothing to repair: the chain ends with {repaired.continues}, and all is well"
        return
    yield f"the chain goes on from {repaired.continues}"
    yield f"version:   {repaired.version_id}, a fence"
    for version in repaired.left_out:
        yield f"left out:  {version.version_id} (#{version.sequence}), which stays in the store"
    aside = counted(len(repaired.set_aside), "version", "versions")
    yield f"set aside: {aside} of the manifest object; nothing was deleted"


def salt_lines(found: Iterable[SaltVersion]) -> Iterator[str]:
    """Newest first."""
    for version in found:
        opens = "the password opens it" if version.opens else "does not open with this password"
        yield f"{version.version_id}  {opens}{', and it is the one that counts' if version.current else ''}"


def restored_lines(version_id: VersionId, salt: str) -> Iterator[str]:
    yield f"version {salt} of the salt object counts again, as version {version_id}"


def incomplete(count: int, consequence: str) -> str:
    return f"incomplete: {counted(count, 'path', 'paths')} could not be dealt with; {consequence}"


def prepared_lines(config: str, created: bool, done: Sequence[str]) -> Iterator[str]:
    yield f"wrote the configuration {config}" if created else f"the configuration {config} stays as it is"
    yield from done
    if not done:
        yield "nothing to do: the store was ready already"
