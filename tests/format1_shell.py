"""The shell around the reader of format 1, as short as can be: keys and chunks by libsodium, objects by any store."""

import hashlib
from functools import cache

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from rrbackup.effects.store import Store, list_exact
from rrbackup.errors import DamagedObject
from rrbackup.pure import format1
from rrbackup.pure.format1 import FoundDiff
from rrbackup.pure.format1_object import Kdf, Pull, Unlock, read_file, read_metadata
from rrbackup.pure.model import Entry, Link, VersionId
from tests.format1_writer import derive_key


def unlocker(password: bytes) -> Unlock:
    """Derives each key once."""

    @cache
    def key(kdf: Kdf) -> bytes:
        return derive_key(password, kdf.salt, kdf.passes, kdf.memory)

    return lambda kdf, stream_header: puller(key(kdf), stream_header)


def puller(key: bytes, stream_header: bytes) -> Pull:
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    sodium.crypto_secretstream_xchacha20poly1305_init_pull(state, stream_header, key)

    def pull(chunk: bytes, associated: bytes) -> tuple[bytes, int]:
        try:
            return sodium.crypto_secretstream_xchacha20poly1305_pull(state, chunk, associated)
        except CryptoError:
            raise DamagedObject("a chunk does not open") from None

    return pull


def no_password(kdf: Kdf, stream_header: bytes) -> Pull:
    raise AssertionError("nothing here is encrypted")


def read_chain(store: Store, manifest: str, files: str, unlock: Unlock) -> tuple[Link, ...]:
    listed = [version.version_id for version in list_exact(store, manifest) if not version.marker]
    return format1.chain([_found(store, manifest, files, version_id, unlock) for version_id in listed])


def _found(store: Store, manifest: str, files: str, version_id: VersionId, unlock: Unlock) -> FoundDiff:
    fetched = store.get(manifest, version_id)
    changes = format1.decode_diff(read_metadata(fetched.body, unlock, manifest), files, manifest)
    digest = hashlib.sha256(fetched.body).hexdigest()
    return FoundDiff(version_id, fetched.info.etag, digest, fetched.info.last_modified_ns, changes)


def read_content(store: Store, entry: Entry, unlock: Unlock) -> bytes:
    if entry.object is None:
        return b""
    with store.read(entry.object.key, entry.object.version_id) as blocks:
        return b"".join(read_file(blocks, unlock, entry.object.key))
