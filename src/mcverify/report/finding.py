"""What reports list: each obligation at each exit, with its place and the run that breaks it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcverify.proof.result import (
    EVERYWHERE,
    SUCCESS,
    Counterexample,
    ObligationResult,
    RoutineResult,
    Verdict,
)
from mcverify.report.counterexample import smallest_first
from mcverify.report.obligations import NAMES
from mcverify.report.place import Place, at_front, parse

UNDERSTOOD = "understood"
"""Name of the test that fails where something of a routine was not understood, beside its obligations."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One obligation at one exit. `place` is where to look first; `run` breaks it, if it is refuted."""

    routine: RoutineResult
    obligation: ObligationResult
    place: Place
    run: Counterexample | None = None

    @property
    def id(self) -> str:
        """The obligation's id."""
        return self.obligation.id

    @property
    def name(self) -> str:
        """`O3 at .Lfix_w`: unique in the routine, and the same from one run to the next."""
        return f"{self.id} {at(self.obligation.exit)}"

    @property
    def sentence(self) -> str:
        """Why it is not proved; of a refuted one, what its run did."""
        return self.run.sentence if self.run and self.run.sentence else self.obligation.reason

    @property
    def headline(self) -> str:
        """`memcpy_trap breaks O3 (no over-claim) at .Lfix_w: ...`, one line; without the exit where it
        has no other name than its place."""
        named = f"{self.id} ({NAMES[self.id]})" if self.id in NAMES else self.id
        is_there = self.obligation.exit == str(self.place)
        what = named if is_there else f"{named} {at(self.obligation.exit)}"
        why = f": {self.sentence}" if self.sentence else ""
        match self.obligation.verdict:
            case Verdict.REFUTED:
                return f"{self.routine.title} breaks {what}{why}"
            case Verdict.UNKNOWN:
                return f"{self.routine.title}: {what} is unknown{why}"
            case Verdict.PROVED:
                return f"{self.routine.title} keeps {what}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Something of a routine that was not understood. `undecided` are the obligations that it leaves open."""

    routine: RoutineResult
    place: Place
    sentence: str
    undecided: tuple[ObligationResult, ...] = ()


def at(exit_id: str) -> str:
    """`at .Lfix_w`, `at success`, or `everywhere`."""
    return "everywhere" if exit_id == EVERYWHERE else f"at {exit_id}"


def findings(result: RoutineResult) -> list[Finding]:
    """All obligations of a routine in the order of the result."""
    return [_finding(result, obligation) for obligation in result.obligations]


def refutations(result: RoutineResult) -> list[Finding]:
    """What runs broke, the smallest run first; what is refuted everywhere too, at the place only."""
    placed = {o.id for o in result.obligations if o.verdict is Verdict.REFUTED and o.exit != EVERYWHERE}
    found = [
        finding
        for finding in findings(result)
        if finding.obligation.verdict is Verdict.REFUTED
        and not (finding.obligation.exit == EVERYWHERE and finding.id in placed)
    ]
    order = [id(run) for run in smallest_first(result.counterexamples)]
    return sorted(found, key=lambda f: order.index(id(f.run)) if f.run else len(order))


def undecided(result: RoutineResult) -> list[Finding]:
    """The unknown obligations that have a reason of their own, not one that a gap tells already."""
    return [
        finding
        for finding in findings(result)
        if finding.obligation.verdict is Verdict.UNKNOWN and _gap_of(finding.obligation, result) is None
    ]


def gaps(result: RoutineResult) -> list[Gap]:
    """What was not understood, each with the obligations that are unknown because of it."""
    unknown = [o for o in result.obligations if o.verdict is Verdict.UNKNOWN]
    return [
        Gap(result, place, text, tuple(o for o in unknown if _gap_of(o, result) == sentence))
        for sentence in result.unknowns
        for place, text in [placed(sentence, result)]
    ]


def not_understood(result: RoutineResult) -> tuple[str, ...]:
    """Why a routine is not wholly understood, one sentence each; empty where it is."""
    return result.unknowns or (() if result.obligations else ("nothing was asked of it",))


def placed(sentence: str, result: RoutineResult) -> tuple[Place, str]:
    """The place that a sentence begins with, and the rest; the routine's own where it names none."""
    return at_front(sentence, dict.fromkeys(_files(result))) or (entry_of(result), sentence)


def entry_of(result: RoutineResult) -> Place:
    """Where the routine begins; its file without a line where that is not known."""
    first = next((line.where for line in result.listing if line.address == result.entry), "")
    return parse(first) or Place(result.file)


def _finding(result: RoutineResult, obligation: ObligationResult) -> Finding:
    run = _run(result, obligation) if obligation.verdict is Verdict.REFUTED else None
    return Finding(result, obligation, _place(result, obligation, run), run)


def _run(result: RoutineResult, obligation: ObligationResult) -> Counterexample | None:
    """The run that breaks it here; for what is refuted everywhere, the smallest that breaks it at all."""
    breaking = [c for c in smallest_first(result.counterexamples) if obligation.id in c.obligations]
    here = next((c for c in breaking if c.exit == obligation.exit), None)
    return here or (breaking[0] if breaking and obligation.exit == EVERYWHERE else None)


def _place(result: RoutineResult, obligation: ObligationResult, run: Counterexample | None) -> Place:
    """Where to look: at the line that a proved repair changes, at the fixup, at the instruction itself."""
    return next(
        (p for where in _candidates(result, obligation, run) if (p := parse(where))), entry_of(result)
    )


def _candidates(
    result: RoutineResult, obligation: ObligationResult, run: Counterexample | None
) -> Iterator[str]:
    why = run.explanation if run else None
    if why is not None:
        yield from (why.repair.where if why.repair else "", why.fixup)
    if obligation.exit != EVERYWHERE:
        yield from (row.where for row in result.exits if row.id == obligation.exit)
        yield from (line.where for line in result.listing if line.label == obligation.exit)
        if obligation.exit != SUCCESS:
            yield obligation.exit
    elif run is not None and run.outcome.faults:
        last = run.outcome.faults[-1].insn
        yield from (line.where for line in result.listing if line.address == last)


def _gap_of(obligation: ObligationResult, result: RoutineResult) -> str | None:
    return next((s for s in result.unknowns if obligation.reason.endswith(s)), None)


def _files(result: RoutineResult) -> Iterator[str]:
    """The files of which a sentence on the routine may speak, as they are named in results."""
    yield result.file
    for where in (*(row.where for row in result.exits), *(line.where for line in result.listing)):
        if place := parse(where):
            yield place.file
