"""The damage matrix for repositories that this version did not write: rrbackup 1.0's, and one with encrypted metadata.

`EXPECTED` says how each command ends. Of every run it is required: no bug, no exit code without a word that names the
object or a path, nothing restored that was never committed, and nothing in the store changed.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from rrbackup import errors
from rrbackup.cli import main
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure.model import ListedVersion, PathText, VersionRef
from rrbackup.pure.names import path_text
from tests import golden_stores
from tests.damage import COVERED, HARMS
from tests.format1_repositories import contents
from tests.golden_stores import Golden
from tests.integration.checkpoint_work import stored
from tests.integration.restricted_work import quicker
from tests.integration.test_copying import golden_source
from tests.integration.trees import Seen, look

COMMANDS = ("list_versions", "list_files latest", "download latest OUT", "verify", "verify --read-data", "doctor")

EXPECTED: dict[str, dict[str, str]] = {
    "format1-plain: file": {
        "deleted": "0 0 3 1 1 1",
        "truncated": "0 0 3 0 1 1",
        "a bit flipped": "0 0 3 0 1 1",
        "swapped": "1 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 1",
    },
    "format1-plain: newest diff": {
        "deleted": "0 0 0 0 0 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "0 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 1",
    },
    "format1-plain: old diff": {
        "deleted": "0 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "0 1 1 1 1 1",
        "an older one on top": "0 1 1 1 1 1",
    },
    "format1-encrypted: file": {
        "deleted": "0 0 3 1 1 1",
        "truncated": "0 0 3 0 1 1",
        "a bit flipped": "0 0 3 0 1 1",
        "swapped": "12 12 12 12 12 1",
        "an older one on top": "0 0 0 0 0 1",
    },
    "format1-encrypted: newest diff": {
        "deleted": "0 0 0 0 0 1",
        "truncated": "12 12 12 12 12 1",
        "a bit flipped": "12 12 12 12 12 1",
        "swapped": "0 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 1",
    },
    "format1-encrypted: old diff": {
        "deleted": "0 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "0 1 1 1 1 1",
        "an older one on top": "0 1 1 1 1 1",
    },
    "format1-encrypted: salt": {
        "deleted": "0 0 0 0 0 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "0 0 0 0 0 1",
        "swapped": "1 1 1 1 1 1",
        "an older one on top": "1 1 1 1 1 1",
    },
    "format2-encrypted: file": {
        "deleted": "0 0 3 1 1 1",
        "truncated": "0 0 3 1 1 1",
        "a bit flipped": "0 0 3 0 1 1",
        "swapped": "1 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 1",
    },
    "format2-encrypted: newest diff": {
        "deleted": "0 0 0 0 0 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "0 0 0 1 1 1",
        "an older one on top": "0 0 0 1 1 1",
    },
    "format2-encrypted: old diff": {
        "deleted": "1 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "1 1 1 1 1 1",
        "an older one on top": "0 0 0 1 1 1",
    },
    "format2-encrypted: salt": {
        "deleted": "1 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1",
        "swapped": "1 1 1 1 1 1",
        "an older one on top": "1 1 1 1 1 1",
    },
}
"""The exit codes of `COMMANDS`, in this order: of a store and a kind of object, for each harm."""


@frozen
class Victim:
    """A version that comes to harm, another one, and an older one of the same key (or of another)."""

    ref: VersionRef
    other: VersionRef
    older: VersionRef
    path: str = ""


def victims(name: str, folder: Path) -> dict[str, Victim]:
    golden, repository = golden_source(name, folder)
    objects = {entry.path: entry.object.ref for entry in repository.list_files("latest") if entry.object}
    diffs = [row.ref for row in golden.store.list_versions("manifest_diffs")]
    big = objects[golden_path(objects, "big.bin")]
    found = {
        "file": Victim(big, diffs[0], stored(golden.store, big.key)[-1], golden_path(objects, "big.bin")),
        "newest diff": Victim(diffs[0], diffs[1], diffs[1]),
        "old diff": Victim(diffs[1], diffs[2], diffs[2]),
    }
    if "encrypted" in name:
        salt = stored(golden.store, "salt_file")[0]
        found["salt"] = Victim(salt, diffs[0], diffs[0])
    return found


def golden_path(objects: dict[PathText, VersionRef], end: str) -> PathText:
    return next(path for path in objects if path.endswith(end))


STORES = {
    "format1-plain": ("file", "newest diff", "old diff"),
    "format1-encrypted": ("file", "newest diff", "old diff", "salt"),
    "format2-encrypted": ("file", "newest diff", "old diff", "salt"),
}


@frozen
class Ran:
    code: int
    document: Any
    said: str
    changed: bool
    target: Path
    store: MemoryStore


Run = Callable[[str, str, str, str], Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Damages a golden store and runs one command on it, as a program would be run by somebody new to it."""
    quicker(monkeypatch)

    def run(name: str, kind: str, harm: str, command: str) -> Ran:
        shutil.rmtree(tmp_path / "here", ignore_errors=True)
        (tmp_path / "here/base").mkdir(parents=True)
        golden, victim = golden_stores.load(name), victims(name, tmp_path / "looking")[kind]
        HARMS[harm](golden.store, victim.ref, victim.other if harm == "swapped" else victim.older)
        before = contents(golden.store)
        monkeypatch.setattr("rrbackup.verbs.opened.store_of", lambda config, *rest: golden.store)
        settings = {
            "base_path": str(tmp_path / "here/base"),
            "local_manifest_file": str(tmp_path / "here/manifest"),
            "local_lock_file": str(tmp_path / "here/lock"),
            "directory": {"path": str(tmp_path / "here/unused")},
            "crypto": {"crypt_password": "correct horse"},
            "read_only": True,
        }
        (tmp_path / "here/c.json").write_text(json.dumps(settings))
        target = tmp_path / "here/out"
        words = [str(target) if word == "OUT" else word for word in command.split()]
        capsys.readouterr()
        code = main(["--c", str(tmp_path / "here/c.json"), "--json", *words])
        out = capsys.readouterr().out
        return Ran(code, json.loads(out), out, contents(golden.store) != before, target, golden.store)

    return run


def judge(name: str, victim: Victim, harm: str, command: str, ran: Ran) -> None:
    golden = golden_stores.load(name)
    if "error" in ran.document:
        assert ran.document["error"]["type"] in errors.__all__, ran.document
    refs = [victim.ref, victim.other, victim.older]
    known = {ref.key for ref in refs} | {ref.version_id for ref in refs} | golden.commits[-1].tree.keys()
    on_top = {row.version_id for row in stored_now(ran, victim.ref.key)} if harm == COVERED else set()
    if ran.code != 0 and command != "doctor":  # which has other things to say of such a store
        assert any(part in ran.said for part in known | on_top), ran.said
    assert not ran.changed
    if command.startswith("download"):
        judge_restored(golden, ran)


def stored_now(ran: Ran, key: str) -> Iterator[ListedVersion]:
    return (row for row in ran.store.list_versions(key) if row.key == key)


def judge_restored(golden: Golden, ran: Ran) -> None:
    """Each file that was restored is as some commit had it, all as the one that is named, and what is not is told.

    Of two diffs of rrbackup 1.0 nobody can tell whether another one lay between them.
    """
    held = {(path[1:], file.sha256) for commit in golden.commits for path, file in commit.tree.items()}
    restored = look(ran.target, follow=False) if ran.target.is_dir() else {}
    found = {(in_text(path), digest(seen)) for path, seen in restored.items() if seen.kind == "file"}
    assert found - held == set()
    if ran.code in (0, 3):
        assert (ran.code == 0) is (ran.document["problems"] == [])
        assert ran.document["files"] == len(restored)


def digest(seen: Seen) -> str:
    return sha256(seen.content).hexdigest()


def in_text(path: bytes) -> str:
    return path_text(path)[1:]


def codes(name: str, kind: str, harm: str) -> dict[str, int]:
    return dict(zip(COMMANDS, map(int, EXPECTED[f"{name}: {kind}"][harm].split()), strict=True))


def cells() -> Iterator[Any]:
    """All; in every run one harm and command of each kind of object in each store."""
    rows = [(name, kind) for name, kinds in STORES.items() for kind in kinds]
    for i, (name, kind) in enumerate(rows):
        for j, harm in enumerate(HARMS):
            for k, command in enumerate(COMMANDS):
                quick = j == i % len(HARMS) and k == (2 + i) % len(COMMANDS)
                yield pytest.param(name, kind, harm, command, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize(("name", "kind", "harm", "command"), list(cells()))
def test_damage_to_what_others_have_written_is_found_and_named_or_affects_nothing(
    name: str, kind: str, harm: str, command: str, run: Run, tmp_path: Path
) -> None:
    ran = run(name, kind, harm, command)
    judge(name, victims(name, tmp_path / "looking")[kind], harm, command, ran)
    assert ran.code == codes(name, kind, harm)[command], ran.said
