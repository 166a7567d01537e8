"""What a long history begins with: nothing, or a repository that rrbackup 1.0 wrote."""

from collections.abc import Mapping

from rrbackup.effects.memory import MemoryStore
from tests.format1_repositories import PASSWORD, Kind, old_repository, putting
from tests.format1_writer import File
from tests.property.judge import Ref
from tests.property.long_history_disk import CONTENTS, UNRECORDED, Seen, Tree, path_text
from tests.property.long_history_judge import Past

BEGINNINGS = ("empty", "empty", "empty", "plain", "files encrypted", "both encrypted", "crashed")

_SECRET = ("/d",)
_KINDS = {
    "plain": Kind("plain"),
    "crashed": Kind("plain", bz2=True),
    "files encrypted": Kind("files encrypted", hidden=_SECRET),
    "both encrypted": Kind("both encrypted", bz2=True, encrypted_metadata=True, hidden=_SECRET),
}
_TREES: tuple[Mapping[str, File], ...] = (
    {
        "/a": File(CONTENTS["one"], 1_400_000_000.0),
        "/b.x": File(b"", 1_400_000_001.0),
        "/d/e": File(CONTENTS["text"], 1_400_000_002.0),
    },
    {
        "/a": File(CONTENTS["two"], 1_400_000_003.0),
        "/d/e": File(CONTENTS["text"], 1_400_000_002.0),
        "/d/f.x": File(CONTENTS["noise"], 1_400_000_004.0),
        "/ü 50%": File(CONTENTS["two"], 1_400_000_005.0),
    },
)
_LOST = {**_TREES[-1], "/a": File(CONTENTS["parts"], 1_400_000_006.0)}
"""What a run that crashed would have committed."""


def begun(beginning: str, store: MemoryStore) -> Past:
    """Write what came before into `store`."""
    if beginning == "empty":
        return Past()
    kind = _KINDS[beginning]
    objects: dict[Ref, str] = {}
    old = old_repository(kind, store, putting(store), trees=_TREES[:1])
    commits = {old.latest.version_id: _seen(_TREES[0])}
    objects.update(_objects(old.writer.manifest))
    for tree in _TREES[1:]:
        commits[old.writer.commit(tree)] = _seen(tree)
        objects.update(_objects(old.writer.manifest))
    if beginning == "crashed":
        old.crash(_LOST)
    return Past(commits, objects, kind.encrypted_metadata, bool(kind.hidden), PASSWORD if kind.encrypted else None)


def _objects(manifest: Mapping[str, Mapping[str, object]]) -> dict[Ref, str]:
    stored = [record for record in manifest.values() if "version_id" in record]
    return {(f"files{record['real_path']}", str(record["version_id"])): str(record["hash"]) for record in stored}


def _seen(tree: Mapping[str, File]) -> Tree:
    return {
        path_text(path[1:]): Seen("file", file.content, UNRECORDED, int(file.mtime * 10**9))
        for path, file in tree.items()
    }
