"""Two outcomes of one case, compared: what was recorded, and what the run did now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.runs.case import Case, Ending, Fault, Outcome, Run

_MASK = (1 << 64) - 1
_DF, _AC = 1 << 10, 1 << 18


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs ("ending", "faults", "bytes", "flags" or a register's name), as words."""

    what: str
    recorded: str
    now: str


def differences(
    contract: Contract, case: Case, recorded: Outcome, now: Outcome, addresses: Mapping[int, int]
) -> tuple[Difference, ...]:
    """In what the two outcomes of `case` differ.

    Buffers and stack may lie elsewhere in the two runs: a register that points into one of them is
    compared as a distance from its start. `addresses` maps the instructions of the recorded run to those
    of now; of the flags only those that a caller relies on count, as the others may be undefined.
    """
    return tuple(_differences(contract, case, recorded, now, addresses))


def _differences(
    contract: Contract, case: Case, recorded: Outcome, now: Outcome, addresses: Mapping[int, int]
) -> Iterator[Difference]:
    if recorded.ending is not now.ending:
        yield Difference("ending", recorded.ending.value, now.ending.value)
    if [_essence(f, case, addresses) for f in recorded.faults] != [_essence(f, case, {}) for f in now.faults]:
        yield Difference("faults", _faults(recorded.faults), _faults(now.faults))
    if _bytes(recorded) != _bytes(now):
        yield Difference("bytes", _stored(recorded), _stored(now))
    if recorded.ending is now.ending is not Ending.DIED:
        yield from _registers(contract, recorded, now)


def _essence(fault: Fault, case: Case, addresses: Mapping[int, int]) -> tuple[int, str, int, bool]:
    """A fault, wherever the code lies. How far the memory beyond a buffer reaches is the runner's choice."""
    offset = min(max(fault.offset, -1), case.len) if fault.buffer else 0
    return addresses.get(fault.insn, fault.insn), fault.buffer, offset, fault.is_store


def _registers(contract: Contract, recorded: Outcome, now: Outcome) -> Iterator[Difference]:
    pointers = [r for r in (contract.dst, contract.src, "rsp") if r is not None]
    shifts = {0} | {now.initial[r] - recorded.initial[r] & _MASK for r in pointers}
    for name in X86_64.general:
        before, after = recorded.registers[name], now.registers[name]
        if after - before & _MASK not in shifts:
            yield Difference(name, hex(before), hex(after))
    if _flags(recorded) != _flags(now):
        yield Difference("flags", _flags(recorded), _flags(now))


def _flags(outcome: Outcome) -> str:
    flags = outcome.registers["rflags"]
    open_ = outcome.ac or bool(flags & _AC)
    return f"DF {int(bool(flags & _DF))}, AC {int(open_)}"


def _bytes(outcome: Outcome) -> object:
    return outcome.base, outcome.written, outcome.correct, outcome.stored, outcome.wrong


def _faults(faults: Sequence[Fault]) -> str:
    return ", ".join(
        f"{'store' if f.is_store else 'load'} {f.buffer or 'elsewhere'}{f.offset:+d} at {f.insn:#x}"
        for f in faults
    ) or "none"  # fmt: skip


def _stored(outcome: Outcome) -> str:
    if outcome.stored is not None:
        return _spans(outcome.stored, outcome.wrong or ())
    runs = tuple(_runs(outcome.written, outcome.base))
    marks = bytes(w and not c for w, c in zip(outcome.written, outcome.correct, strict=True))
    return _spans(runs, tuple(_runs(marks, outcome.base)))


def _runs(marks: bytes, base: int) -> Iterator[Run]:
    end = 0
    while (first := marks.find(1, end)) >= 0:
        end = marks.find(0, first)
        end = len(marks) if end < 0 else end
        yield first + base, end + base


def _spans(stored: Sequence[Run], wrong: Sequence[Run]) -> str:
    def words(runs: Sequence[Run]) -> str:
        return ", ".join(f"dst[{a}..{b - 1}]" for a, b in runs[:4]) + (", ..." if len(runs) > 4 else "")

    return (words(stored) or "nothing") + (f"; wrong in {words(wrong)}" if wrong else "")
