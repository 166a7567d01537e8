"""For tests of recover.py: a virtual environment that has nothing of rrbackup, and stores as one fetches them."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

from attrs import field, frozen

from rrbackup.effects.memory import MemoryStore

SCRIPT = Path(__file__).parents[1] / "rrbackup" / "recover" / "recover.py"
NEEDED = ("PyNaCl", "zstandard")
"""All that docs/recover.md tells people to install."""


class NoPackages(Exception):
    """The packages could not be installed."""


def python_with(packages: tuple[str, ...], shared: Path) -> Path:
    """The interpreter of a virtual environment with these packages, made once for all workers of a session.

    Raises NoPackages.
    """
    folder = shared / "recover-venv"
    python, note = folder / "bin" / "python", shared / "recover-venv.json"
    with (shared / "recover-venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            note.write_text(json.dumps(_make(folder, python, packages)))
    if reason := json.loads(note.read_text()):
        raise NoPackages(reason)
    return python


def _make(folder: Path, python: Path, packages: tuple[str, ...]) -> str:
    """Why it did not work; nothing if it did."""
    made = _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = made if made.returncode else _run(pip)
    return done.stderr.strip()[-500:] or "no reason given" if done.returncode else ""


def _run(command: list[str]) -> CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@frozen
class Recovery:
    """Runs the script as somebody would who has nothing else; warnings are errors.

    `folder` is where they stand, `memory` how many bytes of address space there are.
    """

    python: Path
    folder: Path
    password: str | None = field(default=None, repr=False)
    names: Mapping[str, str] = field(factory=dict)
    memory: int | None = None

    def __call__(self, *arguments: str | Path) -> CompletedProcess[str]:
        password = {} if self.password is None else {"RRBACKUP_PASSWORD": self.password}
        limit = ["sh", "-c", 'ulimit -v "$0"; exec "$@"', str(self.memory // 1024)] if self.memory else []
        return subprocess.run(
            [*limit, str(self.python), "-I", "-W", "error", str(SCRIPT), *map(str, arguments)],
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **password, **self.names},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def fetch(store: MemoryStore, folder: Path) -> Path:
    """Every version in `folder`, laid out as docs/recover.md says, stored a second apart in the order of their ids."""
    listed = sorted(store.list_versions(""), key=lambda version: version.version_id)
    for number, version in enumerate(version for version in listed if not version.marker):
        fetched = store.get(version.key, version.version_id)
        put(folder, version.key, f"{number}={version.version_id}", fetched.body, fetched.info.metadata)
        os.utime(folder / version.key / f"%v{number}={version.version_id}", (number, number))
    return folder


def put(folder: Path, key: str, name: str, body: bytes, metadata: Mapping[str, str] | None = None) -> Path:
    """One version, as a file and another one for its user metadata."""
    place = folder / key
    place.mkdir(parents=True, exist_ok=True)
    (place / f"%v{name}").write_bytes(body)
    (place / f"%m{name}").write_text(json.dumps(dict(metadata or {})))
    return place / f"%v{name}"
