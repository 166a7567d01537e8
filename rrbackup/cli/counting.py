"""How far a long operation has come: from its events to the numbers that a display shows.

The rule: a file's bytes count while it is read, and as its size once it is settled. A file may be read twice, so
what is under way never counts beyond the sum that was announced.
"""

from rrbackup.cli.texts import counted, human_bytes
from rrbackup.events import (
    BytesMoved,
    CheckPlanned,
    Comparing,
    CopyPlanned,
    DownloadPlanned,
    Event,
    FileDone,
    PlanMade,
    ProblemFound,
    Scanning,
)
from rrbackup.pure.model import Problem, ProblemKind


class Count:
    """`total` and `bytes` are bytes; `total` is None until it is known."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.description = "looking"
        self._files = 0
        self._done = 0
        self._settled = 0
        self._moving: dict[str, int] = {}

    @property
    def bytes(self) -> int:
        return min(self.total or 0, self._settled + sum(self._moving.values()))

    def take(self, event: Event) -> None:
        match event:
            case Scanning(found=found):
                self.description = f"scanning: {counted(found, 'entry', 'entries')}"
            case Comparing(files=files, size=size):
                self.description = f"comparing: {counted(files, 'file', 'files')}, {human_bytes(size)}"
            case PlanMade() | DownloadPlanned() | CheckPlanned() | CopyPlanned():
                files, size = event.files, event.size
                self._expect(files, size)
            case BytesMoved(path=path, count=count):
                self._moving[path] = self._moving.get(path, 0) + count
            case FileDone(path=path, size=size):
                self._settle(path, size)
            case ProblemFound(problem=problem) if self._ends(problem):
                self._settle(problem.path, 0)
            case _:
                pass

    def _ends(self, problem: Problem) -> bool:
        """Whether a file is settled by it: not while the tree is looked at, nor where its content is stored anyway."""
        return self.total is not None and problem.kind is not ProblemKind.CHANGING

    def _expect(self, files: int, size: int) -> None:
        self._files, self.total = files, size
        self._describe()

    def _settle(self, path: str, size: int) -> None:
        self._moving.pop(path, None)
        self._done += 1
        self._settled += size
        self._describe()

    def _describe(self) -> None:
        self.description = f"{self._done} of {counted(self._files, 'file', 'files')}"
