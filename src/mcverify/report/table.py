"""Many results in one table on the terminal: a row for each routine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mcverify.proof.result import RoutineResult, Verdict
from mcverify.report.summary import at, wrong
from mcverify.report.terminal import STYLES, print_trimmed, standard_output

_SHOWN = 3
"""Obligations that are named in a row."""

_WIDEST = 1000

_OF_THE_INPUT = ("headers of the kernel", "mcverify's stand-in", "routine ")
"""How remarks on a file begin that the results of all its routines carry."""


def print_table(results: Sequence[RoutineResult], console: Console | None = None) -> None:
    """Print a row for each result: verdict, routine, file, contract, slack, what is wrong; then the remarks
    on all of them, each once."""
    out = console if console is not None else standard_output()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("verdict", "routine", "file", "contract", "slack", "what is wrong"):
        table.add_column(name, no_wrap=True, justify="right" if name == "slack" else "left")
    for result in results:
        table.add_row(*_row(result))
    table.width = Measurement.get(out, out.options.update(max_width=_WIDEST), table).maximum
    print_trimmed(table, out, soft_wrap=True)
    if notes := list(dict.fromkeys(_said(results))):
        print_trimmed(Text("\nnote", "bold yellow"), out)
        for note in notes:
            print_trimmed(Text(f"- {note}"), out, soft_wrap=True)
    print_trimmed(Text(f"\n{counts(results)}"), out)


def counts(results: Iterable[RoutineResult]) -> str:
    """How many results there are of each verdict; those without a contract apart from what is unknown."""
    words = [said(result) for result in results]
    kinds = [*(str(v) for v in (Verdict.PROVED, Verdict.REFUTED, Verdict.UNKNOWN)), NO_CONTRACT]
    return ", ".join(f"{words.count(kind)} {kind}" for kind in kinds if kind in words)


NO_CONTRACT = "no contract"


def said(result: RoutineResult) -> str:
    """The verdict, or that there is no contract to be held against."""
    return NO_CONTRACT if result.contract is None else str(result.verdict)


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
    if broken:
        return ", ".join(at(o) for o in broken[:_SHOWN]) + (", ..." if len(broken) > _SHOWN else "")
    return "" if result.contract is None or not result.unknowns else result.unknowns[0]


def _said(results: Iterable[RoutineResult]) -> Iterable[str]:
    for result in results:
        yield from (a for a in result.assumptions if a.startswith(_OF_THE_INPUT) or "CONFIG" in a)
        yield from result.notes
