"""The stores under test, each with the little that only its own side door can do.

A world is a fresh stretch of one store: `store()` gives clients of it, the other methods do what rrbackup never does
itself (a delete marker, an upload left unfinished) or show a store that is not there.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Protocol

from attrs import frozen

from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.directory_marker import open_volume
from rrbackup.effects.directory_upload import Upload
from rrbackup.effects.memory import Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.effects.s3 import S3Options, S3Store
from rrbackup.effects.store import Store
from tests.servers import S3Server

KINDS = ("memory", "directory", "hashed", "moto", "seaweedfs")
SERVED = ("moto", "seaweedfs")


class World(Protocol):
    @property
    def kind(self) -> str: ...

    @property
    def prefix(self) -> str:
        """What stands before every key, without the slash."""

    def store(self, below: str = "") -> Store:
        """A client of the store; those with the same `below` see the same objects."""

    def mark_deleted(self, key: str) -> None: ...

    def leave_upload(self, key: str) -> None:
        """An upload that nobody will finish."""

    def missing_store(self) -> Store:
        """A store where there is none."""


def _join(prefix: str, below: str) -> str:
    return f"{prefix}/{below}" if below else prefix


@frozen
class MemoryWorld:
    memory: MemoryStore
    prefix: str = "w"
    kind: str = "memory"

    def store(self, below: str = "") -> Store:
        return self.memory.client(prefix=_join(self.prefix, below))

    def mark_deleted(self, key: str) -> None:
        self.memory.client(prefix=self.prefix).mark_deleted(key)

    def leave_upload(self, key: str) -> None:
        client = self.memory.client(prefix=self.prefix, faults=[Fault(2, FaultKind.BEFORE)])
        with suppress(SimulatedCrash):
            client.put(key, (b"x" * (1 << 20) for _ in range(9)))

    def missing_store(self) -> Store:
        raise NotImplementedError("a store in memory cannot be missing")


@frozen
class DirectoryWorld:
    root: Path
    kind: str
    prefix: str = "w"

    @classmethod
    def plain(cls, root: Path) -> "DirectoryWorld":
        DirectoryStore(root).prepare()
        return cls(root, "directory")

    @classmethod
    def hashed(cls, root: Path) -> "DirectoryWorld":
        """As on a volume that folds case."""
        root.mkdir()
        (root / "%rrbackup").write_text(json.dumps({"layout": 1, "names": "hashed"}))
        return cls(root, "hashed")

    def store(self, below: str = "") -> Store:
        return DirectoryStore(self.root, prefix=_join(self.prefix, below))

    def mark_deleted(self, key: str) -> None:
        DirectoryStore(self.root, prefix=self.prefix).mark_deleted(key)

    def leave_upload(self, key: str) -> None:
        Upload.begin(open_volume(bytes(self.root)), f"{self.prefix}/{key}")

    def missing_store(self) -> Store:
        return DirectoryStore(self.root / "not-mounted")


@frozen
class S3World:
    server: S3Server
    bucket: str
    prefix: str

    @property
    def kind(self) -> str:
        return self.server.name

    def options(self, below: str = "") -> S3Options:
        return self.server.options(self.bucket, _join(self.prefix, below))

    def store(self, below: str = "") -> Store:
        return S3Store(self.options(below))

    def mark_deleted(self, key: str) -> None:
        self.server.client().delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def leave_upload(self, key: str) -> None:
        self.server.client().create_multipart_upload(Bucket=self.bucket, Key=f"{self.prefix}/{key}")

    def missing_store(self) -> Store:
        return S3Store(self.server.options("no-such-bucket-here"))


def s3_worlds(server: S3Server) -> Callable[[], World]:
    """Fresh worlds in one new bucket, because a bucket costs SeaweedFS more than a prefix does."""
    bucket = server.new_bucket()
    numbers = count(1)
    return lambda: S3World(server, bucket, f"w{next(numbers)}")
