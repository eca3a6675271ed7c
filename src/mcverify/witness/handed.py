"""What a routine outside the file is handed: the count that its caller's fixup works out for it."""

from __future__ import annotations

from dataclasses import dataclass

from mcverify.image.callees import callees
from mcverify.runs.operands import Operands
from mcverify.witness.walk import Step, Walk

_COUNT = "rdx"
_COUNT_MASK = (1 << 32) - 1
"""The routines of models/x86_64/callees.toml take the count as an unsigned int."""


@dataclass(frozen=True, slots=True)
class Handed:
    """`count` bytes, of which the routine `callee` is told, while `missing` are. `at` is the last step behind
    the fault to write that count, or the one that goes there."""

    at: Step
    callee: str
    count: int
    missing: int


def handed(run: Walk) -> Handed | None:
    """What the last routine outside that the run came to was handed; None if it came to none."""
    outside = callees(run.image)
    index = next((i for i in reversed(range(1, len(run.head))) if run.head[i].address in outside), None)
    if index is None or run.head[index - 1].address in outside:
        return None
    entered, before = run.head[index], run.head[:index]
    behind = _behind_last_fault(before)
    operands = Operands(run.image)
    at = next((s for s in reversed(behind) if _COUNT in operands.written(s.address)), before[-1])
    count = entered.before[_COUNT] & _COUNT_MASK
    return Handed(at, outside[entered.address].name, count, run.missing_before(index))


def _behind_last_fault(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    last = next((i for i in reversed(range(len(steps))) if steps[i].fault is not None), -1)
    return steps[last + 1 :]
