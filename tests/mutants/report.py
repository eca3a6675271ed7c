"""What became of all mutants, as tables for the terminal and for docs/mutants.md, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from mutants import operators, reasons
from mutants.examine import GOOD, Fate, Finding
from mutants.operators import Operator
from mutants.reasons import Reason

COLUMNS = {
    "killed": (Fate.KILLED,),
    "refuted": (Fate.REFUTED,),
    "equivalent": (Fate.EQUIVALENT,),
    "unknown": (Fate.UNKNOWN, Fate.UNEXPLAINED),
    "false": (Fate.FALSE,),
}
"""The columns of a table, and the fates that are counted in each."""


@dataclass(frozen=True, slots=True)
class Row:
    """Numbers of mutants: all that `name` names, and those of each column."""

    name: str
    all: int
    counts: tuple[int, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return self.name, str(self.all), *(str(count) if count else "-" for count in self.counts)


def rows(findings: Sequence[Finding], name: Callable[[Finding], str]) -> list[Row]:
    """One row for each name, in the order of the findings, and the total."""
    names = list(dict.fromkeys(map(name, findings)))
    return [_row(n, [f for f in findings if name(f) == n]) for n in names] + [_row("total", findings)]


def _row(name: str, findings: Sequence[Finding]) -> Row:
    fates = Counter(finding.fate for finding in findings)
    return Row(name, len(findings), tuple(sum(fates[f] for f in wanted) for wanted in COLUMNS.values()))


def by_routine(findings: Sequence[Finding]) -> list[Row]:
    """A row for each file."""
    return rows(findings, lambda finding: finding.mutant.file)


def by_operator(findings: Sequence[Finding]) -> list[Row]:
    """A row for each kind of change."""
    order = list(Operator)
    found = sorted(findings, key=lambda finding: order.index(finding.mutant.operator))
    return rows(found, lambda finding: str(finding.mutant.operator))


def by_reason(findings: Iterable[Finding]) -> list[tuple[Reason, int]]:
    """How many are equivalent for each reason."""
    found = Counter(finding.reason for finding in findings if finding.reason is not None)
    return [(reason, found[reason]) for reason in Reason if found[reason]]


def wrong(findings: Iterable[Finding]) -> list[Finding]:
    """Those that must not be."""
    return [finding for finding in findings if finding.fate not in GOOD]


# -- terminal -----------------------------------------------------------------------------------------


def show(findings: Sequence[Finding], console: Console) -> None:
    """The tables, and each mutant that must not be."""
    console.print(_table("routine", by_routine(findings)))
    console.print(_table("change", by_operator(findings)))
    reasons_table = _plain("equivalent because", "mutants")
    for reason, count in by_reason(findings):
        reasons_table.add_row(str(reason), str(count))
    console.print(reasons_table)
    blind, proved = _without_runs(findings)
    console.print(f"tried without a look at runs: {blind} that a run kills, {proved} of them proved")
    for finding in wrong(findings):
        console.print(
            f"{finding.fate}: {finding.mutant.name}: {finding.remark}", markup=False, soft_wrap=True
        )


def _without_runs(findings: Iterable[Finding]) -> tuple[int, int]:
    """How many proofs were tried without a look at runs, and how many of these wrongly succeeded."""
    tried = [finding for finding in findings if finding.blind]
    return len(tried), sum(finding.fate is Fate.FALSE for finding in tried)


def _table(title: str, lines: Sequence[Row]) -> Table:
    table = _plain(title, "mutants", *COLUMNS)
    for row in lines:
        table.add_row(*row.cells, style="bold" if row is lines[-1] else "", end_section=row is lines[-2])
    return table


def _plain(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table


# -- files --------------------------------------------------------------------------------------------


def to_json(findings: Sequence[Finding]) -> str:
    """Every mutant and what became of it."""
    return json.dumps({"mutants": [_as_data(finding) for finding in findings]}, indent=1) + "\n"


def _as_data(finding: Finding) -> dict[str, object]:
    mutant = finding.mutant
    return {
        "file": f"asm/{mutant.file}.S",
        "line": mutant.line,
        "operator": mutant.operator,
        "before": mutant.before,
        "after": mutant.after,
        "fate": finding.fate,
        "broken": [{"obligation": obligation, "exit": exit_} for obligation, exit_ in finding.broken],
        "reason": finding.reason,
        "remark": finding.remark,
        "blind": finding.blind,
        "seconds": round(finding.seconds, 2),
    }


def to_markdown(findings: Sequence[Finding]) -> str:
    """docs/mutants.md."""
    tables = [
        _markdown_table(("routine", "mutants", *COLUMNS), [row.cells for row in by_routine(findings)]),
        _markdown_table(
            ("change", "what is changed", "mutants", *COLUMNS),
            [(row.name, _meaning(row.name), *row.cells[1:]) for row in by_operator(findings)],
        ),
        _markdown_table(
            ("reason", "mutants", "what was checked"),
            [(str(reason), str(count), reasons.MEANING[reason]) for reason, count in by_reason(findings)],
        ),
    ]
    named = [f for f in findings if f.fate is Fate.REFUTED or f.reason in reasons.RIGHT_NOT_SAME]
    blind, proved = _without_runs(findings)
    return _TEXT.format(
        *tables,
        total=len(findings),
        proofs=sum(finding.fate is not Fate.KILLED for finding in findings),
        blind=blind,
        proved=proved or "none",
        named="\n".join(f"- `{f.mutant.name}`: {_fate(f)}" for f in named),
    )


def _meaning(operator: str) -> str:
    return operators.MEANING[Operator(operator)] if operator in list(Operator) else ""


def _fate(finding: Finding) -> str:
    broken = ", ".join(f"{obligation} at {exit_}" for obligation, exit_ in finding.broken)
    return f"refuted, {broken}" if broken else f"equivalent, {finding.reason}"


def _markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    shown = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in shown)


_TEXT = """\
# Mutants

`make mutants` makes every small change that it knows of in the fixups and exception tables of the right
routines under `asm/` and finds out what becomes of each. Of {total} mutants

{0}

- **killed**: a run on the CPU breaks the contract, one of the grid of tens of thousands of cases that `prove`
  begins with.
- **refuted**: no run of that grid breaks it; the proof fails and finds a run that does.
- **equivalent**: it is proved, no case of the full grid (up to a million) breaks it, and one of the reasons
  below was checked. That it was proved is no reason.
- **unknown**: neither proved nor refuted, or proved without such a reason. Has to be zero.
- **false**: proved, and broken by a run. Has to be zero.

{proofs} mutants were left for the proof. Of {blind} killed ones it was tried as well, without a look at any
run, and {proved} of them was proved: it is not the runs alone that tell right from wrong.

## What is changed

{1}

## Why an equivalent mutant may stand

{2}

Of more interest than the others:

{named}

(This file is written by `make mutants MUTANTFLAGS="--markdown docs/mutants.md"`.)
"""
