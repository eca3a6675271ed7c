"""What is shown of a sweep: on the terminal, and as a JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcverify import __version__
from mcverify.contract import faults_in_words
from mcverify.proof.result import Counterexample, Domain, RoutineResult, Verdict
from mcverify.report import json as result_json
from mcverify.report.summary import exit_name
from mcverify.report.terminal import print_trimmed, standard_output
from mcverify.report.terminal_counterexample import render_counterexample
from mcverify.report.terminal_map import glyphs_for
from mcverify.report.words import counted, number, short
from mcverify.runs.case import Case, Ending, Place, Placement
from mcverify.witness.sampled import LONGEST
from mcverify.witness.sweep import Finding, Kind, SweepResult

SCHEMA = 1
"""Counts up when a field changes its meaning or goes away; new fields do not change it."""

_STYLES = {Finding.CLEAN: "bold green", Finding.FAILED: "bold red", Finding.INCOMPLETE: "bold yellow"}
_ON = {"cpu": "this machine's CPU", "emulator": "the Unicorn emulator"}
_LIMIT = 20
"""At most so many kinds of failure are listed on the terminal; --json has all."""
_WIDE = 100


# ---- On the terminal -------------------------------------------------------------------


def print_sweeps(results: Sequence[SweepResult], console: Console | None = None) -> None:
    """Print what each sweep found: its failures by kind, the smallest in full."""
    out = console if console is not None else standard_output()
    for result in results:
        print_trimmed(Group(*_parts(result, out), Text()), out)


def print_lines(results: Sequence[SweepResult], console: Console | None = None) -> None:
    """Print one line per routine: what was found, its name, the file, the failures."""
    out = console if console is not None else standard_output()
    width = max(len(result.title) for result in results)
    for result in results:
        head = (f"{result.finding:<10}", _STYLES[result.finding])
        line = Text.assemble(head, f" {result.title:<{width}}  {result.file}  {cases_run(result)}")
        if result.by_comment:
            line.append(f"  ({', '.join(result.by_comment)})")
        broken = list(dict.fromkeys(f"{k.obligation} at {exit_name(k.exit)}" for k in result.kinds))
        if broken:
            line.append("  " + ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else ""))
        print_trimmed(line, out, soft_wrap=True)


def _parts(result: SweepResult, out: Console) -> Iterator[RenderableType]:
    contract = result.contract.name if result.contract else "none"
    yield Text()
    yield Text.assemble("  ", (result.title, "bold"), f"  in {result.file}, contract {contract}")
    yield Padding(_facts(result), (1, 0, 0, 2))
    if result.kinds:
        yield Padding(_table(result.kinds[:_LIMIT], wide=out.width >= _WIDE), (1, 0, 0, 2))
        more = len(result.kinds) - _LIMIT
        if more > 0:
            said = f"and {counted(more, 'more kind')} (--json has them all)"
            yield Padding(Text(said, "dim"), (0, 0, 0, 2))
    for kind in result.kinds:
        if not kind.certain:
            yield Padding(Text.assemble(("not certain  ", "bold yellow"), kind.sentence), (1, 0, 0, 2))
    smallest = next((kind for kind in result.kinds if kind.certain), None)
    if smallest is not None:
        drawn = render_counterexample(
            _as_counterexample(smallest),
            _as_result(result, smallest),
            glyphs_for(out.encoding),
            out.width,
            verbose=False,
        )
        yield Padding(drawn, (1, 0, 0, 2))


def _facts(result: SweepResult) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=8)
    grid.add_column(overflow="fold")
    grid.add_row("result", _verdict(result))
    if result.cases:
        grid.add_row("cases", Text(cases_sentence(result)))
        grid.add_row("tried", Text(grid_sentence(result)))
    if result.checked is not None:
        grid.add_row("checked", Text(checked_sentence(result.checked)))
    if result.ordered is not None:
        seen = f"in {result.ordered} cases, single-stepped, with a store that only a fence orders"
        grid.add_row("O10", Text(f"a missing fence could have been seen {seen}"))
    for index, gap in enumerate(result.gaps):
        grid.add_row("" if index else "left out", Text(gap))
    for index, note in enumerate(result.notes):
        grid.add_row("" if index else "note", Text(note))
    return grid


def _verdict(result: SweepResult) -> Text:
    head, _, rest = verdict_sentence(result).partition(":")
    words = "".join(f"; {said}" for said in result.by_comment)
    return Text.assemble((head, _STYLES[result.finding]), f":{rest}" if rest else "", words)


def verdict_sentence(result: SweepResult) -> str:
    """What was found, and that finding nothing proves nothing."""
    if result.finding is Finding.FAILED:
        kinds = counted(len(result.kinds), "kind")
        return f"FAILED: {kinds} of failure, in {result.failed} of {result.cases} cases"
    if result.finding is Finding.CLEAN:
        return f"NO FAILURE: none in {result.cases} cases, which is no proof (mcverify prove looks for one)"
    if result.kinds:
        ended = f"{result.failed} of {result.cases} cases ended"
        return f"INCOMPLETE: {ended} in a way that shows no mistake for certain"
    return "INCOMPLETE: no failure was seen, but not everything was run"


def cases_run(result: SweepResult) -> str:
    """How many cases were run, and in how many of them a missing fence could have been seen."""
    ordered = "" if result.ordered is None else f", O10 in {result.ordered}"
    return f"{result.cases} cases{ordered}"


def cases_sentence(result: SweepResult) -> str:
    """How many cases were run, where, how fast."""
    rate = result.cases / result.seconds if result.seconds else 0.0
    return f"{result.cases} in {result.seconds:.1f} s on {_ON[result.on]} ({rate:.0f} a second)"


def checked_sentence(count: int) -> str:
    """By what the runs on the CPU were checked, whose judge lies where the routine can write."""
    drawn = f"{counted(count, 'case')} of up to {LONGEST} bytes, drawn at random after that"
    return f"{drawn}, in the emulator, where the routine cannot reach what judges it"


def grid_sentence(result: SweepResult) -> str:
    """What the cases vary."""
    faults = faults_in_words(result.faults).replace("loads and stores", "loads and on stores").rstrip(",")
    return (
        f"every length to {result.lens[0]} and some to {number(result.lens[1])}, alignments 0 to 63,"
        f" no fault and faults on {faults}; pages without access in front, in the middle and behind"
    )


def _table(kinds: Sequence[Kind], *, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("breaks", no_wrap=True)
    table.add_column("exit", overflow="fold", min_width=8)
    if wide:
        table.add_column("continues at", overflow="fold")
    table.add_column("after a fault at", overflow="fold")
    table.add_column("cases", justify="right", no_wrap=True)
    table.add_column("smallest", overflow="fold")
    for kind in kinds:
        style = "bold red" if kind.certain else "bold yellow"
        cells = [Text(kind.obligation, style), Text(_exit(kind))]
        if wide:
            goes_on = kind.access or kind.ending in (Ending.ILLEGAL, Ending.TRAPPED)
            cells.append(Text(short(kind.where) if goes_on else "", "cyan"))
        cells += [Text(short(kind.access), "cyan"), Text(str(kind.count)), Text(case_words(kind.case))]
        table.add_row(*cells)
    return table


def _exit(kind: Kind) -> str:
    if kind.ending is Ending.RETURNED:
        return exit_name(kind.exit).removeprefix("the ").removesuffix(" exit")
    return f"({_ENDINGS.get(kind.ending, kind.ending)})"


_ENDINGS = {
    Ending.OOPS: "no entry",
    Ending.WILD: "left its code",
    Ending.TRAPPED: "not aligned",
    Ending.ILLEGAL: "refused",
    Ending.TIMEOUT: "no return",
    Ending.OVERFLOW: "stack ran out",
    Ending.DIED: "killed",
}


def case_words(case: Case) -> str:
    """A case in a few words: `len 64, src+8 bad, dst at 3`."""
    buffers = (("src", case.src), ("dst", case.dst))
    return ", ".join([f"len {number(case.len)}", *filter(None, (_words(*pair) for pair in buffers))])


def _words(name: str, placement: Placement) -> str:
    match placement.place:
        case Place.HOLE:
            return f"{name}+{placement.at} bad"
        case Place.INSIDE:
            at = f" at {placement.at}" if placement.at else ""
            return f"{name}{at} bad from the start"
        case Place.END:
            return f"{name} up to a bad page"
        case Place.FRONT:
            return f"{name} behind a bad page"
        case Place.FREE:
            return f"{name} at {placement.at}" if placement.at else ""


def _as_counterexample(kind: Kind) -> Counterexample:
    return Counterexample(
        (kind.obligation,), kind.exit, kind.case, kind.outcome, kind.sentence, others=kind.count - 1
    )


def _as_result(result: SweepResult, kind: Kind) -> RoutineResult:
    """The sweep as the result that reports of counterexamples are made from."""
    return RoutineResult(
        name=result.name,
        file=result.file,
        contract=result.contract,
        verdict=Verdict.REFUTED,
        domain=Domain(0, result.lens[1]),
        exits=(),
        obligations=(),
        counterexamples=(_as_counterexample(kind),),
        slack=None,
        assumptions=(),
        unknowns=(),
        phases={},
        seconds=result.seconds,
        faults=result.faults,
        entry=result.entry,
        listing=result.listing,
        variant=result.variant,
    )


# ---- As JSON ---------------------------------------------------------------------------


def to_json(results: Sequence[SweepResult]) -> str:
    """All sweeps as one JSON document, indented, with a newline at its end."""
    return json.dumps(document(results), indent=2) + "\n"


def document(results: Sequence[SweepResult]) -> dict[str, Any]:
    """All sweeps as plain dicts, lists, strings and numbers."""
    return {"schema": SCHEMA, "mcverify": __version__, "sweeps": [_sweep(result) for result in results]}


def _sweep(result: SweepResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "variant": result.variant,
        "file": result.file,
        "contract": result.contract.name if result.contract else "",
        "by_comment": list(result.by_comment),
        "faults": result.faults,
        "on": result.on,
        "finding": str(result.finding),
        "cases": result.cases,
        "planned": result.planned,
        "failed": result.failed,
        "ordered": result.ordered,
        "checked": result.checked,
        "seconds": round(result.seconds, 6),
        "every_len_to": result.lens[0],
        "len_max": result.lens[1],
        "kinds": [_kind(kind) for kind in result.kinds],
        "gaps": list(result.gaps),
        "notes": list(result.notes),
    }


def _kind(kind: Kind) -> dict[str, Any]:
    return {
        "obligation": kind.obligation,
        "exit": kind.exit,
        "where": kind.where,
        "access": kind.access,
        "ending": kind.ending.value,
        "count": kind.count,
        "certain": kind.certain,
        "sentence": kind.sentence,
        "case": result_json.case_document(kind.case),
        "outcome": result_json.outcome_document(kind.outcome),
    }
