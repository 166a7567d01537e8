"""Conditions for a store that has none: look first, then write.

Between the two somebody else may write, so this is only right where the local lock keeps all writers apart.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from rrbackup.effects.store import Always, Condition, Fetched, ObjectInfo, Store, Stored, UnfinishedUpload
from rrbackup.effects.store_rules import ALWAYS, check_condition
from rrbackup.errors import ObjectMissing
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef

_REREAD = "Another client may be at work, which this store cannot tell apart. Look again and decide anew."


class SingleWriter:
    """A store without conditional writes; implements `Store` for one writer at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> str:
        return self._store.describe()

    def prepare(self) -> tuple[str, ...]:
        return self._store.prepare()

    def head(self, key: str) -> ObjectInfo:
        return self._store.head(key)

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        return self._store.get(key, version_id)

    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        return self._store.read(key, version_id, start, length)

    def put(
        self,
        key: str,
        body: bytes | Iterable[bytes],
        *,
        condition: Condition = ALWAYS,
        size_hint: int = 0,
        metadata: Mapping[str, str] | None = None,
        storage_class: str | None = None,
    ) -> Stored:
        if not isinstance(condition, Always):
            check_condition(key, self._etag(key), condition, hint=_REREAD)
        return self._store.put(key, body, size_hint=size_hint, metadata=metadata, storage_class=storage_class)

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        return self._store.list_versions(prefix)

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        self._store.delete_versions(refs)

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        return self._store.list_uploads(prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        self._store.abort_upload(upload)

    def _etag(self, key: str) -> str | None:
        try:
            return self._store.head(key).etag
        except ObjectMissing:
            return None
