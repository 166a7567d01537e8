"""Writes golden stores. Run once for a format, by hand; what it wrote is committed and never written again.

    PYTHONPATH=. python tests/golden/write_golden.py FOLDER...

Refuses to replace a folder that is there: a golden store is what versions out in the world have written.
"""

import hashlib
import json
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import rrbackup
from rrbackup.effects.memory import Fault, FaultKind, MemoryStore, SimulatedCrash
from rrbackup.pure import checkpoint
from tests.format1_writer import File, Format1Writer, Lock, Names, Put, derive_key
from tests.golden_stores import GOLDEN, dump

PASSWORD = b"correct horse"
SALT = bytes(range(16))
SECOND = 10**9

Commits = list[dict[str, object]]
Orphans = list[list[str]]
Made = tuple[MemoryStore, Names, Commits, Orphans]


# --- format 1 ------------------------------------------------------------------------------------------------------

BIG = bytes(range(256)) * 260
FIRST = {
    "/a.txt": File(b"one\n", 1_400_000_000.1234567),
    "/copy of a.txt": File(b"one\n", 1_400_000_001.5),
    "/empty": File(b"", 1_400_000_002.0),
    "/folder/big.bin": File(BIG, -1.25),
    "/folder/100% \\ grün ☂.txt": File(b"umbrella\n"),
    "/folder/not UTF-8 \udcff": File(b"one\n", 1_400_000_003.75),
    "/gone.txt": File(b"soon gone\n"),
}
SECOND_TREE = {
    **{path: file for path, file in FIRST.items() if path != "/gone.txt" and not path.startswith("/folder/")},
    "/a.txt": File(b"two\n", 1_400_000_100.0),
    "/empty": File(b"no longer empty\n", 1_400_000_101.0),
    "/folder": File(b"", 1_400_000_102.0),
}
THIRD = {
    **{path: file for path, file in {**FIRST, **SECOND_TREE}.items() if path != "/folder"},
    "/a.txt": File(b"one\n", 1_400_000_200.0),
    "/gone.txt": File(b"back again\n", 1_400_000_201.0),
    "/folder/big.bin": File(BIG, 1_400_000_202.0),
}
CRASHED = {**THIRD, "/a.txt": File(b"three\n"), "/orphan.txt": File(b"never committed\n")}


def make_format1(compress: bool, encrypt: bool, names: Names, left_over: bool) -> Made:
    store, put = _counting_store()
    lock = Lock(derive_key(PASSWORD, SALT), SALT) if encrypt else None
    writer = Format1Writer(put, names, compress, lock, encrypted=("/a", "/folder"), chunk=65_536)
    writer.prepare()
    commits = [_commit1(writer.commit(tree), tree) for tree in (FIRST, SECOND_TREE, THIRD)]
    before = _file_versions(store, names)
    writer.crash(CRASHED)
    orphans = sorted(_file_versions(store, names) - before)
    rows = [list(orphan) for orphan in orphans]
    if not left_over:
        writer.list_garbage(rows)
        put(names.claim, None)
    return store, names, commits, rows


def _counting_store() -> tuple[MemoryStore, Put]:
    """A store, and a way into it that sets its clock forward by a second with every write."""
    store = MemoryStore()

    def put(key: str, body: bytes | None) -> str:
        store.clock_ns += SECOND
        return store.mark_deleted(key) if body is None else store.put(key, body).version_id

    return store, put


def _file_versions(store: MemoryStore, names: Names) -> set[tuple[str, str]]:
    return {(version.key, version.version_id) for version in store.list_versions(f"{names.files}/")}


def _commit1(version_id: str, tree: Mapping[str, File]) -> dict[str, object]:
    return {"version_id": version_id, "tree": {_text(path): _file1(file) for path, file in sorted(tree.items())}}


def _text(path: str) -> str:
    """The path text, written down by hand for the few odd characters in these trees."""
    return path.replace("%", "%25").replace("\\", "%5C").replace("\udcff", "%FF")


def _file1(file: File) -> dict[str, object]:
    return {
        "type": "file",
        "size": len(file.content),
        "sha256": hashlib.sha256(file.content).hexdigest(),
        "mtime_ns": int(file.mtime // 1) * SECOND + round(file.mtime % 1 * SECOND),
    }


# --- format 2 ------------------------------------------------------------------------------------------------------


def make_checkpoint() -> Made:
    """The third commit names a checkpoint, which one would not with so few."""
    with mock.patch.object(checkpoint, "FEWEST_DIFFS", 2):
        return make_format2(meta_pipeline=["compress"])


def make_format2(crypto: rrbackup.CryptoSettings | None = None, **pipelines: Any) -> Made:
    store = MemoryStore()
    with tempfile.TemporaryDirectory() as folder, _fixed_world(store):
        base = Path(folder) / "tree"
        config = rrbackup.Config(
            base_path=str(base),
            local_manifest_file=f"{folder}/manifest",
            local_lock_file=f"{folder}/lock",
            directory=rrbackup.DirectorySettings(path=f"{folder}/unused"),
            follow_symlinks=False,
            crypto=crypto,
            **pipelines,
        )
        commits = []
        for edit in (_first_edit, _second_edit, _third_edit):
            edit(base)
            commits.append(_commit2(config, store, base))
        before = _file_versions(store, Names())
        _write(base / "orphan.txt", b"never committed\n")
        _still(base)
        _crash2(config, store)
        orphans = sorted(_file_versions(store, Names()) - before)
    return store, Names(), commits, [list(orphan) for orphan in orphans]


def _first_edit(base: Path) -> None:
    for path, content in (
        ("a.txt", b"one\n"),
        ("copy of a.txt", b"one\n"),
        ("empty", b""),
        ("folder/big.bin", BIG),
        ("folder/100% \\ grün ☂.txt", b"umbrella\n"),
        ("folder/not UTF-8 \udcff", b"not UTF-8\n"),
        ("n" * 250, b"a long name\n"),
        ("line\nbreak", b"a line break\n"),
        ("gone.txt", b"soon gone\n"),
    ):
        _write(base / path, content)
    (base / "empty folder").mkdir()
    (base / "link").symlink_to("folder/big.bin")


def _second_edit(base: Path) -> None:
    (base / "gone.txt").unlink()
    (base / "empty folder").rmdir()
    _write(base / "a.txt", b"two\n")
    (base / "empty").chmod(0o600)
    (base / "link").unlink()
    (base / "link").symlink_to("a.txt")


def _third_edit(base: Path) -> None:
    _write(base / "gone.txt", b"back again\n")
    _write(base / "empty", b"no longer empty\n")
    (base / "copy of a.txt").unlink()
    _write(base / "copy of a.txt/now a folder", b"one\n")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o640)


def _still(base: Path) -> None:
    """Give everything a time that depends only on its path and content."""
    for path in sorted(base.rglob("*"), reverse=True):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        number = int.from_bytes(hashlib.sha256(os.fsencode(path.relative_to(base)) + content).digest()[:4], "big")
        os.utime(path, ns=(0, 1_600_000_000 * SECOND + number), follow_symlinks=False)


def _commit2(config: rrbackup.Config, store: MemoryStore, base: Path) -> dict[str, object]:
    _still(base)
    store.clock_ns += SECOND
    with rrbackup.open_repository(config, store=store, threads=1) as repository:
        result = repository.backup()
    assert result.complete
    return {"version_id": result.version_id, "tree": _tree2(base)}


BEFORE_PUBLISHING = 5
"""The number of the request that publishes, where no salt object has to be read."""


def _crash2(config: rrbackup.Config, store: MemoryStore) -> None:
    """Die right before the diff is published."""
    number = BEFORE_PUBLISHING + (config.crypto is not None)
    dying = store.client(faults=[Fault(number, FaultKind.BEFORE)])
    with suppress(SimulatedCrash), rrbackup.open_repository(config, store=dying, threads=1) as repository:
        repository.backup()
    assert dying.crashed
    assert dying.calls[-1].key == Names().manifest


def _tree2(base: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(base.rglob("*")):
        is_plain_folder = path.is_dir() and not path.is_symlink()
        if not is_plain_folder or not any(path.iterdir()):
            text = _text("/" + str(path.relative_to(base))).replace("\n", "%0A")
            found[text] = _file2(path)
    return found


def _file2(path: Path) -> dict[str, object]:
    seen = path.lstat()
    common = {"mtime_ns": seen.st_mtime_ns, "mode": stat.S_IMODE(seen.st_mode), "sha256": None, "size": 0}
    if path.is_symlink():
        return {**common, "type": "symlink", "target": str(path.readlink())}
    if path.is_dir():
        return {**common, "type": "directory"}
    content = path.read_bytes()
    return {**common, "type": "file", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@contextmanager
def _fixed_world(store: MemoryStore) -> Iterator[None]:
    """Clock, entropy and host name that are the same every time."""
    numbers = count(1)

    def token(nbytes: int | None = None) -> str:
        return f"{next(numbers):0{2 * (nbytes or 16)}x}"

    with (
        mock.patch("socket.gethostname", return_value="golden"),
        mock.patch("secrets.token_hex", side_effect=token),
        mock.patch("time.time_ns", side_effect=lambda: store.clock_ns),
    ):
        yield


# --- writing down --------------------------------------------------------------------------------------------------

RENAMED = Names(manifest="asdfgjkll", claim="cvbnmoytety", garbage="zxcvb", salt="qwertyuio")

MAKERS: dict[str, Callable[[], Made]] = {
    "format1-plain": lambda: make_format1(False, False, Names(), left_over=True),
    "format1-encrypted": lambda: make_format1(True, True, Names(), left_over=True),
    "format1-renamed": lambda: make_format1(True, False, RENAMED, left_over=False),
    "format2-plain": make_format2,
    "format2-checkpoint": make_checkpoint,
    "format2-encrypted": lambda: make_format2(
        rrbackup.CryptoSettings(crypt_password=PASSWORD.decode(), kdf_passes=4, kdf_memory=32 << 20),
        meta_pipeline=["compress", "encrypt"],
        file_pipeline=[
            ["/a.txt", ["encrypt"]],
            ["/folder/*", ["hash_names", "compress", "encrypt"]],
            ["/n*", ["compress"]],
            ["/gone*", ["hash_names"]],
            ["*", []],
        ],
        chunk_size=65_536,
    ),
}


def write(folder: str) -> None:
    store, names, commits, orphans = MAKERS[folder]()
    target = GOLDEN / folder
    target.mkdir()
    _write_json(target / "store.json", {"names": vars(names), "versions": dump(store)})
    _write_json(target / "expected.json", {"commits": commits, "orphans": orphans})


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(name)
