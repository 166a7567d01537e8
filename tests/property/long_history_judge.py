"""What lies in the store of a long history, read from its raw bytes with a logic of its own.

It goes on from look to look: what was judged once is only looked for again, as stored bytes never change. Nothing here
uses the code under test; encrypted records are opened by `tests.raw_objects`. Numbers are those of the invariants in
docs/design.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import field, frozen

from rrbackup.effects.memory import MemoryStore
from tests import raw_objects
from tests.property.judge import Contents, Ref, contents, file_versions
from tests.property.long_history_disk import UNRECORDED, Seen, Tree
from tests.raw_objects import Fields, Keys

METADATA = {"manifest_diffs": "diff", "gc_log": "claim", "garbage_objects": "garbage"}
Bodies = Sequence[tuple[str, bytes | None]]
OLD_CLAIM = "rrbackup-1.0"


@frozen
class Past:
    """What rrbackup 1.0 wrote: the tree of each diff by its version, and the digest of each file object."""

    commits: dict[str, Tree] = field(factory=dict)
    objects: Mapping[Ref, str] = field(factory=dict)
    encrypted_diffs: bool = False
    encrypted_files: bool = False
    password: str | None = None


@frozen
class Link:
    """A diff of format 2, and the entries after it by path."""

    version: str
    record: Fields
    encrypted: bool
    entries: Mapping[str, Fields]

    @property
    def is_commit(self) -> bool:
        return bool(self.record["kind"] == "commit")

    @property
    def facts(self) -> dict[str, tuple[str, str, int, int]]:
        """What `Seen.facts` says of the same tree."""
        return {path: _facts(entry) for path, entry in self.entries.items()}


def _facts(entry: Fields) -> tuple[str, str, int, int]:
    kind = {"file": "file", "directory": "folder"}[entry.get("type", "file")]
    return kind, entry.get("sha256", "") if kind == "file" else "", entry.get("mode", 0), entry.get("mtime_ns", 0)


@frozen
class Claim:
    """An open claim."""

    transaction: str
    host: str
    head_sequence: int
    modified_ns: int


class Judge:
    """`passwords` gives those that may open new keys."""

    def __init__(self, store: MemoryStore, past: Past, passwords: Callable[[], Sequence[str]]) -> None:
        self.store = store
        self.past = past
        self.links: list[Link] = []
        self.keys: Keys | None = None
        self.password = past.password
        self._passwords = passwords
        self._salt: bytes | None = None
        self._referred: dict[Ref, str] = dict(past.objects)
        self._opened: set[Ref] = set()
        self._original = contents(store)

    # --- what is there -----------------------------------------------------------------------------------------

    @property
    def head(self) -> str | None:
        return self.links[-1].version if self.links else next(reversed(self.past.commits), None)

    @property
    def entries(self) -> Mapping[str, Fields]:
        """Those of the newest diff."""
        return self.links[-1].entries if self.links else _past_entries(self.past)

    @property
    def diffs(self) -> set[tuple[str, str]]:
        """Version and digest of every diff."""
        bodies = contents(self.store).get("manifest_diffs", ())
        return {(version, sha256(body).hexdigest()) for version, body in bodies if body is not None}

    @property
    def old_head(self) -> bool:
        return bool(self.past.commits) and not self.links

    @property
    def sealed(self) -> bool:
        return self.past.encrypted_diffs or any(link.encrypted for link in self.links)

    @property
    def old_salt(self) -> bool:
        return self.keys is None and (self.past.encrypted_diffs or self.past.encrypted_files)

    def claim(self) -> Claim | None:
        held = self.store._world._held.get("gc_log")
        if not held or held[-1].body is None:
            return None
        if raw_objects.split(held[-1].body)[0]["V"] == "1":
            return Claim(OLD_CLAIM, "", 0, held[-1].modified_ns)
        record, _ = self._record("gc_log", held[-1].body)
        if record["state"] == "idle":
            return None
        return Claim(record["transaction"], record["host"], record.get("head_sequence", 0), held[-1].modified_ns)

    def committed(self, claim: Claim) -> bool:
        return any(link.is_commit and link.record["transaction"] == claim.transaction for link in self.links)

    def ended(self, claim: Claim) -> bool:
        """Whether the transaction has published all that it will: a commit, or the fence of a collection."""
        return any(link.record["transaction"] == claim.transaction for link in self.links)

    def unfinished_uploads(self) -> list[str]:
        return [key for _, key in self.store._world.uploads("files/")]

    def leaks(self) -> set[Ref]:
        """Invariant 4: versions of file objects that neither a diff nor the garbage list knows."""
        return file_versions(contents(self.store)) - self._referred.keys() - self.garbage()

    def garbage(self) -> set[Ref]:
        held = self.store._world._held.get("garbage_objects")
        if not held or held[-1].body is None:
            return set()
        record, _ = self._record("garbage_objects", held[-1].body)
        return {(key, version) for key, version in record["versions"]}

    # --- judging what is new -------------------------------------------------------------------------------------

    def look(self) -> list[Link]:
        """The diffs since the last look. Whatever is wrong fails the test."""
        found = contents(self.store)
        self._look_at_keys(found)
        assert not [key for key in METADATA for _, body in found.get(key, ())[self._old(key) :] if body is None]
        bodies = self._without_twins(found.get("manifest_diffs", ()))
        assert tuple(bodies)[: len(self.past.commits)] == tuple(self._original.get("manifest_diffs", ()))
        fresh = [self._link(bodies, at) for at in range(len(self.past.commits) + len(self.links), len(bodies))]
        self._nothing_is_gone(found)
        return fresh

    def _without_twins(self, bodies: Bodies) -> Bodies:
        """Where conditions are ignored, a request that is repeated on its way makes a second version of the same diff.

        It is the newer one that the client is told of, and that the next diff names.
        """
        if self.store._world._conditional or not bodies:
            return bodies
        newer = (*(body for _, body in bodies[1:]), None)
        return tuple(one for one, after in zip(bodies, newer, strict=True) if one[1] != after)

    def _old(self, key: str) -> int:
        return len(self._original.get(key, ()))

    def _look_at_keys(self, found: Contents) -> None:
        """A new salt object must open with a password that somebody uses, and hold the keys that were there."""
        body = found["salt_file"][-1][1] if found.get("salt_file") else None
        if body is None or body == self._salt or not body.startswith(b"\0"):
            return
        for password in dict.fromkeys(self._passwords()):
            try:
                keys = raw_objects.open_salt(body, password)
            except raw_objects.DoesNotOpen:
                continue
            assert self.keys in (None, keys), "other keys"
            self.keys, self.password, self._salt = keys, password, body
            return
        raise AssertionError("the salt object opens with no password of anybody")

    def _link(self, bodies: Bodies, at: int) -> Link:
        version, body = bodies[at]
        assert body is not None
        record, encrypted = self._record("manifest_diffs", body)
        assert encrypted or not self.sealed, "8: a diff that is not encrypted on top of one that is"
        self._check_place(record, bodies[:at])
        link = Link(version, record, encrypted, self._applied(record))
        self.links.append(link)
        return link

    def _check_place(self, record: Fields, older: Bodies) -> None:
        """Invariant 3."""
        parent = None
        if older:
            version, body = older[-1]
            assert body is not None
            parent = {"version_id": version, "sha256": sha256(body).hexdigest()}
        assert (record["sequence"], record.get("parent")) == (len(older) + 1, parent), "3: no link of the chain"
        repositories = {link.record["repository"] for link in self.links}
        assert repositories <= {record["repository"]}, "3: another repository"
        assert record["transaction"] not in {link.record["transaction"] for link in self.links}, "3: published twice"
        assert (record["kind"] == "commit") is bool(record.get("changes")), (
            "7: an empty commit, or a fence that changes"
        )

    def _applied(self, record: Fields) -> Mapping[str, Fields]:
        before = self.entries
        after = dict(before)
        for change in record.get("changes", ()):
            path = change["path"]
            assert (path in before) is (change["status"] != "new"), f"2: {path} does not fit"
            if change["status"] == "deleted":
                del after[path]
            else:
                after[path] = change
            self._check_object(change)
        return after

    def _check_object(self, change: Fields) -> None:
        """Invariants 1, 2 and 8: the object is there, holds the content, and is stored as it says."""
        if not change.get("object"):
            return
        stored: Fields = change["object"]
        ref = (stored["key"], stored["version_id"])
        if stored.get("format") == 1:
            assert self.past.objects[ref] == change["sha256"], f"2: {ref} holds something else"
            return
        if ref not in self._opened and change["status"] != "deleted":
            self._open(ref, stored, change["sha256"])
        self._referred[ref] = change["sha256"]

    def _open(self, ref: Ref, stored: Fields, digest: str) -> None:
        asked, applied = stored.get("asked", []), stored.get("applied", [])
        assert set(asked) - set(applied) <= {"compress"}, f"8: {ref} was not stored as asked"
        assert ("hash_names" in applied) is ref[0].startswith("files/%h/"), f"8: the name of {ref}"
        body = dict(contents(self.store).get(ref[0], ())).get(ref[1])
        assert body is not None, f"1: {ref} is gone"
        assert len(body) == stored["stored_size"]
        assert sha256(self._content(body, ref[0], applied)).hexdigest() == digest, f"2: {ref} holds something else"
        self._opened.add(ref)

    def _content(self, body: bytes, key: str, applied: Sequence[str]) -> bytes:
        if "encrypt" in applied:
            assert self.keys is not None
            return raw_objects.open_file(body, key, applied, self.keys)
        return raw_objects.unpacked(body) if "compress" in applied else body

    def _nothing_is_gone(self, found: Contents) -> None:
        assert self._referred.keys() <= file_versions(found), "1: a version that a diff refers to is gone"

    def _record(self, key: str, body: bytes) -> tuple[Fields, bool]:
        """The payload of a metadata object, and whether it is encrypted."""
        header, _, payload = raw_objects.split(body)
        if "encrypt" in header["pipeline"]:
            assert self.keys is not None
            return raw_objects.open_record(body, METADATA[key], key, self.keys), True
        assert (header["V"], header["kind"]) == ("2", METADATA[key])
        fields: dict[str, Any] = json.loads(raw_objects.unpacked(payload) if header["pipeline"] else payload)
        return fields, False

    def words_of(self, ref: Ref) -> set[str] | None:
        """With which words a version of a metadata object is stored; None for other objects."""
        if ref[0] not in METADATA:
            return None
        body = dict(contents(self.store)[ref[0]])[ref[1]]
        return None if body is None else set(raw_objects.split(body)[0]["pipeline"])


def _past_entries(past: Past) -> Mapping[str, Fields]:
    return dict(_entries(past.commits[next(reversed(past.commits))])) if past.commits else {}


def _entries(tree: Tree) -> Iterator[tuple[str, Fields]]:
    for path, seen in tree.items():
        yield path, _entry(seen)


def _entry(seen: Seen) -> Fields:
    kind, digest, _, mtime_ns = seen.facts
    kinds = {"file": "file", "folder": "directory"}
    return {"type": kinds[kind], "sha256": digest, "mode": UNRECORDED, "mtime_ns": mtime_ns}
