"""A counterexample on the terminal: the claim and the run, the byte map, why, and the last steps."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.report.bytemap import byte_map
from mcverify.report.cause import also_at, also_repaired, cause_of
from mcverify.report.counterexample import Lines, claim, describe, explain, reach
from mcverify.report.summary import exit_name
from mcverify.report.terminal_map import GLUE, Glyphs, draw
from mcverify.report.trace import Gap, TraceLine, last_steps, trace_lines
from mcverify.report.words import counted, cut, in_file, register_value

_LABELS = 8
_LONGEST_LABEL = 16
_LONGEST_TEXT = 30
_INDENT = 4
_GAP = 2


def render_counterexample(
    found: Counterexample, result: RoutineResult, glyphs: Glyphs, width: int, *, verbose: bool
) -> Group:
    """All about one counterexample, for `width` columns; `verbose` adds all steps and the registers."""
    headline = Text.assemble(
        ("counterexample", "bold red"),
        f" for {', '.join(found.obligations)} at {exit_name(found.exit)}, run on {found.outcome.on}",
    )
    drawn = byte_map(found, result.contract)
    parts: list[RenderableType] = [
        _grid(_in_file([*claim(found), *describe(found, result), *_also(found, result)], result.file)),
        Group(*draw(drawn, glyphs, width - _INDENT)),
        _grid(_in_file([*explain(found), *_likewise(found, result), *reach(found)], result.file)),
        _trace(found, result, verbose),
    ]
    if verbose:
        parts.append(_grid([("changed", _registers(found))]))
    shown = [part for part in parts if not isinstance(part, Table) or part.row_count]
    return Group(headline, *(Padding(part, (i > 0, 0, 0, 2)) for i, part in enumerate(shown)))


def _also(found: Counterexample, result: RoutineResult) -> Lines:
    """Where else the same is wrong, told with the first run of a finding."""
    cause = cause_of(result, found)
    return also_at(cause) if cause.runs[0] is found else []


def _likewise(found: Counterexample, result: RoutineResult) -> Lines:
    """What is to be changed at the other places of the finding."""
    cause = cause_of(result, found)
    return also_repaired(cause) if cause.runs[0] is found else []


def _in_file(lines: Lines, file: str) -> Lines:
    return [(label, in_file(text, file)) for label, text in lines]


def _grid(lines: Lines) -> Table:
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=_LABELS)
    grid.add_column(overflow="fold")
    for label, text in lines:
        grid.add_row(label, Text(text))
    return grid


def _trace(found: Counterexample, result: RoutineResult, verbose: bool) -> Table:
    """The last steps, or all: label and line, how often, the instruction, and what it did."""
    steps = trace_lines(found, result)
    shown: Sequence[TraceLine | Gap] = steps if verbose else last_steps(steps)
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    grid.add_column(overflow="fold", min_width=_LABELS, style="bold")
    grid.add_column(no_wrap=True, justify="right", style="cyan")
    if any(isinstance(step, TraceLine) and step.instructions > 1 for step in shown):
        grid.add_column(no_wrap=True, justify="right", style="dim")
    longest = max((len(step.text) for step in shown if isinstance(step, TraceLine)), default=0)
    grid.add_column(overflow="fold", min_width=min(max(longest, 20), _LONGEST_TEXT))
    grid.add_column(overflow="fold")
    for line in shown:
        label, place, times, text, effects = _step(line, verbose)
        grid.add_row(label, place, *([times] if len(grid.columns) == 5 else []), text, effects)
    return grid


def _step(line: TraceLine | Gap, verbose: bool) -> tuple[Text, Text, Text, Text, Text]:
    if isinstance(line, Gap):
        gap = Text(f"... {counted(line.instructions, 'instruction')}", "dim")
        return Text(), Text(), Text(), gap, Text("" if verbose else "-v shows them", "dim")
    times = f"{line.instructions} x" if line.instructions > 1 else ""
    did = ", ".join(line.effects) + (f"  <-{GLUE}mistake" if line.parts else "")
    effects = Text(did.strip(), "bold red" if line.counts else "")
    return Text(cut(line.label, _LONGEST_LABEL)), Text(line.place), Text(times), Text(line.text), effects


def _registers(found: Counterexample) -> str:
    """The registers that came back changed, with their values before and after."""
    before, after = found.outcome.initial, found.outcome.registers
    changed = [
        f"{r} {register_value(r, before[r])} -> {register_value(r, after[r])}"
        for r in after
        if before.get(r, after[r]) != after[r]
    ]
    return ", ".join(changed) or "all as at the call"
