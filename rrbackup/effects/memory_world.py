"""The state that all clients of one in-memory store share, and how one request changes it.

Every method is one request, applied whole under a lock. Version ids come from one counter; etags are the MD5 of
the content, like those of S3, so that equal bytes have equal etags and a client that relies on them sees ABA.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from threading import Lock

from attrs import evolve, frozen

from rrbackup.effects.store import Condition, Fetched, ObjectInfo, Stored
from rrbackup.effects.store_rules import PAGE, REREAD, check_condition
from rrbackup.errors import ObjectMissing, OutcomeUnknown
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef

_A_DAY_IN_2023 = 1_700_000_000_000_000_000


@frozen
class Held:
    """A version, or with `body` None a delete marker. `number` orders the versions of the whole store."""

    number: int
    body: bytes | None
    metadata: Mapping[str, str]
    modified_ns: int

    @property
    def version_id(self) -> VersionId:
        return VersionId(f"v{self.number:06d}")

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"' if self.body is not None else ""


@frozen
class Upload:
    key: str
    parts: tuple[bytes, ...] = ()


Position = tuple[bytes, int]
_START: Position = (b"", 0)


@frozen
class Page:
    """Rows of a listing, the position of the last one, and whether more lie behind it."""

    rows: tuple[ListedVersion, ...] = ()
    position: Position = _START
    more: bool = True


class World:
    """Keys here are full keys, prefix included. `conditional` false: conditions are ignored without a word."""

    def __init__(self, conditional: bool) -> None:
        self.clock_ns = _A_DAY_IN_2023
        self._conditional = conditional
        self._lock = Lock()
        self._count = 0
        self._held: dict[str, list[Held]] = {}
        self._uploads: dict[str, Upload] = {}

    def put(self, key: str, body: bytes, condition: Condition, metadata: Mapping[str, str]) -> Stored:
        with self._lock:
            return self._write(key, body, condition, metadata)

    def mark_deleted(self, key: str) -> VersionId:
        with self._lock:
            return self._add(key, None, {}).version_id

    def get(self, key: str, version_id: VersionId | None) -> Fetched:
        with self._lock:
            held = self._current(key) if version_id is None else self._find(key, version_id)
            if held is None or held.body is None:
                which = "" if version_id is None else f" version {version_id}"
                raise ObjectMissing(f"there is no object {key}{which}")
            return Fetched(self._info(held, held.body), held.body)

    def page(self, prefix: str, after: Position) -> Page:
        """The next rows of a listing, up to 1000, behind a position."""
        with self._lock:
            behind = ((at, row) for at, row in self._rows(prefix) if at > after)
            found = list(islice(behind, PAGE + 1))
        shown = found[:PAGE]
        last = shown[-1][0] if shown else after
        return Page(tuple(row for _, row in shown), last, more=len(found) > PAGE)

    def delete(self, refs: Iterable[VersionRef]) -> None:
        with self._lock:
            for ref in refs:
                left = [held for held in self._held.get(ref.key, ()) if held.version_id != ref.version_id]
                self._held[ref.key] = left

    def create_upload(self, key: str) -> str:
        with self._lock:
            self._count += 1
            upload_id = f"u{self._count:06d}"
            self._uploads[upload_id] = Upload(key)
            return upload_id

    def upload_part(self, upload_id: str, number: int, data: bytes) -> None:
        with self._lock:
            upload = self._upload(upload_id)
            self._uploads[upload_id] = evolve(upload, parts=(*upload.parts[: number - 1], data))

    def complete_upload(self, upload_id: str, condition: Condition, metadata: Mapping[str, str]) -> Stored:
        with self._lock:
            upload = self._upload(upload_id)
            stored = self._write(upload.key, b"".join(upload.parts), condition, metadata)
            del self._uploads[upload_id]
            return stored

    def abort_upload(self, upload_id: str) -> None:
        with self._lock:
            self._uploads.pop(upload_id, None)

    def uploads(self, prefix: str) -> list[tuple[str, str]]:
        """Pairs of upload id and key."""
        with self._lock:
            return [(name, up.key) for name, up in self._uploads.items() if up.key.startswith(prefix)]

    def _write(self, key: str, body: bytes, condition: Condition, metadata: Mapping[str, str]) -> Stored:
        if self._conditional:
            check_condition(key, self._etag(key), condition)
        held = self._add(key, body, metadata)
        return Stored(held.version_id, held.etag, len(body))

    def _etag(self, key: str) -> str | None:
        current = self._current(key)
        return current.etag if current is not None and current.body is not None else None

    def _add(self, key: str, body: bytes | None, metadata: Mapping[str, str]) -> Held:
        self._count += 1
        held = Held(self._count, body, dict(metadata), self.clock_ns)
        self._held.setdefault(key, []).append(held)
        return held

    def _current(self, key: str) -> Held | None:
        versions = self._held.get(key)
        return versions[-1] if versions else None

    def _find(self, key: str, version_id: VersionId) -> Held | None:
        return next((held for held in self._held.get(key, ()) if held.version_id == version_id), None)

    def _info(self, held: Held, body: bytes) -> ObjectInfo:
        return ObjectInfo(held.version_id, held.etag, len(body), held.modified_ns, self.clock_ns, dict(held.metadata))

    def _rows(self, prefix: str) -> Iterator[tuple[Position, ListedVersion]]:
        for encoded, key in sorted((key.encode(), key) for key in self._held if key.startswith(prefix)):
            for held in reversed(self._held[key]):
                row = ListedVersion(key, held.version_id, len(held.body or b""), held.etag, marker=held.body is None)
                yield (encoded, -held.number), row

    def _upload(self, upload_id: str) -> Upload:
        if upload_id not in self._uploads:
            raise OutcomeUnknown(
                f"there is no upload {upload_id} (any more): it was completed or given up", hint=REREAD
            )
        return self._uploads[upload_id]
