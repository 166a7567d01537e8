"""What needs a terminal: a table, and the progress of a long operation. Imports rich, so it is imported only there."""

from collections.abc import Iterable
from itertools import islice
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column, Table
from rich.text import Text

from rrbackup.cli import tables
from rrbackup.cli.counting import Count
from rrbackup.cli.human import VERSION_COLUMNS, version_cells
from rrbackup.cli.listening import Teller
from rrbackup.cli.texts import shown
from rrbackup.events import Event, Notice
from rrbackup.pure.report import Version

_NUMBERS = slice(2, -1)
_AT_ONCE = 500


def print_versions(versions: Iterable[Version], stream: TextIO) -> None:
    right = VERSION_COLUMNS[_NUMBERS]
    columns = tuple(tables.Column(name, right=name in right) for name in VERSION_COLUMNS)
    print_table(tables.Table(columns, map(version_cells, versions)), stream)


def print_table(table: tables.Table, stream: TextIO) -> None:
    """In a narrow terminal an id goes on in the next line rather than being cut.

    A long table comes in parts, each with columns of its own widths: nothing waits for the last row.
    """
    console, rows = Console(file=stream, highlight=False), iter(table.rows)
    while part := list(islice(rows, _AT_ONCE)):
        console.print(_part(table.columns, part))


def _part(columns: Iterable[tables.Column], rows: Iterable[tables.Row]) -> Table:
    made = Table(
        *(Column(c.name, justify="right" if c.right else "left", overflow="fold") for c in columns),
        box=None,
        pad_edge=False,
    )
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    return made


class ProgressDisplay:
    """Shows files, bytes, rate and time left while events come in; what there is to say is printed above it.

    It begins with the first event of the work itself: a question for the password must not be painted over.
    """

    def __init__(self, stream: TextIO, *, verbose: bool) -> None:
        self._console = Console(file=stream, highlight=False)
        self._tell = Teller(self._note, verbose)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._count = Count()
        self._task: TaskID = self._progress.add_task(self._count.description, total=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def _note(self, text: str) -> None:
        self._console.print(Text(f"rrbackup: {shown(text)}"), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        self._tell(event)
        if not isinstance(event, Notice):
            self._progress.start()
        self._count.take(event)
        self._progress.update(
            self._task,
            total=self._count.total,
            completed=self._count.bytes,
            description=self._count.description,
        )
