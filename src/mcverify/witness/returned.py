"""Which instruction is to blame for a wrong value in a register at the return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcverify.runs.operands import Operands
from mcverify.witness.walk import Step, Walk

_BYTES = range(8)


@dataclass(frozen=True, slots=True)
class Blame:
    """The step `at` and bytes of the register that are wrong at the return, as masks with a bit for each.

    `written` are the bytes that the step writes. Where the bytes that are `wrong` are still those of the
    call, since nothing wrote them, `is_of_call` holds: `at` writes other bytes, or (`written` 0) is where
    a write is missing, the first step behind the last fault. `wrong` are else those of them that `at` was
    the last to write.
    """

    at: Step
    wrong: int
    written: int
    is_of_call: bool


def blame(run: Walk, register: str, right: int) -> Blame | None:
    """Why `register` is not `right` at the return; None if it is, or part of the run is not at hand."""
    wrong = _differing(run.outcome.registers[register], right)
    if not wrong or run.skipped or not run.behind_fault:
        return None
    writers = _writers(run, register)
    for step, written in reversed(writers):
        if written & wrong:
            return Blame(step, written & wrong, written, is_of_call=False)
    partial = [(step, written) for step, written in writers if step.fault is None]
    at, written = partial[0] if partial else (run.behind_fault[0], 0)
    return Blame(at, wrong, written, is_of_call=True)


def bits(mask: int) -> str:
    """The bits of the bytes of a mask: 0b110 -> `bits 23..8`."""
    runs = []
    for byte in _BYTES:
        if mask >> byte & 1 and not (byte and mask >> (byte - 1) & 1):
            end = next(n for n in range(byte, len(_BYTES) + 1) if not mask >> n & 1)
            runs.append(f"{8 * end - 1}..{8 * byte}")
    return "bits " + " and ".join(reversed(runs))


def part(value: int, mask: int) -> int:
    """`value` with zero in the bytes that are not of the mask."""
    return sum(value & 0xFF << 8 * byte for byte in _BYTES if mask >> byte & 1)


def _differing(value: int, right: int) -> int:
    return sum(1 << byte for byte in _BYTES if (value ^ right) >> 8 * byte & 0xFF)


def _writers(run: Walk, register: str) -> Sequence[tuple[Step, int]]:
    """The steps that write the register, with the bytes; a fault's handler may write it, too."""
    operands = Operands(run.image)
    found = []
    for step in run.steps:
        if step.fault is None:
            written = operands.written_bytes(step.address).get(register, 0)
        else:
            written = _differing(step.after.get(register, 0), step.before[register]) if step.after else 0
        if written:
            found.append((step, written))
    return found
