"""A case that is run again, and all that the run breaks.

The search for counterexamples looks at a run in several ways: at its outcome, at every access, at the
order of its instructions, at states that come back. Here they are all applied to one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from mcverify.errors import InputError
from mcverify.proof.trials import Failure, Trials
from mcverify.runs import cpu, emulator, wire
from mcverify.runs.case import Case, Ending, Outcome
from mcverify.runs.code import keeps_hidden
from mcverify.runs.rep import Schedule
from mcverify.witness.subject import Subject

On = Literal["cpu", "emulator"]


class CannotRunError(Exception):
    """The case cannot be run here; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a case did, and what it breaks for certain."""

    outcome: Outcome
    failures: tuple[Failure, ...]


def rerun(subject: Subject, case: Case, on: On, schedule: Schedule | None, *, accesses: bool) -> Rerun:
    """Run `case` and judge it; on the emulator with the order `schedule` of the elements of a REP (None: as a
    CPU does them). `accesses`: look at every access too, on the emulator if the CPU's run does not tell.

    Raises CannotRunError where this host, or the emulator, cannot.
    """
    why = cpu.available() if on == "cpu" else emulator.available()
    if why is not None:
        other = on == "cpu" and emulator.available() is None
        raise CannotRunError(why + ("; --on emulator runs it without" if other else ""))
    trials = Trials(subject.image, subject.entry, subject.contract, subject.faults, on=on, schedule=schedule)
    if not trials.is_faithful:
        raise CannotRunError("it reaches memory through fs or gs, which lead elsewhere in the kernel")
    try:
        (outcome,) = trials.runner.run([case])
    except InputError as error:
        raise CannotRunError(f"{error.message}; try --on emulator") from error
    if outcome.ending is Ending.REFUSED:
        raise CannotRunError(_refusal(case, on))
    return Rerun(outcome, tuple(dict.fromkeys(_failures(subject, trials, case, outcome, accesses))))


def _refusal(case: Case, on: On) -> str:
    size = f"buffers of {max(case.len, case.src.at, case.dst.at):#x} bytes"
    if on == "emulator":
        return f"{size} are too long for the emulator; --on cpu may have the memory"
    return f"there is not enough memory for {size}"


def _failures(
    subject: Subject, trials: Trials, case: Case, outcome: Outcome, accesses: bool
) -> Iterator[Failure]:
    """What the outcome shows, then what only a closer look does."""
    yield from trials.sure_failures(case, outcome)
    binding = subject.contract.binding(case.trap_after(outcome.faults))
    if accesses:
        yield from (failure for failure in trials.footprint(case)[1] if failure.obligation == "O8")
    if wire.is_long(case):
        return  # it cannot be single-stepped
    if "O10" in binding:
        yield from filter(None, [trials.unfenced(case, outcome)])
    if "O9" in binding and outcome.ending is Ending.TIMEOUT:
        yield from filter(None, [trials.endless(case, partial(keeps_hidden, subject.image))])
