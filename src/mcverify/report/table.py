"""Many results in one table on the terminal: a row for each routine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.callers import open_claims
from mcverify.report.summary import at, counts, narrowed, said, wrong
from mcverify.report.terminal import STYLES, print_trimmed, standard_output
from mcverify.report.wide import fits, print_hanging, print_whole

_SHOWN = 3
"""Obligations that are named in a row."""

_COLUMNS = ("verdict", "routine", "file", "contract", "slack", "what is wrong")
_FILE, _LAST = "file", "what is wrong"
_GAP = 3

_OF_THE_INPUT = ("headers of the kernel", "mcverify's stand-in", "routine ")
"""How remarks on a file begin that the results of all its routines carry."""


def print_table(results: Sequence[RoutineResult], console: Console | None = None) -> None:
    """Print a row for each result: verdict, routine, file, contract, slack, what is wrong; then the remarks
    on all of them, each once. On a terminal that is too narrow the file stands above its routines."""
    out = console if console is not None else standard_output()
    rows = [_row(result) for result in results]
    if fits(table := _table(rows), out):
        print_whole(table, out)
    else:
        _print_by_file(rows, out)
    if notes := list(dict.fromkeys(_said(results))):
        print_trimmed(Text("\nnote", "bold yellow"), out)
        for note in notes:
            print_hanging("- ", note, out)
    more = "" if all(r.verdict is Verdict.PROVED for r in results) else " (-v: each in full)"
    print_trimmed(Text(f"\n{counts(results)}{more}"), out)


def _table(
    rows: Iterable[Sequence[Text]], widths: Mapping[str, int] | None = None, *, heads: bool = True
) -> Table:
    """The rows as a table; of given `widths` it has these columns alone, and cells may break."""
    table = Table(
        box=box.SIMPLE_HEAD, show_header=heads, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0)
    )
    if widths is not None:
        table.width = sum(widths.values()) + _GAP * (len(widths) - 1)
    for name in widths or _COLUMNS:
        width = widths[name] if widths is not None else None
        justify: JustifyMethod = "right" if name == "slack" else "left"
        table.add_column(name, width=width, no_wrap=widths is None, overflow="fold", justify=justify)
    for row in rows:
        table.add_row(
            *(cell for name, cell in zip(_COLUMNS, row, strict=True) if name in (widths or _COLUMNS))
        )
    return table


def _print_by_file(rows: Sequence[Sequence[Text]], out: Console) -> None:
    widths = _narrow(rows, out.width)
    print_trimmed(_table([], widths), out, soft_wrap=True)
    for file, own in groupby(rows, key=lambda row: row[_COLUMNS.index(_FILE)]):
        print_trimmed(file, out, soft_wrap=True)
        print_trimmed(_table(own, widths, heads=False), out, soft_wrap=True)


def _narrow(rows: Sequence[Sequence[Text]], room: int) -> dict[str, int]:
    """Widths for a terminal of `room` columns: what is wrong may break, and a routine before its variant."""
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    widths = {
        name: max(len(name), *(cell.cell_len for cell in cells))
        for name, cells in columns.items()
        if name != _FILE
    }
    widths[_LAST] = len(_LAST)
    left = room - sum(widths.values()) - _GAP * (len(widths) - 1) + widths["routine"]
    longest = max(len(word) for cell in columns["routine"] for word in cell.plain.split())
    widths["routine"] = min(widths["routine"], max(longest, left))
    widths[_LAST] += max(0, left - widths["routine"])
    return widths


def _row(result: RoutineResult) -> list[Text]:
    return [
        Text(said(result), STYLES[result.verdict]),
        Text(result.title),
        Text(Path(result.file).name, "cyan"),
        Text(result.contract.name if result.contract else "-"),
        Text("" if result.slack is None else str(result.slack)),
        Text(_wrong(result)),
    ]


def _wrong(result: RoutineResult) -> str:
    broken = [] if result.verdict is Verdict.PROVED else wrong(result, result.verdict)
    parts = [", ".join(at(o) for o in broken[:_SHOWN]) + (", ..." if len(broken) > _SHOWN else "")]
    parts += open_claims(result)
    if any(parts):
        return "; ".join(filter(None, parts))
    return "" if result.contract is None or not result.unknowns else result.unknowns[0]


def _said(results: Iterable[RoutineResult]) -> Iterable[str]:
    for result in results:
        yield from (a for a in result.assumptions if a.startswith(_OF_THE_INPUT) or "CONFIG" in a)
        if less := narrowed(result):
            yield f"{result.title} ({Path(result.file).name}): {', '.join(less)}"
        yield from result.notes
