"""A folder with a tree and a directory store, and the command line run on them inside this process."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from rrbackup.cli import main
from rrbackup.effects.directory import DirectoryStore


@frozen
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What `--json` printed: one document, nothing else."""
        return json.loads(self.out)


class Bench:
    """`run` calls the command with `--c` set to its own configuration."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.source = folder / "source"
        self.store = folder / "store"
        self.target = folder / "target"
        self.config = folder / "backup.json"
        self.lock = folder / "lock"
        self.source.mkdir()
        (self.source / "folder").mkdir()
        (self.source / "a").write_bytes(b"first")
        (self.source / "folder" / "b").write_bytes(b"second one")
        self.configure()

    def configure(self, **more: object) -> None:
        document = {
            "base_path": str(self.source),
            "local_manifest_file": str(self.config.with_name("manifest")),
            "local_lock_file": str(self.lock),
            "directory": {"path": str(self.store)},
            **more,
        }
        self.config.write_text(json.dumps(document))

    def run(self, *words: str) -> Ran:
        return self.bare("--c", str(self.config), *words)

    def bare(self, *words: str) -> Ran:
        self._capsys.readouterr()
        code = main(words)
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    def directory_store(self) -> DirectoryStore:
        return DirectoryStore(self.store)

    def break_a_file(self) -> None:
        """A link that leads nowhere cannot be read, not even by root."""
        (self.source / "broken").symlink_to("nowhere")
