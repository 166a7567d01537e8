"""What `--json` prints: from the library's values to the documents that docs and scripts rely on.

The rule: names and meaning of what is here do not change; more may be added. Sizes are bytes, times nanoseconds,
except `created`, which is ISO 8601 in UTC. A member that an entry does not have, or that was not recorded, is left out.
"""

from collections.abc import Iterable, Sequence

from attrs import asdict

from rrbackup.cli.json_stream import Rows
from rrbackup.cli.texts import iso_utc
from rrbackup.effects.head_repair import HeadRepaired
from rrbackup.effects.keys import PasswordChanged
from rrbackup.effects.salt_versions import SaltVersion
from rrbackup.pure import prices
from rrbackup.pure.attributes import Extra
from rrbackup.pure.model import NOT_RECORDED, Change, Entry, ObjectRef, Problem, VersionId
from rrbackup.pure.plan import BackupPlan
from rrbackup.pure.prices import Cost, Traffic
from rrbackup.pure.report import BackupResult, CollectResult, Counts, DownloadResult, Version
from rrbackup.pure.restore_plan import RestorePlan
from rrbackup.pure.soundness import Lost, ManifestState, Unsound

Document = dict[str, object]


def versions(found: Iterable[Version]) -> Document:
    return {"versions": Rows(map(version_members, found))}


def sound_versions(state: ManifestState) -> Document:
    """The commits, where not all is well with the manifest object."""
    return {**versions(state.commits), **_amiss(state)}


def manifest(state: ManifestState) -> Document:
    return {"head": state.head, **_amiss(state), "strays": _unsound(state.strays)}


def _amiss(state: ManifestState) -> Document:
    return {"unsound": _unsound(state.unsound), "delete_marker": state.marker, "lost": lost(state.lost)}


def passed_over(state: ManifestState | None) -> Document:
    """What lies on top of what is sound, where something does."""
    return {} if state is None else {"unsound": _unsound(state.unsound), "delete_marker": state.marker}


def lost(found: Lost | None) -> Document | None:
    if found is None:
        return None
    return {"before_sequence": found.before, "first_whole": found.first_whole, "reason": found.reason}


def _unsound(found: Iterable[Unsound]) -> list[Document]:
    return [{"version_id": unsound.version_id, "reason": unsound.reason} for unsound in found]


def version_members(version: Version) -> Document:
    return {
        "version_id": version.version_id,
        "sequence": version.sequence,
        "created": iso_utc(version.created_ns),
        **({"host": version.host} if version.host else {}),
        **_counts(version.counts),
    }


def _counts(counts: Counts) -> Document:
    known = {} if counts.unrecorded else {"bytes": counts.bytes}
    return {"new": counts.new, "changed": counts.changed, "deleted": counts.deleted, **known}


def files(version_id: VersionId, entries: Iterable[Entry]) -> Document:
    return {"version_id": version_id, "files": Rows(map(entry_members, entries))}


def changes(version_id: VersionId, found: Iterable[Change]) -> Document:
    rows = ({"status": change.status, **entry_members(change.entry)} for change in found)
    return {"version_id": version_id, "changes": Rows(rows)}


def entry_members(entry: Entry) -> Document:
    row: Document = {
        "path": entry.path,
        "type": entry.type,
        "size": _recorded(entry.size),
        "mtime_ns": entry.mtime_ns,
        "mode": _recorded(entry.mode),
        "target": entry.target,
        "sha256": entry.sha256,
        **_extra(entry.extra or Extra()),
        **(_object(entry.object) if entry.object else {}),
    }
    return {name: value for name, value in row.items() if value is not None}


def _extra(extra: Extra) -> Document:
    xattrs = {xattr.name: xattr.value for xattr in extra.xattrs}
    return {
        "owner": asdict(extra.owner) if extra.owner is not None else None,
        "xattrs": xattrs or None,
        "hardlink": extra.hardlink,
        "sparse": extra.sparse or None,
    }


def _object(ref: ObjectRef) -> Document:
    return {
        "key": ref.key,
        "object_version_id": ref.version_id,
        "stored_size": _recorded(ref.stored_size),
        "format": ref.format,
        "pipeline": ref.applied if ref.format >= 2 else None,
    }


def _recorded(number: int) -> int | None:
    return None if number == NOT_RECORDED else number


def backup(result: BackupResult) -> Document:
    return {
        "version_id": result.version_id,
        "sequence": result.sequence,
        **_counts(result.counts),
        "unchanged": result.unchanged,
        "uploaded_files": result.uploaded_files,
        "uploaded_bytes": result.uploaded_bytes,
        "problems": _problems(result.problems),
    }


def plan(made: BackupPlan, traffic: Traffic, cost: Cost | None) -> Document:
    candidates = ({"path": c.path, "size": c.size, "reason": c.reason} for c in made.candidates)
    planned = ({"path": p.change.entry.path, "status": p.change.status, "reason": p.reason} for p in made.planned)
    return {
        "head": made.head.version_id if made.head else None,
        "candidates": Rows(candidates),
        "changes": Rows(planned),
        "unchanged": made.unchanged,
        "requests": traffic.requests,
        **({} if cost is None else {"cost": cost_document(cost)}),
        "problems": _problems(made.problems),
    }


def download(result: DownloadResult) -> Document:
    return {
        "version_id": result.version_id,
        "files": result.files,
        "bytes": result.bytes,
        "left": result.left,
        "removed": result.removed,
        "problems": _problems(result.problems),
    }


def restore_plan(made: RestorePlan, cost: Cost | None) -> Document:
    steps = ({"act": step.act, "path": step.path, "size": step.size, "reason": step.why} for step in made)
    traffic = made.traffic()
    return {
        "version_id": made.version_id,
        "steps": Rows(steps),
        "bytes_to_write": made.bytes_to_write,
        "requests": traffic.gets,
        "bytes_from_store": traffic.bytes_out,
        **({} if cost is None else {"cost": cost_document(cost)}),
        "problems": _problems(made.problems),
    }


def cost_document(cost: Cost) -> Document:
    """In US dollars."""
    return {
        "requests": cost.requests / prices.NANO,
        "transfer_out": cost.transfer / prices.NANO,
        "prices_as_of": prices.AS_OF,
        "prices_from": prices.SOURCE,
    }


def _problems(problems: Iterable[Problem]) -> Rows:
    return Rows({"path": p.path, "kind": p.kind, "detail": p.detail} for p in problems)


def collection(result: CollectResult) -> Document:
    return {"deleted": Rows([ref.key, ref.version_id] for ref in result.deleted)}


def initialised(config: str, created: bool, done: Sequence[str]) -> Document:
    return {"config": config, "created": created, "done": list(done)}


def password_changed(changed: PasswordChanged) -> Document:
    return {
        "version_id": changed.version_id,
        "opens_with_earlier_passwords": [ref.version_id for ref in changed.replaced],
    }


def salt_versions(found: Iterable[SaltVersion]) -> Document:
    rows = ({"version_id": v.version_id, "current": v.current, "opens": v.opens} for v in found)
    return {"salt_versions": Rows(rows)}


def salt_restored(version_id: VersionId) -> Document:
    return {"version_id": version_id}


def head_repaired(repaired: HeadRepaired) -> Document:
    return {
        "version_id": repaired.version_id,
        "continues": repaired.continues,
        "left_out": [version.version_id for version in repaired.left_out],
        "set_aside": list(repaired.set_aside),
    }
