"""A comparison of the lifter with the CPU, as a table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mcverify.report.terminal import print_trimmed, standard_output
from mcverify.silicon.compare import FormResult

_SHOWN = 3
"""Differences of one form that are printed."""


def print_forms(
    results: Sequence[FormResult], cpu: str, *, with_table: bool = True, console: Console | None = None
) -> None:
    """Print a row for each form, the first differences of each, and the sum in one line."""
    out = console if console is not None else standard_output()
    if with_table:
        print_trimmed(_table(results), out)
    for row in results:
        for difference in row.differences[:_SHOWN]:
            out.print(f"{row.form}: {difference.text} ({difference.code})", markup=False, soft_wrap=True)
            for sentence in difference.sentences:
                out.print(f"  lifted: {sentence}", markup=False, soft_wrap=True)
    agree = sum(1 for row in results if row.cases and not row.differences)
    cases = sum(row.cases for row in results)
    out.print(f"{agree} of {len(results)} forms agree with the CPU in {cases} cases ({cpu})", markup=False)


def _table(results: Sequence[FormResult]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("form", overflow="fold")
    for column in ("encodings", "cases", "faults"):
        table.add_column(column, justify="right")
    table.add_column("result", overflow="fold")
    for row in results:
        style = "bold red" if row.differences else "green" if row.cases else "yellow"
        table.add_row(
            row.form, str(row.encodings), str(row.cases), str(row.faults), Text(row.result, style=style)
        )
    return table
