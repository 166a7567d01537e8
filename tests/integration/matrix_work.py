"""The repository of the damage matrices, what of it comes to harm, and one command run on a damaged copy."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

OLD_PASSWORD, PASSWORD, NEW_PASSWORD = "before", "correct horse", "battery staple"
PIPELINE: Any = [
    ["/plain/*", []],
    ["/packed/*", ["compress"]],
    ["/sealed/*", ["encrypt"]],
    ["*", ["hash_names", "compress", "encrypt"]],
]
FOLDERS = ("plain", "packed", "sealed", "hidden")
FILES = ("f", "g")
COMMITS = 5


# --- a repository --------------------------------------------------------------------------------------------------


@frozen
class Victim:
    """A version that comes to harm, another one of its kind, and an older one of the same key (or of another)."""

    ref: VersionRef
    other: VersionRef
    older: VersionRef


@frozen
class Made:
    """`COMMITS` commits, of which the last but one names a checkpoint.

    `tree` is what the last one holds, `created` their times; on disk there is already more.
    """

    folder: Path
    memory: MemoryStore
    victims: dict[str, Victim]
    tree: dict[bytes, Seen]
    committed: frozenset[VersionRef]
    created: tuple[int, ...]


def text(folder: str, name: str, turn: int) -> bytes:
    """All of one length, compressible, so that only the content tells one from another."""
    return f"{folder:8}{name:8}{turn:4}".encode() * 40


def texts(turn: int) -> dict[str, bytes]:
    return {f"{folder}/{name}": text(folder, name, turn) for folder in FOLDERS for name in FILES}


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


@contextmanager
def matrix(folder: Path) -> Iterator[Made]:
    """For all tests of a module; checkpoints come early meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        quicker(patch)
        patch.setattr(checkpoint, "FEWEST_DIFFS", 3)
        yield make(folder)


def make(folder: Path) -> Made:
    memory, base = MemoryStore(), folder / "base"
    writer = bench_of(folder, memory, OLD_PASSWORD, write_only=True)
    for turn in (1, 2):  # what is interrupted and not gone on with is garbage, so the list has two versions
        write(base, {f"{name}/f": text(name, "f", -turn) for name in FOLDERS})
        interrupted_backup(writer)
        write(base, texts(turn))
        writer.backup()
    bench_of(folder, memory, OLD_PASSWORD).open().change_password(PASSWORD)
    bench = bench_of(folder, memory)
    for turn in range(3, COMMITS + 1):
        write(base, texts(turn))
        bench.backup()
    committed = bench.open()._client.control.read_references().refs
    tree = look(base)
    write(base, {"plain/new": b"for the next commit"})
    created = tuple(commit.created_ns for commit in bench.open().list_versions())
    return Made(folder, memory, dict(_victims(bench, memory)), tree, committed, created)


def _victims(bench: Bench, memory: MemoryStore) -> Iterator[tuple[str, Victim]]:
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


# --- one run -------------------------------------------------------------------------------------------------------


@frozen
class Ran:
    """`before` is what the store held before the command, `target` the folder OUT, `copied` the store of TO."""

    code: int
    out: str
    said: str
    memory: MemoryStore
    target: Path
    bench: Bench
    copied: Bench
    before: dict[VersionRef, bytes | None]

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[[str, str, str], Ran]

UNHARMED = "none"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with matrix(tmp_path_factory.mktemp("matrix")) as made:
        yield made


@pytest.fixture
def run(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Damages a copy of the repository and runs one command on it, as a program would be run.

    Of the words OUT is a folder to restore to, TO the configuration of an empty repository, NEW a file with a new
    password, FILE the path of the file that may be damaged. cat has no JSON form. `UNHARMED` does no damage.
    """

    def run(kind: str, harm: str, command: str) -> Ran:
        folder = tmp_path / "here"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made.folder, folder)
        memory, other = copy_of(made.memory), MemoryStore()
        memory.clock_ns = time_ns()
        victim = made.victims[kind]
        if harm != UNHARMED:
            HARMS[harm](memory, victim.ref, victim.other if harm == "swapped" else victim.older)
        before = contents(memory)
        monkeypatch.setattr(
            "rrbackup.verbs.opened.store_of", lambda config, *rest: other if _is_copy(config) else memory
        )
        words = [_placed(word, kind, folder) for word in command.split()]
        capsys.readouterr()
        form = [] if words[0] == "cat" else ["--json"]
        code = main(["--c", str(_configured(folder)), *form, *words])
        out, said = capsys.readouterr()
        copied = bench_of(folder / "copied", other)
        return Ran(code, out, said, memory, folder / "out", bench_of(folder, memory), copied, before)

    return run


def _is_copy(config: Config) -> bool:
    return "copied" in Path(config.local_manifest_file).parts


def _placed(word: str, kind: str, folder: Path) -> str:
    if word == "TO":
        (folder / "copied/base").mkdir(parents=True)
        return str(_configured(folder / "copied"))
    if word == "NEW":
        (folder / "new").write_text(NEW_PASSWORD)
        return str(folder / "new")
    return {"OUT": str(folder / "out"), "FILE": file_of(kind)}.get(word, word)


def file_of(kind: str) -> str:
    folder = kind.split()[0]
    return f"/{folder if folder in FOLDERS else 'hidden'}/f"


def _configured(folder: Path) -> Path:
    settings = {
        "base_path": str(folder / "base"),
        "local_manifest_file": str(folder / "manifest"),
        "local_lock_file": str(folder / "lock"),
        "directory": {"path": str(folder / "unused")},
        "crypto": {"crypt_password": PASSWORD, "kdf_passes": 4, "kdf_memory": 32 << 20},
        "file_pipeline": PIPELINE,
    }
    (folder / "c.json").write_text(json.dumps(settings))
    return folder / "c.json"


# --- what holds of each --------------------------------------------------------------------------------------------


def judge_ending(made: Made, kind: str, harm: str, ran: Ran) -> None:
    """No bug, no failure without a name, and nothing deleted or changed that a commit refers to."""
    said = ran.out + ran.said
    if ran.out.startswith("{"):
        document = ran.document
        assert "error" not in document or document["error"]["type"] in errors.__all__, document
    if ran.code != 0:
        assert any(name in said for name in _names(made, kind, harm, ran)), said
    now = contents(ran.memory)
    kept = {ref for ref in ran.before if ref in made.committed or not _may_be_garbage(made, ref)}
    assert {ref for ref in kept if now.get(ref, b"gone") != ran.before[ref]} == set()


def _may_be_garbage(made: Made, ref: VersionRef) -> bool:
    """No diff names a checkpoint that somebody has put on top."""
    forged = ref.key == "manifest_checkpoint" and ref not in contents(made.memory)
    return forged or ref.key.startswith("files/")


def _names(made: Made, kind: str, harm: str, ran: Ran) -> set[str]:
    """One of these has to be said: the object, a version that is not what it was, or the path of its file."""
    victim = made.victims[kind]
    concerned = [victim.ref, *([victim.other] if harm == "swapped" else [])]
    on_top = stored(ran.memory, victim.ref.key)[:1] if harm == COVERED else []
    path = f"/{kind.split()[0]}/f"
    return {path, *(name for ref in (*concerned, *on_top) for name in (ref.key, ref.version_id))}


def files_in(target: Path) -> dict[bytes, Seen]:
    """A folder whose files were all damaged stays behind empty."""
    return {path: seen for path, seen in look(target).items() if seen.kind == "file"} if target.is_dir() else {}
