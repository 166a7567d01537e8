"""Repositories of format 1 for tests: every way in which rrbackup 1.0 stored things, with a history of three commits.

Bytes come from the independent writer (`format1_writer`). What a commit must give back is computed here from the trees
alone, without asking rrbackup.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from attrs import evolve, frozen

from rrbackup import BackupResult, Config, CryptoSettings, DirectorySettings, Repository, open_repository
from rrbackup.effects.store import Fetched, Store
from rrbackup.pure.model import Status, VersionId, VersionRef
from rrbackup.testing import Call, Fault, MemoryClient, MemoryStore, SimulatedCrash
from tests.format1_writer import File, Format1Writer, Lock, Names, Put, derive_key, metadata_object
from tests.integration.conftest import Bench
from tests.integration.trees import Seen, look

PASSWORD = "correct horse"
SALT = bytes(range(16))
SECOND = 10**9
CHUNK = 65_536

Tree = Mapping[str, File]

BIG = bytes(range(256)) * 600
"""More than two encrypted chunks of these repositories."""

FIRST: Tree = {
    "/a.txt": File(b"one\n", 1_400_000_000.1234567),
    "/copy of a.txt": File(b"one\n", 1_400_000_001.5),
    "/empty": File(b"", 1_400_000_002.0),
    "/folder/100% \\ grün ☂": File(b"umbrella\n"),
    "/folder/big.bin": File(BIG, -1.25),
    "/folder/not UTF-8 \udcff": File(b"one\n", 1_400_000_003.75),
    "/gone": File(b"soon gone\n"),
    "/secret/plan": File(b"the first plan\n"),
}
MIDDLE: Tree = {
    **{path: file for path, file in FIRST.items() if path != "/gone"},
    "/a.txt": File(b"two\n", 1_400_000_100.0),
    "/empty": File(b"no longer empty\n", 1_400_000_101.0),
    "/secret/more": File(b"more of it\n"),
}
LAST: Tree = {
    **MIDDLE,
    "/gone": File(b"back again\n", 1_400_000_201.0),
    "/secret/plan": File(b"the second plan\n", 1_400_000_202.0),
    "/empty too": File(b"", 1_400_000_203.0),
}
CRASHED: Tree = {**LAST, "/a.txt": File(b"three\n"), "/orphan": File(b"never committed\n")}
"""What a run that crashed after the last commit would have committed."""

SENDABLE: Tree = {path: file for path, file in FIRST.items() if "\udcff" not in path}
"""Without the name that is not UTF-8, which no key can have."""

NEXT: Tree = {
    **{path: file for path, file in LAST.items() if path != "/copy of a.txt"},
    "/a.txt": File(b"four\n", 1_500_000_000.5),
    "/new": File(b"new in format 2\n", 1_500_000_001.5),
    "/secret/new": File(b"a new secret\n", 1_500_000_002.5),
}
"""The tree after a while: three files to send, one to delete."""
SENT_FOR_NEXT = {"files/a.txt", "files/new", "files/secret/new"}


DEFAULT_NAMES = Names()


@frozen
class Kind:
    """How a client of 1.0 was configured. `hidden` are beginnings of the paths whose files are encrypted."""

    name: str
    bz2: bool = False
    encrypted_metadata: bool = False
    hidden: tuple[str, ...] = ()
    names: Names = DEFAULT_NAMES

    @property
    def encrypted(self) -> bool:
        return self.encrypted_metadata or bool(self.hidden)


HIDDEN = ("/secret", "/folder")
RENAMED = Names(manifest="asdfgjkll", claim="cvbnmoytety", garbage="zxcvb", salt="qwertyuio")

PLAIN = Kind("plain")
FILES_ENCRYPTED = Kind("files encrypted", hidden=HIDDEN)
METADATA_ENCRYPTED = Kind("metadata encrypted", bz2=True, encrypted_metadata=True)
BOTH_ENCRYPTED = Kind("both encrypted", bz2=True, encrypted_metadata=True, hidden=HIDDEN)
ENCRYPTED = (FILES_ENCRYPTED, METADATA_ENCRYPTED, BOTH_ENCRYPTED)
KINDS = (
    PLAIN,
    Kind("bz2", bz2=True),
    *ENCRYPTED,
    Kind("renamed", bz2=True, encrypted_metadata=True, hidden=HIDDEN, names=RENAMED),
)


@frozen
class Commit:
    version_id: str
    tree: Tree


@frozen
class OldRepository:
    kind: Kind
    store: Store
    writer: Format1Writer
    commits: tuple[Commit, ...]

    @property
    def names(self) -> Names:
        return self.kind.names

    @property
    def latest(self) -> Commit:
        return self.commits[-1]

    def crash(self, tree: Tree = CRASHED) -> set[VersionRef]:
        """Let the client of 1.0 die before its diff; what it uploaded."""
        before = file_versions(self.store)
        self.writer.crash(tree)
        return file_versions(self.store) - before

    def leave(self, key: str, body: bytes = b"nobody knows of this") -> VersionRef:
        """A version that no diff and no list knows of."""
        return VersionRef(key, VersionId(self.writer.put(key, body)))


class _OpenRecords(Format1Writer):
    """A client that encrypts files, but not metadata."""

    def _put_metadata(self, key: str, value: object) -> str:
        return self.put(key, metadata_object(value, self.compress))


def old_repository(
    kind: Kind = PLAIN,
    store: Store | None = None,
    put: Put | None = None,
    trees: tuple[Tree, ...] = (FIRST, MIDDLE, LAST),
    chunk: int = CHUNK,
) -> OldRepository:
    """`put` writes into `store`; without them a store in memory is made."""
    memory = MemoryStore()
    writer = old_client(kind, put or putting(memory), chunk)
    writer.prepare()
    commits = tuple(Commit(writer.commit(tree), tree) for tree in trees)
    return OldRepository(kind, store or memory, writer, commits)


def old_client(kind: Kind, put: Put, chunk: int = CHUNK) -> Format1Writer:
    client = Format1Writer if kind.encrypted_metadata or not kind.encrypted else _OpenRecords
    return client(put, kind.names, kind.bz2, _lock() if kind.encrypted else None, kind.hidden, chunk)


@cache
def _lock() -> Lock:
    return Lock(derive_key(PASSWORD.encode(), SALT), SALT)


def putting(memory: MemoryStore, step_ns: int = SECOND) -> Put:
    """A way into a store in memory that sets its clock forward with every write."""

    def put(key: str, body: bytes | None) -> str:
        memory.clock_ns += step_ns
        return memory.mark_deleted(key) if body is None else memory.put(key, body).version_id

    return put


def crypto(password: str | None = PASSWORD) -> CryptoSettings:
    """With the cheapest derivation of keys that there is."""
    return CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20)


def settings(kind: Kind, password: str | None = PASSWORD) -> dict[str, Any]:
    """What a configuration says to go on with such a repository."""
    return {
        "crypto": crypto(password) if kind.encrypted else None,
        "meta_pipeline": (["compress"] if kind.bz2 else []) + (["encrypt"] if kind.encrypted_metadata else []),
        "file_pipeline": [*([f"{beginning}*", ["encrypt"]] for beginning in kind.hidden), ["*", []]],
        "remote_base_path": kind.names.files,
        "remote_manifest_diff_file": kind.names.manifest,
        "remote_gc_log_file": kind.names.claim,
        "remote_garbage_object_log_file": kind.names.garbage,
        "remote_password_salt_file": kind.names.salt,
    }


class RottenStore(MemoryStore):
    """A store in which the bytes of the version `rotten` have changed."""

    rotten = ""

    def get(self, key: str, version_id: VersionId | None = None) -> Fetched:
        fetched = super().get(key, version_id)
        return evolve(fetched, body=fetched.body[:-1] + b"?") if fetched.info.version_id == self.rotten else fetched


# --- trees on disk -------------------------------------------------------------------------------------------------


def mtime_ns(file: File) -> int:
    """The nanoseconds nearest to the float seconds that 1.0 recorded."""
    return int(file.mtime // 1) * SECOND + round(file.mtime % 1 * SECOND)


def put_on_disk(base: Path, tree: Tree) -> None:
    """Make `base` hold exactly these files; those that are right already are not touched."""
    base.mkdir(parents=True, exist_ok=True)
    wanted = {base / path[1:]: file for path, file in tree.items()}
    for path in sorted(base.rglob("*"), reverse=True):
        if not path.is_dir() and path not in wanted:
            path.unlink()
    for path, file in wanted.items():
        _hold(path, file)


def _hold(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != file.content:
        path.write_bytes(file.content)
    if path.stat().st_mtime_ns != mtime_ns(file):
        os.utime(path, ns=(mtime_ns(file), mtime_ns(file)))


def restored(tree: Tree) -> dict[bytes, Seen]:
    """What is found where a commit of 1.0 was restored: permissions are those of new files."""
    mode = 0o666 & ~_umask()
    return {os.fsencode(path[1:]): Seen("file", mode, mtime_ns(file), file.content) for path, file in tree.items()}


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


# --- what a listing must say ---------------------------------------------------------------------------------------


def path_text(path: str) -> str:
    """Written down by hand for the few odd characters in these trees."""
    return path.replace("%", "%25").replace("\\", "%5C").replace("\udcff", "%FF")


def facts(tree: Tree) -> dict[str, tuple[str, int]]:
    """Path text → digest and mtime."""
    return {path_text(path): (hashlib.sha256(file.content).hexdigest(), mtime_ns(file)) for path, file in tree.items()}


def statuses(before: Tree, after: Tree) -> dict[str, Status]:
    """What a commit between two trees says of each path that it names."""
    found = dict.fromkeys(before.keys() - after.keys(), Status.DELETED)
    for path, file in after.items():
        if before.get(path) != file:
            found[path] = Status.CHANGED if path in before else Status.NEW
    return {path_text(path): status for path, status in found.items()}


# --- what lies in a store ------------------------------------------------------------------------------------------

Contents = dict[VersionRef, bytes | None]


def contents(store: Store) -> Contents:
    """Every version with its bytes; None for delete markers."""
    return {row.ref: None if row.marker else store.get(row.key, row.version_id).body for row in store.list_versions("")}


def file_versions(store: Store) -> set[VersionRef]:
    return {row.ref for row in store.list_versions("files/")}


def missing(before: Contents, store: Store) -> set[VersionRef]:
    """The versions of `before` that are gone or are no longer what they were."""
    now: Mapping[VersionRef, object] = contents(store)
    return {ref for ref, body in before.items() if now.get(ref, "gone") != body}


def nothing_written(store: Store) -> Callable[[], bool]:
    """Tells later whether the store is still as it is now."""
    before = contents(store)
    return lambda: contents(store) == before and list(store.list_uploads("")) == []


# --- clients -------------------------------------------------------------------------------------------------------

MakeBench = Callable[..., Bench]

READS = {"get", "head", "read", "list_versions", "list_uploads"}
"""The requests that change nothing."""


def named(kind: Kind) -> str:
    return kind.name


def mostly_deep(kinds: Iterable[Kind]) -> list[Kind | ParameterSet]:
    """In `make test` those without encryption and with all of it; the others only in the long run."""
    quick = (PLAIN, BOTH_ENCRYPTED)
    return [kind if kind in quick else pytest.param(kind, marks=pytest.mark.deep) for kind in kinds]


def client_to_go_on(make_bench: MakeBench, old: OldRepository, tree: Tree | None = None, **changes: Any) -> Bench:
    """A client that is configured to go on with `old`, with the tree of its last commit unless told otherwise."""
    bench = make_bench(old.store, **{**settings(old.kind), **changes})
    put_on_disk(bench.base, old.latest.tree if tree is None else tree)
    return bench


def watched(bench: Bench) -> tuple[Bench, MemoryClient]:
    """The same client, and a view of its requests."""
    assert isinstance(bench.store, MemoryStore)
    client = bench.store.client()
    return evolve(bench, store=client), client


def sent_files(client: MemoryClient) -> list[str]:
    """The keys of the file objects that were written, once for each version."""
    writes = ("put", "complete_upload")
    return sorted(call.key for call in client.calls if call.method in writes and call.key.startswith("files/"))


def download(bench: Bench, version: str, folder: Path) -> dict[bytes, Seen]:
    with bench.open() as repository:
        assert repository.download(version, folder).problems == ()
    return look(folder)


def check_commits(bench: Bench, commits: dict[str, dict[bytes, Seen]], folder: Path) -> None:
    """Every commit is listed in this order, and gives back its tree, to a client that knows nothing yet."""
    reader = bench.other_client(folder)
    with reader.open() as repository:
        assert [version.version_id for version in repository.list_versions()] == list(commits)
        for version_id, tree in commits.items():
            assert repository.download(version_id, folder / version_id).problems == ()
            assert look(folder / version_id) == tree


def commits_of(old: OldRepository) -> dict[str, dict[bytes, Seen]]:
    return {commit.version_id: restored(commit.tree) for commit in old.commits}


def committed(result: BackupResult) -> str:
    assert result.version_id is not None
    assert result.problems == ()
    return result.version_id


@frozen
class Machine:
    """One client in a folder of its own, with a fresh repository that a crash of 1.0 left, and a tree to back up."""

    folder: Path
    old: OldRepository
    orphans: set[VersionRef]

    @classmethod
    def fresh(cls, folder: Path, kind: Kind) -> "Machine":
        old = old_repository(kind)
        put_on_disk(folder / "base", NEXT)
        return cls(folder, old, old.crash())

    def opened(self, store: Store) -> Repository:
        config = Config(
            base_path=str(self.folder / "base"),
            local_manifest_file=str(self.folder / "manifest"),
            local_lock_file=str(self.folder / "lock"),
            directory=DirectorySettings(path=str(self.folder / "unused")),
            **settings(self.old.kind),
        )
        return open_repository(config, store=store, threads=1)

    def upgrade(self, *faults: Fault) -> tuple[Call, ...]:
        """The requests of a backup that upgrades, until a fault ends it."""
        assert isinstance(self.old.store, MemoryStore)
        client = self.old.store.client(faults=faults)
        with suppress(SimulatedCrash), self.opened(client) as repository:
            repository.backup(upgrade=True)
        assert client.crashed is bool(faults)
        return client.calls


def machines(folder: Path, kind: Kind) -> Iterator[Machine]:
    return (Machine.fresh(folder / str(number), kind) for number in count())
