"""A review in words: verdicts, changes and differences, the same in every report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from mcverify.proof.result import EVERYWHERE as EVERYWHERE_ID
from mcverify.proof.result import Counterexample, ObligationResult, RoutineResult, Verdict
from mcverify.report.bytemap import LINE
from mcverify.report.counterexample import Lines, describe
from mcverify.report.words import counted, spans
from mcverify.review.result import (
    Behaviour,
    Cell,
    Change,
    ChangedContract,
    ChangedObligation,
    Difference,
    Kind,
    Relation,
    RoutineReview,
    Row,
    State,
    Step,
)
from mcverify.review.revision import Revision
from mcverify.runs.case import Access, Case, Place

NOTHING = "-"
_NAMED = 3
"""So many obligations of an exit that are unknown are named; of more, none."""


def mark(cell: Cell | None) -> str:
    """`ok`, `FAIL O3`, `? O4`, or `-` where the revision has no such exit."""
    if cell is None:
        return NOTHING
    failing = [identifier for identifier, v in cell.verdicts.items() if v is Verdict.REFUTED]
    if failing:
        return f"FAIL {' '.join(failing)}"
    unknown = [identifier for identifier, v in cell.verdicts.items() if v is Verdict.UNKNOWN]
    if unknown:
        return f"? {' '.join(unknown)}" if len(unknown) <= _NAMED else "?"
    return "ok" if cell.verdicts else ""


def is_constant(row: Row, present: Sequence[int]) -> bool:
    """Whether the row is the same in all revisions that have the routine."""
    cells = [row.cells[number] for number in present]
    first = cells[0]
    return first is not None and all(
        cell is not None and (cell.returns, cell.verdicts) == (first.returns, first.verdicts)
        for cell in cells
    )


def contract_words(changed: ChangedContract) -> str:
    """What a revision asks of its contract, and whether that counts."""
    return f"{changed.sentence} ({'accepted' if changed.accepted else 'worse, unless --accept-contract'})"


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
            why = f" ({changed.why})" if changed.why else ""
            return f"{at(changed)}: {changed.before} -> {changed.after}{why}"


def folded(changes: Sequence[ChangedObligation]) -> list[str]:
    """What changed in the same way at several exits or in several obligations, in one line each."""
    groups: dict[tuple[Verdict | None, Verdict | None, str, str], list[str]] = {}
    for changed in changes:
        kind = changed.before, changed.after, changed.why, changed.row
        groups.setdefault(kind, []).append(changed.obligation)
    merged: dict[tuple[Verdict | None, Verdict | None, str, str], list[str]] = {}
    for (before, after, why, row), identifiers in groups.items():
        merged.setdefault((before, after, why, ", ".join(identifiers)), []).append(row)
    lines = []
    for (before, after, why, ids), rows in merged.items():
        where = "everywhere" if rows == ["everywhere"] else f"at {', '.join(rows)}"
        if before is None:
            what = str(after)
        elif after is None:
            what = f"was {before}"
        else:
            what = f"{before} -> {after}"
        lines.append(f"{ids} {where}: {what}{f' ({why})' if why else ''}")
    return lines


def reasons(routine: RoutineReview) -> list[tuple[int, str]]:
    """The revisions in which a routine is undecided or not assembled, and why."""
    states = (State.UNDECIDED, State.NOT_ASSEMBLED)
    found = ((n, standing) for n, standing in enumerate(routine.standings) if standing.state in states)
    return [(n, f"{standing.state}: {standing.why}") for n, standing in found]


def refuted_at(result: RoutineResult | None) -> list[str]:
    """What is refuted, in a line for each obligation: `O3 at .Lfix, .Lfix_w: ...`, with what a run shows."""
    found: dict[str, list[ObligationResult]] = {}
    for obligation in result.obligations if result is not None else ():
        if obligation.verdict is Verdict.REFUTED:
            found.setdefault(obligation.id, []).append(obligation)
    lines = []
    for identifier, own in found.items():
        places = [short_place(o.exit) for o in own if o.exit != EVERYWHERE_ID]
        lines.append(f"{identifier}{' at ' if places else ''}{listed(places)}: {own[0].reason}")
    return lines


def short_place(name: str) -> str:
    """A label as it is, a place without the folders of its file."""
    return name.rpartition("/")[2]


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
    Kind.PROMISE: "what is proved of one and broken by the other",
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
        order = [e.row for e in found.exits if e.relation is Relation.DIFFERENT]
        return f"{words} at {listed([*order, *(d.row for d in found.differences)])}"
    return f"{words}: {found.why}" if found.why and found.relation is not Relation.IDENTICAL else words


def exit_by_exit(found: Behaviour) -> list[str]:
    """At which exits two revisions that differ, or are not proved to be equivalent, are equivalent, and of
    which that is not known; nothing where it is the same for all of them."""
    equal = [e for e in found.exits if e.relation is Relation.EQUIVALENT]
    undecided = [e.row for e in found.exits if e.relation is Relation.OPEN]
    lines = []
    if equal and found.relation is not Relation.EQUIVALENT:
        proved = "equivalent for all inputs (proved)"
        changed = [e.row for e in equal if e.changed]
        rest = [e.row for e in equal if not e.changed]
        if changed:
            lines.append(f"{listed(changed)}: changed, and {proved}")
        if rest:
            lines.append(f"{listed(rest)}: {proved}")
    if undecided and len(undecided) < len(found.exits):
        why = f": {found.why}" if found.relation is Relation.DIFFERENT and found.why else ""
        lines.append(f"{listed(undecided)}: no difference found, equivalence not proved{why}")
    return lines


def listed(names: Sequence[str]) -> str:
    """Names, the first six of them."""
    found = list(dict.fromkeys(names))
    return ", ".join(found[:6]) + (f" and {len(found) - 6} more" if len(found) > 6 else "")


def at_once(differences: Iterable[Difference]) -> list[tuple[str, Difference]]:
    """Differences with the exits that each is the smallest of: one run may take several."""
    rows: dict[Case, list[str]] = {}
    first: dict[Case, Difference] = {}
    for found in differences:
        rows.setdefault(found.case, []).append(found.row)
        first.setdefault(found.case, found)
    return [(", ".join(rows[case]), found) for case, found in first.items()]


def beyond(found: Behaviour) -> str:
    """A difference at a length beyond the domain, "" where none was seen."""
    if found.beyond is None:
        return ""
    return f"they differ at len {found.beyond.case.len:#x}, beyond the domain: {found.beyond.sentence}"


def clobbered(found: Behaviour) -> str:
    """The scratch registers that only one of the two changes, and where that is known, at which exits; ""
    where there are none."""
    after = {e.row: e.clobbered_after for e in found.exits}
    before = {e.row: e.clobbered_before for e in found.exits}
    said = [
        *_changes("may change {}, which it left alone before", found.clobbered_after, after),
        *_changes("leaves {} alone, which it could change before", found.clobbered_before, before),
    ]
    return "; ".join(said) + " (no contract is broken by that)" if said else ""


def _changes(words: str, anywhere: Sequence[str], at: Mapping[str, Sequence[str]]) -> Iterator[str]:
    names = sorted({*anywhere, *(name for own in at.values() for name in own)})
    where: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        where.setdefault(tuple(row for row, own in at.items() if name in own), []).append(name)
    for rows, own in where.items():
        yield words.format(", ".join(own)) + (f", at {listed(rows)}" if rows else "")


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
