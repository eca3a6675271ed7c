"""A review in words: verdicts, changes and differences, the same in every report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcverify.proof.result import Counterexample, RoutineResult, Verdict
from mcverify.report.bytemap import LINE
from mcverify.report.counterexample import Lines, describe
from mcverify.report.words import counted, spans
from mcverify.review.result import (
    Behaviour,
    Cell,
    Change,
    ChangedObligation,
    Difference,
    Kind,
    Relation,
    RoutineReview,
    Row,
    Step,
)
from mcverify.review.revision import Revision
from mcverify.runs.case import Access, Place

NOTHING = "-"


def mark(cell: Cell | None) -> str:
    """`ok`, `FAIL O3`, `? O4`, or `-` where the revision has no such exit."""
    if cell is None:
        return NOTHING
    failing = [identifier for identifier, v in cell.verdicts.items() if v is Verdict.REFUTED]
    if failing:
        return f"FAIL {' '.join(failing)}"
    unknown = [identifier for identifier, v in cell.verdicts.items() if v is Verdict.UNKNOWN]
    if unknown:
        return f"? {' '.join(unknown)}"
    return "ok" if cell.verdicts else ""


def is_constant(row: Row, present: Sequence[int]) -> bool:
    """Whether the row is the same in all revisions that have the routine."""
    cells = [row.cells[number] for number in present]
    first = cells[0]
    return first is not None and all(
        cell is not None and (cell.returns, cell.verdicts) == (first.returns, first.verdicts)
        for cell in cells
    )


def present(routine: RoutineReview) -> list[int]:
    """Numbers of the revisions that have the routine."""
    return [number for number, result in enumerate(routine.results) if result is not None]


def at(changed: ChangedObligation) -> str:
    """`O3 at .Lfix_w`."""
    return f"{changed.obligation} {'at ' if changed.row != 'everywhere' else ''}{changed.row}"


def became(changed: ChangedObligation) -> str:
    """`O3 at .Lfix_w: proved -> refuted`."""
    match changed.change:
        case Change.NEW:
            return f"{at(changed)}: {changed.after}"
        case Change.GONE:
            return f"{at(changed)}: was {changed.before}"
        case _:
            return f"{at(changed)}: {changed.before} -> {changed.after}"


def folded(changes: Sequence[ChangedObligation]) -> list[str]:
    """What changed in the same way at several exits or in several obligations, in one line each."""
    groups: dict[tuple[Verdict | None, Verdict | None, str], list[str]] = {}
    for changed in changes:
        groups.setdefault((changed.before, changed.after, changed.row), []).append(changed.obligation)
    merged: dict[tuple[Verdict | None, Verdict | None, str], list[str]] = {}
    for (before, after, row), identifiers in groups.items():
        merged.setdefault((before, after, ", ".join(identifiers)), []).append(row)
    lines = []
    for (before, after, ids), rows in merged.items():
        where = "everywhere" if rows == ["everywhere"] else f"at {', '.join(rows)}"
        if before is None:
            what = str(after)
        elif after is None:
            what = f"was {before}"
        else:
            what = f"{before} -> {after}"
        lines.append(f"{ids} {where}: {what}")
    return lines


def unchanged(step: Step) -> str:
    """The one line on all that is as it was."""
    same = step.of(Change.SAME)
    if not same:
        return "nothing"
    rows = {changed.row for changed in same}
    bad = [changed for changed in same if changed.after is not Verdict.PROVED]
    still = f"; still {', '.join(f'{at(c)} {c.after}' for c in bad[:6])}" if bad else ""
    more = f" and {len(bad) - 6} more" if len(bad) > 6 else ""
    return f"{counted(len(same), 'obligation')} at {counted(len(rows), 'exit')}{still}{more}"


_KIND_WORDS = {
    Kind.ENDING: "how it ends",
    Kind.COUNT: "what is returned",
    Kind.BYTES: "what is stored",
    Kind.OUTSIDE: "what is touched outside the buffers",
    Kind.REGISTERS: "registers that the contract speaks of",
}


def kinds(difference: Difference) -> str:
    """In what the two runs differ."""
    return ", ".join(_KIND_WORDS[kind] for kind in difference.kinds)


_RELATION = {
    Relation.IDENTICAL: "the same code and table: nothing can differ",
    Relation.EQUIVALENT: "other code, equivalent for all inputs (proved)",
    Relation.DIFFERENT: "they differ",
    Relation.OPEN: "no difference found, equivalence not proved",
    Relation.UNASKED: "not compared",
}


def relation(found: Behaviour) -> str:
    """How the two revisions stand to each other, in one line."""
    words = _RELATION[found.relation]
    if found.relation is Relation.DIFFERENT:
        rows = list(dict.fromkeys(d.row for d in found.differences))
        words = f"{words} at {', '.join(rows[:6])}" + (f" and {len(rows) - 6} more" if len(rows) > 6 else "")
    return f"{words}: {found.why}" if found.why and found.relation is not Relation.IDENTICAL else words


def beyond(found: Behaviour) -> str:
    """A difference at a length beyond the domain, "" where none was seen."""
    if found.beyond is None:
        return ""
    return f"they differ at len {found.beyond.case.len:#x}, beyond the domain: {found.beyond.sentence}"


def clobbered(found: Behaviour) -> str:
    """The scratch registers that only one of the two changes, "" where there are none."""
    said = []
    if found.clobbered_after:
        said.append(f"may change {', '.join(found.clobbered_after)}, which it left alone before")
    if found.clobbered_before:
        said.append(f"leaves {', '.join(found.clobbered_before)} alone, which it could change before")
    return "; ".join(said) + " (no contract is broken by that)" if said else ""


def called(difference: Difference, result: RoutineResult) -> str:
    """`len 64, dst at 0 mod 64, src at 37 mod 64`; by its place in a page too where that is an odd one."""
    run = Counterexample((), difference.row, difference.case, difference.after, "")
    text = next(text for label, text in describe(run, result) if label == "called")
    buffers = (("dst", difference.case.dst), ("src", difference.case.src))
    odd = [f"{n} {p.at:#x} into a page" for n, p in buffers if p.place is Place.FREE and p.at >= LINE]
    return ", ".join([text, *odd])


def sides(difference: Difference, old: RoutineResult, new: RoutineResult) -> tuple[Lines, Lines]:
    """What came of the two runs of a difference, each as labelled lines with the same labels."""
    found = []
    for result, outcome, outside in (
        (old, difference.before, difference.before_outside),
        (new, difference.after, difference.after_outside),
    ):
        run = Counterexample((), difference.row, difference.case, outcome, "")
        lines = [
            (label, text) for label, text in describe(run, result) if label not in ("called", "expected")
        ]
        if difference.before_outside or difference.after_outside:
            lines.append(("outside", _accesses(outside) or "nothing"))
        found.append(lines)
    return found[0], found[1]


def _accesses(accesses: Iterable[Access]) -> str:
    loads = [(a.offset, a.offset + a.size) for a in accesses if not a.is_store]
    return f"loads {spans('src', loads)}" if loads else ""


def places(routine: RoutineReview, revisions: Sequence[Revision]) -> list[tuple[str, str]]:
    """What the routine is called, and in which file it lies, from the revision on in which that changes."""
    found: list[tuple[str, str]] = []
    for number in present(routine):
        result = routine.results[number]
        assert result is not None
        file = "" if revisions[number].on_disk else f" in {result.file}"
        place = f"{result.title}{file}"
        if not found or found[-1][1] != place:
            found.append((revisions[number].name, place))
    return found if len(found) > 1 else []
