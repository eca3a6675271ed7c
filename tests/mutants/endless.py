"""Runs that never end: stopped, and seen to come back to where they were with nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

from mcverify.contract import Contract, Faults
from mcverify.image.image import Image
from mcverify.runs.case import Case, Ending
from mcverify.runs.code import accesses_memory, decode, text_of
from mcverify.runs.cpu import CpuRunner, Step
from mcverify.runs.grid import quick_grid

_MOST = 3


def never_ends(image: Image, entry: int, contract: Contract, faults: Faults) -> bool:
    """Whether a case of the quick grid goes on for ever, for certain."""
    runner = CpuRunner(image, entry, contract)
    violations = runner.grid(quick_grid(contract, faults)).violations
    cases = [case for v in violations if v.obligation == "O9" for case in v.cases[:_MOST]]
    stopped = [c for c, o in zip(cases, runner.run(cases), strict=True) if o.ending is Ending.TIMEOUT]
    return any(_comes_back(image, runner, case) for case in stopped)


def _comes_back(image: Image, runner: CpuRunner, case: Case) -> bool:
    steps = runner.trace(case)
    seen: dict[tuple[int, tuple[int, ...]], int] = {}
    for number, (address, values) in enumerate(steps):
        first = seen.setdefault((address, tuple(values.values())), number)
        if first < number:
            return not any(_hides(image, steps, n) for n in range(first, number))
    return False


def _hides(image: Image, steps: Sequence[Step], number: int) -> bool:
    """Whether a step may have changed what a trace does not show: memory or vector registers.

    A store that faulted has stored nothing; one step of a trace is one iteration of REP.
    """
    address = steps[number][0]
    instruction, entry = decode(image, address), image.entry_at(address)
    if instruction is None or "mm" in text_of(instruction.code, address):
        return True
    goes_on = number + 1 < len(steps) and steps[number + 1][0]
    has_faulted = entry is not None and goes_on == entry.fixup != instruction.end
    return accesses_memory(image, address) and not has_faulted
