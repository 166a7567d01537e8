"""One write to a directory store: begin, fill, publish; or discard.

The temporary file lies in the key's own folder, so that it keeps that folder from being removed and tells, if the
writer dies, which key it was for. The lock on the store is held while folders are made and while the version appears,
never while the body is written. The writer has a lock on its temporary file, too, which ends with its process: whoever
writes the same key next removes what nobody has locked.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from attrs import frozen

from rrbackup.effects.directory_files import Translated, locked, meaning, prune, remove_upload, sync_folder, write_file
from rrbackup.effects.directory_layout import Held, look, metadata_file
from rrbackup.effects.directory_marker import Volume
from rrbackup.effects.store import Condition, Stored
from rrbackup.effects.store_rules import check_condition, chunks
from rrbackup.effects.writing import write_all
from rrbackup.errors import StoreUnavailable
from rrbackup.pure.model import VersionId


@frozen
class Upload:
    """`key` is the full key, prefix included. `handle` holds the lock on the temporary file."""

    volume: Volume
    key: str
    folder: bytes
    temporary: bytes
    handle: int

    @classmethod
    def begin(cls, volume: Volume, key: str) -> "Upload":
        with Translated(f"begin writing {key}"), locked(volume.root):
            folder = volume.make_folder(key)
            for upload_id in look(folder).uploads:
                _remove_if_dead(os.path.join(folder, b"%t" + upload_id.encode()))
            temporary = os.path.join(folder, b"%t" + secrets.token_hex(8).encode())
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            fcntl.flock(handle, fcntl.LOCK_EX)
        return cls(volume, key, folder, temporary, handle)

    def fill(self, body: bytes | Iterable[bytes], metadata: Mapping[str, str]) -> int:
        """Write and sync the content; its size in bytes. What the body raises goes through as it is."""
        size = 0
        with self._writing():
            file = open(self.temporary, "r+b", buffering=0)  # noqa: SIM115 (the body's own errors pass between)
        with file:
            for chunk in chunks(body):
                with self._writing():
                    size += write_all(file.fileno(), chunk)
            with self._writing():
                os.fsync(file.fileno())
        if metadata:
            with self._writing():
                write_file(self.temporary + b"m", json.dumps(metadata).encode())
        return size

    def publish(self, condition: Condition, size: int, has_metadata: bool) -> Stored:
        """Make the version visible. Raises `ConditionFailed`."""
        with self._writing(), locked(self.volume.root):
            held = look(self.folder).versions
            check_condition(self.key, _etag(held[0] if held else None), condition)
            new = next_held(held, marker=False)
            if has_metadata:
                os.rename(self.temporary + b"m", os.path.join(self.folder, metadata_file(new.version_id)))
            os.rename(self.temporary, os.path.join(self.folder, new.file))
            sync_folder(self.folder)
        self._let_go()
        return Stored(new.version_id, new.etag, size)

    def discard(self) -> None:
        """A failure here must not hide the failure that led here; recovery finds what is left."""
        with suppress(OSError), locked(self.volume.root):
            remove_upload(self.temporary)
            prune(self.volume.root, self.folder)
        self._let_go()

    def _let_go(self) -> None:
        with suppress(OSError):  # everything that matters is on the disk by now
            os.close(self.handle)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise StoreUnavailable(
                f"the upload of {self.key} is gone: another client gave it up, or the disk was taken away",
                hint="Run it again.",
            ) from None
        except OSError as error:
            raise meaning(error, f"write {self.key}") from error


def _remove_if_dead(temporary: bytes) -> None:
    """Call it under the lock on the store, so that nobody is between making a temporary file and locking it."""
    with suppress(FileNotFoundError, PermissionError):  # given up meanwhile; or another user's
        handle = os.open(temporary, os.O_WRONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_upload(temporary)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)


def next_held(held: tuple[Held, ...], marker: bool) -> Held:
    number = held[0].number + 1 if held else 1
    return Held(number, VersionId(f"{number}-{secrets.token_hex(4)}"), marker)


def _etag(current: Held | None) -> str | None:
    return None if current is None or current.marker else current.etag
