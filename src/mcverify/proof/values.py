"""Calls in which the low half of an address is a constant that the routine compares with.

Few addresses are tried otherwise, and a comparison with the wrong register shows only where that register
happens to hold the constant. (What else may hold it is in the grid: `runs.constants`.)
"""

from __future__ import annotations

from collections.abc import Iterator

from mcverify.contract import Contract, Faults, can_fault
from mcverify.image.image import Image
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.constants import compared_with
from mcverify.runs.pattern import VALUE

_MOST = 8
_LENGTHS = (8, 16, 24, 72, 136)
_FAULTS = (0, 1, 8, 9, 17, 64)


def valued_cases(image: Image, entry: int, contract: Contract, faults: Faults) -> list[Case]:
    """Calls with each constant up to 127 that the routine at `entry` compares with; none of one that does not
    copy."""
    if contract.data != "copy" or contract.src is None:
        return []
    found = (constant.value for constant in compared_with(image, entry))
    constants = sorted({value for value in found if 0 < value < 128})[:_MOST]
    return [case for constant in constants for case in _cases(constant, contract, faults)]


def _cases(constant: int, contract: Contract, faults: Faults) -> Iterator[Case]:
    there, seed = Placement(Place.FREE, constant), VALUE | constant
    for length in _LENGTHS:
        yield Case(length, there, there, seed=seed)
        for at in (at for at in _FAULTS if at < length):
            bad = Placement(Place.HOLE, at)
            if can_fault(faults, "load"):
                yield from (Case(length, bad, there, trap, seed) for trap in contract.load_traps)
            if can_fault(faults, "store"):
                yield Case(length, there, bad, seed=seed)
