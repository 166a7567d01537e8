"""The store in a folder: an external disk, a NAS, or a place to try things out. Objects lie there as plain files.

A version appears by one rename, under a lock on the root where its condition is checked and its number chosen.
Where things lie is `directory_layout`; what makes them durable, `directory_files`; how one is written,
`directory_upload`.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

from rrbackup.effects.directory_files import (
    Translated,
    locked,
    prune,
    remove,
    remove_upload,
    sync_folder,
    volume_clock_ns,
    write_file,
)
from rrbackup.effects.directory_layout import (
    Folder,
    look,
    metadata_file,
    upload_file,
    version_file,
    walk,
)
from rrbackup.effects.directory_marker import Volume, create_volume, open_volume
from rrbackup.effects.directory_upload import Upload, next_held
from rrbackup.effects.store import Condition, Fetched, ObjectInfo, Stored, UnfinishedUpload
from rrbackup.effects.store_rules import (
    ALWAYS,
    MIB,
    batches,
    check_key,
    check_metadata,
    normal_prefix,
)
from rrbackup.errors import DamagedObject, ObjectMissing
from rrbackup.pure.model import ListedVersion, VersionId, VersionRef


class DirectoryStore:
    """A folder that keeps versions; implements `Store`.

    The folder has to be prepared once; until then, and while its disk is not mounted, every method raises
    `StoreMissing`. Etags are version ids, so no two versions share one. Storage classes mean nothing here.
    """

    def __init__(self, path: str | os.PathLike[str], *, prefix: str = "") -> None:
        self._root = os.path.abspath(os.fsencode(path))
        self._prefix = normal_prefix(prefix)

    def __repr__(self) -> str:
        return f"DirectoryStore({self.describe()})"

    def describe(self) -> str:
        return f"{os.fsdecode(self._root)}/{self._prefix}".rstrip("/")

    def prepare(self) -> tuple[str, ...]:
        return create_volume(self._root)

    def head(self, key: str) -> ObjectInfo:
        volume, folder = self._folder(key)
        version_id = self._current(key, folder)
        with self._opened(key, folder, version_id) as file:
            return self._info(volume, folder, version_id, file)

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        volume, folder = self._folder(key)
        wanted = self._current(key, folder) if version_id is None else version_id
        with self._opened(key, folder, wanted) as file:
            return Fetched(self._info(volume, folder, wanted, file), file.read())

    @contextmanager
    def read(
        self, key: str, version_id: VersionId, start: int = 0, length: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        _, folder = self._folder(key)
        with self._file(key, folder, version_id) as file:
            yield _stream(file, f"read {key} version {version_id}", start, length)

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
        check_key(key)
        kept = check_metadata(metadata)
        upload = Upload.begin(open_volume(self._root), self._prefix + key)
        try:
            size = upload.fill(body, kept)
            return upload.publish(condition, size, has_metadata=bool(kept))
        except BaseException:
            upload.discard()
            raise

    def mark_deleted(self, key: str) -> VersionId:
        """What a DELETE without version id does on S3. rrbackup itself never does that."""
        volume = open_volume(self._root)
        with Translated(f"mark {key} as deleted"), locked(volume.root):
            folder = volume.make_folder(self._prefix + key)
            new = next_held(look(folder).versions, marker=True)
            write_file(os.path.join(folder, new.file), b"")
            sync_folder(folder)
        return new.version_id

    def list_versions(self, prefix: str) -> Iterator[ListedVersion]:
        return self._rows(open_volume(self._root), prefix)

    def delete_versions(self, refs: Iterable[VersionRef]) -> None:
        volume = open_volume(self._root)
        for batch in batches(refs):
            with Translated(f"delete {len(batch)} versions, the first of {batch[0].key}"), locked(volume.root):
                self._delete(volume, batch)

    def list_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        for key, folder in self._walk(open_volume(self._root), prefix):
            for upload_id in folder.uploads:
                yield UnfinishedUpload(key, upload_id)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        volume, folder = self._folder(upload.key)
        name = upload_file(upload.upload_id)
        if name is None:
            return
        with Translated(f"give up an upload of {upload.key}"), locked(volume.root):
            remove_upload(os.path.join(folder, name))
            prune(volume.root, folder)

    def _folder(self, key: str) -> tuple[Volume, bytes]:
        check_key(key)
        volume = open_volume(self._root)
        return volume, volume.folder(self._prefix + key)

    def _current(self, key: str, folder: bytes) -> VersionId:
        with Translated(f"look at {key}"):
            held = look(folder).versions
        if not held or held[0].marker:
            raise ObjectMissing(f"there is no object {key} in {self.describe()}")
        return held[0].version_id

    def _file(self, key: str, folder: bytes, version_id: VersionId) -> BinaryIO:
        name = version_file(version_id)
        missing = ObjectMissing(f"there is no object {key} version {version_id} in {self.describe()}")
        if name is None:
            raise missing
        with Translated(f"read {key} version {version_id}"):
            try:
                return open(os.path.join(folder, name), "rb", buffering=0)
            except (FileNotFoundError, NotADirectoryError):
                raise missing from None

    @contextmanager
    def _opened(self, key: str, folder: bytes, version_id: VersionId) -> Iterator[BinaryIO]:
        with self._file(key, folder, version_id) as file, Translated(f"read {key} version {version_id}"):
            yield file

    def _info(self, volume: Volume, folder: bytes, version_id: VersionId, file: BinaryIO) -> ObjectInfo:
        status = os.fstat(file.fileno())
        return ObjectInfo(
            version_id,
            f'"{version_id}"',
            status.st_size,
            status.st_mtime_ns,
            volume_clock_ns(volume.root),
            _metadata(os.path.join(folder, metadata_file(version_id))),
        )

    def _walk(self, volume: Volume, prefix: str) -> Iterator[tuple[str, Folder]]:
        above, slash, beginning = (self._prefix + prefix).rpartition("/")
        with Translated(f"list {prefix}"):
            top = look(volume.folder(above) if slash else volume.root)
            for key, folder in walk(top, above + slash, beginning):
                yield key.removeprefix(self._prefix), folder

    def _rows(self, volume: Volume, prefix: str) -> Iterator[ListedVersion]:
        for key, folder in self._walk(volume, prefix):
            for held in folder.versions:
                with suppress(FileNotFoundError):
                    size = os.stat(os.path.join(folder.path, held.file)).st_size
                    yield ListedVersion(
                        key, held.version_id, size, "" if held.marker else held.etag, marker=held.marker
                    )

    def _delete(self, volume: Volume, refs: tuple[VersionRef, ...]) -> None:
        touched = {volume.folder(self._prefix + ref.key): None for ref in refs}
        for ref in refs:
            _unlink_version(volume.folder(self._prefix + ref.key), ref.version_id)
        for path in {prune(volume.root, folder): None for folder in touched}:
            with suppress(FileNotFoundError):
                sync_folder(path)


def _unlink_version(folder: bytes, version_id: VersionId) -> None:
    for kind in (b"%v", b"%d", b"%m"):
        if name := version_file(version_id, kind):
            remove(os.path.join(folder, name))


def _stream(file: BinaryIO, doing: str, start: int, length: int | None) -> Iterator[bytes]:
    left = length
    with Translated(doing):
        file.seek(start)
    while left is None or left > 0:
        with Translated(doing):
            chunk = file.read(MIB if left is None else min(MIB, left))
        if not chunk:
            return
        yield chunk
        left = None if left is None else left - len(chunk)


def _metadata(path: bytes) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedObject(f"the metadata in {os.fsdecode(path)} is not JSON: {error}") from error
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
