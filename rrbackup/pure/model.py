"""The nouns of rrbackup as immutable values: entries, changes, diffs, the claim.

Paths are *path texts* everywhere (docs/format.md, "Paths"): UTF-8 text beginning with `/` in which every byte
that some store mangles is percent-escaped. Sizes are bytes, times are nanoseconds since the Unix epoch, digests
are lower-case hexadecimal SHA-256. Order between commits comes from `sequence` and `parent` alone.
"""

import re
from collections.abc import Collection
from enum import StrEnum
from typing import NewType

from attrs import field, frozen

from rrbackup.pure.attributes import Extra

PathText = NewType("PathText", str)
VersionId = NewType("VersionId", str)
TransactionId = NewType("TransactionId", str)
RepositoryId = NewType("RepositoryId", str)

NOT_RECORDED = -1
"""In `mode`, `size` and `stored_size` of what rrbackup 1.0 stored. A mode of 0 would be a real one."""


class Word(StrEnum):
    """A pipeline word. Members are declared in the order in which they are applied."""

    HASH_NAMES = "hash_names"
    COMPRESS = "compress"
    ENCRYPT = "encrypt"


class EntryType(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class Status(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    DELETED = "deleted"


class DiffKind(StrEnum):
    COMMIT = "commit"
    FENCE = "fence"


class ClaimState(StrEnum):
    OPEN = "open"
    IDLE = "idle"


class Mode(StrEnum):
    """What this client may do to the store; also enforced by IAM where the store has it."""

    READ_WRITE = "read-write"
    NO_DELETE = "no-delete"
    WRITE_ONLY = "write-only"
    READ_ONLY = "read-only"

    @property
    def deletes(self) -> bool:
        """Whether it deletes versions, or only writes them down as garbage."""
        return self is Mode.READ_WRITE


@frozen
class VersionRef:
    """One version of one object: the only way to refer to anything in a store."""

    key: str
    version_id: VersionId


@frozen
class ObjectRef:
    """Where a file's content is stored, and how. `stored_size` is the object's size in bytes."""

    key: str
    version_id: VersionId
    stored_size: int
    etag: str
    format: int = 2
    asked: tuple[Word, ...] = ()
    applied: tuple[Word, ...] = ()

    @property
    def ref(self) -> VersionRef:
        return VersionRef(self.key, self.version_id)


@frozen
class Entry:
    """A file, a folder or a link as a commit records it.

    `target` is the link's text, percent-escaped like a path; `sha256` the digest of a file's content;
    `object` is None for folders, links and empty files.
    """

    path: PathText
    type: EntryType = EntryType.FILE
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    target: str | None = None
    sha256: str | None = None
    object: ObjectRef | None = None
    extra: Extra | None = None


@frozen
class Change:
    """What one commit did to one path. A deletion repeats the entry that it removes."""

    status: Status
    entry: Entry


@frozen
class ParentRef:
    """The diff before: its version id and the SHA-256 of its stored bytes."""

    version_id: VersionId
    sha256: str


@frozen
class CheckpointRef:
    """A checkpoint as a diff names it: its version, and the SHA-256 of its stored bytes.

    `references` counts what it holds beside its entries; it tells a writer how large the next one will be.
    """

    version_id: VersionId
    sha256: str
    references: int = 0


@frozen
class Diff:
    """The content of one version of the manifest object. `created_ns` is for people, never for order.

    `checkpoint` holds the manifest that this diff builds on. `sets_aside` names versions of the manifest object that a
    repair has left out of the chain: such a one may be unreadable without standing in the way of a collection.
    """

    repository: RepositoryId
    sequence: int
    parent: ParentRef | None
    transaction: TransactionId
    kind: DiffKind
    created_ns: int
    host: str
    changes: tuple[Change, ...] = ()
    requires: tuple[str, ...] = ()
    checkpoint: CheckpointRef | None = None
    sets_aside: tuple[VersionId, ...] = ()


@frozen
class Link:
    """A diff as found in the store. `sha256` is that of its stored bytes, `format` the one it is written in."""

    version_id: VersionId
    etag: str
    sha256: str
    diff: Diff
    encrypted: bool = False
    format: int = 2

    @property
    def head(self) -> "HeadRef":
        diff = self.diff
        return HeadRef(
            self.version_id, self.etag, self.sha256, diff.sequence, diff.repository, self.encrypted, self.format
        )

    @property
    def as_parent(self) -> ParentRef:
        return ParentRef(self.version_id, self.sha256)


@frozen
class HeadRef:
    """A link without its changes: enough to build on it and to recognise it."""

    version_id: VersionId
    etag: str
    sha256: str
    sequence: int
    repository: RepositoryId
    encrypted: bool = False
    format: int = 2

    @property
    def as_parent(self) -> ParentRef:
        return ParentRef(self.version_id, self.sha256)


@frozen
class Claim:
    """A record in the claim object: an open transaction, or the idle record that the last one left.

    `head` is the version id of the diff that the transaction builds on. `keys` are the object keys that it may
    write; a record that takes over an earlier one leaves `keys` empty and names the version that lists them in
    `keys_version`. `serial` tells the records of a transaction apart, so that no two in a row share an etag.
    `conditional_writes` is what a trial of the store found; None while it is being tried. `line` is the first of the
    transactions that this one continues, each of the same client and in direct succession; None for itself.
    """

    transaction: TransactionId
    serial: int
    state: ClaimState
    host: str
    created_ns: int
    head: VersionId | None = None
    head_sequence: int = 0
    keys: tuple[str, ...] = ()
    keys_version: VersionId | None = None
    conditional_writes: bool | None = True
    line: TransactionId | None = None


@frozen
class SeenClaim:
    """What lies at the claim object now. `record` is None where there is nothing, or a delete marker.

    `age_ns` says how long it lay there when it was read, by the store's own clock.
    """

    record: Claim | None = None
    etag: str | None = None
    version_id: VersionId | None = None
    age_ns: int = 0

    @property
    def open(self) -> Claim | None:
        """The open transaction, or None if the repository is idle."""
        if self.record is None or self.record.state is ClaimState.IDLE:
            return None
        return self.record

    def belongs_to(self, transaction: TransactionId) -> bool:
        return self.open is not None and self.open.transaction == transaction


@frozen
class ListedVersion:
    """One row of a version listing. `marker` is true for a delete marker (its size is then 0)."""

    key: str
    version_id: VersionId
    size: int
    etag: str
    marker: bool = False

    @property
    def ref(self) -> VersionRef:
        return VersionRef(self.key, self.version_id)


@frozen
class UnfinishedUpload:
    """A multipart upload (directory: a temporary file) that was never completed."""

    key: str
    upload_id: str


class ProblemKind(StrEnum):
    """Why something was left out. `incomplete` tells whether the commit misses something that was asked for."""

    UNREADABLE = "unreadable"
    CHANGING = "changing"
    DAMAGED = "damaged"
    UNWRITABLE = "unwritable"
    SPECIAL = "special"
    CYCLE = "cycle"

    @property
    def incomplete(self) -> bool:
        return self not in (ProblemKind.SPECIAL, ProblemKind.CYCLE)


@frozen
class Problem:
    """Something about one path that did not work, reported instead of raised."""

    path: PathText
    kind: ProblemKind
    detail: str

    def __str__(self) -> str:
        return self.detail if self._is_named else f"{self.path}: {self.detail}"

    @property
    def _is_named(self) -> bool:
        """As a word of its own: a key may hold the path, or begin like it, and be that of another file."""
        return re.search(rf"(?<![^\s'\"(]){re.escape(self.path)}(?![^\s'\"):;,])", self.detail) is not None


@frozen
class LocalStamp:
    """What only this disk knows of a file: when its inode last changed, and which inode that is."""

    ctime_ns: int
    inode: int


@frozen
class LocalEntry:
    """An entry of the local manifest. Without a stamp this disk has not been seen with that content.

    `recent`: the file changed so shortly before it was read that a later change might bear the same times.
    """

    entry: Entry
    stamp: LocalStamp | None = None
    recent: bool = False


@frozen
class SinceCheckpoint:
    """How much of the chain lies above the state in the newest checkpoint, which holds so many `references`."""

    diffs: int = 0
    changes: int = 0
    references: int = 0


@frozen
class LocalManifest:
    """The manifest of `head` as this client remembers it, sorted by `names.path_order`.

    `entries` can be gone through again and again. `since` is None where nobody counted.
    """

    head: HeadRef | None
    entries: Collection[LocalEntry] = field(default=(), repr=lambda e: f"<{len(e)} entries>")
    since: SinceCheckpoint | None = None
