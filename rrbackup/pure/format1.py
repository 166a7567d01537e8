"""Format 1, what rrbackup 1.0 wrote, as values of the model: diffs and their order, claim, garbage, local manifest.

It is read for ever and never written. The rules decided here: what 1.0 did not record is `NOT_RECORDED` or empty, never
guessed; and the order of the diffs is the store's own order of versions, which LastModified may not contradict. How
an object's bytes become the JSON that is read here: `format1_object`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from attrs import evolve, frozen

from rrbackup.errors import DamagedChain, DamagedObject, LocalStateError, OldClientWrote, UpgradeNeeded
from rrbackup.pure import names
from rrbackup.pure.format1_json import elements, mapping, parse, string
from rrbackup.pure.model import (
    NOT_RECORDED,
    Change,
    Diff,
    DiffKind,
    Entry,
    Link,
    ObjectRef,
    ParentRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
)
from rrbackup.pure.showing import brief

FORMAT = 1

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SECONDS = 2**63 // 10**9
_NAMED = 10


# --- diffs ---------------------------------------------------------------------------------------------------------


def decode_diff(payload: bytes, files: str, name: str) -> tuple[Change, ...]:
    """The changes in a diff's JSON. `files` is the configured beginning of file keys. Raises DamagedObject."""
    return tuple(_change(mapping(item, f"a change in {name}"), files, name) for item in elements(payload, name))


def _change(fields: Mapping[str, object], files: str, name: str) -> Change:
    status = string(fields.get("status"), f"the status of a change in {name}")
    if status not in Status.__members__.values():
        raise DamagedObject(f"{name} has a change with the status {brief(status)}")
    return Change(Status(status), _entry(fields, files, name))


def _entry(fields: Mapping[str, object], files: str, name: str) -> Entry:
    raw = string(fields.get("path"), f"a path in {name}")
    path = path_text(raw, name)
    what = f"{path} in {name}"
    mtime_ns = _nanoseconds(fields.get("last_mod"), f"last_mod of {what}")
    if fields.get("empty") is True:
        return Entry(path, size=0, mtime_ns=mtime_ns, mode=NOT_RECORDED, sha256=_EMPTY_SHA256)
    return Entry(
        path,
        size=NOT_RECORDED,
        mtime_ns=mtime_ns,
        mode=NOT_RECORDED,
        sha256=_digest(fields.get("hash"), f"hash of {what}"),
        object=_object(fields, files, what),
    )


def _object(fields: Mapping[str, object], files: str, what: str) -> ObjectRef:
    key = _key(files, string(fields.get("real_path"), f"real_path of {what}"), what)
    return ObjectRef(key, _version_id(fields.get("version_id"), what), NOT_RECORDED, "", FORMAT)


def path_text(path: str, name: str) -> PathText:
    """The path text of a path as 1.0 wrote it: with a leading slash, bytes that are not UTF-8 as lone surrogates."""
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise DamagedObject(f"the path {brief(path)} in {name} is not valid Unicode") from None
    if raw[:1] != b"/":
        raise DamagedObject(f"the path {brief(path)} in {name} does not begin with a slash")
    return names.path_text(raw[1:])


def _key(files: str, path: str, what: str) -> str:
    key = files + path
    if path[:1] != "/" or _has_surrogates(path):
        raise DamagedObject(f"no object can have the key {brief(key)}, which stands at {what}")
    return key


def _version_id(value: object, what: str) -> VersionId:
    version_id = string(value, f"version_id of {what}")
    if version_id in ("", "null"):
        raise DamagedObject(f"version_id of {what} is {version_id!r}: it was stored without versioning")
    return VersionId(version_id)


def _digest(value: object, what: str) -> str:
    text = string(value, what)
    if _SHA256.fullmatch(text) is None:
        raise DamagedObject(f"{what} is {brief(text)}, not a SHA-256 in hexadecimal digits")
    return text


def _nanoseconds(value: object, what: str) -> int:
    """The nanoseconds nearest to float seconds; the whole seconds are taken off first, because they are exact."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DamagedObject(f"{what} is {brief(value)}, not a number of seconds")
    if not -_MAX_SECONDS < value < _MAX_SECONDS:  # also false for NaN
        raise DamagedObject(f"{what} is {brief(value)}, out of range")
    whole, part = divmod(value, 1)
    return int(whole) * 10**9 + round(part * 1e9)


# --- the chain -----------------------------------------------------------------------------------------------------


@frozen
class FoundDiff:
    """A version of the manifest object. `sha256` is that of its stored bytes, the time is the store's own."""

    version_id: VersionId
    etag: str
    sha256: str
    last_modified_ns: int
    changes: tuple[Change, ...]
    encrypted: bool = False


def chain(found_newest_first: Sequence[FoundDiff]) -> tuple[Link, ...]:
    """Every diff of a format 1 repository, in the store's order, as links of a chain; newest first.

    Sequence numbers count from the oldest, whose bytes also name the repository; times and hosts are unknown but for
    LastModified. Raises DamagedChain as `check_order` does.
    """
    check_order([(found.version_id, found.last_modified_ns) for found in found_newest_first])
    oldest_first = found_newest_first[::-1]
    parents = (None, *(ParentRef(found.version_id, found.sha256) for found in oldest_first))
    repository = repository_id(oldest_first[0].sha256) if oldest_first else RepositoryId("")
    numbered = enumerate(zip(_without_twins(oldest_first), parents, strict=False), start=1)
    links = [_link(repository, sequence, found, parent) for sequence, (found, parent) in numbered]
    return tuple(reversed(links))


def _without_twins(oldest_first: Sequence[FoundDiff]) -> Iterator[FoundDiff]:
    """A diff that was sent twice, as its answer was lost, changes nothing the second time."""
    before: str | None = None
    for found in oldest_first:
        yield evolve(found, changes=()) if found.sha256 == before else found
        before = found.sha256


def repository_id(oldest_sha256: str) -> RepositoryId:
    """The identity of a format 1 repository, which has none of its own, from the stored bytes of its first diff."""
    return RepositoryId(f"format1-{oldest_sha256[:32]}")


def _link(repository: RepositoryId, sequence: int, found: FoundDiff, parent: ParentRef | None) -> Link:
    diff = Diff(
        repository,
        sequence,
        parent,
        TransactionId(""),
        DiffKind.COMMIT,
        found.last_modified_ns,
        "",
        found.changes,
    )
    return Link(found.version_id, found.etag, found.sha256, diff, found.encrypted, FORMAT)


def check_order(newest_first: Sequence[tuple[VersionId, int]]) -> None:
    """Raise DamagedChain, naming both orders, where LastModified (nanoseconds) contradicts the store's order."""
    if all(newer >= older for (_, newer), (_, older) in pairwise(newest_first)):
        return
    by_time = sorted(newest_first, key=lambda version: version[1], reverse=True)
    moved = [place for place, pair in enumerate(zip(newest_first, by_time, strict=True)) if pair[0] != pair[1]]
    differing = slice(moved[0], moved[-1] + 1)
    raise DamagedChain(
        "the store's order of the diffs contradicts their times, and format 1 has no other; newest first, the store "
        f"lists {_ids(newest_first[differing])}, but LastModified says {_ids(by_time[differing])}",
        hint="find out which order is right, for example from the times in a local manifest; copying a bucket mixes "
        "up its versions",
    )


def _ids(versions: Sequence[tuple[VersionId, int]]) -> str:
    shown = ", ".join(version_id for version_id, _ in versions[:_NAMED])
    return f"{shown} and {len(versions) - _NAMED} more" if len(versions) > _NAMED else shown


def check_formats(newest_first: Iterable[tuple[VersionId, int]]) -> None:
    """Raise OldClientWrote for a diff of format 1 above one of format 2. Takes version ids with their formats."""
    last_old: VersionId | None = None
    for version_id, format_ in newest_first:
        if format_ != FORMAT and last_old is not None:
            raise OldClientWrote(
                f"the format 1 diff {last_old} lies above the format 2 diff {version_id}: "
                "a client of rrbackup 1.0 still writes to this repository",
                hint="stop that client or revoke its rights, then delete that version of the manifest object; "
                "what it backed up is not in the repository",
            )
        last_old = version_id if format_ == FORMAT else last_old


def upgrade_needed(where: str) -> UpgradeNeeded:
    """For whoever would write to what rrbackup 1.0 wrote without being told to."""
    return UpgradeNeeded(
        f"{where} was written by rrbackup 1.0, whose clients cannot read what this version adds, and cannot be kept "
        "from writing beside it",
        hint="stop every client of version 1.0 or revoke its rights, then run a backup once with --upgrade; reading "
        "needs nothing",
    )


# --- claim, garbage list, local manifest ---------------------------------------------------------------------------


def decode_gc_log(payload: bytes, files: str, name: str) -> tuple[str, ...]:
    """The keys that a run which left its gc_log may have written, sorted. Raises DamagedObject."""
    items = (mapping(item, f"a change in {name}") for item in elements(payload, name))
    uploads = (item for item in items if item.get("status") != Status.DELETED and item.get("empty") is not True)
    paths = (string(item.get("path"), f"a path in {name}") for item in uploads)
    # 1.0 dies of a name that is not UTF-8 before it sends anything of that file
    return tuple(sorted({_key(files, path, name) for path in paths if not _has_surrogates(path)}))


def _has_surrogates(path: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in path)


def decode_garbage(payload: bytes, name: str) -> tuple[VersionRef, ...]:
    """What a write-only client could not delete: pairs of key and version id, or batches of such pairs."""
    return tuple(ref for item in elements(payload, name) for ref in _garbage(item, name))


def _garbage(item: object, name: str) -> Iterator[VersionRef]:
    batch = item if isinstance(item, list) and all(isinstance(pair, list) for pair in item) else [item]
    for pair in batch:
        match pair:
            case [str(key), str(version_id)]:
                yield VersionRef(key, VersionId(version_id))
            case _:
                raise DamagedObject(f"{name} holds {brief(pair)} instead of a key and a version id")


@frozen
class OldLocalManifest:
    """The local manifest of 1.0: the newest diff that it has seen, and the files of that commit."""

    head: VersionId | None
    entries: tuple[Entry, ...]


def decode_local(data: bytes, files: str, name: str) -> OldLocalManifest:
    """Raises LocalStateError where the file is not a local manifest of 1.0, or damaged: it is then to be rebuilt."""
    try:
        document = mapping(parse(data, name), name)
        if not {"latest_remote_diff", "files"} <= document.keys():
            raise DamagedObject(f"{name} is not a local manifest of rrbackup 1.0")
        return OldLocalManifest(_seen(document["latest_remote_diff"], name), _files(document["files"], files, name))
    except DamagedObject as error:
        raise LocalStateError(f"{name} cannot be read: {error}") from None


def _seen(value: object, name: str) -> VersionId | None:
    return _version_id(mapping(value, f"the newest diff in {name}").get("version_id"), name) if value else None


def _files(value: object, files: str, name: str) -> tuple[Entry, ...]:
    if not isinstance(value, list):
        raise DamagedObject(f"the files in {name} are {brief(value)}, not a list")
    return tuple(_entry(mapping(item, f"a file in {name}"), files, name) for item in value)
