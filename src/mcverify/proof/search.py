"""The search for runs that break the contract: on the CPU first, and where a proof failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from mcverify.contract import Contract, Faults
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.exits import EVERYWHERE, SUCCESS, exit_of_fault, place
from mcverify.proof.result import Counterexample
from mcverify.runs import cpu
from mcverify.runs.case import Case, Ending, Outcome, Place, Placement, Visit
from mcverify.runs.cases import far_cases
from mcverify.runs.code import reachable
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.grid import quick_grid
from mcverify.runs.judge import Violation, judge
from mcverify.runs.rep import Schedule

_SCHEDULES: tuple[Schedule, ...] = ("descending", "odd_first", "blocks", "outside_in")
_MOST_STOPPED = 3
_LONG = 1 << 22
"""Longer runs than this many bytes are only tried for the lengths beyond the domain."""


class Runner(Protocol):
    """Something that executes cases."""

    def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """The outcome of each case."""
        ...

    def sample(self, cases: Sequence[Case], addresses: Iterable[int], limit: int = ...) -> list[Visit]:
        """The states in which the runs pass `addresses`."""
        ...

    def trace(self, case: Case) -> list[tuple[int, dict[str, int]]]:
        """Every step of one case: address and registers before it."""
        ...


class Witnesses:
    """Runs one routine and keeps, for each obligation and exit, the smallest run that breaks it.

    Runs of more than `len_max` bytes refute nothing.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        faults: Faults,
        rep_model: str,
        len_max: int,
        deadline: Deadline | None = None,
    ) -> None:
        self._len_max = len_max
        self._image = image
        self._entry = entry
        self._contract = contract
        self._faults = faults
        self._emulator = EmulatorRunner(image, entry, contract)
        on_cpu = cpu.available() is None
        self.runner: Runner = CpuRunner(image, entry, contract, deadline) if on_cpu else self._emulator
        self._rep_model = rep_model
        self.found: dict[tuple[str, str], Counterexample] = {}
        self.cases_run = 0
        self._stopped: list[Case] = []
        self._is_faithful = not any(i.uses_segment for i in reachable(image, entry).values())

    def search(self) -> None:
        """Run a grid of some ten thousand cases; where there is no CPU for it, a part of it on the
        emulator."""
        grid = quick_grid(self._contract, self._faults)
        if self._rep_model == "unordered":
            self._search_unordered([grid.case(i) for i in range(0, len(grid), max(1, len(grid) // 400))])
        elif isinstance(self.runner, CpuRunner):
            result = self.runner.grid(grid)
            self.cases_run += result.cases
            self.try_cases([case for violation in result.violations for case in violation.cases[:2]])
        else:
            self.try_cases([grid.case(i) for i in range(0, len(grid), max(1, len(grid) // 400))])

    def _search_unordered(self, cases: Sequence[Case]) -> None:
        for schedule in _SCHEDULES:
            runner = EmulatorRunner(
                self._image, self._entry, self._contract, rep_model="unordered", schedule=schedule
            )
            self._keep_all(cases, runner.run(cases))

    def try_cases(self, cases: Sequence[Case]) -> None:
        """Run `cases` and keep what breaks the contract."""
        cases = [case for case in cases if case.len <= self._len_max and self._may_happen(case)]
        if self._rep_model == "unordered":
            self._search_unordered(cases)
        else:
            self._keep_all(cases, self.runner.run(cases))

    def _may_happen(self, case: Case) -> bool:
        """Whether only such accesses fault in it as this proof lets fault."""
        loads, stores = self._faults in ("loads", "both"), self._faults in ("stores", "both")
        return (loads or case.src.first_bad is None) and (stores or case.dst.first_bad is None)

    def _keep_all(self, cases: Sequence[Case], outcomes: Sequence[Outcome]) -> None:
        self.cases_run += len(cases)
        if not self._is_faithful:
            return  # fs and gs lead elsewhere here than in the kernel: such a run shows nothing
        for case, outcome in zip(cases, outcomes, strict=True):
            if case.len > self._len_max:
                continue
            if outcome.ending is Ending.TIMEOUT:
                self._stopped.append(case)
            for violation in self.violations(case, outcome):
                self._keep(case, outcome, violation)

    def violations(self, case: Case, outcome: Outcome) -> tuple[Violation, ...]:
        """What the run breaks; only what it shows for certain, and only for faults that this proof is
        about."""
        found = judge(self._contract, case, outcome, name=lambda a: place(self._image, a))
        return tuple(v for v in found if v.certain)

    def slack_seen(self, cases: Sequence[Case]) -> int:
        """The most good bytes before a bad one that the runs of `cases` left uncopied."""
        worst = 0
        for case, outcome in zip(cases, self.runner.run(cases), strict=True):
            if outcome.faults and outcome.ending is Ending.RETURNED and self._contract.left:
                done = case.len - outcome.registers[self._contract.left]
                worst = max(worst, outcome.faults[-1].offset - done)
        return worst

    def beyond(self, len_max: int) -> tuple[int, str] | None:
        """A length of 2^32 or more, beyond `len_max`, for which a run breaks the contract, and how."""
        if self._rep_model != "ordered" or not isinstance(self.runner, CpuRunner):
            return None
        cases = [c for c in far_cases(self._contract)[:1] if c.len > len_max and self._may_happen(c)]
        try:
            outcomes = self.runner.run(cases)
        except OutOfTime:
            return None
        for case, outcome in zip(cases, outcomes, strict=True):
            for violation in self.violations(case, outcome)[:1]:
                return case.len, f"{violation.obligation}: {violation.sentence}"
        return None

    def _keep(self, case: Case, outcome: Outcome, violation: Violation) -> None:
        if case.len > self._len_max:
            return
        where = self._exit(case, outcome, violation.obligation)
        key = violation.obligation, where
        known = self.found.get(key)
        smaller = known is None or _size(case) < _size(known.case)
        if smaller and self._is_confirmed(case, violation.obligation):
            self.found[key] = Counterexample(
                (violation.obligation,), where, case, outcome, violation.sentence
            )

    def _is_confirmed(self, case: Case, obligation: str) -> bool:
        """Whether other contents of the buffers show a missing byte too: a byte stored is seen by its
        change, and a wrong one may happen to be what stood there before."""
        if obligation not in ("O3", "O9") or self._rep_model != "ordered":
            return True
        again = replace(case, seed=case.seed + 101)
        (outcome,) = self.runner.run([again])
        return any(v.obligation == obligation for v in self.violations(again, outcome))

    def endless(self, hides: Callable[[int], bool]) -> None:
        """Look at the runs that were stopped: one that comes back to the very same registers and flags goes
        on for ever, if no instruction meanwhile changed what a trace does not show (`hides`, given its
        address)."""
        for case in self._stopped[:_MOST_STOPPED]:
            steps = self.runner.trace(case)
            seen: dict[tuple[int, tuple[int, ...]], int] = {}
            for number, (address, registers) in enumerate(steps):
                state = address, tuple(registers.values())
                if state not in seen:
                    seen[state] = number
                    continue
                if not any(hides(a) for a, _ in steps[seen[state] : number]):
                    where = place(self._image, address)
                    sentence = (
                        f"with len = {case.len} it is at {where} in the same state again: it never ends"
                    )
                    (outcome,) = self.runner.run([case])
                    self.found["O9", EVERYWHERE] = Counterexample(
                        ("O9",), EVERYWHERE, case, outcome, sentence
                    )
                    return
                break

    def _exit(self, case: Case, outcome: Outcome, obligation: str) -> str:
        if obligation == "O8":
            return self._outside(case, outcome)
        if outcome.ending is Ending.OOPS:
            return place(self._image, outcome.rip)
        if outcome.ending is Ending.TIMEOUT:
            return EVERYWHERE
        return exit_of_fault(self._image, outcome.faults[-1].insn) if outcome.faults else SUCCESS

    def _outside(self, case: Case, outcome: Outcome) -> str:
        """The instruction that reached outside its buffer."""
        stray = next(
            (f for f in outcome.faults if not 0 <= f.offset < case.len or f.buffer not in ("src", "dst")),
            None,
        )
        if stray is not None:
            return place(self._image, stray.insn)
        _, accesses = self._emulator.footprint(case)
        allowed = {"src": False, "dst": True}
        for access in accesses:
            inside = access.offset >= 0 and access.offset + access.size <= case.len
            if access.buffer in allowed and not (inside and access.is_store == allowed[access.buffer]):
                return place(self._image, access.insn)
        return EVERYWHERE

    def unfenced(
        self, cases: Sequence[Case], is_weak: Callable[[int], bool], is_fence: Callable[[int], bool]
    ) -> None:
        """Single-step `cases` and look for a non-temporal store that no fence follows before the return."""
        for case, outcome in zip(cases, self.runner.run(cases), strict=True):
            if outcome.ending is not Ending.RETURNED or not self._may_happen(case):
                continue
            addresses = [address for address, _ in self.runner.trace(case)]
            weak = max(
                (n for n, a in enumerate(addresses) if is_weak(a) and not self._step_faulted(addresses, n)),
                default=-1,
            )
            if weak >= 0 and not any(is_fence(a) for a in addresses[weak:]):
                where = place(self._image, addresses[weak])
                sentence = f"the non-temporal store at {where} is followed by no fence before the return"
                self._keep(case, outcome, Violation("O10", sentence))

    def _step_faulted(self, addresses: Sequence[int], step: int) -> bool:
        """Whether step number `step` of a trace faulted: the next one is its fixup."""
        entry = self._image.entry_at(addresses[step])
        return entry is not None and addresses[step + 1 : step + 2] == [entry.fixup]

    def footprints(self, cases: Sequence[Case]) -> None:
        """Run `cases` on the emulator with every access recorded: what lies outside the buffers without a
        fault."""
        for case in cases if self._is_faithful else ():
            outcome, accesses = self._emulator.footprint(case)
            for violation in judge(self._contract, case, outcome, accesses=accesses):
                if violation.certain and outcome.ending is not Ending.WILD:
                    self._keep(case, outcome, violation)


def _size(case: Case) -> tuple[int, ...]:
    bad = [p.first_bad for p in (case.src, case.dst)]
    return (case.len, sum(b is not None for b in bad), *(b or 0 for b in bad), case.src.at, case.dst.at)


def probes(contract: Contract, faults: Faults, len_max: int) -> list[Case]:
    """Cases near powers of two, where counters wrap around, with faults near both ends."""
    near = [((1 << bits) + extra, (0, 1, 8, 63, 64)) for bits in (8, 12, 15, 16) for extra in (-1, 0, 1, 7)]
    far = [((1 << bits) + extra, (0, 8, 17)) for bits in (17, 19, 20) for extra in (0, 13)]
    found = []
    for length, starts in near + far:
        if length > len_max:
            continue
        for at in (*starts, length - 8, length - 3, length - 1):
            found += faulting(contract, faults, length, at)
        found.append(Case(length, Placement(Place.FREE, 5), Placement(Place.FREE, 3)))
    return found


def faulting(contract: Contract, faults: Faults, length: int, at: int) -> list[Case]:
    """A fault at offset `at` of src, and one of dst, as far as such accesses may fault."""
    hole, free = Placement(Place.HOLE, at), Placement(Place.FREE, 1)
    found = []
    if faults in ("loads", "both") and contract.src is not None:
        found += [Case(length, hole, free, trap) for trap in (14, 18)]
    if faults in ("stores", "both"):
        found.append(Case(length, free, hole))
    return found


def hinted(hint: Callable[[str], int]) -> list[Case]:
    """Cases that a model of Z3 suggests; `hint` gives "len", "src", "dst", "bad_src", "bad_dst" of it."""
    length = hint("len")
    if length > _LONG:
        return []
    places = {}
    for buffer in ("src", "dst"):
        bad, address = hint(f"bad_{buffer}"), hint(buffer)
        free = Placement(Place.FREE, address % 4096)
        if bad >= length:
            places[buffer] = [free]
        else:
            places[buffer] = [
                free,
                Placement(Place.INSIDE, address % 4096) if bad == 0 else Placement(Place.HOLE, bad),
            ]
    return [
        Case(length, src, dst, trap) for src in places["src"] for dst in places["dst"] for trap in (14, 18)
    ]
