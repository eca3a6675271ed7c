"""A grid that was run on the CPU, checked afterwards: what its runs were judged by lay in a process that ran
the routine too.

Some of its cases are run in the emulator, whose memory is the routine's alone, and judged in this process.
Which they are is drawn when the grid has been run, by chance that no routine can foresee. A routine that is
wrong in one of k cases, and hides it on the CPU, gets through n such cases with a chance of (1 - 1/k)^n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import SystemRandom

from mcverify.contract import Contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.errors import ElsewhereError, InputError
from mcverify.runs.case import Case, Ending, Outcome
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.grid import Grid
from mcverify.runs.judge import Violation, judge
from mcverify.runs.nowhere import NoRunner

FULL, QUICK = 500, 150
"""Cases that are drawn of a million, and of some ten thousand."""
LONGEST = 5000
"""Bytes of the longest case that is emulated."""

_BATCH = 25
_SHOWS_NOTHING = (Ending.ESCAPED, Ending.REFUSED, Ending.ILLEGAL)
"""How a run ends that the emulator cannot show: at an instruction that it does not know, say."""


@dataclass(frozen=True, slots=True)
class Check:
    """What the cases that were drawn showed: so many were `checked`; those that break something, with what;
    and sentences on what could not be checked, which leave the sweep incomplete."""

    checked: int = 0
    broken: tuple[tuple[Case, Outcome, tuple[Violation, ...]], ...] = ()
    gaps: tuple[str, ...] = ()


def check(
    grid: Grid,
    contract: Contract,
    runner: Callable[[], EmulatorRunner | NoRunner],
    count: int,
    deadline: Deadline,
    progress: Callable[[str], None],
) -> Check:
    """Run `count` cases of the grid once more, and judge them here."""
    drawn = draw(grid, count)
    checked, unshown, excluded = 0, 0, 0
    broken: list[tuple[Case, Outcome, tuple[Violation, ...]]] = []
    try:
        for case, outcome in _outcomes(runner(), drawn, deadline, progress):
            if _does_not_happen(outcome):
                excluded += 1
                continue
            checked += 1
            if outcome.ending in _SHOWS_NOTHING:
                unshown += 1
            elif found := judge(contract, case, outcome):
                broken.append((case, outcome, found))
    except OutOfTime:
        pass
    except (InputError, ElsewhereError, MemoryError) as error:
        why = f": {error}" if str(error) else ""
        return Check(checked - unshown, tuple(broken), (f"no case was checked in the emulator{why}",))
    return Check(checked - unshown, tuple(broken), tuple(_gaps(checked, unshown, len(drawn) - excluded)))


def _does_not_happen(outcome: Outcome) -> bool:
    """Whether the run came to a fault that is taken not to happen: of an access without an entry, where those
    of its kind fault only if they have one."""
    return outcome.ending is Ending.REFUSED and bool(outcome.faults)


def draw(grid: Grid, count: int) -> list[Case]:
    """`count` of its cases that the emulator can run, each as likely as any other."""
    short = Grid(tuple(block for block in grid.blocks if block.len <= LONGEST))
    numbers = sorted(SystemRandom().sample(range(len(short)), min(count, len(short))))
    found, first, wanted = [], 0, iter([*numbers, len(short)])
    number = next(wanted)
    for block in short.blocks:
        while number < first + len(block):
            found.append(block.case(number - first))
            number = next(wanted)
        first += len(block)
    return found


def _outcomes(
    runner: EmulatorRunner | NoRunner,
    cases: Sequence[Case],
    deadline: Deadline,
    progress: Callable[[str], None],
) -> Iterator[tuple[Case, Outcome]]:
    for start in range(0, len(cases), _BATCH):
        deadline.check("runs")
        progress(f"checking {start} of {len(cases)} cases in the emulator")
        batch = cases[start : start + _BATCH]
        yield from zip(batch, runner.run(batch), strict=True)


def _gaps(checked: int, unshown: int, drawn: int) -> Iterator[str]:
    if checked < drawn:
        yield f"only {checked} of {drawn} cases could be checked in the emulator: the time was over"
    if unshown:
        yield f"{unshown} of {checked} cases could not be checked: the emulator does not run them to the end"
