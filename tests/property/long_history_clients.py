"""The clients of long histories: each has a folder, local files, a configuration and a life of its own.

What their local files say is read here with a logic of its own, and damaged here.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from rrbackup import CryptoSettings, Mode, Repository, Word, open_repository
from rrbackup.config import Config, DirectorySettings
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.effects.memory_faults import Call, Fault
from rrbackup.pure.pipeline import PipelineRule
from rrbackup.pure.plan import BackupPlan
from tests.property.long_history_disk import PARTS_FROM, Disk, Look

HASH, COMPRESS, ENCRYPT = Word.HASH_NAMES, Word.COMPRESS, Word.ENCRYPT

Rules = tuple[tuple[str, tuple[Word, ...]], ...]

FILE_RULES: Mapping[str, Rules] = {
    "plain": (("*", ()),),
    "compress": (("*", (COMPRESS,)),),
    "hashed": (("*", (HASH,)),),
    "mixed": (("*.x", (ENCRYPT,)), ("*", (COMPRESS,))),
    "secret": (("*", (HASH, COMPRESS, ENCRYPT)),),
}
META_RULES: Mapping[str, tuple[Word, ...]] = {
    "plain": (),
    "compress": (COMPRESS,),
    "encrypt": (ENCRYPT,),
    "both": (COMPRESS, ENCRYPT),
}
MODES: Mapping[Mode, Mapping[str, bool]] = {
    Mode.READ_WRITE: {},
    Mode.NO_DELETE: {"allow_delete_versions": False},
    Mode.WRITE_ONLY: {"write_only": True},
    Mode.READ_ONLY: {"read_only": True},
}

_hosts = ["nobody"]


def current_host() -> str:
    """In place of `socket.gethostname`: the client that is at work, so that each has a machine of its own."""
    return _hosts[-1]


@contextmanager
def at_work(host: str) -> Iterator[None]:
    _hosts.append(host)
    try:
        yield
    finally:
        _hosts.pop()


class WatchedClient(MemoryClient):
    """A client of the store; just before request `number`, `interlude` is called: somebody else is quicker."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store._world, "", (), PARTS_FROM)
        self.number = 0
        self.interlude: Callable[[], object] | None = None

    def begin(self, faults: Iterable[Fault], number: int, interlude: Callable[[], object] | None) -> None:
        self.reset_calls()
        self.faults, self.number, self.interlude = tuple(faults), number, interlude

    @property
    def struck(self) -> bool:
        return any(fault.at <= len(self.calls) for fault in self.faults)

    def _count(self, call: Call) -> Fault | None:
        interlude = self.interlude
        if interlude is not None and len(self.calls) + 1 == self.number:
            self.interlude = None
            interlude()
        return super()._count(call)


@frozen
class OpenSession:
    """An open repository; `continued` if a program keeps it open over several calls."""

    repository: Repository
    client: WatchedClient
    continued: bool = False


@frozen
class DryRun:
    """A plan, and the head it was made on."""

    plan: BackupPlan
    head: str | None


@define
class Actor:
    """One client. `seen` is what its disk held when its backup began."""

    name: str
    folder: Path
    store: MemoryStore
    mode: Mode
    password: str | None
    files: str
    meta: str
    disk: Disk = field(init=False)
    session: OpenSession | None = None
    dry_run: DryRun | None = None
    seen: Look | None = None
    memories: list[bytes] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.disk = Disk(self.folder / "base")

    # --- configuration -------------------------------------------------------------------------------------------

    @property
    def words(self) -> set[Word]:
        return {*META_RULES[self.meta], *(word for _, words in FILE_RULES[self.files] for word in words)}

    def words_for(self, path: str) -> set[Word]:
        rules = FILE_RULES[self.files]
        return next(set(words) for pattern, words in rules if pattern == "*" or path.endswith(pattern[1:]))

    @property
    def seals(self) -> bool:
        """Whether what it writes of metadata is encrypted."""
        return ENCRYPT in META_RULES[self.meta]

    @property
    def config(self) -> Config:
        given: dict[str, Any] = dict(MODES[self.mode])
        return Config(
            base_path=str(self.disk.base),
            local_manifest_file=str(self.manifest),
            local_lock_file=str(self.lock),
            directory=DirectorySettings(path=str(self.folder / "unused")),
            crypto=crypto(self.password) if self.password is not None else None,
            file_pipeline=[PipelineRule(pattern, words) for pattern, words in FILE_RULES[self.files]],
            meta_pipeline=META_RULES[self.meta],
            **given,
        )

    def edit(self, what: str, name: str = "a", other: str = "a", content: str = "one") -> bool:
        """Whether anything could be done. A dry run of the tree before is of no use any more."""
        self.dry_run = None
        return self.disk.edit(what, name, other, content)

    def configure(self, **changes: Any) -> None:
        """A program has to open the repository anew to see that its configuration has changed."""
        for name, value in changes.items():
            setattr(self, name, value)
        self.session = None

    def opened(self, *, continued: bool = False) -> OpenSession:
        client = WatchedClient(self.store)
        return OpenSession(open_repository(self.config, store=client, threads=1), client, continued)

    # --- local files -----------------------------------------------------------------------------------------------

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest"

    @property
    def journal(self) -> Path:
        return self.folder / "manifest.journal"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    def own_transactions(self) -> set[str]:
        """What the journal says in whole lines, as they were written; others do not count."""
        lines = self.journal.read_bytes().split(b"\n")[:-1] if self.journal.exists() else []
        rows = map(_row, map(_as_written, lines))
        return {row["transaction"] for row in rows if isinstance(row.get("transaction"), str)}

    def remember(self) -> None:
        """Keep a copy of the local manifest, so that an older one can come back."""
        if self.manifest.exists() and (data := self.manifest.read_bytes()) not in self.memories:
            self.memories.append(data)

    def damage(self, file: str, how: str, at: float, byte: int) -> bool:
        """Whether anything was there to be damaged. `at` says where, from 0 to 1."""
        place = self.manifest if file == "manifest" else self.journal
        if how == "older":
            return self._bring_back(int(at * len(self.memories)))
        if not place.exists():
            return False
        data = place.read_bytes()
        where = int(at * len(data))
        if how == "lost":
            place.unlink()
        elif how == "cut":
            place.write_bytes(data[:where])
        else:
            place.write_bytes(data[:where] + bytes([byte]) + data[where + 1 :])
        return True

    def _bring_back(self, number: int) -> bool:
        if number < len(self.memories):
            self.manifest.write_bytes(self.memories[number])
        return number < len(self.memories)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process of this machine is at work."""
        fd = os.open(self.lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def forget_everything(self) -> None:
        """A new disk: the tree stays, what was remembered goes."""
        for place in (self.manifest, self.journal, self.lock):
            place.unlink(missing_ok=True)
        self.memories.clear()
        self.session = self.dry_run = None

    def target(self) -> Path:
        """An empty place for a restore."""
        place = self.folder / "restored"
        if place.exists():
            shutil.rmtree(place)
        return place


def _as_written(line: bytes) -> bytes:
    """What stands before the digest, nothing where that is of something else."""
    text, _, digest = line.rpartition(b" ")
    return text if hashlib.sha256(text).hexdigest()[:16].encode() == digest else b""


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def crypto(password: str) -> CryptoSettings:
    """With the cheapest derivation of keys that there is."""
    return CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20)
