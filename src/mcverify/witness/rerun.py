"""A case that is run again, and all that the run breaks.

The search for counterexamples looks at a run in several ways: at its outcome, at every access, at the
order of its instructions, at states that come back. Here they are all applied to one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from mcverify.errors import InputError
from mcverify.runs import cpu, emulator, wire
from mcverify.runs.case import Access, Case, Ending, Outcome
from mcverify.runs.code import is_fence, is_nontemporal, keeps_hidden, reachable
from mcverify.runs.cpu import CpuRunner, Step
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import Violation, judge
from mcverify.runs.rep import Schedule
from mcverify.witness.subject import Subject

On = Literal["cpu", "emulator"]


class CannotRunError(Exception):
    """The case cannot be run here; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a case did. `violations` are those that the run shows for certain."""

    outcome: Outcome
    violations: tuple[Violation, ...]


class Runner:
    """Runs the cases of one routine, on the CPU or on the emulator, the latter with the order `schedule` of
    the elements of a REP ("": as the CPU does them).

    Raises CannotRunError where this host, or the emulator, cannot.
    """

    def __init__(self, subject: Subject, on: On, schedule: str) -> None:
        image, entry, contract = subject.image, subject.entry, subject.contract
        self._subject, self._on = subject, on
        self._refuse_what_cannot_be_run()
        self._emulator = EmulatorRunner(
            image,
            entry,
            contract,
            rep_model="unordered" if schedule else "ordered",
            schedule=cast("Schedule", schedule or "descending"),
        )
        self._runner = self._emulator if on == "emulator" else CpuRunner(image, entry, contract)

    def run(self, case: Case, *, accesses: bool = False) -> Rerun:
        """Run `case` and judge it; `accesses`: look at every access too, if need be on the emulator."""
        outcome, made = self._outcome(case, accesses)
        if outcome.ending is Ending.REFUSED:
            raise CannotRunError(self._refusal(case))
        return Rerun(outcome, tuple(self._violations(case, outcome, made)))

    def steps(self, case: Case) -> list[Step]:
        """Every step of `case`: address and registers before it."""
        if self._on == "cpu" and wire.is_long(case):
            raise CannotRunError(
                f"a run of more than {wire.LONGEST_MAP} bytes cannot be followed step by step"
            )
        return self._runner.trace(case)

    def _refuse_what_cannot_be_run(self) -> None:
        why = cpu.available() if self._on == "cpu" else emulator.available()
        if why is not None:
            hint = "; --on emulator runs it without" if self._on == "cpu" else ""
            raise CannotRunError(f"{why}{hint}")
        if any(i.uses_segment for i in reachable(self._subject.image, self._subject.entry).values()):
            raise CannotRunError("it reaches memory through fs or gs, which lead elsewhere in the kernel")

    def _outcome(self, case: Case, accesses: bool) -> tuple[Outcome, tuple[Access, ...]]:
        if self._on == "emulator":
            return self._emulator.footprint(case)
        try:
            (outcome,) = self._runner.run([case])
        except InputError as error:
            raise CannotRunError(f"{error.message}; try --on emulator") from error
        return outcome, self._emulator.footprint(case)[1] if accesses else ()

    def _refusal(self, case: Case) -> str:
        size = f"buffers of {max(case.len, case.src.at, case.dst.at):#x} bytes"
        if self._on == "emulator":
            return f"{size} are too long for the emulator; --on cpu may have the memory"
        return f"there is not enough memory for {size}"

    def _violations(self, case: Case, outcome: Outcome, accesses: tuple[Access, ...]) -> Iterator[Violation]:
        if outcome.ending is Ending.WILD:
            accesses = ()
        place, contract = self._subject.place, self._subject.contract
        found = judge(contract, case, outcome, accesses=accesses, name=place)
        yield from (violation for violation in found if violation.certain)
        last = outcome.faults[-1] if outcome.faults else None
        binding = contract.binding(None if last is None else 14 if last.is_store else case.trap)
        if "O10" in binding and outcome.ending is Ending.RETURNED:
            yield from self._unfenced(case)
        if "O9" in binding and outcome.ending is Ending.TIMEOUT:
            yield from self._endless(case)

    def _unfenced(self, case: Case) -> Iterator[Violation]:
        """A non-temporal store that was carried out and that no fence follows before the return."""
        steps = [address for address, _ in self.steps(case)]
        image, last = self._subject.image, -1
        for number, address in enumerate(steps):
            entry = image.entry_at(address)
            faulted = entry is not None and steps[number + 1 : number + 2] == [entry.fixup]
            if is_nontemporal(image, address) and not faulted:
                last = number
            elif is_fence(image, address):
                last = -1
        if last >= 0:
            where = self._subject.place(steps[last])
            yield Violation(
                "O10", f"the non-temporal store at {where} is followed by no fence before the return"
            )

    def _endless(self, case: Case) -> Iterator[Violation]:
        """A state that comes back, with nothing in between that a state does not show."""
        seen: dict[tuple[int, tuple[int, ...]], int] = {}
        steps = self.steps(case)
        for number, (address, registers) in enumerate(steps):
            state = address, tuple(registers.values())
            if state not in seen:
                seen[state] = number
                continue
            if not any(keeps_hidden(self._subject.image, a) for a, _ in steps[seen[state] : number]):
                where = self._subject.place(address)
                yield Violation(
                    "O9", f"with len = {case.len} it is at {where} in the same state again: it never ends"
                )
            return
