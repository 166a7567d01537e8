"""What must be true of a store, read from its raw bytes with a logic of its own.

Nothing here uses the code under test: frames, chain, manifests and references are taken apart anew. Numbers are those
of the invariants in docs/design.md.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from rrbackup.effects.memory import MemoryStore
from tests.property.trees import Tree, digest

CHECKPOINT = "manifest_checkpoint"
Ref = tuple[str, str]
"""Key and version id."""
Contents = Mapping[str, tuple[tuple[str, bytes | None], ...]]
"""By key, version id and bytes of every version, oldest first; None for a delete marker."""


def contents(store: MemoryStore) -> Contents:
    held = store._world._held
    return {key: tuple((str(h.version_id), h.body) for h in versions) for key, versions in held.items() if versions}


def violations(found: Contents, wanted: Mapping[str, Tree] | None) -> list[str]:
    """What is wrong at this moment, whoever is at work.

    `wanted` tells by `client.run` what a run was to commit; None leaves that open.
    """
    diffs = [(version, fields_of(body)) for version, body in found.get("manifest_diffs", ()) if body is not None]
    return [
        *_deleted_metadata(found),
        *_broken_chain(found),
        *(fault for version, diff in diffs for fault in _dangling(found, version, diff)),
        *(fault for version, diff in diffs for fault in _without_checkpoint(found, version, diff)),
        *(_wrong_trees([diff for _, diff in diffs], wanted) if wanted is not None else ()),
    ]


def unrest(found: Contents) -> list[str]:
    """What is wrong with a repository where nobody is at work any more."""
    owner = claimant(found)
    return [f"the claim of {owner} is still open"] if owner else []


def claimant(found: Contents) -> str | None:
    """The transaction of the open claim."""
    claims = found.get("gc_log", ())
    record = fields_of(claims[-1][1]) if claims and claims[-1][1] is not None else {"state": "idle"}
    return None if record["state"] == "idle" else str(record["transaction"])


def leaks(found: Contents) -> set[Ref]:
    """Invariant 4: versions of file objects that neither a diff nor the garbage list knows."""
    return file_versions(found) - referred(found) - garbage(found)


def unnamed_checkpoints(found: Contents) -> set[Ref]:
    """What a collection has to remove beside file objects."""
    diffs = [fields_of(body) for _, body in found.get("manifest_diffs", ()) if body is not None]
    named = {diff["checkpoint"]["version_id"] for diff in diffs if diff.get("checkpoint")}
    return {(CHECKPOINT, version) for version, _ in found.get(CHECKPOINT, ()) if version not in named}


def file_versions(found: Contents) -> set[Ref]:
    return {(key, v) for key, versions in found.items() if key.startswith("files/") for v, _ in versions}


def referred(found: Contents) -> set[Ref]:
    bodies = [body for _, body in found.get("manifest_diffs", ()) if body is not None]
    return {ref for body in bodies for ref, _ in _references(fields_of(body))}


def garbage(found: Contents) -> set[Ref]:
    lists = found.get("garbage_objects", ())
    if not lists or lists[-1][1] is None:
        return set()
    return {(key, version) for key, version in fields_of(lists[-1][1])["versions"]}


def commits(found: Contents) -> list[str]:
    """The transactions of the commits, oldest first, without fences."""
    records = [fields_of(body) for _, body in found.get("manifest_diffs", ()) if body is not None]
    return [record["transaction"] for record in records if record["kind"] == "commit"]


def fields_of(body: bytes) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(body[4 + int.from_bytes(body[:4], "big") :])
    return record


def _references(diff: dict[str, Any]) -> Iterator[tuple[Ref, str]]:
    """Every version that a diff refers to, with the digest that its content must have."""
    for change in diff.get("changes", ()):
        if change.get("object"):
            yield (change["object"]["key"], change["object"]["version_id"]), change["sha256"]


def _deleted_metadata(found: Contents) -> Iterator[str]:
    for key in ("manifest_diffs", "gc_log", "garbage_objects"):
        if any(body is None for _, body in found.get(key, ())):
            yield f"{key} has a delete marker"


def _broken_chain(found: Contents) -> Iterator[str]:
    """Invariant 3: every version of the manifest object is a link of one chain, in the order of their writing."""
    parent: dict[str, str] | None = None
    repository: str | None = None
    for number, (version, body) in enumerate(found.get("manifest_diffs", ()), start=1):
        if body is None:
            continue
        diff = fields_of(body)
        repository = repository or diff["repository"]
        if (diff["sequence"], diff.get("parent"), diff["repository"]) != (number, parent, repository):
            yield f"3: the diff {version} of {diff['transaction']} does not follow the one before it"
        parent = {"version_id": version, "sha256": sha256(body).hexdigest()}


def _dangling(found: Contents, diff_version: str, diff: dict[str, Any]) -> Iterator[str]:
    """Invariants 1 and 2: what a diff refers to is there, with the content that was committed."""
    for (key, version), expected in _references(diff):
        body = dict(found.get(key, ())).get(version)
        if body is None:
            yield f"1: {diff_version} of {diff['transaction']} refers to {key} {version}, which is gone"
        elif digest(body) != expected:
            yield f"2: {key} {version} does not hold what {diff['transaction']} committed"


def _without_checkpoint(found: Contents, diff_version: str, diff: dict[str, Any]) -> Iterator[str]:
    """The checkpoint that a diff names is there, and is the one."""
    if named := diff.get("checkpoint"):
        body = dict(found.get(CHECKPOINT, ())).get(named["version_id"])
        if body is None or sha256(body).hexdigest() != named["sha256"]:
            yield f"1: {diff_version} of {diff['transaction']} names a checkpoint that is gone: {named['version_id']}"


def _wrong_trees(diffs: list[dict[str, Any]], wanted: Mapping[str, Tree]) -> Iterator[str]:
    """Invariant 2: a commit is exactly the tree that its run wanted, a fence exactly the tree before it."""
    files: dict[str, str] = {}
    for diff in diffs:
        before = dict(files)
        for change in diff.get("changes", ()):
            if (change["path"] in before) is (change["status"] == "new"):
                yield f"2: {diff['transaction']} has {change['path']} {change['status']}, which does not fit"
            if change["status"] == "deleted":
                files.pop(change["path"], None)
            else:
                files[change["path"]] = change["sha256"]
        if files != _expected(diff, before, wanted):
            yield f"2: the tree after {diff['transaction']} is not the one that was to be committed"
        if diff["kind"] == "commit" and not diff.get("changes"):
            yield f"7: {diff['transaction']} published although nothing had changed"


def _expected(diff: dict[str, Any], before: dict[str, str], wanted: Mapping[str, Tree]) -> dict[str, str]:
    if diff["kind"] == "fence":
        return before
    files = wanted[diff["transaction"].rpartition(".")[0]]
    kept = {path: before[path] for path, body in files if body is None and path in before}
    return kept | {path: digest(body) for path, body in files if body is not None}
