"""Rows and columns: for a terminal in `terminal`, as lines for everything else here.

The rule: one row is one line with two blanks or more between its cells, and the last cell is not padded. A row is
printed when it is there: only rows that are held anyway are aligned to the widest.
"""

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

Row = Sequence[str]


@frozen
class Column:
    """`width` is that of most cells, for rows that are not known beforehand."""

    name: str
    width: int = 0
    right: bool = False


@frozen
class Table:
    columns: Sequence[Column]
    rows: Iterable[Row]


def plain_lines(table: Table) -> Iterator[str]:
    widths = [column.width for column in table.columns]
    if isinstance(table.rows, Sequence):
        widths = [max(map(len, cells)) for cells in zip(*table.rows, strict=True)]
    for row in table.rows:
        cells = zip(row, widths, table.columns, strict=True)
        padded = [cell.rjust(width) if column.right else cell.ljust(width) for cell, width, column in cells]
        yield "  ".join([*padded[:-1], row[-1]])
