"""What the commands make of a store into which a client wrote that may only write, and is in foreign hands.

The rule that is tested, one forgery and one command at a time: nothing that was committed is destroyed, and the command
either goes on or ends with an error that says which object is to blame. What the rights let such a client write is
tried in `test_restricted_rights`.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen

from rrbackup.effects.directory import DirectoryStore
from rrbackup.effects.directory_marker import open_volume
from rrbackup.effects.directory_upload import Upload
from rrbackup.effects.store import list_exact
from rrbackup.pure import format2
from rrbackup.pure.checkpoint import Checkpoint
from rrbackup.pure.checkpoint_format import encode_checkpoint
from rrbackup.pure.framing import PLAIN
from rrbackup.pure.model import (
    CheckpointRef,
    Claim,
    ClaimState,
    ParentRef,
    Status,
    TransactionId,
    VersionId,
    VersionRef,
)
from tests.unit.cli_bench import Bench, Ran


@frozen
class Past:
    """What somebody can see who may write: the versions of diffs and claim, and the names of everything."""

    root: Path

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.root)

    def versions(self, key: str) -> list[VersionId]:
        """Newest first."""
        return [version.version_id for version in list_exact(self.store, key)]

    def earlier(self, key: str) -> bytes:
        return self.store.get(key, self.versions(key)[1]).body

    def claim(self, *keys: str) -> bytes:
        head = format2.decode_diff(self.store.get("manifest_diffs").body, "head")
        record = Claim(TransactionId("f" * 32), 1, ClaimState.OPEN, "another host", 0, keys=keys)
        newest = self.versions("manifest_diffs")[0]
        return format2.encode_claim(evolve(record, head=newest, head_sequence=head.sequence))

    def diff(self, **changes: Any) -> bytes:
        """On top of the newest one, and like it but for `changes`."""
        found = self.store.get("manifest_diffs")
        head = format2.decode_diff(found.body, "head")
        parent = ParentRef(found.info.version_id, format2.sha256_hex(found.body))
        forged = evolve(head, sequence=head.sequence + 1, parent=parent, transaction=TransactionId("f" * 32))
        return format2.encode_diff(evolve(forged, **changes))

    def name_a_checkpoint(self, garbage: Callable[["Past"], bytes] | None = None) -> None:
        """A diff that changes nothing, and a checkpoint that says that there was nothing before it either."""
        found = self.store.get("manifest_diffs")
        head = format2.decode_diff(found.body, "head")
        parent = ParentRef(found.info.version_id, format2.sha256_hex(found.body))
        empty = encode_checkpoint(Checkpoint(head.repository, head.sequence, parent, ()), PLAIN)
        stored = self.store.put("manifest_checkpoint", empty)
        named = CheckpointRef(stored.version_id, format2.sha256_hex(empty))
        self.store.put("manifest_diffs", self.diff(checkpoint=named, changes=()))
        if garbage is not None:
            self.store.put("garbage_objects", garbage(self))


Forgery = Callable[[Past], None]


def put(key: str, body: Callable[[Past], bytes]) -> Forgery:
    return lambda past: void(past.store.put(key, body(past)))


def void(_: object) -> None:
    pass


def everything_deleted(past: Past) -> bytes:
    changes = format2.decode_diff(past.store.get("manifest_diffs").body, "head").changes
    return past.diff(changes=tuple(evolve(change, status=Status.DELETED) for change in changes))


def all_versions(past: Past) -> bytes:
    return format2.encode_garbage([VersionRef(v.key, v.version_id) for v in past.store.list_versions("")])


FORGERIES: dict[str, Forgery] = {
    "claim": put("gc_log", lambda past: past.claim("files/a", "files/folder/b", "manifest_diffs", "elsewhere")),
    "claim that is none": put("gc_log", lambda past: b"none"),
    "old claim": put("gc_log", lambda past: past.earlier("gc_log")),
    "diff that is none": put("manifest_diffs", lambda past: b"none"),
    "old diff": put("manifest_diffs", lambda past: past.earlier("manifest_diffs")),
    "diff beside the chain": put("manifest_diffs", lambda past: past.diff(parent=ParentRef(VersionId("v"), "0" * 64))),
    "diff with a gap": put("manifest_diffs", lambda past: past.diff(sequence=77)),
    "diff that deletes everything": put("manifest_diffs", everything_deleted),
    "list that is none": put("garbage_objects", lambda past: b"none"),
    "list of everything": put("garbage_objects", all_versions),
    "diff with a false checkpoint": lambda past: past.name_a_checkpoint(),
    "list of what a false checkpoint leaves out": lambda past: past.name_a_checkpoint(all_versions),
    "checkpoint that is none": put("manifest_checkpoint", lambda past: b"none"),
    "file": put("files/a", lambda past: b"forged"),
    "salt": put("salt_file", lambda past: b"forged"),
    "upload": lambda past: void(Upload.begin(open_volume(bytes(past.root)), "files/a")),
}

LOOKING = ("list_versions", "list_files latest", "list_changes latest", "download latest TARGET")
COLLECTING = ("garbage_collect --take-over", "clean_gc_log --take-over")
BACKING_UP = ("backup", "backup --take-over")
READING_DIFFS = (*BACKING_UP, *LOOKING, "garbage_collect --take-over")  # cleaning an absent list needs the head only

FAILING: dict[str, tuple[str, tuple[str, ...]]] = {
    "claim": ("another host", ("backup",)),
    "claim that is none": ("gc_log", (*BACKING_UP, *COLLECTING)),
    "diff that is none": ("manifest_diffs", (*READING_DIFFS, *COLLECTING)),
    "old diff": ("manifest_diffs", (*READING_DIFFS, *COLLECTING)),
    "diff beside the chain": ("manifest_diffs", READING_DIFFS),
    "diff with a gap": ("manifest_diffs", READING_DIFFS),
    "list that is none": ("garbage_objects", ("clean_gc_log --take-over",)),
    "diff with a false checkpoint": ("manifest_checkpoint", BACKING_UP),
    "list of what a false checkpoint leaves out": ("manifest_checkpoint", BACKING_UP),
}
"""What fails after a forgery, and what the error names, if not the version that was forged."""


FALSE_CHECKPOINTS = ("diff with a false checkpoint", "list of what a false checkpoint leaves out")
"""They count as a commit, like any diff that nobody has to encrypt; only who knows the diffs before can tell."""


@frozen
class Repo:
    """Two commits, an orphan, and a way back to that for each command."""

    bench: Bench
    kept: Path

    def restore(self, *, newcomer: bool = False) -> DirectoryStore:
        shutil.rmtree(self.bench.store)
        shutil.copytree(self.kept / "store", self.bench.store)
        manifest = self.bench.config.with_name("manifest")
        manifest.with_name("manifest.journal").unlink(missing_ok=True)
        shutil.copy(self.kept / "manifest", manifest)
        if newcomer:
            manifest.unlink()
        return self.bench.directory_store()

    def committed(self) -> dict[VersionRef, bytes]:
        """What must never go: all diffs, and what they refer to."""
        store, orphan = DirectoryStore(self.kept / "store"), b"an orphan"
        rows = (version.ref for folder in ("files/", "manifest_diffs") for version in store.list_versions(folder))
        bodies = {ref: store.get(ref.key, ref.version_id).body for ref in rows}
        return {ref: body for ref, body in bodies.items() if body != orphan}

    def run(self, command: str) -> Ran:
        return self.bench.run(*command.replace("TARGET", str(self.bench.target)).split(), "--json")


@pytest.fixture
def repo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Repo:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no power is cut here
    bench = Bench(tmp_path, capsys)
    for content in (b"first", b"second"):
        (bench.source / "a").write_bytes(content)
        assert bench.run("backup").code == 0
    bench.directory_store().put("files/a", b"an orphan")
    shutil.copytree(bench.store, tmp_path / "kept" / "store")
    shutil.copy(tmp_path / "manifest", tmp_path / "kept" / "manifest")
    (bench.source / "a").write_bytes(b"third")
    return Repo(bench, tmp_path / "kept")


def check_nothing_is_destroyed(repo: Repo) -> None:
    store = repo.bench.directory_store()
    for ref, body in repo.committed().items():
        assert store.get(ref.key, ref.version_id).body == body, ref


@pytest.mark.parametrize("forgery", FORGERIES)
def test_every_command_goes_on_or_names_what_was_forged(forgery: str, repo: Repo) -> None:
    named, failing = FAILING.get(forgery, ("nothing", ()))
    assert len(repo.committed()) == 5
    for command in (*BACKING_UP, *LOOKING, *COLLECTING):
        store = repo.restore()
        before = {version.ref for version in store.list_versions("")}
        FORGERIES[forgery](Past(repo.bench.store))
        forged = {version.ref for version in store.list_versions("")} - before
        ran = repo.run(command)
        assert (ran.code != 0) == (command in failing), (command, ran.out)
        if ran.code:
            assert any(text in ran.out for text in (named, *(ref.version_id for ref in forged))), ran.out
        check_nothing_is_destroyed(repo)
        if command in LOOKING or forgery in FALSE_CHECKPOINTS:
            continue
        if failing:
            store.delete_versions(forged)
        assert repo.run("backup --take-over").code == 0, "without it everything is as it was"
        assert repo.run("download latest TARGET").code == 0
        assert (repo.bench.target / "a").read_bytes() == b"third"


@pytest.mark.deep
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_newcomer_destroys_nothing_either_and_fails_with_an_error_of_ours(forgery: str, repo: Repo) -> None:
    for write_only in (False, True):
        repo.bench.configure(write_only=write_only)
        for command in (*BACKING_UP, *LOOKING, *COLLECTING):
            repo.restore(newcomer=True)
            FORGERIES[forgery](Past(repo.bench.store))
            ran = repo.run(command)
            assert ran.code in (0, 1, 11, 12), ran.out
            assert "bug" not in ran.out, ran.out
            check_nothing_is_destroyed(repo)


@pytest.mark.parametrize("forgery", ["diff that deletes everything", *FALSE_CHECKPOINTS])
def test_a_false_commit_is_one_more_and_the_true_ones_stay(forgery: str, repo: Repo) -> None:
    """Where diffs are not encrypted, whoever may write may commit, and say what was there before."""
    repo.restore()
    FORGERIES[forgery](Past(repo.bench.store))
    assert len(repo.run("list_versions").document["versions"]) == 3
    for command in COLLECTING:
        assert repo.run(command).code == 0
        check_nothing_is_destroyed(repo)
    for number, content in enumerate((b"second", b"first"), start=1):
        assert repo.run(f"download latest~{number} TARGET").code == 0
        assert (repo.bench.target / "a").read_bytes() == content
