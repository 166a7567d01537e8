"""How much memory it takes to encrypt a big file and to bring it back: bounded, whatever its size.

Measured from outside, in a process for each direction: the most that it ever held, with everything that Python and the
derivation of the key take.
"""

import filecmp
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.servers import S3Server

MIB = 1 << 20
LIMIT_MIB = 300
WORDS = ["hash_names", "compress", "encrypt"]
USUAL = {"crypt_password": "a pässword"}
LEAST = {**USUAL, "kdf_passes": 4, "kdf_memory": 32 << 20}

PROGRAM = """
import sys
import rrbackup

action, configuration, *target = sys.argv[1:]
with rrbackup.open_repository(rrbackup.load_config(configuration)) as repository:
    result = repository.backup() if action == "backup" else repository.download("latest", *target)
    assert result.problems == ()
    (entry,) = repository.list_files()
    print(entry.object.stored_size, *entry.object.applied)
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak) // 1024)
"""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder that is gone afterwards: pytest keeps those of the last runs, and these are big."""
    yield tmp_path / "room"
    shutil.rmtree(tmp_path / "room")


def blocks(size: int) -> Iterator[bytes]:
    """Text that shrinks, from random digits that come again only where no compressor remembers them."""
    block = Random(size).randbytes(8 * MIB).hex().encode()
    for start in range(0, size, len(block)):
        yield block[: min(len(block), size - start)]


def configuration(folder: Path, size: int, crypto: dict[str, Any], store: dict[str, Any]) -> Path:
    base = folder / "base"
    base.mkdir(parents=True)
    with (base / "big").open("wb") as file:
        file.writelines(blocks(size))
    path = folder / "c.json"
    settings = {
        "base_path": str(base),
        "local_manifest_file": str(folder / "manifest"),
        "local_lock_file": str(folder / "lock"),
        "crypto": crypto,
        "meta_pipeline": ["compress", "encrypt"],
        "file_pipeline": [["*", WORDS]],
    }
    path.write_text(json.dumps({**settings, **store}))
    return path


def in_directory(folder: Path) -> dict[str, Any]:
    return {"directory": {"path": str(folder / "store")}}


def in_bucket(server: S3Server) -> dict[str, Any]:
    keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    return {"s3": {"bucket": server.new_bucket(), "endpoint": server.endpoint, **keys}}


def peaks(folder: Path, size: int, crypto: dict[str, Any], store: dict[str, Any]) -> tuple[int, int]:
    """MiB at the peaks of a backup and of a restore, which gave the same file back."""
    config = configuration(folder, size, crypto, store)
    found = []
    for words in (["backup", str(config)], ["download", str(config), str(folder / "out")]):
        ran = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
        stored, peak = ran.stdout.splitlines()
        assert stored.split()[1:] == WORDS
        assert size * 0.4 < int(stored.split()[0]) < size * 0.7, "it was compressed as a whole"
        found.append(int(peak))
    assert filecmp.cmp(folder / "base" / "big", folder / "out" / "big", shallow=False)
    return found[0], found[1]


@pytest.mark.parametrize(("kind", "more"), [("directory", 20), pytest.param("seaweedfs", 60, marks=pytest.mark.deep)])
def test_a_file_of_100_mb_through_all_words_and_back(
    room: Path, request: pytest.FixtureRequest, kind: str, more: int
) -> None:
    """It takes at most `more` MiB more than a file of 20 MB: the parts of an upload that are under way at once."""
    found = {}
    for size in (20_000_000, 100_000_000):
        folder = room / str(size)
        store = in_directory(folder) if kind == "directory" else in_bucket(request.getfixturevalue("seaweed"))
        found[size] = peaks(folder, size, LEAST, store)
    small, big = found.values()
    assert max(big) < LIMIT_MIB, found
    assert all(after - before < more for before, after in zip(small, big, strict=True)), found


@pytest.mark.deep
def test_with_the_usual_cost_of_a_password(room: Path) -> None:
    found = peaks(room, 100_000_000, USUAL, in_directory(room))
    assert max(found) < LIMIT_MIB, found


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["directory", "seaweedfs"])
def test_a_file_of_3_gb_through_all_words_and_back(room: Path, request: pytest.FixtureRequest, kind: str) -> None:
    store = in_directory(room) if kind == "directory" else in_bucket(request.getfixturevalue("seaweed"))
    found = peaks(room, 3_000_000_000, USUAL, store)
    assert max(found) < LIMIT_MIB, found
