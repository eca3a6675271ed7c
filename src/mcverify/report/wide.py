"""Tables and lines that may be wider than a terminal: whole in a pipe or a file, broken on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mcverify.report.terminal import print_trimmed

_ANY_WIDTH = 1000


def fits(table: Table, out: Console) -> bool:
    """Whether each row can stand in one line: always, but on a terminal that is narrower."""
    return not out.is_terminal or _whole(table, out) <= out.width


def print_whole(table: Table, out: Console) -> None:
    """Print a table with one line for each row, however long."""
    table.width = _whole(table, out)
    print_trimmed(table, out, soft_wrap=True)


def print_hanging(label: str, text: str, out: Console) -> None:
    """Print a line that begins with a label; what a terminal has no room for stands below the text."""
    if not out.is_terminal:
        print_trimmed(Text(label + text), out, soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label), Text(text))
    print_trimmed(grid, out)


def _whole(table: Table, out: Console) -> int:
    return Measurement.get(out, out.options.update(max_width=_ANY_WIDTH), table).maximum
