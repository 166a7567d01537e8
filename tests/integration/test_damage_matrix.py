"""Every kind of object, damaged in every way, under every command: it is found and named, or nothing is affected.

`EXPECTED` says how each command ends. Whatever it says, of every run it is required: no bug, no exit code without a
word that names the object or its path, nothing restored that is not what was committed, and no version deleted that a
commit refers to.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from attrs import frozen

from rrbackup import errors
from rrbackup.cli import main
from rrbackup.config import Config, CryptoSettings, DirectorySettings
from rrbackup.effects.memory import MemoryStore
from rrbackup.pure import checkpoint
from rrbackup.pure.model import PathText, VersionRef
from tests.damage import COVERED, HARMS, copy_of
from tests.format1_repositories import contents
from tests.integration.checkpoint_work import stored
from tests.integration.conftest import Bench
from tests.integration.restricted_work import interrupted_backup, quicker
from tests.integration.trees import Seen, look, write

OLD_PASSWORD, PASSWORD = "before", "correct horse"
PIPELINE: Any = [
    ["/plain/*", []],
    ["/packed/*", ["compress"]],
    ["/sealed/*", ["encrypt"]],
    ["*", ["hash_names", "compress", "encrypt"]],
]
FOLDERS = ("plain", "packed", "sealed", "hidden")

COMMANDS = (
    *("list_versions", "list_files latest", "download latest OUT", "verify", "verify --read-data"),
    *("backup", "garbage_collect", "repair", "doctor", "heal --read-data"),
)

_FILE = {
    "deleted": "0 0 3 1 1 0 0 0 0 0",
    "truncated": "0 0 3 1 1 0 0 0 0 0",
    "a bit flipped": "0 0 3 0 1 0 0 0 0 0",
    "swapped": "0 0 3 1 1 0 0 0 0 0",
    "an older one on top": "0 0 0 0 0 0 0 0 0 0",
}
EXPECTED: dict[str, dict[str, str]] = {
    **{f"{name} file": _FILE for name in FOLDERS},
    "newest diff": {
        "deleted": "1 1 1 1 1 1 1 1 1 1",
        "truncated": "1 1 1 1 1 1 1 1 1 1",
        "a bit flipped": "1 1 1 1 1 1 1 1 1 1",
        "swapped": "1 1 1 1 1 1 11 1 1 1",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1",
    },
    "old diff": {
        "deleted": "1 0 0 1 1 0 0 1 1 0",
        "truncated": "1 0 0 1 1 0 1 1 1 0",
        "a bit flipped": "1 0 0 1 1 0 1 1 1 0",
        "swapped": "1 0 0 1 1 0 0 1 1 0",
        "an older one on top": "1 1 1 1 1 1 1 1 1 1",
    },
    "checkpoint": {
        "deleted": "0 0 0 1 1 0 0 0 0 0",
        "truncated": "0 0 0 1 1 0 0 0 0 0",
        "a bit flipped": "0 0 0 1 1 0 0 0 0 0",
        "swapped": "1 1 1 1 1 1 1 1 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "claim": {
        "deleted": "0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 1 1 0 1 1",
        "a bit flipped": "0 0 0 0 0 0 0 0 0 0",
        "swapped": "0 0 0 0 0 1 1 0 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "garbage list": {
        "deleted": "0 0 0 0 0 0 0 0 0 0",
        "truncated": "0 0 0 0 0 0 0 0 1 0",
        "a bit flipped": "0 0 0 0 0 0 0 0 1 0",
        "swapped": "0 0 0 0 0 1 1 0 1 1",
        "an older one on top": "0 0 0 0 0 0 0 0 0 0",
    },
    "salt": {
        "deleted": "12 12 12 12 12 12 12 0 1 12",
        "truncated": "1 1 1 1 1 1 1 0 1 1",
        "a bit flipped": "1 1 1 1 1 1 1 0 1 1",
        "swapped": "12 12 12 12 12 12 12 0 1 12",
        "an older one on top": "12 12 12 12 12 12 12 0 1 12",
    },
}
"""The exit codes of `COMMANDS`, in this order, for each kind of object and each harm."""


# --- a repository --------------------------------------------------------------------------------------------------


@frozen
class Victim:
    """A version that comes to harm, another one of its kind, and an older one of the same key (or of another)."""

    ref: VersionRef
    other: VersionRef
    older: VersionRef


@frozen
class Made:
    """Five commits; the fourth names a checkpoint. `tree` is what the last one holds, `next` what is on disk now."""

    folder: Path
    memory: MemoryStore
    victims: dict[str, Victim]
    tree: dict[bytes, Seen]
    committed: frozenset[VersionRef]


def text(folder: str, name: str, turn: int) -> bytes:
    """All of one length, compressible, so that only the content tells one from another."""
    return f"{folder:8}{name:8}{turn:4}".encode() * 40


def settings(folder: Path, **more: object) -> dict[str, object]:
    return {
        "base_path": str(folder / "base"),
        "local_manifest_file": str(folder / "manifest"),
        "local_lock_file": str(folder / "lock"),
        "directory": {"path": str(folder / "unused")},
        "crypto": {"crypt_password": PASSWORD, "kdf_passes": 4, "kdf_memory": 32 << 20},
        "file_pipeline": PIPELINE,
        **more,
    }


def bench_of(folder: Path, memory: MemoryStore, password: str = PASSWORD, **more: Any) -> Bench:
    config = Config(
        base_path=folder / "base",
        local_manifest_file=str(folder / "manifest"),
        local_lock_file=str(folder / "lock"),
        directory=DirectorySettings(path=folder / "unused"),
        crypto=CryptoSettings(crypt_password=password, kdf_passes=4, kdf_memory=32 << 20),
        file_pipeline=PIPELINE,
        **more,
    )
    return Bench(folder / "base", config, memory)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Made:
    quicker(patch)
    patch.setattr(checkpoint, "FEWEST_DIFFS", 3)
    return make(tmp_path_factory.mktemp("matrix"))


def make(folder: Path) -> Made:
    memory, base = MemoryStore(), folder / "base"
    writer = bench_of(folder, memory, OLD_PASSWORD, write_only=True)
    for turn in (1, 2):  # what is interrupted and not gone on with is garbage, so the list has two versions
        write(base, {f"{name}/f": text(name, "f", -turn) for name in FOLDERS})
        interrupted_backup(writer)
        write(base, {f"{name}/{file}": text(name, file, turn) for name in FOLDERS for file in ("f", "g")})
        writer.backup()
    bench_of(folder, memory, OLD_PASSWORD).open().change_password(PASSWORD)
    bench = bench_of(folder, memory)
    for turn in (3, 4, 5):
        write(base, {f"{name}/{file}": text(name, file, turn) for name in FOLDERS for file in ("f", "g")})
        bench.backup()
    committed = bench.open()._client.control.read_references().refs
    tree = look(base)
    write(base, {"plain/new": b"for the next commit"})
    return Made(folder, memory, dict(victims(bench, memory)), tree, committed)


def victims(bench: Bench, memory: MemoryStore) -> Iterator[tuple[str, Victim]]:
    repository = bench.open()
    last, before = repository.list_files("latest"), repository.list_files("latest~1")
    objects = {(n, e.path): e.object.ref for n, listing in enumerate((last, before)) for e in listing if e.object}
    for name in FOLDERS:
        path = PathText(f"/{name}/f")
        yield f"{name} file", Victim(objects[0, path], objects[0, PathText(f"/{name}/g")], objects[1, path])
    diffs, claims = stored(memory, "manifest_diffs"), stored(memory, "gc_log")
    yield "newest diff", Victim(diffs[0], diffs[1], diffs[1])
    yield "old diff", Victim(diffs[-2], diffs[-1], diffs[-1])
    yield "checkpoint", Victim(stored(memory, "manifest_checkpoint")[0], diffs[0], diffs[0])
    lists, salts = stored(memory, "garbage_objects"), stored(memory, "salt_file")
    assert (len(lists), len(salts)) == (2, 2)
    yield "claim", Victim(claims[0], lists[0], claims[-1])
    yield "garbage list", Victim(lists[0], claims[0], lists[1])
    yield "salt", Victim(salts[0], salts[1], salts[1])


KINDS = tuple(EXPECTED)


# --- one run -------------------------------------------------------------------------------------------------------


@frozen
class Ran:
    code: int
    out: str
    memory: MemoryStore
    target: Path
    bench: Bench
    before: dict[VersionRef, bytes | None]

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[[str, str, str], Ran]


@pytest.fixture
def run(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Damages a copy of the repository and runs one command on it, as a program would be run."""

    def run(kind: str, harm: str, command: str) -> Ran:
        folder = tmp_path / "here"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name in ("base", "manifest"):
            copy = shutil.copytree if (made.folder / name).is_dir() else shutil.copy2
            copy(made.folder / name, folder / name)
        memory = copy_of(made.memory)
        memory.clock_ns = time_ns()
        victim = made.victims[kind]
        HARMS[harm](memory, victim.ref, victim.other if harm == "swapped" else victim.older)
        before = contents(memory)
        monkeypatch.setattr("rrbackup.verbs.opened.store_of", lambda config, *rest: memory)
        (folder / "c.json").write_text(json.dumps(settings(folder)))
        words = [str(folder / "out") if word == "OUT" else word for word in command.split()]
        capsys.readouterr()
        code = main(["--c", str(folder / "c.json"), "--json", *words])
        return Ran(code, capsys.readouterr().out, memory, folder / "out", bench_of(folder, memory), before)

    return run


def judge(made: Made, kind: str, harm: str, command: str, ran: Ran) -> None:
    document = ran.document
    if "error" in document:
        assert document["error"]["type"] in errors.__all__, document
    if ran.code != 0:
        assert any(name in ran.out for name in names(made, kind, harm, ran)), ran.out
    now = contents(ran.memory)
    kept = {ref for ref in ran.before if ref in made.committed or not _may_be_garbage(made, ref)}
    assert {ref for ref in kept if now.get(ref, b"gone") != ran.before[ref]} == set()
    if command.startswith("download"):
        judge_restored(made.tree, ran.target, document, ran.code)
    elif command in ("backup", "heal --read-data") and ran.code in (0, 3):
        judge_committed(made, ran)


def _may_be_garbage(made: Made, ref: VersionRef) -> bool:
    """No diff names a checkpoint that somebody has put on top."""
    forged = ref.key == "manifest_checkpoint" and ref not in contents(made.memory)
    return forged or ref.key.startswith("files/")


def names(made: Made, kind: str, harm: str, ran: Ran) -> set[str]:
    """One of these has to be said: the object, a version that is not what it was, or the path of its file."""
    victim = made.victims[kind]
    concerned = [victim.ref, *([victim.other] if harm == "swapped" else [])]
    on_top = stored(ran.memory, victim.ref.key)[:1] if harm == COVERED else []
    path = f"/{kind.split()[0]}/f"
    return {path, *(name for ref in (*concerned, *on_top) for name in (ref.key, ref.version_id))}


def judge_restored(tree: dict[bytes, Seen], target: Path, document: Any, code: int) -> None:
    """Everything that was restored is right, and what was not is named."""
    restored = files_in(target)
    assert {path: seen for path, seen in restored.items() if tree.get(path) != seen} == {}
    if code in (0, 3):
        named = {problem["path"] for problem in document["problems"]}
        assert {f"/{path.decode()}" for path in tree.keys() - restored.keys()} == named
        assert (code == 0) is (named == set())


def files_in(target: Path) -> dict[bytes, Seen]:
    """A folder whose files were all damaged stays behind empty."""
    return {path: seen for path, seen in look(target).items() if seen.kind == "file"} if target.is_dir() else {}


def judge_committed(made: Made, ran: Ran) -> None:
    """What the newest commit holds is what is on disk, as far as it comes back."""
    target = ran.target.with_name("after")
    problems = ran.bench.open().download("latest", target).problems
    disk = look(ran.bench.base)
    restored = files_in(target)
    assert {path: seen for path, seen in restored.items() if disk.get(path) != seen} == {}
    paths = {entry.path for entry in ran.bench.open().list_files()}
    assert {f"/{path.decode()}" for path in restored} == paths - {problem.path for problem in problems}


# --- the matrix ----------------------------------------------------------------------------------------------------


def codes(kind: str, harm: str) -> dict[str, int]:
    return dict(zip(COMMANDS, map(int, EXPECTED[kind][harm].split()), strict=True))


def cells() -> Iterator[Any]:
    """All; those of a diagonal in every run."""
    for i, kind in enumerate(KINDS):
        for j, harm in enumerate(HARMS):
            for k, command in enumerate(COMMANDS):
                quick = k == (3 * i + 2 * j) % len(COMMANDS)
                yield pytest.param(kind, harm, command, marks=() if quick else pytest.mark.deep)


@pytest.mark.parametrize(("kind", "harm", "command"), list(cells()))
def test_damage_is_found_and_named_or_affects_nothing(kind: str, harm: str, command: str, made: Made, run: Run) -> None:
    ran = run(kind, harm, command)
    judge(made, kind, harm, command, ran)
    assert ran.code == codes(kind, harm)[command], ran.out


def test_nothing_is_committed_on_top_of_a_diff_that_is_damaged(made: Made, run: Run) -> None:
    """Although the client knows that diff, and would not have to read it."""
    ran = run("newest diff", "a bit flipped", "backup")
    assert (ran.code, ran.document["error"]["type"]) == (1, "DamagedObject")
    assert "repair" in ran.document["error"]["hint"]
    assert contents(ran.memory) == ran.before


@pytest.mark.parametrize("command", COMMANDS)
def test_without_damage_every_command_ends_well(
    command: str, made: Made, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HARMS, "none", lambda memory, ref, other: None)
    ran = run("claim", "none", command)
    judge(made, "claim", "none", command, ran)
    assert ran.code == 0, ran.out
