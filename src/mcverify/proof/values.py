"""Calls in which the routine meets a constant of its own: in what it loads, in the low half of an address.

Few contents and few addresses are tried otherwise, and a comparison with the wrong register shows only where
that register happens to hold the constant.
"""

from __future__ import annotations

from collections.abc import Iterator

from capstone import x86_const

from mcverify.contract import Contract, Faults, can_fault
from mcverify.image.image import Image
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.code import detailed, reachable
from mcverify.runs.pattern import VALUE

_COMPARING = (x86_const.X86_INS_CMP, x86_const.X86_INS_SUB, x86_const.X86_INS_XOR)
_MOST = 8
_LENGTHS = (8, 16, 24, 72, 136)
_FAULTS = (0, 1, 8, 9, 17, 64)


def valued_cases(image: Image, entry: int, contract: Contract, faults: Faults) -> list[Case]:
    """Calls with each constant up to 127 that the routine at `entry` compares with; none of one that does not
    copy."""
    if contract.data != "copy" or contract.src is None:
        return []
    constants = sorted(set(_constants(image, entry)))[:_MOST]
    return [case for constant in constants for case in _cases(constant, contract, faults)]


def _constants(image: Image, entry: int) -> Iterator[int]:
    for address in reachable(image, entry):
        insn = detailed(image, address)
        if insn is not None and insn.id in _COMPARING:
            yield from (o.imm for o in insn.operands if o.type == x86_const.X86_OP_IMM and 0 < o.imm < 128)


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
