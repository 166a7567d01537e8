"""The port to a versioned object store, and its contract.

Every store (S3, directory, memory) promises what is written here, and `tests/conformance/` holds each to it.
Keys are relative to the store's prefix; an adapter adds and removes the prefix, so that nothing above knows it.

Rules for all methods:

- A version id in an answer is never empty and never "null": such an answer raises `NotVersioned`.
- A missing bucket or directory raises `StoreMissing`, a missing key or version (also: a delete marker in place
  of the current version) `ObjectMissing`, a refusal for lack of rights `AccessDenied`, a store that cannot be
  reached or keeps failing after bounded retries `StoreUnavailable`. Each message names key and version.
- Methods may be called from several threads at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from attrs import field, frozen

from rrbackup.pure.model import ListedVersion, VersionId, VersionRef
from rrbackup.pure.model import UnfinishedUpload as UnfinishedUpload


@frozen
class Always:
    """Write whatever is there."""


@frozen
class IfAbsent:
    """Write only if the key has no current version (a delete marker counts as none)."""


@frozen
class IfMatch:
    """Write only if the current version of the key has this etag."""

    etag: str


Condition = Always | IfAbsent | IfMatch


@frozen
class Stored:
    """The answer to a write. `attempts` counts the requests sent; over 1, an unknown twin version
    or unfinished upload may exist."""

    version_id: VersionId
    etag: str
    size: int
    attempts: int = 1


@frozen
class ObjectInfo:
    """What a store says of one version. Times are nanoseconds; `date_ns` is the store's clock at the answer."""

    version_id: VersionId
    etag: str
    size: int
    last_modified_ns: int
    date_ns: int
    metadata: Mapping[str, str] = field(factory=dict)


@frozen
class Fetched:
    info: ObjectInfo
    body: bytes = field(repr=lambda b: f"<{len(b)} bytes>")


class ContentStore(Protocol):
    """What it takes to move contents."""

    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Stream `length` bytes (default: to the end) of one version from offset `start`: one request."""

    def put(
        self,
        key: str,
        body: bytes | Iterable[bytes],
        *,
        condition: Condition = Always(),
        size_hint: int = 0,
        metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
    ) -> Stored:
        """Write a new version; it becomes visible whole or not at all.

        Up to a threshold, one request; beyond, a multipart upload whose part size follows `size_hint` (bytes,
        may be wrong) so that any size stays under 10,000 parts. Never holds more than a part in memory. A body
        that raises leaves no version, and its unfinished upload is aborted. Raises `ConditionFailed` when the
        condition was refused, which after a repeated request may be a false refusal, and `OutcomeUnknown` when
        the last answer was lost: in both cases the caller reads back. `metadata` is ASCII, at most 2 KB.
        """


class Store(ContentStore, Protocol):
    """A versioned object store below one prefix."""

    def describe(self) -> str:
        """A short name for messages, such as `s3://bucket/prefix`; no secrets."""

    def prepare(self) -> tuple[str, ...]:
        """Make the store usable (create the folder, switch versioning on) and say in sentences what was done.

        An existing bucket is required: `StoreMissing` otherwise. Nothing to do gives an empty tuple.
        """

    def head(self, key: str) -> ObjectInfo:
        """The current version, without its content: one request."""

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        """One version (default: the current one) with its whole content: one request. For small objects."""

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        """All versions and delete markers whose key begins with `prefix`, keys ascending by their UTF-8 bytes.

        Within a key, newest first (delete markers of a key may come after its versions: the S3 client libraries
        lose their interleaving). Pages are fetched as needed, so breaking off saves requests.
        """

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        """Delete exactly these versions, in batches; those that do not exist are passed over."""

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Unfinished uploads whose key begins with `prefix`."""

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Give up one unfinished upload; one that does not exist is passed over."""


def list_exact(store: Store, key: str) -> Iterator[ListedVersion]:
    """The versions of exactly `key`. It sorts first among all keys that it is a prefix of."""
    for listed in store.list_versions(key):
        if listed.key != key:
            return
        yield listed
