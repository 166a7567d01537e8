"""Where a case is measured: its server, its folders, the trees, and the tools that are there."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from attrs import field, frozen

from bench.data import Tree, made
from bench.server import drop_bucket, seaweed
from bench.tools import Room, Tool
from tests.servers import S3Server


@frozen
class Setting:
    """What holds for all cases of a run. `peers` are the tools beside rrbackup that are installed."""

    cache: Path
    work: Path
    rounds: int
    quick: bool
    trees: Mapping[str, Tree]
    peers: frozenset[str]
    say: Callable[[str], None]


@frozen
class Lab:
    setting: Setting
    server: S3Server
    work: Path
    _numbers: Iterator[int] = field(factory=count, repr=False)

    def folder(self, name: str) -> Path:
        new = self.work / f"{name.replace(' ', '-')}-{next(self._numbers)}"
        new.mkdir()
        return new

    def room(self, tool: Tool) -> Room:
        """A fresh bucket, and a fresh folder, for one tool."""
        return Room(self.server, self.server.new_bucket(versioned=tool.versioned), self.folder(tool.name))

    def leave(self, room: Room) -> None:
        drop_bucket(room.server, room.bucket)
        shutil.rmtree(room.folder)

    def tree(self, name: str) -> Tree:
        return self.setting.trees[name]

    def source(self, name: str) -> Path:
        return made(self.tree(name), self.setting.cache)

    def there(self, tools: Sequence[Tool]) -> list[Tool]:
        """The tools that can run here."""
        return [tool for tool in tools if tool.program in ("rrbackup", *self.setting.peers)]


@contextmanager
def opened(setting: Setting) -> Iterator[Lab]:
    """A lab with a server of its own, so that no case finds what another has left."""
    with tempfile.TemporaryDirectory(dir=setting.work, prefix="case-") as folder, seaweed(Path(folder)) as server:
        yield Lab(setting, server, Path(folder))
