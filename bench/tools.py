"""The tools that are compared: how each is told to back up a tree and to bring it back.

Each gets a *room* of its own: a bucket, and a folder for what it keeps on this machine. The peers get what is best for
them: see the flags, and bench/README.md for why they are there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, ClassVar, Protocol

from attrs import field, frozen

import rrbackup
from bench.processes import Command, run
from tests.servers import S3Server

PASSWORD = "a password for the benchmark"
PEERS = frozenset({"restic", "rclone"})
ALL_WORDS = ("hash_names", "compress", "encrypt")
CODE = Path(rrbackup.__file__).parents[1]
"""Where the rrbackup lies that is measured: the one that this process imports."""
HERE = Path(__file__).parents[1]


@frozen
class Room:
    server: S3Server
    bucket: str
    folder: Path

    def keys(self, name: str, secret: str) -> dict[str, str]:
        return {name: self.server.access_key, secret: self.server.secret_key}


class Tool(Protocol):
    """`endpoint` is the server's, or that of a proxy in front of it."""

    @property
    def name(self) -> str: ...

    @property
    def program(self) -> str:
        """What has to be installed."""
        ...

    @property
    def versioned(self) -> bool:
        """Whether it wants a bucket that keeps versions."""
        ...

    def prepare(self, room: Room) -> None:
        """What comes before the first backup."""
        ...

    def back_up(self, room: Room, source: Path, endpoint: str) -> Command: ...

    def restore(self, room: Room, target: Path, endpoint: str) -> Command: ...

    def restored(self, target: Path, source: Path) -> Path:
        """Where in the target the tree lies."""
        ...


@frozen
class RRBackup:
    """`words` is the file pipeline; with any, the metadata is compressed and encrypted too."""

    name: str = "rrbackup"
    words: tuple[str, ...] = ()
    program: ClassVar[str] = "rrbackup"
    versioned: ClassVar[bool] = True

    def prepare(self, room: Room) -> None:
        self.configure(room, room.folder / "no-tree", room.server.endpoint)
        run(self.command(room, "init"))

    def configure(self, room: Room, source: Path, endpoint: str, *, follow_symlinks: bool = True) -> None:
        settings: dict[str, Any] = {
            "base_path": str(source),
            "local_manifest_file": str(room.folder / "manifest"),
            "local_lock_file": str(room.folder / "lock"),
            "follow_symlinks": follow_symlinks,
            "s3": {
                "bucket": room.bucket,
                "endpoint": endpoint,
                "region": "us-east-1",
                **room.keys("access_key", "secret_key"),
            },
        }
        if self.words:
            settings["crypto"] = {"crypt_password": PASSWORD}
            settings["file_pipeline"] = [["*", list(self.words)]]
            settings["meta_pipeline"] = ["compress", "encrypt"]
        self.configuration(room).write_text(json.dumps(settings))

    def configuration(self, room: Room) -> Path:
        return room.folder / "configuration.json"

    def command(self, room: Room, *words: str) -> Command:
        return rrbackup_command("--c", str(self.configuration(room)), *words)

    def back_up(self, room: Room, source: Path, endpoint: str) -> Command:
        self.configure(room, source, endpoint)
        return self.command(room, "-q", "--json", "backup")

    def restore(self, room: Room, target: Path, endpoint: str) -> Command:
        self.configure(room, room.folder / "no-tree", endpoint)
        return self.command(room, "-q", "--json", "download", "latest", str(target))

    def restored(self, target: Path, source: Path) -> Path:
        return target


def rrbackup_command(*words: str) -> Command:
    return python_command("rrbackup", *words)


def python_command(module: str, *words: str) -> Command:
    """With the rrbackup that is measured, and this benchmark."""
    path = os.pathsep.join(dict.fromkeys((str(CODE), str(HERE))))
    return Command((sys.executable, "-m", module, *words), {"PYTHONPATH": path, "HOME": "/nonexistent"})


@frozen
class Restic:
    """As it comes: it encrypts, and compresses as it sees fit. Its cache is its own, and on, as usual."""

    name: str = "restic"
    program: ClassVar[str] = "restic"
    versioned: ClassVar[bool] = False

    def prepare(self, room: Room) -> None:
        run(self._command(room, room.server.endpoint, "init"))

    def back_up(self, room: Room, source: Path, endpoint: str) -> Command:
        return self._command(room, endpoint, "backup", "--host", "bench", str(source))

    def restore(self, room: Room, target: Path, endpoint: str) -> Command:
        return self._command(room, endpoint, "restore", "latest", "--target", str(target))

    def restored(self, target: Path, source: Path) -> Path:
        return target / source.relative_to("/")

    def _command(self, room: Room, endpoint: str, *words: str) -> Command:
        env = {
            "RESTIC_REPOSITORY": f"s3:{endpoint}/{room.bucket}",
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(room.folder / "cache"),
            "AWS_DEFAULT_REGION": "us-east-1",
            **room.keys("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        }
        return Command(("restic", *words), env)


@frozen
class Rclone:
    """A mirror, without history: one object a file, plain."""

    transfers: int = 16
    name: str = "rclone"
    versioned: bool = False
    flags: tuple[str, ...] = field(default=("--fast-list", "--update", "--use-server-modtime"))
    program: ClassVar[str] = "rclone"

    def prepare(self, room: Room) -> None:
        pass

    def back_up(self, room: Room, source: Path, endpoint: str) -> Command:
        return self._command(room, endpoint, "sync", str(source), f"store:{room.bucket}", *self.flags)

    def restore(self, room: Room, target: Path, endpoint: str) -> Command:
        return self._command(room, endpoint, "copy", f"store:{room.bucket}", str(target), "--fast-list")

    def restored(self, target: Path, source: Path) -> Path:
        return target

    def _command(self, room: Room, endpoint: str, *words: str) -> Command:
        env = {
            "RCLONE_CONFIG": str(room.folder / "rclone.conf"),
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENDPOINT": endpoint,
            "RCLONE_CONFIG_STORE_REGION": "us-east-1",
            "RCLONE_S3_NO_CHECK_BUCKET": "true",
            "RCLONE_S3_NO_HEAD": "true",
            **room.keys("RCLONE_CONFIG_STORE_ACCESS_KEY_ID", "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY"),
        }
        number = str(self.transfers)
        return Command(("rclone", "--transfers", number, "--checkers", number, *words), env)
