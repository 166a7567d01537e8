"""Writes repositories of format 1 as rrbackup 1.0 did, made only from the description of that format.

Shares nothing with rrbackup, so that reader and writer cannot have the same misunderstanding. Where a version goes
and which id it gets is for `Put` to say, so that any store will do. `Format1Writer` plays whole runs; the functions
above it make single objects, for tests that bend them.
"""

import bz2
import hashlib
import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nacl import bindings as sodium

OPS = 4
MEMORY = 33_554_432
CHUNK = 5_242_880


class Put(Protocol):
    def __call__(self, key: str, body: bytes | None) -> str:
        """Write a version, or with None a delete marker; its id."""


@dataclass(frozen=True)
class Names:
    manifest: str = "manifest_diffs"
    claim: str = "gc_log"
    garbage: str = "garbage_objects"
    files: str = "files"
    salt: str = "salt_file"


@dataclass(frozen=True)
class File:
    """A file of a tree. `mtime` is in float seconds."""

    content: bytes
    mtime: float = 1_400_000_000.25


def derive_key(password: bytes, salt: bytes, ops: int = OPS, memory: int = MEMORY) -> bytes:
    algorithm = sodium.crypto_pwhash_ALG_ARGON2I13
    return sodium.crypto_pwhash_alg(32, password, salt, ops, memory, algorithm)


@dataclass(frozen=True)
class Lock:
    """A derived key, and the salt that it came from."""

    key: bytes
    salt: bytes

    def header(self, **more: str) -> dict[str, object]:
        return {"A": "ARGON2I13", "O": OPS, "M": MEMORY, "S": b64encode(self.salt).decode(), **more}


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def framed(header: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(header)) + header + payload


def sealed(lock: Lock, header: bytes, chunks: Iterable[bytes], tag: int = 0) -> bytes:
    """24-byte stream header and chunks, each bound to the JSON header."""
    state = sodium.crypto_secretstream_xchacha20poly1305_state()
    parts = [sodium.crypto_secretstream_xchacha20poly1305_init_push(state, lock.key)]
    parts += [sodium.crypto_secretstream_xchacha20poly1305_push(state, chunk, header, tag) for chunk in chunks]
    return b"".join(parts)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def file_object(content: bytes, lock: Lock | None = None, chunk: int = CHUNK) -> bytes:
    fields: dict[str, object] = {"V": "1", "S": str(chunk), "C": ""}
    if lock is None:
        return framed(compact(fields), content)
    header = compact({**fields, "E": lock.header()})
    return framed(header, sealed(lock, header, cut(content, chunk)))


def metadata_object(value: object, compress: bool = False, lock: Lock | None = None) -> bytes:
    payload = bz2.compress(compact(value)) if compress else compact(value)
    fields: dict[str, object] = {"V": "1"}
    if compress:
        fields["C"] = {"A": "bz2"}
    if lock is None:
        return framed(compact(fields), payload)
    header = compact({**fields, "E": lock.header(E="sodssxcc20")})
    return framed(header, sealed(lock, header, [payload]))


Record = dict[str, object]


@dataclass
class Format1Writer:
    """One client of rrbackup 1.0. `encrypted` are beginnings of the paths whose files are encrypted."""

    put: Put
    names: Names = Names()
    compress: bool = False
    lock: Lock | None = None
    encrypted: tuple[str, ...] = ("/",)
    chunk: int = CHUNK
    manifest: dict[str, Record] = field(default_factory=dict)

    def prepare(self) -> None:
        """Write the salt, as the first run of a client with a password does."""
        if self.lock is not None:
            self.put(self.names.salt, self.lock.salt.hex().encode())

    def commit(self, tree: Mapping[str, File]) -> str:
        """A whole run: log, uploads, diff, and a delete marker on the log. The diff's version id."""
        changes = self._upload(tree)
        for change in changes:
            self._apply(change)
        version_id = self._put_metadata(self.names.manifest, changes)
        self.put(self.names.claim, None)
        return version_id

    def crash(self, tree: Mapping[str, File]) -> None:
        """A run that dies between its last upload and the diff."""
        self._upload(tree)

    def list_garbage(self, rows: list[list[str]]) -> None:
        self._put_metadata(self.names.garbage, rows)

    def local_manifest(self, head: str, last_modified: str) -> bytes:
        latest = {"version_id": head, "last_modified": last_modified}
        return compact({"latest_remote_diff": latest, "files": list(self.manifest.values())})

    def _upload(self, tree: Mapping[str, File]) -> list[Record]:
        changes = self._changes(tree)
        uploads = [change for change in changes if change["status"] != "deleted"]
        self._put_metadata(self.names.claim, uploads)
        known = {record["hash"]: record for record in self.manifest.values() if "version_id" in record}
        for change in uploads:
            content = tree[str(change["path"])].content
            if not content:
                change["empty"] = True
            elif change["hash"] in known:
                original = known[change["hash"]]
                change.update(real_path=original["real_path"], version_id=original["version_id"])
            else:
                path = str(change["path"])
                change.update(real_path=path, version_id=self._put_file(path, content))
                known[change["hash"]] = change
        return changes

    def _changes(self, tree: Mapping[str, File]) -> list[Record]:
        changes: list[Record] = []
        for path, file in tree.items():
            digest = hashlib.sha256(file.content).hexdigest()
            old = self.manifest.get(path)
            if old is None or (old["hash"], old["last_mod"]) != (digest, file.mtime):
                status = "new" if old is None else "changed"
                created = file.mtime + 0.5
                changes.append(
                    {"path": path, "status": status, "created": created, "last_mod": file.mtime, "hash": digest}
                )
        gone = [record for path, record in self.manifest.items() if path not in tree]
        return [*changes, *({**record, "status": "deleted"} for record in gone)]

    def _apply(self, change: Record) -> None:
        path = str(change["path"])
        if change["status"] == "deleted":
            del self.manifest[path]
        else:
            self.manifest[path] = change

    def _put_file(self, path: str, content: bytes) -> str:
        lock = self.lock if path.startswith(self.encrypted) else None
        return self.put(self.names.files + path, file_object(content, lock, self.chunk))

    def _put_metadata(self, key: str, value: object) -> str:
        return self.put(key, metadata_object(value, self.compress, self.lock))
