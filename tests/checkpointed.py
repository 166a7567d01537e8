"""Chains of diffs with checkpoints, written to a store in memory as commits write them, but without files on disk."""

from collections.abc import Iterable

from attrs import evolve

from rrbackup.effects.checkpoints import next_checkpoint
from rrbackup.effects.control import Control, ObjectNames
from rrbackup.effects.memory import MemoryClient, MemoryStore
from rrbackup.pure.framing import PLAIN, Framing
from rrbackup.pure.manifest import fold_links, sort_changes
from rrbackup.pure.model import (
    Change,
    CheckpointRef,
    Diff,
    DiffKind,
    Entry,
    Link,
    LocalManifest,
    ObjectRef,
    PathText,
    RepositoryId,
    Status,
    TransactionId,
    VersionId,
)
from rrbackup.pure.steps import Wrote, expecting, published

REPOSITORY = RepositoryId("6b1f0d5e9c3a47288d0e51f2a4c7b39d")
MANIFEST, CHECKPOINT = "manifest_diffs", "manifest_checkpoint"


def control_of(store: MemoryClient, framing: Framing = PLAIN) -> Control:
    return Control(store, ObjectNames(), framing)


class Writer:
    """One client that only commits. `manifest` is its local manifest, `links` what it published, newest first."""

    def __init__(self, store: MemoryStore, framing: Framing = PLAIN, repository: RepositoryId = REPOSITORY) -> None:
        self.control = control_of(store, framing)
        self.manifest = LocalManifest(None)
        self.links: tuple[Link, ...] = ()
        self._repository = repository

    def writes(self, *paths: str, rebuilt: bool = False) -> Link:
        """A commit in which these paths are new or changed, with a checkpoint if one is due."""
        tell: list[str] = []
        ref = next_checkpoint(self.control, self.manifest, rebuilt=rebuilt, tell=tell.append)
        assert tell == []
        return self.publish([self._written(PathText(path)) for path in paths], ref)

    def deletes(self, *paths: str) -> Link:
        known = self._known()
        return self.publish([Change(Status.DELETED, known[PathText(path)]) for path in paths])

    def fences(self) -> Link:
        return self.publish([], kind=DiffKind.FENCE)

    def publish(
        self, changes: Iterable[Change], ref: CheckpointRef | None = None, kind: DiffKind = DiffKind.COMMIT
    ) -> Link:
        head = self.manifest.head
        diff = Diff(
            self._repository,
            self._next,
            head.as_parent if head else None,
            TransactionId(f"t{self._next}"),
            kind,
            0,
            "host",
            sort_changes(changes),
            checkpoint=ref,
        )
        outcome = self.control.publish(diff, expecting(head.etag if head else None))
        assert isinstance(outcome, Wrote)
        link = evolve(published(diff, outcome), encrypted=outcome.encrypted)
        self.links = (link, *self.links)
        self.manifest = fold_links(self.manifest, (link,))
        return link

    @property
    def _next(self) -> int:
        return self.manifest.head.sequence + 1 if self.manifest.head else 1

    def _known(self) -> dict[PathText, Entry]:
        return {item.entry.path: item.entry for item in self.manifest.entries}

    def _written(self, path: PathText) -> Change:
        ref = ObjectRef(f"files{path}", VersionId(f"c{self._next}"), 1, '"e"')
        status = Status.CHANGED if path in self._known() else Status.NEW
        return Change(status, Entry(path, size=1, mtime_ns=self._next, sha256="ab" * 32, object=ref))
