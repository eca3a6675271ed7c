"""The memory accesses of a routine, by their shape, and which of two revisions' are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mcverify.image.image import Image
from mcverify.proof.result import ListingLine, RoutineResult
from mcverify.runs.code import effects

_OPERAND = re.compile(r"-?(?:0x[0-9a-f]+|\d+)?\([^)]*\)")


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """An instruction that accesses memory. `loads` and `stores` tell in which direction, `size` is in bytes,
    `displacement` that of the operand, `operand` its text."""

    line: ListingLine
    loads: bool
    stores: bool
    size: int
    displacement: int
    operand: str

    @property
    def mnemonic(self) -> str:
        """The instruction without its operands."""
        return self.line.text.partition(" ")[0] if "rep" not in self.line.text else self.line.text

    @property
    def where(self) -> str:
        """Its label, or where there is none its place."""
        return self.line.label or self.line.where


def fault_points(result: RoutineResult, image: Image) -> list[FaultPoint]:
    """The instructions of a routine that access memory outside its stack, by address; and all that have a
    table entry, whatever they access."""
    found = (_fault_point(line, image) for line in result.listing)
    return [point for point in found if point is not None]


def _fault_point(line: ListingLine, image: Image) -> FaultPoint | None:
    has_entry = line.fixup is not None
    done = effects(image, line.address)
    if done is None or not (has_entry or done.may_access):
        return None
    operands = done.explicit
    stack = image.architecture.stack_pointer
    if not has_entry and all(operand.base == stack for operand in operands):
        return None
    first = operands[0] if operands else None
    shown = _OPERAND.search(line.text)
    return FaultPoint(
        line,
        any(operand.loads for operand in operands),
        any(operand.stores for operand in operands),
        first.size if first is not None else 0,
        first.displacement if first is not None else 0,
        shown.group() if shown else "",
    )


def paired(old: Sequence[FaultPoint], new: Sequence[FaultPoint]) -> dict[int, int]:
    """Which of `new` each of `old` has become, by their numbers.

    As many as possible keep their order, the most alike before others (a sequence alignment); of those that
    are left over, equal ones may have changed places.
    """
    best = _aligned(old, new)
    free = [j for j in range(len(new)) if j not in best.values()]
    for i, point in enumerate(old):
        if i in best:
            continue
        j = next((j for j in free if _likeness(point, new[j]) >= _SAME_PLACE), None)
        if j is not None:
            best[i] = j
            free.remove(j)
    return best


def _aligned(old: Sequence[FaultPoint], new: Sequence[FaultPoint]) -> dict[int, int]:
    rows, columns = len(old), len(new)
    score = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            like = _likeness(old[i], new[j])
            both = score[i + 1][j + 1] + like if like > 0 else 0
            score[i][j] = max(both, score[i + 1][j], score[i][j + 1])
    found: dict[int, int] = {}
    i = j = 0
    while i < rows and j < columns:
        like = _likeness(old[i], new[j])
        if like > 0 and score[i][j] == score[i + 1][j + 1] + like:
            found[i] = j
            i, j = i + 1, j + 1
        elif score[i][j] == score[i + 1][j]:
            i += 1
        else:
            j += 1
    return found


_SAME_PLACE = 5


def _likeness(one: FaultPoint, other: FaultPoint) -> int:
    """How much two accesses have in common, 0 for nothing that counts."""
    if (one.loads, one.stores) != (other.loads, other.stores):
        return 0
    if one.line.text == other.line.text:
        return 8
    if one.mnemonic == other.mnemonic and one.operand == other.operand:
        return 7
    if (one.size, one.displacement) == (other.size, other.displacement):
        return 6 if one.operand == other.operand else _SAME_PLACE
    return 2 if one.size == other.size else 1


def likeness_of_code(one: Sequence[ListingLine], other: Sequence[ListingLine]) -> float:
    """How alike two routines are, from 0 to 1: by the kinds of their instructions, in order."""
    first, second = ([line.text.partition(" ")[0] for line in lines] for lines in (one, other))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()
