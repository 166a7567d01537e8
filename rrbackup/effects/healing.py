"""Storing again what is damaged of the latest commit, from the files on disk that still have its content.

The rules decided here: only a file whose content is, byte for byte, what was committed is stored again, as a commit of
its own; a file that has changed is for the next backup. Nothing is deleted, and no new entry refers to what is damaged.
"""

from collections.abc import Sequence
from time import time_ns

from attrs import frozen

from rrbackup.effects.client import Client
from rrbackup.effects.committing import commit_plan
from rrbackup.effects.filesystem import open_source
from rrbackup.effects.opening import rules_of
from rrbackup.effects.planning import manifest_at
from rrbackup.effects.reading import SourceReader, read_through
from rrbackup.effects.settling import Permissions, settle
from rrbackup.effects.survey import WAY_OUT
from rrbackup.effects.verifying import VerifyResult, verify
from rrbackup.errors import BasePathMissing, DamagedChain, SourceError
from rrbackup.events import BytesMoved, OnEvent, PlanMade, ProblemFound
from rrbackup.pure.model import Entry, EntryType, LocalManifest, PathText, Problem, ProblemKind, VersionId, VersionRef
from rrbackup.pure.outcomes import Content, Failed, FileResult
from rrbackup.pure.plan import Candidate, storing_again
from rrbackup.pure.sampling import Amount
from rrbackup.pure.scan import Scanned
from rrbackup.pure.soundness import ManifestState

LATEST = "latest"
_LOST = "so what was committed of it cannot be stored again"
_DIFFERS = f"the file on disk has another content, {_LOST}; the next backup stores it as it is"


@frozen
class HealResult:
    """What became of the damage in the latest commit, which `found` tells.

    `version_id` is the commit that holds the `healed` paths, None where none was healed; `unhealed` says why not.
    """

    found: VerifyResult
    version_id: VersionId | None = None
    healed: tuple[PathText, ...] = ()
    unhealed: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing damaged is left in the latest commit, as far as was looked."""
        return not self.unhealed


def heal(client: Client, amount: Amount | None, may: Permissions, on_event: OnEvent) -> HealResult:
    """Used under the local lock. Raises what a backup and a check raise."""
    rest = settle(client, may, on_event)
    found = verify(client, LATEST, amount, on_event)
    _refuse_unsound(found.manifest)
    manifest = manifest_at(client, rest.head, on_event)
    damaged = frozenset(damage.ref for damage in found.damaged)
    looked = [(entry, _on_disk(client, entry, on_event)) for entry in _hurt(manifest, damaged)]
    curable = [(entry, seen) for entry, seen in looked if isinstance(seen, Scanned)]
    plan = storing_again(rest.head, curable, rules_of(client.config, client.keys.opened))
    on_event(PlanMade(len(plan.candidates), plan.bytes_to_read, 0))
    done = commit_plan(client, plan, rest, manifest, on_event, damaged)
    settled = [_verdict(plan.candidates, result) for result in done.results]
    return HealResult(
        found,
        done.link.version_id if done.link else None,
        tuple(path for path in settled if not isinstance(path, Problem)),
        tuple(one for one in (*(seen for _, seen in looked), *settled) if isinstance(one, Problem)),
    )


def _refuse_unsound(state: ManifestState) -> None:
    """What lies on the newest sound commit may be damaged as well, and would not be healed."""
    for unsound in state.unsound:
        raise DamagedChain(unsound.reason, hint=WAY_OUT)


def _hurt(manifest: LocalManifest, damaged: frozenset[VersionRef]) -> list[Entry]:
    entries = (item.entry for item in manifest.entries)
    return [entry for entry in entries if entry.object is not None and entry.object.ref in damaged]


def _on_disk(client: Client, entry: Entry, on_event: OnEvent) -> Scanned | Problem:
    """The file as it is, if it has the content that was committed."""
    try:
        content = _read(client, entry, on_event)
    except BasePathMissing:
        raise
    except SourceError as error:
        return _told(Problem(entry.path, ProblemKind.UNREADABLE, f"{error.message}, {_LOST}"), on_event)
    if content.sha256 != entry.sha256 or content.stamp is None:
        return _told(Problem(entry.path, ProblemKind.DAMAGED, _DIFFERS), on_event)
    stamp = content.stamp
    seen = (content.size, content.mtime_ns, stamp.ctime_ns, stamp.inode, content.mode)
    return Scanned(entry.path, EntryType.FILE, *seen, extra=entry.extra)


def _read(client: Client, entry: Entry, on_event: OnEvent) -> Content:
    config = client.config
    with open_source(config.base(), entry.path, follow_symlinks=config.follow_symlinks) as file:
        return read_through(SourceReader(file, entry.path, time_ns, lambda n: on_event(BytesMoved(entry.path, n))))


def _verdict(candidates: Sequence[Candidate], result: FileResult) -> PathText | Problem:
    """The path, if its content is stored again."""
    if isinstance(result, Failed):
        return result.problem
    before = next(candidate.previous for candidate in candidates if candidate.path == result.path)
    if before is not None and result.content.sha256 == before.sha256:
        return result.path
    return Problem(result.path, ProblemKind.CHANGING, "it changed while it was read; what it holds now is stored")


def _told(problem: Problem, on_event: OnEvent) -> Problem:
    on_event(ProblemFound(problem))
    return problem
