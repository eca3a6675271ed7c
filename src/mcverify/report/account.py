"""A counterexample in plain lines, for reports without a layout of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcverify.proof.result import Counterexample, Explanation, RoutineResult
from mcverify.report.counterexample import describe

Rows = list[tuple[str, str]]
"""Labelled lines: (label, text)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A headline and what stands below it."""

    title: str
    rows: Rows


def account(found: Counterexample, result: RoutineResult) -> list[Section]:
    """Everything that is known of a counterexample, in the order in which it convinces. Sections about
    which nothing is known are left out."""
    sections = [
        Section(f"The run, {executed_on(found)}", [row for row in describe(found, result) if row[0] != "so"]),
        Section("Why", _why(found.explanation) if found.explanation else []),
        Section("It happens for", [(r.input, f"{r.values} ({_runs(r.runs)})") for r in found.relevance]),
        Section("A change with which it is proved", list(_repair(found.explanation))),
    ]
    return [section for section in sections if section.rows]


def plain(sections: Sequence[Section]) -> list[str]:
    """The sections as lines that are not wrapped, labels in a column."""
    lines = []
    for section in sections:
        width = max(len(label) for label, _ in section.rows)
        lines.append(f"{section.title}:")
        lines += [f"  {label:<{width}}  {text}".rstrip() for label, text in section.rows]
    return lines


def executed_on(found: Counterexample) -> str:
    """Who executed the run."""
    if found.outcome.on == "cpu":
        return "on the CPU with real faults"
    return f"on an emulator ({found.outcome.on})"


def others(found: Counterexample) -> str:
    """A sentence on the further cases of the same origin; empty where there are none."""
    if not found.others:
        return ""
    noun, verb = ("case", "was") if found.others == 1 else ("cases", "were")
    return f"{found.others} more {noun} of the same origin {verb} seen to fail."


def _why(explanation: Explanation) -> Rows:
    fixup = f"{explanation.fixup} ({explanation.label})" if explanation.label else explanation.fixup
    rows = [("fixup", fixup), ("fault at", explanation.access), ("left", _count(explanation))]
    rows += [("parted at", explanation.parted), ("rule", explanation.rule)]
    return [(label, text) for label, text in rows if text]


def _count(explanation: Explanation) -> str:
    """`64*ecx + edx = 64*1 + 8 = 72, but 56 is right`."""
    value = "" if explanation.value is None else str(explanation.value)
    parts = [explanation.formula, explanation.numbers, value]
    said = " = ".join(dict.fromkeys(part for part in parts if part))
    if explanation.expected is None or not said:
        return said
    return f"{said}; right is {explanation.expected}"


def _repair(explanation: Explanation | None) -> Iterator[tuple[str, str]]:
    if explanation is None or explanation.repair is None:
        return
    repair = explanation.repair
    yield "at", repair.where
    yield "-", repair.before
    yield "+", repair.after
    if repair.sentence:
        yield "as", repair.sentence


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
