"""Which of the contracts that come with mcverify a routine keeps, as far as runs tell.

For a routine of which nobody says what it promises: each contract is tried on some cases, and on the whole
quick grid if these keep it. That runs keep a contract proves nothing; it is what to ask a proof for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mcverify.contract import Contract, Faults, all_contracts, faults_by_entry
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.image.live import reads
from mcverify.proof.select import Task, settled, usual_faults
from mcverify.runs import cpu
from mcverify.runs.case import Ending
from mcverify.runs.code import is_nontemporal, reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.grid import Grid, quick_grid

_FEW = 120
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A contract that so many `cases` kept, where accesses of `faults` faulted."""

    contract: Contract
    faults: Faults
    cases: int


def suggestions(image: Image, task: Task, deadline: Deadline) -> tuple[Suggestion, ...] | None:
    """The contracts that runs of the routine keep, less those that ask for a part of another's, the longest
    first, and those that take arguments which its code does not read; None where no run can tell."""
    code = reachable(image, task.entry).values()
    if cpu.available() is not None or any(instruction.uses_segment for instruction in code):
        return None
    is_weak = any(is_nontemporal(image, instruction.address) for instruction in code)
    remaining = deadline.remaining()
    own = Deadline(_SECONDS if remaining is None else min(_SECONDS, remaining))
    found: list[Suggestion] = []
    try:
        for contract in all_contracts():
            takes = all(reads(image, task.entry, register) for register in contract.when_reads)
            # That a fence is missing no outcome shows.
            if takes and (is_weak or "O10" not in contract.obligations):
                found += _kept(image, replace(task, contract=contract), contract, own)
    except OutOfTime:
        return None
    most = [s for s in found if not any(_asks_more(o.contract, s.contract) for o in found)]
    return tuple(sorted(most, key=lambda s: -len(s.contract.obligations)))


def _kept(image: Image, task: Task, contract: Contract, deadline: Deadline) -> Iterator[Suggestion]:
    """The contract, if runs keep it."""
    faults = settled(replace(task, faults=usual_faults(contract)), image).faults
    runner = CpuRunner(image, task.entry, contract, deadline, faults_by_entry(faults))
    grid = quick_grid(contract, faults)
    if not _keep_it(runner, grid):
        return
    result = runner.grid(grid)
    if not result.violations and result.complete:
        yield Suggestion(contract, faults, result.cases)


def _keep_it(runner: CpuRunner, grid: Grid) -> bool:
    """Whether some cases from all over the grid keep the contract."""
    few = [grid.case(i) for i in range(0, len(grid), max(1, len(grid) // _FEW))]
    marks = [mark for mark in runner.judge(few) if mark.ending is not Ending.REFUSED]
    return bool(marks) and all(mark.ending is Ending.RETURNED and not mark.broken for mark in marks)


def _asks_more(one: Contract, other: Contract) -> bool:
    """Whether who keeps `one` keeps `other` too, which asks for less of the same call."""
    if one.name == other.name or _call(one) != _call(other):
        return False
    more, less = _asked(one), _asked(other)
    return less <= more and (less < more or one.name < other.name)


def _call(contract: Contract) -> tuple[object, ...]:
    results = (contract.left, contract.status, contract.trap, contract.loaded_value, dict(contract.widths))
    told = contract.told, dict(contract.handed), contract.string_length, contract.unit
    return (*contract.arguments, contract.size, *results, *told, dict(contract.given), contract.data)


def _asked(contract: Contract) -> frozenset[tuple[object, ...]]:
    """What a contract asks for, each thing by itself."""
    faults = {"load", "store"} if contract.faults == "both" else {contract.faults.removesuffix("s")}
    return frozenset(
        [
            *(("after a page fault", o) for o in contract.obligations),
            *(("after a machine check", o) for o in contract.on_machine_check),
            *(("may fault", kind) for kind in faults),
            *(("kept", register) for register in contract.kept),
            *(("over-report", n) for n in range(contract.over_report, 64)),
            *(
                ("over-report after a machine check", n)
                for n in range(contract.over_report_on_machine_check, 64)
            ),
        ]
    )


def in_words(found: Sequence[Suggestion] | None) -> str:
    """The contracts to propose, in one clause; "" where no run can tell."""
    if found is None:
        return ""
    if not found:
        return "runs break every one that comes with mcverify: " + ", ".join(c.name for c in all_contracts())
    named = [f"{s.contract.name} in {s.cases} runs ({s.contract.summary})" for s in found]
    return f"of those that come with mcverify it keeps {', and '.join(named)}"
