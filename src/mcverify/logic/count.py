"""The count of bytes left, as a term over what a routine returns (`contract.Told`)."""

from __future__ import annotations

from collections.abc import Callable

import z3

from mcverify.contract import Contract
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import low, word
from mcverify.paths.explore import entry_symbol
from mcverify.paths.segment import Segment

Lookup = Callable[[str], z3.BitVecRef]
"""The final value of a register."""


def result_of(contract: Contract, role: str, register: Lookup) -> z3.BitVecRef | None:
    """The result `role` as 64 bits, what lies above its width left out; None where there is none."""
    name = getattr(contract, role)
    return None if name is None else low(register(name), contract.bits(role))


def left_of(contract: Contract, length: z3.BitVecRef, segment: Segment) -> z3.BitVecRef | None:
    """The count of bytes left of `length` at the end of `segment`, None where nothing tells it.

    The address of a byte of no buffer leaves the largest number. The buffers do not overlap, so an address is
    looked for first where the last fault was.
    """
    register = segment.final.registers.__getitem__
    told = result_of(contract, "left", register)
    if told is None or contract.told == "left":
        return told
    if contract.told == "done":
        return length - told
    found = word(-1)
    bases = (contract.dst, contract.src)
    if segment.faults and segment.faults[-1].access.kind is Kind.STORE:
        bases = (contract.src, contract.dst)
    for base in bases:
        if base is not None:
            offset = told - entry_symbol(base)
            found = z3.If(z3.ULT(offset, length), length - offset, found)
    return z3.If(_succeeded(contract, told, register), word(0), found)


def _succeeded(contract: Contract, told: z3.BitVecRef, register: Lookup) -> z3.BoolRef:
    """That the status, or where there is none the address itself, says that no fault was taken."""
    status = result_of(contract, "status", register)
    if status is None:
        return told == 0
    return status != 0 if contract.status_inverted else status == 0
