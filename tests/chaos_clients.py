"""Clients for rounds of chaos: real `rrbackup` processes, killed at moments drawn from a seed.

Each client has a tree, a configuration and local files of its own. A tree says whose it is: the file `whose` names the
client and the step, so no two trees are ever equal, and a commit can be told to hold one of them. Trees change only
between two runs of their client.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from attrs import define, field, frozen

from tests.store_checker import Tree

COMMAND = [sys.executable, "-m", "rrbackup"]
_LIMIT_S = 120
LOSSES = {
    11: {"ClientAtWork", "StalePlan", "TransactionLost"},
    1: {"OutcomeUnknown", "StoreUnavailable"},
}
"""The exit codes that bad luck may lead to, with the errors that they may stand for."""

# `python -m rrbackup`, but every change to the store is noted down and takes a little longer, so that clients get into
# each other's way; before the n-th, or the n-th upload, the process is killed.
_WITNESSED = """
import os, random, runpy, sys, time
inside, noted, left = sys.argv[1], os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT), int(sys.argv[3])
chance, uploads = random.Random(sys.argv[2]), sys.argv[4] == "uploads"
changing = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}
def text(name):
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
def witness(event, args):
    global left
    opened = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event not in changing and not opened:
        return
    if not text(args[0]).startswith(("%", inside)):
        return
    if event == "os.rename":
        os.write(noted, text(args[1]).rpartition("/")[2].encode() + b"\\n")
    if not uploads or (event == "os.rename" and "/files/" in text(args[0])):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
    if chance.random() < 0.3:
        time.sleep(chance.random() * 0.03)
sys.argv[:] = ["rrbackup", *sys.argv[5:]]
sys.addaudithook(witness)
runpy.run_module("rrbackup", run_name="__main__", alter_sys=True)
"""


@frozen
class Run:
    """One process that has ended. `fatal` says whether it was to be killed."""

    name: str
    step: int
    words: tuple[str, ...]
    fatal: bool
    code: int
    stdout: str = field(repr=False)
    stderr: str

    @property
    def fault(self) -> str:
        """What is wrong with how it ended; empty for what is documented."""
        if "Traceback" in self.stderr:
            return f"{self}: a traceback"
        if self.code == 0 or (self.fatal and self.code == -signal.SIGKILL):
            return ""
        error = json.loads(self.stdout)["error"] if self.stdout else {"type": "nothing was said"}
        return "" if error["type"] in LOSSES.get(self.code, ()) else f"{self}: {error}"


Started = Callable[["subprocess.Popen[str]"], None]


@define
class ChaosClient:
    """`folder` holds everything of this client; `store` is its part of the configuration about the store."""

    name: str
    folder: Path
    settings: dict[str, object]
    chance: random.Random
    big: bool = False
    step: int = 0
    runs: list[Run] = field(factory=list)
    trees: dict[int, Tree] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.base.mkdir(parents=True)
        local = {"local_manifest_file": str(self.folder / "manifest"), "local_lock_file": str(self.folder / "lock")}
        self.config.write_text(json.dumps({"base_path": str(self.base), **local, **self.settings}))
        self.config.chmod(0o600)

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def config(self) -> Path:
        return self.folder / "configuration.json"

    @property
    def may_delete(self) -> bool:
        return self.settings.get("allow_delete_versions", True) is True

    # --- its tree ----------------------------------------------------------------------------------------------

    def change(self) -> None:
        """Another step: some files come, change or go, and the tree says that it is a new one."""
        self.step += 1
        names = [f"{folder}/f {n}%" for folder in ("a", "b.d", "c") for n in range(4)]
        for name in self.chance.sample(names, self.chance.randrange(5, 11)):
            self._put(name, self._content())
        for name in self.chance.sample(names, 2):
            (self.base / name).unlink(missing_ok=True)
        if self.big:
            self._put("big", self.chance.randbytes(1 << 10) * (9 << 10))
        self._put("whose", f"{self.name} {self.step}".encode())
        self.trees[self.step] = look(self.base)

    def _content(self) -> bytes:
        """Small, often the same as of another file or client, sometimes nothing."""
        match self.chance.choice(["empty", "shared", "own", "own", "own"]):
            case "empty":
                return b""
            case "shared":
                return b"%d shared " % self.chance.randrange(4) * 50
            case _:
                return self.chance.randbytes(200)

    def _put(self, name: str, content: bytes) -> None:
        path = self.base / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    # --- its processes -----------------------------------------------------------------------------------------

    def run(self, *words: str, fatal: bool = False, started: Started = lambda process: None) -> Run:
        """Run a command to its end. `started` is given the process."""
        return self._ended([*COMMAND], words, fatal, started)

    def run_witnessed(self, *words: str, store: Path, kill_at: int, uploads: bool) -> Run:
        """Run a command that is killed before its `kill_at`-th change, or upload (0: never)."""
        noted = self.folder / f"versions of {len(self.runs)}"
        command = [
            sys.executable,
            "-c",
            _WITNESSED,
            str(store),
            str(noted),
            str(kill_at),
            "uploads" if uploads else "all",
        ]
        return self._ended(command, words, kill_at > 0, lambda process: None)

    def _ended(self, command: list[str], words: tuple[str, ...], fatal: bool, started: Started) -> Run:
        line = [*command, *words, "--json", "-v", "-c", str(self.config)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            started(process)
            try:
                stdout, stderr = process.communicate(timeout=_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        run = Run(self.run_name, self.step, words, fatal, process.returncode, stdout, stderr)
        self.runs.append(run)
        return run

    @property
    def run_name(self) -> str:
        """Of the run that is under way, or the next one."""
        return f"{self.name} run {len(self.runs)}"

    def makers(self) -> dict[str, str]:
        """By version id in a folder: the run that made it."""
        made: dict[str, str] = {}
        for number, run in enumerate(self.runs):
            noted = self.folder / f"versions of {number}"
            lines = noted.read_text().splitlines() if noted.exists() else []
            made.update({name[2:]: run.name for name in lines if name.startswith("%v")})
        return made


def look(base: Path) -> Tree:
    """The tree on disk, as a commit must show it. Names here need no escapes but that of the per cent sign."""
    found = {}
    for folder, names, files in os.walk(base):
        for name in files:
            path = Path(folder, name)
            found[_text(base, path)] = sha256(path.read_bytes()).hexdigest()
        if not names and not files and Path(folder) != base:
            found[_text(base, Path(folder))] = "folder"
    return found


def _text(base: Path, path: Path) -> str:
    return "/" + path.relative_to(base).as_posix().replace("%", "%25")
