"""Which obligations a concrete run breaks. harness.c judges the cases of a grid in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcverify.contract import MACHINE_CHECK, Contract
from mcverify.runs.case import Access, Case, Ending, Fault, Outcome, Run
from mcverify.runs.pattern import LEAD, contents_of, first_zero
from mcverify.scopes import Scope, needs_transient

_FLAG_DF = 1 << 10
_FLAG_AC = 1 << 18


@dataclass(frozen=True, slots=True)
class Violation:
    """One obligation that a run breaks, and how, in numbers. `certain` is False for a suspicion:
    a run that was stopped at the time limit has not been shown to go on for ever, an instruction that was
    refused may be one that only a kernel, or a newer CPU, can execute, and a process may die of other causes.
    """

    obligation: str
    sentence: str
    certain: bool = True


def judge(
    contract: Contract,
    case: Case,
    outcome: Outcome,
    *,
    accesses: Iterable[Access] = (),
    name: Callable[[int], str] = hex,
) -> tuple[Violation, ...]:
    """The obligations of the contract that the outcome of `case` breaks, in order of their ids.

    `accesses` are the memory accesses of the run, if they were recorded; `name` turns the address of an
    instruction into words. A run that left for an external symbol, or was refused, is not judged.
    """
    if outcome.ending in (Ending.ESCAPED, Ending.REFUSED):
        return ()
    run = Judged(contract, case, outcome, tuple(accesses), name)
    binding = contract.binding(run.last_trap)
    found = [
        violation
        for violation in _violations(run)
        if violation.obligation in binding and counts(contract, case, violation.obligation, outcome.ending)
    ]
    return tuple(sorted(found, key=lambda v: int(v.obligation[1:])))


def counts(contract: Contract, case: Case, obligation: str, ending: Ending) -> bool:
    """Whether the contract asks an obligation of such a run: where pages come and go, only what it asks under
    transient faults."""
    if not case.flicker:
        return True
    scope: Scope = (
        "loops" if obligation == "O9" and ending is Ending.TIMEOUT else _SCOPES.get(obligation, "exit")
    )
    return needs_transient(obligation, scope, contract)


_SCOPES: dict[str, Scope] = {"O1": "end", "O8": "access"}


def _violations(run: Judged) -> Iterator[Violation]:
    yield from _ending(run)
    yield from _memory(run)
    yield from _footprint(run)
    if run.outcome.ending is Ending.RETURNED:
        yield from _value(run)
        yield from _count(run)
        yield from _string(run)
        yield from _state(run)
        yield from _result(run)


@dataclass(frozen=True)
class Judged:
    """A run, with what the obligations speak of worked out."""

    contract: Contract
    case: Case
    outcome: Outcome
    accesses: tuple[Access, ...]
    name: Callable[[int], str]

    @cached_property
    def stored(self) -> Sequence[Run]:
        """Offsets of dst that changed."""
        if self.outcome.stored is not None:
            return self.outcome.stored
        return _runs(self.outcome.written, self.outcome.base)

    @cached_property
    def wrong(self) -> Sequence[Run]:
        """Those that changed to a wrong value."""
        if self.outcome.wrong is not None:
            return self.outcome.wrong
        return _runs(_and_not(self.outcome.written, self.outcome.correct), self.outcome.base)

    @cached_property
    def missing(self) -> int:
        """Lowest offset of dst that was not stored; len if all were."""
        edge = 0
        for first, end in self.stored:
            if first <= edge < end:
                edge = end
        return min(edge, self.case.len)

    @cached_property
    def last(self) -> int:
        """One more than the highest offset within dst that was stored, 0 if none was."""
        ends = (min(end, self.case.len) for first, end in self.stored if first < self.case.len and end > 0)
        return max(ends, default=0)

    @property
    def right_value(self) -> int:
        """What a routine that returns the bytes of src in a register must return."""
        if self.outcome.faults or self.contract.size is None:
            return 0
        known = contents_of(self.case, self.contract, LEAD + self.contract.size)
        return int.from_bytes(known[LEAD:], "little")

    @cached_property
    def fault_point(self) -> int | None:
        """Lowest offset within a buffer at which a fault was taken; where pages come and go, that of the last
        one."""
        if self.case.flicker:
            last = self.outcome.faults[-1:]
            return next((f.offset for f in last if self.is_within(f)), None)
        return min((f.offset for f in self.outcome.faults if self.is_within(f)), default=None)

    @property
    def last_trap(self) -> int | None:
        """Trap number of the last fault."""
        return self.case.trap_after(self.outcome.faults)

    def is_within(self, fault: Fault) -> bool:
        """Whether the fault was taken inside a buffer."""
        return fault.buffer != "" and 0 <= fault.offset < self.case.len

    def result(self, role: str) -> int:
        """The value of the result `role`, which the contract names, at the end."""
        return self.contract.result(role, self.outcome.registers)

    @cached_property
    def nul(self) -> int:
        """The offset of the first zero byte of a string in src, its largest length if there is none."""
        return first_zero(self.case, self.contract)

    @property
    def bad(self) -> list[int]:
        """The first bad bytes of the buffers that have some."""
        named = ((self.contract.src, self.case.src), (self.contract.dst, self.case.dst))
        found = (placement.first_bad for register, placement in named if register is not None)
        return [offset for offset in found if offset is not None and offset < self.case.len]

    @property
    def is_error(self) -> bool:
        """Whether a string's routine returned the error in place of a length."""
        error = self.contract.error
        return error is not None and self.result("string_length") == error % (1 << self.contract.error_bits)

    @cached_property
    def left(self) -> int:
        """The count of bytes left that the routine tells at its return."""
        return self.contract.left_of(self.outcome.registers, self.outcome.initial, self.case.len)

    def register(self, register: str) -> int:
        """The value of a register at the end."""
        return self.outcome.registers[register]


def _and_not(marks: bytes, others: bytes) -> bytes:
    """What is marked (1, else 0) in the one and not in the other."""
    found = int.from_bytes(marks, "little") & ~int.from_bytes(others, "little")
    return found.to_bytes(len(marks), "little")


def _runs(marks: bytes, base: int) -> list[Run]:
    runs: list[Run] = []
    end = 0
    while (first := marks.find(1, end)) >= 0:
        end = marks.find(0, first)
        end = len(marks) if end < 0 else end
        runs.append((first + base, end + base))
    return runs


def _words(runs: Iterable[Run]) -> str:
    return ", ".join(f"{a}" if b == a + 1 else f"{a} to {b - 1}" for a, b in runs)


def _ending(run: Judged) -> Iterator[Violation]:
    at = run.name(run.outcome.rip)
    match run.outcome.ending:
        case Ending.OOPS:
            entry = "no exception-table entry covers it"
            if run.last_trap == MACHINE_CHECK:
                entry = "the kernel recovers from no machine check there"
            yield Violation("O1", f"{_fault(run.outcome.faults[-1], run)}, and {entry}")
        case Ending.TRAPPED:
            why = "its address is not aligned as the instruction asks, and no exception-table entry covers it"
            yield Violation("O1", f"the access at {at} raised a general protection fault: {why}")
        case Ending.WILD:
            yield Violation("O7", f"the routine left its code, at {at}, other than by its return address")
        case Ending.ILLEGAL:
            yield Violation(
                "O7", f"this CPU refused the instruction at {at} to a user process", certain=False
            )
        case Ending.DIED:
            yield Violation("O7", "the process that ran the routine was brought down", certain=False)
        case Ending.OVERFLOW:
            yield Violation("O9", f"the stack ran out, at {at}: calls go on without end")
        case Ending.TIMEOUT:
            yield Violation(
                "O9", f"the routine had not returned when its time was over, at {at}", certain=False
            )


def _fault(fault: Fault, run: Judged) -> str:
    place = f"byte {fault.offset} of {fault.buffer}" if fault.buffer else f"address {fault.offset:#x}"
    return f"the {'store' if fault.is_store else 'load'} at {run.name(fault.insn)} faulted at {place}"


def _memory(run: Judged) -> Iterator[Violation]:
    length, point = run.case.len, run.fault_point
    if run.contract.string_length is not None and run.last > run.nul + 1:
        yield Violation("O4", f"byte {run.last - 1} of dst was stored, though the string ends at {run.nul}")
    if point is not None and run.last > point:
        yield Violation("O4", f"byte {run.last - 1} of dst was stored, though byte {point} faulted")
    clipped = ((max(a, 0), min(b, length)) for a, b in run.wrong)
    wrong = [(a, b) for a, b in clipped if a < b]
    if wrong:
        of = run.contract.value_name or "the source"
        what = "is not zero" if run.contract.data == "zero" else f"is not {of}'s"
        yield Violation("O6", f"what was stored at {_words(wrong)} of dst {what}")
    if run.outcome.unzeroed is not None:
        at = run.outcome.unzeroed
        yield Violation("O6", f"byte {at} of dst is reported left, and was not zeroed after the fault")
    stray = [
        part for a, b in run.stored for part in ((a, min(b, 0)), (max(a, length), b)) if part[0] < part[1]
    ]
    if stray:
        yield Violation("O8", f"bytes {_words(stray)} were stored, outside dst[0:{length}]")


def _footprint(run: Judged) -> Iterator[Violation]:
    length = run.case.len
    for fault in run.outcome.faults:
        if not run.is_within(fault):
            yield Violation("O8", f"{_fault(fault, run)}, which is outside its {length} bytes")
            return
    for access in run.accesses:
        if not access.is_allowed(length):
            what = "stores" if access.is_store else "loads"
            place = (
                f"bytes {access.offset} to {access.offset + access.size - 1} of {access.buffer or 'memory'}"
            )
            yield Violation("O8", f"{run.name(access.insn)} {what} {place}, outside what the contract allows")
            return


def _value(run: Judged) -> Iterator[Violation]:
    if run.contract.loaded_value is None:
        return
    value, right = run.register(run.contract.loaded_value), run.right_value
    if value != right:
        yield Violation("O6", f"the value returned is {value:#x}, not {right:#x}")


def _count(run: Judged) -> Iterator[Violation]:
    if run.contract.left is None:
        return
    left, length = run.left, run.case.len
    if left > length:
        yield Violation("O2", _out_of_range(run))
        return
    claimed = length - left
    said = f"{left} of {length} bytes are reported left"
    if run.missing < claimed:
        yield Violation("O3", f"{said}, but byte {run.missing} of dst was not stored")
    if run.last - claimed > run.contract.over_report_after(run.last_trap):
        yield Violation("O4", f"{said}, but byte {run.last - 1} of dst was stored")
    if 0 < left == length and not _first_is_bad(run):
        yield Violation("O5", f"{said}, though the first byte could be copied")


def _out_of_range(run: Judged) -> str:
    contract = run.contract
    if contract.told == "address":
        return f"the address returned, {run.result('left'):#x}, is that of no byte of {contract.buffers}"
    if contract.told == "done":
        return f"{run.result('left')} bytes are reported done of {run.case.len}"
    return f"{run.left} bytes are reported left of {run.case.len}"


def _string(run: Judged) -> Iterator[Violation]:
    """Of a routine that returns the length of a string: the error only if a byte up to its end is bad."""
    contract = run.contract
    if contract.string_length is None or not (run.outcome.faults and run.is_error):
        return
    point = run.fault_point if run.case.flicker else min(run.bad, default=None)
    if point is None or point > run.nul:
        yield Violation(
            "O5", f"the error is returned, though the string ends at {run.nul}, before a bad byte"
        )


def _wrong_string(run: Judged) -> Iterator[str]:
    contract, length = run.contract, run.case.len
    if contract.string_length is None or (run.outcome.faults and run.is_error):
        return
    value = run.result("string_length")
    if not contract.length_is_right(value, run.nul, length):
        end = f"ends at {run.nul}" if run.nul < length else f"does not end within {length} bytes"
        yield f"the length returned is {value}, and the string {end}"
    if contract.dst is not None and run.missing < min(run.nul + 1, length):
        yield f"byte {run.missing} of dst was not stored"


def _first_is_bad(run: Judged) -> bool:
    case = run.case
    if case.flicker:
        return run.fault_point == 0
    return case.dst.first_bad == 0 or (run.contract.src is not None and case.src.first_bad == 0)


def _state(run: Judged) -> Iterator[Violation]:
    outcome = run.outcome
    broken = [f"{r} was changed" for r in run.contract.kept if run.register(r) != outcome.initial[r]]
    moved = run.register("rsp") - outcome.initial["rsp"] - 8
    if moved:
        broken.append(f"rsp is off by {moved}")
    if run.register("rflags") & _FLAG_DF:
        broken.append("the direction flag is set")
    if outcome.ac or run.register("rflags") & _FLAG_AC:
        broken.append("user access is left open")
    if not outcome.frame_intact:
        broken.append("the caller's frame was overwritten")
    if broken:
        yield Violation("O7", "at the return " + ", ".join(broken))


def _result(run: Judged) -> Iterator[Violation]:
    wrong = [*_wrong_trap(run), *_wrong_status(run), *_wrong_string(run), *_wrong_success(run)]
    if wrong:
        yield Violation("O9", ", ".join(wrong))


def _wrong_trap(run: Judged) -> Iterator[str]:
    if run.contract.trap is not None:
        value, expected = run.result("trap"), run.last_trap or 0
        if value != expected:
            yield f"the trap number returned is {value}, not {expected}"


def _wrong_status(run: Judged) -> Iterator[str]:
    if run.contract.status is not None:
        value, faulted = run.result("status"), bool(run.outcome.faults)
        if not run.contract.status_is_right(value, faulted=faulted):
            yield f"the status returned is {value}, though {'a' if faulted else 'no'} fault was taken"


def _wrong_success(run: Judged) -> Iterator[str]:
    if run.outcome.faults or run.contract.string_length is not None:
        return
    if run.contract.left is not None and run.left != 0:
        yield f"{run.left} bytes are reported left without a fault"
    if run.contract.dst is not None and run.missing < run.case.len:
        yield f"byte {run.missing} of dst was not stored, though no fault was taken"
