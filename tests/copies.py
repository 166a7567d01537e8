"""Histories to copy, and what a repository gives back of its commits, contents included."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from rrbackup import Config, DirectorySettings, Repository, open_repository
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.pure.model import Change, DiffKind, Entry, EntryType, ObjectRef, PathText, Status, VersionRef
from tests.checkpointed import Writer

CONTENTS = (b"", b"first", b"second" * 300, b"third")
Put = tuple[str, int] | None
"""What a path gets: its kind (file, link, folder) with a number, or None: it goes."""


@frozen
class Step:
    """One commit; `puts` of None is a fence. `anew`: contents that are stored already are stored once more."""

    puts: dict[str, Put] | None
    anew: bool = False


class Source(Writer):
    """Publishes steps, and puts the contents into the store that their diffs refer to."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self._store = store
        self._objects: dict[int, ObjectRef] = {}

    def commit(self, step: Step) -> None:
        kind = DiffKind.FENCE if step.puts is None else DiffKind.COMMIT
        self.publish(list(self._changes(step)), kind=kind)

    def _changes(self, step: Step) -> Iterator[Change]:
        known = {item.entry.path: item.entry for item in self.manifest.entries}
        for path, put in (step.puts or {}).items():
            before = known.get(PathText(path))
            if put is None:
                if before is not None:
                    yield Change(Status.DELETED, before)
                continue
            entry = self._entry(PathText(path), *put, anew=step.anew)
            if entry != before:
                yield Change(Status.NEW if before is None else Status.CHANGED, entry)

    def _entry(self, path: PathText, kind: str, number: int, *, anew: bool) -> Entry:
        entry = Entry(path, EntryType(kind), mtime_ns=number, mode=0o600 + number)
        if entry.type is EntryType.SYMLINK:
            return evolve(entry, target=f"to{number}")
        if entry.type is EntryType.DIRECTORY:
            return entry
        body = CONTENTS[number % len(CONTENTS)]
        held = self._object(path, number % len(CONTENTS), anew) if body else None
        return evolve(entry, size=len(body), sha256=sha256(body).hexdigest(), object=held)

    def _object(self, path: str, content: int, anew: bool) -> ObjectRef:
        if anew or content not in self._objects:
            key = f"files{path}"
            stored = self._store.put(key, CONTENTS[content])
            self._objects[content] = ObjectRef(key, stored.version_id, stored.size, stored.etag)
        return self._objects[content]


def written(history: Sequence[Step]) -> MemoryStore:
    store = MemoryStore()
    source = Source(store)
    for step in history:
        source.commit(step)
    return store


def config_in(folder: Path, **settings: Any) -> Config:
    """A client with local files of its own below `folder`."""
    folder.mkdir(exist_ok=True)
    return Config(
        base_path=str(folder / "base"),
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=DirectorySettings(path=str(folder / "store")),
        **settings,
    )


def opened(folder: Path, store: MemoryStore | MemoryClient | None, **settings: Any) -> Repository:
    return open_repository(config_in(folder, **settings), store=store, threads=1)


@frozen
class Told:
    """What one commit gives back: when, where, and each path's entry with its content."""

    created_ns: int
    host: str
    tree: dict[PathText, tuple[Entry, bytes]]


def told(repository: Repository) -> list[Told]:
    """Every commit, oldest first. Where contents are, and under which pipeline, is not told."""
    return [
        Told(version.created_ns, version.host, dict(_tree(repository, version.version_id)))
        for version in repository.list_versions()
    ]


def _tree(repository: Repository, version: str) -> Iterator[tuple[PathText, tuple[Entry, bytes]]]:
    client = repository._client
    for entry in repository.list_files(version):
        is_file = entry.type is EntryType.FILE
        body = b"".join(client.fetcher().content_of(entry)) if is_file else b""
        yield entry.path, (evolve(entry, object=None), body)


def orphans(repository: Repository) -> set[VersionRef]:
    """File versions that no commit refers to."""
    control = repository._client.control
    return {listed.ref for listed in control.list_all()} - control.read_references().refs


def file_versions(repository: Repository) -> int:
    return len(repository._client.control.list_all())
