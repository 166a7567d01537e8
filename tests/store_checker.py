"""An independent checker: what a repository holds, judged from the stored bytes and docs/format.md alone.

It shares no code with rrbackup: a bucket is read with boto3, a folder as "Directory store" describes it; frames, chain,
trees and references are taken apart here. Encrypted repositories are out of its reach.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard
from attrs import field, frozen

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

MANIFEST, CLAIM, GARBAGE, FILES = "manifest_diffs", "gc_log", "garbage_objects", "files/"
CHECKPOINT = "manifest_checkpoint"

Ref = tuple[str, str]
"""Key and version id."""
Tree = Mapping[str, str]
"""By path text: the SHA-256 of a file, `-> target` of a link, `folder` for an empty one."""
Record = dict[str, Any]


@frozen
class Version:
    """`body` is None for a delete marker. `place` says when it was written and `maker` by whom, as far as is known."""

    key: str
    version_id: str
    etag: str
    body: bytes | None = field(repr=False)
    place: int = 0
    maker: str = ""

    @property
    def ref(self) -> Ref:
        return self.key, self.version_id


@frozen
class Contents:
    """All versions, newest first within a key; `unfinished` are the keys of uploads that nobody has completed."""

    versions: Mapping[str, tuple[Version, ...]]
    unfinished: tuple[str, ...] = ()

    def at(self, key: str) -> tuple[Version, ...]:
        return self.versions.get(key, ())

    def find(self, ref: Ref) -> Version | None:
        return next((version for version in self.at(ref[0]) if version.ref == ref), None)

    @property
    def files(self) -> frozenset[Ref]:
        """Every stored version below files/, delete markers too: rrbackup writes none."""
        return frozenset(v.ref for key, all_of in self.versions.items() if key.startswith(FILES) for v in all_of)


@frozen
class Commit:
    """One diff of the chain, with the tree after it."""

    sequence: int
    version_id: str
    transaction: str
    kind: str
    tree: Tree


@frozen
class Verdict:
    """`problems` is empty for a sound repository. `orphans` and `unnamed_checkpoints` may be allowed: that is for
    the caller to say."""

    problems: tuple[str, ...]
    commits: tuple[Commit, ...]
    referenced: frozenset[Ref]
    garbage: frozenset[Ref]
    orphans: frozenset[Ref]
    unnamed_checkpoints: frozenset[Ref] = frozenset()


# --- reading a store ---------------------------------------------------------------------------------------------


Origins = Mapping[str, tuple[int, str]]
"""By version id: when it was written, as a place in an order, and by whom."""


def from_bucket(client: "S3Client", bucket: str, origins: Origins) -> Contents:
    found: dict[str, list[Version]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        rows = [(row["Key"], row["VersionId"], row["ETag"], row["IsLatest"]) for row in page.get("Versions", ())]
        rows += [(row["Key"], row["VersionId"], "", row["IsLatest"]) for row in page.get("DeleteMarkers", ())]
        for key, version_id, etag, latest in rows:
            fetch = partial(client.get_object, Bucket=bucket, Key=key, VersionId=version_id)
            version = Version(
                key, version_id, etag, fetch()["Body"].read() if etag else None, *origins.get(version_id, (0, ""))
            )
            found.setdefault(key, []).insert(0 if latest else len(found.get(key, ())), version)
    unfinished = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
    keys = tuple(upload["Key"] for page in unfinished for upload in page.get("Uploads", ()))
    return Contents({key: tuple(versions) for key, versions in found.items()}, keys)


_UNFINISHED = re.compile("%t[0-9a-f]{16}m?")
_NAMED = re.compile(r"%([vd])(\d+)-[0-9a-f]{8}")


def from_folder(root: Path, makers: Mapping[str, str]) -> Contents:
    found: dict[str, list[tuple[int, Version]]] = {}
    unfinished = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            key = _key(root, path.parent)
            if _UNFINISHED.fullmatch(name):
                unfinished.append(key)
            if match := _NAMED.fullmatch(name):
                version = _stored(path, key, match[1] == "d", makers.get(name[2:], ""))
                found.setdefault(key, []).append((int(match[2]), version))
    newest_first = {key: tuple(v for _, v in sorted(rows, key=lambda row: -row[0])) for key, rows in found.items()}
    return Contents(newest_first, tuple(unfinished))


def _stored(path: Path, key: str, marker: bool, maker: str) -> Version:
    version_id, body = path.name[2:], None if marker else path.read_bytes()
    return Version(key, version_id, f'"{version_id}"', body, path.stat().st_ctime_ns, maker)


def _key(root: Path, folder: Path) -> str:
    inside = folder.relative_to(root).parts
    steps = [root.joinpath(*inside[: depth + 1]) for depth in range(len(inside))]
    return "/".join((step / "%name").read_text() if step.name.startswith("%l") else step.name for step in steps)


# --- judging it --------------------------------------------------------------------------------------------------


def judged(contents: Contents) -> Verdict:
    problems: list[str] = []
    diffs = {v.version_id: _record(v) for v in contents.at(MANIFEST) if v.body is not None}
    chain = _chain(contents, diffs, problems)
    commits = tuple(_commits(chain, problems))
    problems += _faults_of_checkpoints(contents, chain, commits)
    problems += [fault for version, diff in chain for fault in _faults_of_references(contents, version, diff)]
    marked = (key for key in contents.versions if any(v.body is None for v in contents.at(key)))
    problems += [f"{key} has a delete marker" for key in marked]
    referenced = frozenset(ref for diff in diffs.values() for ref, _ in _references(diff))
    garbage = _garbage(contents)
    named = {diff["checkpoint"]["version_id"] for diff in diffs.values() if diff.get("checkpoint")}
    unnamed = frozenset(v.ref for v in contents.at(CHECKPOINT) if v.version_id not in named)
    return Verdict(tuple(problems), commits, referenced, garbage, contents.files - referenced - garbage, unnamed)


def _record(version: Version) -> Record:
    assert version.body is not None
    length = int.from_bytes(version.body[:4], "big")
    header = json.loads(version.body[4 : 4 + length])
    assert header["V"] == "2", version
    payload = version.body[4 + length :]
    for word in reversed(header["pipeline"]):
        assert word == "compress", f"{version.ref} has gone through {word}, which this checker cannot undo"
        payload = _expanded(payload)
    record: Record = json.loads(payload)
    assert record["format"] == 2, version
    return record


def _expanded(frame: bytes) -> bytes:
    """One zstd frame with its content size and nothing behind it."""
    expander = zstandard.ZstdDecompressor().decompressobj()
    content = expander.decompress(frame)
    assert expander.eof
    assert not expander.unused_data
    assert zstandard.frame_content_size(frame) == len(content)
    return content


def _chain(contents: Contents, diffs: Mapping[str, Record], problems: list[str]) -> list[tuple[str, Record]]:
    """From the newest version down its parents, given oldest first; what does not belong to it is a fork."""
    chain: list[tuple[str, Record]] = []
    bodies = {v.version_id: v.body for v in contents.at(MANIFEST)}
    wanted = {"version_id": contents.at(MANIFEST)[0].version_id} if bodies else None
    while wanted is not None:
        body = bodies.get(wanted["version_id"])
        if body is None or wanted.get("sha256", sha256(body).hexdigest()) != sha256(body).hexdigest():
            problems.append(f"the diff {wanted} is missing or not the one that its child names")
            break
        diff = diffs[wanted["version_id"]]
        if chain and (diff["sequence"] + 1, diff["repository"]) != (
            chain[-1][1]["sequence"],
            chain[-1][1]["repository"],
        ):
            problems.append(f"{wanted['version_id']} does not come right before {chain[-1][0]}")
        chain.append((wanted["version_id"], diff))
        wanted = diff.get("parent")
    chain.reverse()
    if chain and chain[0][1]["sequence"] != 1:
        problems.append(f"the first diff has sequence {chain[0][1]['sequence']}")
    stray = set(diffs) - {version for version, _ in chain}
    problems += [f"a fork: {version} is not in the chain" for version in sorted(stray)]
    return chain


def _commits(chain: list[tuple[str, Record]], problems: list[str]) -> Iterator[Commit]:
    tree: dict[str, str] = {}
    for version, diff in chain:
        changes = diff.get("changes", [])
        if (diff["kind"] == "fence") is bool(changes):
            problems.append(f"{version} is a {diff['kind']} with {len(changes)} changes")
        if len({change["path"] for change in changes}) != len(changes):
            problems.append(f"{version} changes a path twice")
        for change in changes:
            if (change["status"] == "new") is (change["path"] in tree):
                problems.append(f"{version}: {change['path']} is {change['status']}, which does not fit")
            if change["status"] == "deleted":
                tree.pop(change["path"], None)
            else:
                tree[change["path"]] = _content(change)
        yield Commit(diff["sequence"], version, diff["transaction"], diff["kind"], dict(tree))


def _faults_of_checkpoints(
    contents: Contents, chain: list[tuple[str, Record]], commits: tuple[Commit, ...]
) -> Iterator[str]:
    for (version, diff), before in zip(chain[1:], commits, strict=False):
        if named := diff.get("checkpoint"):
            found = contents.find((CHECKPOINT, named["version_id"]))
            if found is None or found.body is None or sha256(found.body).hexdigest() != named["sha256"]:
                yield f"{version} names the checkpoint {named}, which is missing or another"
                continue
            record = _record(found)
            tree = {entry["path"]: _content(entry) for entry in record["entries"]}
            if (record["sequence"], record["head"], tree) != (before.sequence, diff["parent"], before.tree):
                yield f"the checkpoint of {version} is not the tree before it"


def _content(change: Record) -> str:
    match change.get("type", "file"):
        case "directory":
            return "folder"
        case "symlink":
            return f"-> {change['target']}"
        case _:
            return str(change["sha256"])


def _references(diff: Record) -> Iterator[tuple[Ref, Record]]:
    for change in diff.get("changes", ()):
        if stored := change.get("object"):
            yield (stored["key"], stored["version_id"]), change


def _faults_of_references(contents: Contents, diff_version: str, diff: Record) -> Iterator[str]:
    for ref, change in _references(diff):
        version = contents.find(ref)
        if version is None or version.body is None:
            yield f"{diff_version} refers to {ref}, which is gone"
        elif fault := _fault_of_object(version, version.body, change):
            yield f"{ref}, to which {diff_version} refers: {fault}"
    for change in diff.get("changes", ()):
        if change.get("type", "file") == "file" and change.get("size") and not change.get("object"):
            yield f"{diff_version}: {change['path']} has a size but no object"


def _fault_of_object(version: Version, body: bytes, change: Record) -> str:
    stored = change["object"]
    if (len(body), version.etag) != (stored["stored_size"], stored["etag"]):
        return f"{len(body)} bytes with etag {version.etag}, recorded are {stored}"
    content = _expanded(body) if "compress" in stored.get("applied", []) else body
    right = (len(content), sha256(content).hexdigest()) == (change["size"], change["sha256"])
    return "" if right else f"does not hold the content of {change['path']}"


def _garbage(contents: Contents) -> frozenset[Ref]:
    lists = contents.at(GARBAGE)
    return frozenset((key, version) for key, version in _record(lists[0])["versions"]) if lists else frozenset()


# --- claims ------------------------------------------------------------------------------------------------------


def superseded(contents: Contents) -> Mapping[str, int]:
    """By maker: the place at which an open claim of his was first replaced by somebody else."""
    versions = sorted(contents.at(CLAIM), key=lambda version: version.place)
    ends: dict[str, int] = {}
    for before, after in pairwise(versions):
        if _record(before)["state"] == "open" and before.maker != after.maker:
            ends.setdefault(before.maker, after.place)
    return ends


def open_claim(contents: Contents) -> str | None:
    """The transaction of the open claim."""
    newest = contents.at(CLAIM)[:1]
    return next((str(record["transaction"]) for record in map(_record, newest) if record["state"] == "open"), None)
