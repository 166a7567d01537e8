"""Trees as plain values in place of a file system: what a backup wants, its plan, and the sending of its contents."""

from collections.abc import Callable
from hashlib import sha256

from attrs import frozen

from rrbackup.effects.renewing import Lost
from rrbackup.effects.store import Store
from rrbackup.pure.dedup import DedupKey, dedup_key
from rrbackup.pure.model import Change, Entry, LocalManifest, ObjectRef, PathText, Problem, ProblemKind, Status
from rrbackup.pure.outcomes import Content, Failed, FileResult, Settled
from rrbackup.pure.plan import BackupPlan, Candidate, Planned
from rrbackup.pure.reason import Reason

Tree = tuple[tuple[str, bytes | None], ...]
"""Path and content of every file; None stands for a file that cannot be read."""


def tree(**files: bytes | None) -> Tree:
    """`tree(a=b"1")` is a tree with one file, `/a`."""
    return tuple(sorted((f"/{name}", body) for name, body in files.items()))


def key_of(path: str) -> str:
    return f"files{path}"


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def plan_of(manifest: LocalManifest, wanted: Tree) -> BackupPlan:
    """What takes the manifest to the wanted tree."""
    before = {item.entry.path: item.entry for item in manifest.entries}
    sizes = {entry.size for entry in before.values()}
    files = {PathText(path): body for path, body in wanted}
    looked_at = (_candidate(path, body, before.get(path), sizes) for path, body in files.items())
    gone = (entry for path, entry in before.items() if path not in files)
    return BackupPlan(
        manifest.head,
        tuple(candidate for candidate in looked_at if candidate is not None),
        tuple(Planned(Change(Status.DELETED, entry), Reason.GONE) for entry in gone),
    )


def _candidate(path: PathText, body: bytes | None, before: Entry | None, sizes: set[int]) -> Candidate | None:
    if body is None:
        return Candidate(path, 0, 0, 0, Reason.SIZE, before, key_of(path))
    if before is not None and before.sha256 == digest(body):
        return None
    return Candidate(path, len(body), 0, 0, Reason.SIZE, before, key_of(path), known_size=len(body) in sizes)


@frozen
class NamedContents:
    """Carries out `Inspect` and `Upload` for contents that are known by path; every put is one request."""

    store: Store
    wanted: Tree
    known: dict[DedupKey, ObjectRef]
    note_receipt: Callable[[str, int, ObjectRef], None]

    def inspect(self, candidates: tuple[Candidate, ...]) -> tuple[FileResult, ...]:
        settled: list[FileResult] = []
        for candidate in candidates:
            result = self._without_upload(candidate)
            if result is None:
                break
            settled.append(result)
        return tuple(settled)

    def upload(self, candidates: tuple[Candidate, ...], lost: Lost) -> tuple[FileResult, ...]:
        return tuple(self._without_upload(candidate) or self._sent(candidate) for candidate in candidates)

    def _without_upload(self, candidate: Candidate) -> FileResult | None:
        body = dict(self.wanted)[candidate.path]
        if body is None:
            return Failed(candidate.path, Problem(candidate.path, ProblemKind.UNREADABLE, "made unreadable"))
        found = self.known.get(dedup_key(digest(body), candidate.asked))
        return Settled(candidate.path, _content(body), found) if found else None

    def _sent(self, candidate: Candidate) -> FileResult:
        body = dict(self.wanted)[candidate.path]
        assert body is not None
        stored = self.store.put(candidate.key, body)
        ref = ObjectRef(candidate.key, stored.version_id, stored.size, stored.etag)
        self.note_receipt(digest(body), len(body), ref)
        return Settled(candidate.path, _content(body), ref, uploaded=True, doubtful=stored.attempts > 1)


def _content(body: bytes) -> Content:
    return Content(len(body), digest(body), 0, 0, None)
