"""A counterexample in plain lines, for reports without a layout of their own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.report.bytemap import byte_map
from mcverify.report.counterexample import Lines, claim, describe, explain, reach
from mcverify.report.terminal_map import ASCII, GLUE, draw

_LABELS = 8
"""Columns of the longest label."""


def plain(found: Counterexample, result: RoutineResult) -> list[str]:
    """The run, why it is wrong and when else it is, as lines that are not wrapped."""
    lines = [*_rules(found), *describe(found, result), *explain(found), *reach(found)]
    return [f"The run, {executed_on(found)}:", *labelled(lines, lambda text: [text])]


def _rules(found: Counterexample) -> Lines:
    """What the run owed; how it broke that stands in the headline."""
    return [(label, text) for label, text in claim(found) if label == "rule"]


def labelled(lines: Lines, wrap: Callable[[str], list[str]], indent: str = "  ") -> list[str]:
    """Labels in a column, the text beside them; `wrap` cuts one line of a text into several."""
    shown = []
    for label, text in lines:
        heads = [label]
        for part in (part for line in text.split("\n") for part in wrap(line)):
            shown.append(f"{indent}{heads.pop() if heads else '':<{_LABELS}}  {part}".rstrip())
    return shown


def drawn(found: Counterexample, result: RoutineResult, width: int) -> list[str]:
    """The bytes of src and dst, in ASCII and at most `width` columns."""
    texts = (text.plain for text in draw(byte_map(found, result.contract), ASCII, width))
    lines = (
        line for text in texts for line in ([text] if len(text) <= width else textwrap.wrap(text, width))
    )
    return [line.replace(GLUE, " ").rstrip() for line in lines]


def executed_on(found: Counterexample) -> str:
    """Who executed the run."""
    if found.outcome.on == "cpu":
        return "on the CPU with real faults"
    return f"on an emulator ({found.outcome.on})"
