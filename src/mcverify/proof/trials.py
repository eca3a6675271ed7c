"""Runs of one routine and what they break, named as the proof names it: by obligation and exit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from mcverify.contract import OBLIGATIONS, Contract, Faults, can_fault, faults_by_entry
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.exits import EVERYWHERE, SUCCESS, exit_of_fault, place
from mcverify.runner_choice import chosen
from mcverify.runs import cpu
from mcverify.runs.case import Access, Case, Ending, Fault, Outcome, Place, Preset, Visit
from mcverify.runs.code import decode, is_fence, is_nontemporal, modifies, reachable
from mcverify.runs.constants import presets
from mcverify.runs.cpu import CpuRunner
from mcverify.runs.emulator import EmulatorRunner
from mcverify.runs.judge import Violation, counts, judge
from mcverify.runs.nowhere import NoRunner
from mcverify.runs.rep import SCHEDULES, Schedule, repeats
from mcverify.runs.wire import Mark, is_long

Key = tuple[str, str]
"""An obligation, and the id of the exit at which it is broken."""

_UNCERTAIN = {Ending.ILLEGAL: "O7", Ending.DIED: "O7", Ending.TIMEOUT: "O9"}
"""What a run that ends so breaks only perhaps (`Violation.certain`)."""

_SHORT = 1 << 13
_LOOKED_UP = 1 << 18
"""Where a byte outside dst was stored without a fault, the emulator tells by what. Each byte costs it some
microseconds: it is asked about cases of at most `_SHORT` bytes, and `_LOOKED_UP` bytes of longer ones."""

STORED_SOMEWHERE: Key = ("O8", EVERYWHERE)
"""A store outside dst, of a run so long that it was not looked up by what."""

STALE = ("O3", "O9")
"""Obligations about bytes that are missing: of these a run is believed if it shows them with
:func:`other_contents` too."""


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


@dataclass(frozen=True, slots=True)
class Failure:
    """One obligation that a run breaks for certain at an exit, and how, in one sentence."""

    obligation: str
    exit: str
    sentence: str

    @property
    def key(self) -> Key:
        """Obligation and exit."""
        return self.obligation, self.exit


def other_contents(case: Case) -> Case:
    """The same case with other contents of buffers and registers."""
    return replace(case, seed=case.seed + 101)


class Trials:
    """Runs the routine at `entry`, on the CPU where there is one (and `on` is "cpu"), and judges.

    With the `rep_model` "unordered" a case in which a REP of several elements meets a bad one is run in the
    emulator too, once for each schedule; a single `schedule` is what the emulator keeps to otherwise.
    Methods raise OutOfTime when `deadline` is reached.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        faults: Faults,
        rep_model: str = "ordered",
        deadline: Deadline | None = None,
        on: str = "cpu",
        schedule: Schedule | None = None,
    ) -> None:
        self.image = image
        self.contract = contract
        self._entry = entry
        self._faults = faults
        self._schedule = schedule
        self._deadline = deadline
        on_cpu = on == "cpu" and cpu.available() is None
        self._unstruck = faults_by_entry(faults)
        self.runner: Runner = (
            CpuRunner(image, entry, contract, deadline, self._unstruck) if on_cpu else self.emulator
        )
        self.is_ordered = rep_model == "ordered" or not repeats(image, entry)
        self.modifies = modifies(image, entry)
        self._bytes_to_look_up = _LOOKED_UP

    @cached_property
    def emulator(self) -> EmulatorRunner | NoRunner:
        """What runs a case and records every access, wherever the others run."""
        if chosen() == "nowhere":
            return NoRunner()
        if self._schedule is None:
            return EmulatorRunner(
                self.image, self._entry, self.contract, deadline=self._deadline, unstruck=self._unstruck
            )
        return self._unordered_by(self._schedule)

    @property
    def cpu(self) -> CpuRunner | None:
        """What runs the cases on the CPU and is all that is asked; None where some are emulated."""
        return self.in_order if self.is_ordered else None

    @property
    def in_order(self) -> CpuRunner | None:
        """What runs cases on the CPU, whose REP keeps its order; None where there is no CPU for it."""
        return self.runner if isinstance(self.runner, CpuRunner) else None

    @cached_property
    def presets(self) -> tuple[Preset, ...]:
        """States at entry that hold what the routine compares with."""
        return presets(self.image, self._entry, self.contract)

    @cached_property
    def is_faithful(self) -> bool:
        """Whether a run shows anything: fs and gs lead elsewhere here than in the kernel, and of what a word
        is exchanged for nobody judges a run yet."""
        if self.contract.is_exchange or self.contract.window is not None:
            return False
        return not any(i.uses_segment for i in reachable(self.image, self._entry).values())

    @cached_property
    def _unordered(self) -> tuple[EmulatorRunner | NoRunner, ...]:
        return tuple(self._unordered_by(schedule) for schedule in SCHEDULES)

    def _unordered_by(self, schedule: Schedule) -> EmulatorRunner | NoRunner:
        if chosen() == "nowhere":
            return NoRunner()
        return EmulatorRunner(
            self.image,
            self._entry,
            self.contract,
            rep_model="unordered",
            schedule=schedule,
            deadline=self._deadline,
            unstruck=self._unstruck,
        )

    def may_happen(self, case: Case) -> bool:
        """Whether only such accesses fault in it as the proof lets fault, and its length may be asked for."""
        if self.contract.size not in (None, case.len):
            return False
        loads, stores = (can_fault(self._faults, kind) for kind in ("load", "store"))
        loads = loads and set(case.traps) <= set(self.contract.load_traps)
        return (loads or case.src.first_bad is None) and (stores or case.dst.first_bad is None)

    def outcomes(self, cases: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
        """What comes of each case: one outcome, and with REP unordered one more for each schedule by which
        its elements are done in another order."""
        yield from zip(cases, self.runner.run(cases), strict=True)
        # A REP that meets no bad byte does all its elements, in whatever order.
        left = [c for c in cases if not c.src.place is c.dst.place is Place.FREE]
        for runner in () if self.is_ordered else self._unordered:
            pairs = zip(left, runner.run(left), strict=True)
            reordered = [(case, outcome) for case, outcome in pairs if outcome.schedule]
            yield from reordered
            left = [case for case, _ in reordered]

    def violations(self, case: Case, outcome: Outcome) -> tuple[Violation, ...]:
        """What the run breaks for certain, without the exits."""
        return tuple(v for v in self.judged(case, outcome) if v.certain)

    def judged(self, case: Case, outcome: Outcome) -> tuple[Violation, ...]:
        """What the run breaks, for certain or perhaps."""
        return judge(self.contract, case, outcome, name=self._name)

    def _name(self, address: int) -> str:
        return place(self.image, address)

    def failures(self, case: Case, outcome: Outcome) -> tuple[Failure, ...]:
        """What the run breaks for certain, and where."""
        return tuple(
            Failure(v.obligation, self.exit(case, outcome, v.obligation), v.sentence)
            for v in self.violations(case, outcome)
        )

    def sure_failures(self, case: Case, outcome: Outcome) -> tuple[Failure, ...]:
        """The failures, without those about missing bytes that other contents of dst do not show."""
        found = self.failures(case, outcome)
        if outcome.ending is Ending.RETURNED and any(f.obligation in STALE for f in found):
            doubtful = frozenset(STALE) - self.still_broken(case)
            found = tuple(f for f in found if f.obligation not in doubtful)
        return found

    def still_broken(self, case: Case) -> frozenset[str]:
        """What the case breaks of `STALE` with other contents of dst too: a byte stored is seen by its
        change, and a wrong one may happen to be what stood there before. The CPU's judge looks at both; with
        REP unordered nothing is left out."""
        if not self.is_ordered:
            return frozenset(STALE)
        if self.cpu is not None:
            (mark,) = self.cpu.judge([case])
            return frozenset(o for o in STALE if mark.broken >> int(o[1:]) & 1)
        other = other_contents(case)
        (outcome,) = self.runner.run([other])
        return frozenset(v.obligation for v in self.violations(other, outcome))

    def broken(
        self, cases: Sequence[Case], keys: Collection[Key], *, stepped: bool = False
    ) -> list[frozenset[Key] | None]:
        """Which of `keys` each case breaks for certain; one schedule that does so is enough. O10 is seen on
        the CPU where the cases are single-stepped (`stepped`).

        None for a case that was not run: it is too long, or too many before it did not return; and for one
        that stores outside dst, nobody knows where.
        """
        if self.cpu is not None:
            return self._broken_on_cpu(self.cpu.judge(cases, stepped=stepped), cases, frozenset(keys))
        asked = {obligation for obligation, _ in keys}
        found: list[frozenset[Key] | None] = [None for _ in cases]
        numbers: dict[Case, list[int]] = {}
        for number, case in enumerate(cases):
            numbers.setdefault(case, []).append(number)
        for case, outcome in self.outcomes(list(numbers)):
            if outcome.ending is Ending.REFUSED:
                continue
            broken = {
                (violation.obligation, self.exit(case, outcome, violation.obligation))
                for violation in self.violations(case, outcome)
                if violation.obligation in asked
            }
            told = _told(frozenset(keys), broken)
            for number in numbers[case] if told is not None else ():
                found[number] = (found[number] or frozenset()) | (told or frozenset())
        return found

    def _broken_on_cpu(
        self, marks: Sequence[Mark], cases: Sequence[Case], keys: frozenset[Key]
    ) -> list[frozenset[Key] | None]:
        asked = [(int(obligation[1:]), obligation) for obligation in sorted({o for o, _ in keys})]
        found: list[frozenset[Key] | None] = []
        for case, mark in zip(cases, marks, strict=True):
            if mark.ending is Ending.REFUSED:
                found.append(None)
                continue
            broken = (
                obligation
                for bit, obligation in asked
                if mark.broken >> bit & 1
                and _UNCERTAIN.get(mark.ending) != obligation
                and counts(self.contract, case, obligation, mark.ending)
            )
            named = {(o, self._exit(case, mark.ending, mark.rip, mark.insn, mark.stray, o)) for o in broken}
            found.append(_told(keys, named))
        return found

    def breaking(self, cases: Sequence[Case]) -> dict[tuple[str, int | None], list[Case]]:
        """The cases that break something on the CPU, as the harness judges, by obligation and the instruction
        of their last fault; those too that do not return."""
        assert self.cpu is not None
        found: dict[tuple[str, int | None], list[Case]] = {}
        for case, mark in zip(cases, self.cpu.judge(cases), strict=True):
            for obligation in OBLIGATIONS:
                broken = mark.broken >> int(obligation[1:]) & 1
                if broken and counts(self.contract, case, obligation, mark.ending):
                    found.setdefault((obligation, mark.insn), []).append(case)
        return found

    def exit(self, case: Case, outcome: Outcome, obligation: str) -> str:
        """The id of the exit at which a run breaks an obligation."""
        stray = next(filter(self.is_stray(case), outcome.faults), None)
        last = outcome.faults[-1].insn if outcome.faults else None
        return self._exit(case, outcome.ending, outcome.rip, last, stray.insn if stray else None, obligation)

    @staticmethod
    def is_stray(case: Case) -> Callable[[Fault], bool]:
        """Tells of a fault in `case` whether it was outside the buffers."""
        return lambda fault: fault.buffer not in ("src", "dst") or not 0 <= fault.offset < case.len

    def _exit(
        self, case: Case, ending: Ending, rip: int, last: int | None, stray: int | None, obligation: str
    ) -> str:
        """By how the run ended, the instruction of its last fault, and that of a fault outside."""
        if obligation == "O8":
            return place(self.image, stray) if stray is not None else self._outside(case)
        if ending in (Ending.OOPS, Ending.TRAPPED):
            return place(self.image, rip)
        if ending in (Ending.TIMEOUT, Ending.OVERFLOW):
            return EVERYWHERE
        return exit_of_fault(self.image, last) if last is not None else SUCCESS

    def _outside(self, case: Case) -> str:
        """The instruction that reached outside its buffer, where that did not fault; EVERYWHERE if it is
        not known."""
        if case.len > _SHORT:
            if case.len > self._bytes_to_look_up:
                return EVERYWHERE
            self._bytes_to_look_up -= case.len
        _, strays = self.emulator.footprint(case, lambda access: _leaves_buffer(access, case.len))
        return place(self.image, strays[0].insn) if strays else EVERYWHERE

    # -- what the judge does not see ---------------------------------------------------------------

    def footprint(self, case: Case) -> tuple[Outcome, tuple[Failure, ...]]:
        """The case in the emulator, with every access recorded: what it breaks, and what lies outside the
        buffers without a fault."""
        outcome, accesses = self.emulator.footprint(case)
        if outcome.ending is Ending.WILD or not self.is_faithful:
            return outcome, ()
        found = judge(self.contract, case, outcome, accesses=accesses, name=self._name)
        return outcome, tuple(
            Failure(v.obligation, self.exit(case, outcome, v.obligation), v.sentence)
            for v in found
            if v.certain
        )

    def weak_store(self, case: Case) -> tuple[int, bool] | None:
        """The address of the last non-temporal store that a case carries out, and whether a fence follows it;
        None without one. The case is single-stepped."""
        addresses = [address for address, _ in self.runner.trace(case)]
        weak = max(
            (n for n, a in enumerate(addresses) if self._is_weak(a) and not self._has_faulted(addresses, n)),
            default=-1,
        )
        if weak < 0:
            return None
        return addresses[weak], any(is_fence(self.image, a) for a in addresses[weak:])

    def unfenced(self, case: Case, outcome: Outcome) -> Failure | None:
        """O10: a non-temporal store that no fence follows before the return. The case is single-stepped."""
        if outcome.ending is not Ending.RETURNED or not self.may_happen(case):
            return None
        address, is_fenced = self.weak_store(case) or (0, True)
        if is_fenced:
            return None
        where = place(self.image, address)
        sentence = f"the non-temporal store at {where} is followed by no fence before the return"
        return Failure("O10", self.exit(case, outcome, "O10"), sentence)

    def _is_weak(self, address: int) -> bool:
        return is_nontemporal(self.image, address)

    def _has_faulted(self, addresses: Sequence[int], step: int) -> bool:
        """Whether step number `step` of a trace faulted for certain: the next one is its fixup, which does
        not lie right behind it. (One step is one iteration of a REP.)"""
        address = addresses[step]
        entry, instruction = self.image.entry_at(address), decode(self.image, address)
        if entry is None or instruction is None or entry.fixup == instruction.end:
            return False
        return addresses[step + 1 : step + 2] == [entry.fixup]

    def endless(self, case: Case, hides: Callable[[int], bool]) -> Failure | None:
        """O9 of a run that was stopped: if it comes back to the very same registers and flags it goes on for
        ever, unless an instruction meanwhile changed what a trace does not show (`hides`, given its
        address). One that faulted has changed nothing."""
        if is_long(case):
            return None
        steps = self.runner.trace(case)
        addresses = [address for address, _ in steps]
        # Where pages come and go: of more visits than there are places in that, two are at the same one.
        times = 1 + len(case.flicker)
        seen: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for number, (address, registers) in enumerate(steps):
            visits = seen.setdefault((address, tuple(registers.values())), [])
            visits.append(number)
            if len(visits) <= times:
                continue
            first = visits[0]
            if any(hides(addresses[n]) and not self._has_faulted(addresses, n) for n in range(first, number)):
                return None
            where = place(self.image, address)
            sentence = f"with len = {case.len} it is at {where} in the same state again: it never ends"
            return Failure("O9", EVERYWHERE, sentence)
        return None


def _told(keys: frozenset[Key], broken: set[Key]) -> frozenset[Key] | None:
    """Those of `keys` that were broken; None if a store left dst, nobody knows at which of them."""
    return None if STORED_SOMEWHERE in broken - keys else keys & broken


def _leaves_buffer(access: Access, length: int) -> bool:
    """Whether an access to src or dst is none that the contract allows."""
    return access.buffer in ("src", "dst") and not access.is_allowed(length)
