"""The result as a table on the terminal: one row per exit, then the verdict and what it rests on."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import copy

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcverify.contract import contract_for
from mcverify.proof.result import SUCCESS, Exit, RoutineResult, Verdict
from mcverify.report.callers import assumed_of, caller_lines, open_claims, resume_words
from mcverify.report.cause import Cause, causes
from mcverify.report.obligations import NAMES, title
from mcverify.report.place import parse
from mcverify.report.summary import (
    at,
    breaks_words,
    columns,
    everywhere,
    exit_name,
    goes_on,
    narrowed,
    reasons,
    refuted_by_others,
    second_words,
    slack_words,
    time_words,
    verdict_at,
    verdict_words,
    wrong,
)
from mcverify.report.terminal_counterexample import render_counterexample
from mcverify.report.terminal_map import GLUE, Glyphs, glyphs_for
from mcverify.report.words import cut, local
from mcverify.shown import printable

MARKS = {
    Verdict.PROVED: Text("ok", "green"),
    Verdict.REFUTED: Text("FAIL", "bold red"),
    Verdict.UNKNOWN: Text("?", "bold yellow"),
}
"""A mark is read without colours too."""

STYLES = {Verdict.PROVED: "bold green", Verdict.REFUTED: "bold red", Verdict.UNKNOWN: "bold yellow"}
_NOT_ASKED = Text("-", "dim")
_LIMIT = 8
"""At most so many reasons and further counterexamples are listed; --json has all."""


_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
"""What rich sets colours with: the one control, but for the ends of lines, that goes to a terminal."""


def print_results(
    results: Sequence[RoutineResult], console: Console | None = None, *, verbose: bool = False
) -> None:
    """Print each routine's table and verdict; with several routines a summary of them at the end.

    `verbose` prints every counterexample in full, with all its steps.
    """
    out = console if console is not None else standard_output()
    for result in results:
        print_trimmed(render(result, out.width, glyphs_for(out.encoding), verbose=verbose), out)
    if len(results) > 1:
        print_lines(results, out)


def print_lines(results: Sequence[RoutineResult], console: Console | None = None) -> None:
    """Print one line per routine: its name, its verdict, the file, what was left out, the first thing that is
    wrong."""
    out = console if console is not None else standard_output()
    width = max(len(result.title) for result in results)
    for result in results:
        line = Text.assemble(
            (f"{result.verdict:<8}", STYLES[result.verdict]), f" {result.title:<{width}}  {result.file}"
        )
        broken = [] if result.verdict is Verdict.PROVED else wrong(result, result.verdict)
        if result.contract is None:
            line.append("  no contract")
        if less := [*_other_contract(result), *narrowed(result)]:
            line.append(f"  ({', '.join(less)})")
        if broken:
            line.append("  " + ", ".join(at(o) for o in broken[:3]) + (", ..." if len(broken) > 3 else ""))
        if claims := open_claims(result):
            line.append("  " + "; ".join(claims))
        print_trimmed(line, out, soft_wrap=True)


def _other_contract(result: RoutineResult) -> list[str]:
    """The contract, where it is not the one that the routine bears by its name: an option may have replaced
    that of a comment."""
    usual = contract_for(result.name)
    if result.contract is None or (usual is not None and result.contract.name == usual.name):
        return []
    return [f"contract {result.contract.name}"]


def render(result: RoutineResult, width: int, glyphs: Glyphs, *, verbose: bool = False) -> RenderableType:
    """Everything about one routine, for a terminal of `width` columns that can show `glyphs`."""
    parts: list[RenderableType] = [Text(), _heading(result), Text()]
    if result.exits:
        parts += [_Whole(_exit_table(result, width)), Text()]
    parts.append(Padding(_facts(result), (0, 0, 0, 2)))
    parts += [Padding(part, (1, 0, 0, 2)) for part in _findings(result, glyphs, width, verbose)]
    parts.append(Text())
    return Group(*parts)


def standard_output() -> Console:
    """A console on standard output."""
    return Console(file=sys.stdout, highlight=False)


def print_trimmed(what: RenderableType, console: Console, *, soft_wrap: bool = False) -> None:
    """Print without the spaces with which rich fills each line. What the stream's encoding does not have,
    and control characters (a symbol of an object file may hold some), are written as escapes."""
    with console.capture() as capture:
        console.print(what, soft_wrap=soft_wrap, crop=False)
    parts = _COLOUR.split(capture.get().removesuffix("\n"))
    harmless = "".join(p if _COLOUR.fullmatch(p) else printable(p, f"\n{GLUE}") for p in parts)
    text = "".join(line.replace(GLUE, " ").rstrip() + "\n" for line in harmless.split("\n"))
    console.file.write(text.encode(console.encoding, "backslashreplace").decode(console.encoding))
    console.file.flush()


def _heading(result: RoutineResult) -> Text:
    known = (result.contract.name, "bold") if result.contract else ("none", "bold yellow")
    return Text.assemble("  ", (result.title, "bold"), f"  in {result.file}, contract ", known)


def _exit_table(result: RoutineResult, width: int) -> Table:
    """One row per exit, for `width` columns. No name and no place breaks: where they do not fit, their
    middles are cut out if that leaves them apart, else the table is wider than the terminal."""
    asked = columns(result)
    files = {place.file for row in result.exits if (place := parse(row.where))}
    own = next(iter(files)) if len(files) == 1 else result.file
    rows = [_Row(row, result, asked, own) for row in result.exits]
    shapes = [_ALL, _PLACES] if width >= _WIDE else [_PLACES]
    tables = [_table(rows, asked, shape) for shape in shapes]
    whole = tables[-1]
    for longest in _CUTS:
        if shorter := _cut(rows, longest):
            tables.append(_table(shorter, asked, _PLACES))
    return next((table for table in tables if _needed(table) <= width), whole)


_WIDE = 100
_INDENT = 2
_ANY_WIDTH = 10000
_ALL = {"continues at": "where", "after a fault at": "access"}
_PLACES = {"continues at": "where"}
_CUTS = (32, 24, 18)


class _Row:
    """An exit as the cells of its row; places in `own` have their line alone."""

    def __init__(self, row: Exit, result: RoutineResult, asked: Iterable[str], own: str) -> None:
        success = row.id == SUCCESS
        name = row.id if success else local(row.id, own)
        self.name = Text(name, "bold" if success else "")
        self.where = Text(local(row.where, own), "cyan")
        accesses = (local(access, own) for access in row.access.split(", "))
        self.access = Text("" if success else ", ".join(accesses), "cyan")
        self.has_count = bool(row.count) or goes_on(row, result)
        self.count = Text(f"(tries{GLUE}again)", "dim") if goes_on(row, result) else Text(row.count or "-")
        verdicts = [verdict_at(result, identifier, row) for identifier in asked]
        self.marks = [_NOT_ASKED if verdict is None else MARKS[verdict] for verdict in verdicts]


def _cut(rows: Sequence[_Row], longest: int) -> list[_Row]:
    """The rows with names and places of at most so many characters; none where two would be the same then."""
    shorter = [copy(row) for row in rows]
    for row, whole in zip(shorter, rows, strict=True):
        row.name = Text(cut(whole.name.plain, longest), whole.name.style)
        row.where = Text(cut(whole.where.plain, longest), whole.where.style)
    apart = all(
        len({getattr(row, cell).plain for row in shorter}) == len({getattr(row, cell).plain for row in rows})
        for cell in ("name", "where")
    )
    return shorter if apart else []


def _table(rows: Sequence[_Row], asked: Iterable[str], places: Mapping[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    cells: list[Sequence[Text]] = []
    for head, cell in {"exit": "name", **places}.items():
        cells.append([getattr(row, cell) for row in rows])
        longest = max(text.cell_len for text in (Text(head), *cells[-1]))
        table.add_column(head, no_wrap=True, min_width=longest)
    if any(row.has_count for row in rows):
        table.add_column("bytes left", min_width=10)
        cells.append([row.count for row in rows])
    for identifier in asked:
        table.add_column(identifier, justify="center", no_wrap=True)
    for row, own in zip(rows, zip(*cells, strict=True), strict=True):
        table.add_row(*own, *row.marks)
    return table


def _needed(table: Table) -> int:
    """How wide the indented table is if nothing but the counts wraps."""
    console = Console(width=_ANY_WIDTH, file=io.StringIO())
    return Measurement.get(console, console.options, table).minimum + _INDENT


class _Whole:
    """The table, indented, and wider than the terminal where it has to be."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(options.max_width, _needed(self._table))
        yield from console.render(Padding(self._table, (0, 0, 0, _INDENT)), options.update_width(width))


def _facts(result: RoutineResult) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=10)
    grid.add_column(overflow="fold")
    if (outside := _everywhere(result)).plain:
        grid.add_row("everywhere", outside)
    legend = ", ".join(title(i).replace(" ", GLUE) for i in columns(result) if i in NAMES)
    if legend:
        grid.add_row("columns", Text(legend, "dim"))
    again = [row.id for row in result.exits if goes_on(row, result)]
    if again:
        grid.add_row(
            "", Text("(tries again): the fixup goes back into the routine, which returns elsewhere", "dim")
        )
    if grid.row_count:
        grid.add_row("", "")
    grid.add_row("verdict", _verdict(result))
    if result.slack is not None:
        grid.add_row("slack", slack_words(result.slack))
    if result.second is not None:
        grid.add_row("confirmed", second_words(result.second))
    if result.resume is not None:
        grid.add_row("resumable", resume_words(result.resume))
    for head, text in caller_lines(result):
        grid.add_row(head, Text(text))
    for index, sentence in enumerate((*result.assumptions, *assumed_of(result))):
        grid.add_row("" if index else "assumed", Text(sentence))
    grid.add_row("time", Text(time_words(result)))
    return grid


def _everywhere(result: RoutineResult) -> Text:
    """The obligations that belong to no exit of the table, each with its mark."""
    marked = [
        Text.assemble(name.replace(" ", GLUE), GLUE, MARKS[verdict]) for name, verdict in everywhere(result)
    ]
    return Text(f"{GLUE}{GLUE} ").join(marked)


def _verdict(result: RoutineResult) -> Text:
    between = " " if result.verdict is Verdict.PROVED else ": "
    text = Text(result.verdict.upper(), STYLES[result.verdict])
    text.append(between + verdict_words(result), "not bold default")
    if breaks := breaks_words(result.domain):
        text.append("\n" + breaks, "not bold default")
    return text


def _findings(result: RoutineResult, glyphs: Glyphs, width: int, verbose: bool) -> list[RenderableType]:
    """What is not proved: the smallest counterexample (`verbose`: all), the others by name, what was not
    understood."""
    found = causes(result)
    told = [run for cause in found for run in cause.runs] if verbose else [c.runs[0] for c in found[:1]]
    parts: list[RenderableType] = [
        render_counterexample(run, result, glyphs, width, verbose=verbose) for run in told
    ]
    others = [_in_short(cause) for cause in found[1:] if not verbose]
    parts += (
        _list("also refuted", [*others, *refuted_by_others(result)], "bold red")
        + _list("not proved", reasons(result))
        + _list("not understood", result.unknowns)
        + _list("note", result.notes)
    )
    return parts


def _in_short(cause: Cause) -> str:
    """A finding in a sentence."""
    run = cause.runs[0]
    also = f" (and at {cause.places})" if cause.places else ""
    return f"{', '.join(run.obligations)} at {exit_name(run.exit)}{also}: {run.sentence}"


def _list(headline: str, lines: Sequence[str], style: str = "bold yellow") -> list[RenderableType]:
    if not lines:
        return []
    grid = Table.grid(padding=(0, 1))
    for line in lines[:_LIMIT]:
        grid.add_row("-", Text(line))
    if len(lines) > _LIMIT:
        grid.add_row("", Text(f"and {len(lines) - _LIMIT} more (--json has them all)", "dim"))
    return [Group(Text(headline, style), grid)]
