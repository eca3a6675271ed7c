"""Runs in which a fault is repaired and its instruction executed again.

The kernel's table is taken away. In its place each instruction that may access memory has an entry that
continues at itself, with nothing changed; and the bad page comes and goes: it faults when it is touched
first, or some touches later, and then no more. So a run goes as if a handler had made the page accessible and
returned to the instruction. What it leaves is judged as a run that met no fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from mcverify.contract import Contract, can_fault
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Handler, Image, TableEntry
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import RoutineResult
from mcverify.proof.trials import Trials
from mcverify.runs.case import PAGE, Case, Ending, Outcome, Place, Placement
from mcverify.runs.code import accesses_memory, reachable
from mcverify.runs.judge import Violation, judge

LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 64, 65, 71, 100, 128, 200, 300)
TOUCHES = ("1(0)", "11(0)", "01(0)", "0001(0)")
"""Which touches of the bad page fault: the first, the first two, the second, the fourth."""

_OTHER = (0, 1, 7)
_PIECE = 512
_SPARED = 37


@dataclass(frozen=True, slots=True)
class Resumed:
    """What the runs showed: how many `cases` took a fault and went on, how many `faults` they took, and the
    first case that did not end as without one, with what it broke ("" and None: none)."""

    cases: int
    faults: int
    case: Case | None = None
    broken: str = ""


def resumed(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> Resumed:
    """Run the routine with its faults repaired; no cases where runs show nothing
    of it: by segments that lie elsewhere here, or a REP that is taken to keep no order."""
    contract = result.contract
    assert contract is not None
    again = resuming(image, result.entry)
    trials = Trials(again, result.entry, contract, "both", options.rep_model, deadline)
    done = Resumed(0, 0)
    if not trials.is_faithful or not trials.is_ordered:
        return done
    # The emulator takes a thousand times as long.
    cases = list(cases_of(contract, result.faults))[:: 1 if trials.cpu is not None else _SPARED]
    for first in range(0, len(cases), _PIECE):
        try:
            pairs = list(trials.outcomes(cases[first : first + _PIECE]))
        except OutOfTime:
            return done
        for case, outcome in pairs:
            done = _with(done, contract, case, outcome)
            if done.broken:
                return done
    return done


def _with(done: Resumed, contract: Contract, case: Case, outcome: Outcome) -> Resumed:
    """What was shown before, and by one more run."""
    if not outcome.faults or outcome.ending in (Ending.ESCAPED, Ending.REFUSED):
        return done
    found = [v for v in violations(contract, case, outcome) if v.certain]
    more = replace(done, cases=done.cases + 1, faults=done.faults + len(outcome.faults))
    if not found:
        return more
    return replace(more, case=case, broken=f"{found[0].obligation}: {found[0].sentence}")


def violations(contract: Contract, case: Case, outcome: Outcome) -> tuple[Violation, ...]:
    """What a resumed run breaks of what is asked of one without a fault."""
    whole = replace(case, flicker="", src=_whole(case.src), dst=_whole(case.dst))
    ran = replace(outcome, faults=()) if outcome.ending is Ending.RETURNED else outcome
    return judge(contract, whole, ran)


def _whole(placement: Placement) -> Placement:
    return Placement(Place.FREE, -placement.at % PAGE) if placement.place is Place.HOLE else placement


def resuming(image: Image, entry: int) -> Image:
    """The image with entries that continue where the fault was, for what the routine may access."""
    at = [a for a in sorted(reachable(image, entry, faults=False)) if accesses_memory(image, a)]
    entries = tuple(TableEntry(a, a, Handler("resumed"), number) for number, a in enumerate(at))
    return replace(image, entries=entries)


def cases_of(contract: Contract, faults: str) -> Iterator[Case]:
    """Lengths, bad bytes, alignments and touches, for the buffers whose accesses may fault."""
    lengths = LENGTHS if contract.size is None else (contract.size,)
    kinds = [kind for kind in ("load", "store") if can_fault(faults, kind)]
    for n, kind, other, touch in product(lengths, kinds, _OTHER, TOUCHES):
        for bad in dict.fromkeys((0, 1, n // 3, n // 2, n - 1)):
            hole, free = Placement(Place.HOLE, bad), Placement(Place.FREE, other)
            src, dst = (hole, free) if kind == "load" else (free, hole)
            yield Case(n, src, dst, flicker=touch)
