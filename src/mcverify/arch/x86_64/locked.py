"""Locked instructions that load and store one word: cmpxchg, xadd, xchg (Intel SDM vol. 2).

VEX has a statement of its own for them, which the lifter's engine does not make two accesses of. To all
other CPUs the two are one: what is found is what the store replaces. Both are at one address, so that one
fault is both's, a page fault of a store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import capstone
import z3

from mcverify.arch.known import X86_64
from mcverify.machine.instruction import UNDEFINED, Access, Instruction, Kind, Refused, Step
from mcverify.machine.symbols import symbol
from mcverify.machine.terms import word

_LOCK = 0xF0
_SIZES = (4, 8)
_CMPXCHG, _XADD, _XCHG = (
    capstone.x86.X86_INS_CMPXCHG,
    capstone.x86.X86_INS_XADD,
    capstone.x86.X86_INS_XCHG,
)


def locked_exchange(decoded: Any, text: str) -> Instruction | None:
    """The instruction, if it is one of these, with a word of 4 or 8 bytes in memory. Raises Refused where its
    address is not modelled."""
    if decoded.id not in (_CMPXCHG, _XADD, _XCHG) or len(decoded.operands) != 2:
        return None
    memory = next((o for o in decoded.operands if o.type == capstone.CS_OP_MEM), None)
    register = next((o for o in decoded.operands if o.type == capstone.CS_OP_REG), None)
    is_locked = decoded.prefix[0] == _LOCK or decoded.id == _XCHG  # an xchg locks by itself
    if memory is None or register is None or not is_locked or memory.size not in _SIZES:
        return None
    whole, bits = X86_64.whole(decoded.reg_name(register.reg)), 8 * memory.size
    if whole is None or register.size != memory.size or decoded.addr_size != 8:
        raise Refused(decoded.address, text, "is a locked access that is not modelled")
    found = z3.BitVec("ld0", bits)
    given = z3.Extract(bits - 1, 0, symbol(whole))
    stored, writes = _effects(decoded.id, found, given, whole)
    address = address_of_operand(decoded, memory, text)
    accesses = (
        Access(Kind.LOAD, address, memory.size, found),
        Access(Kind.STORE, address, memory.size, z3.simplify(stored)),
    )
    step = Step(z3.BoolVal(True), accesses, writes, decoded.address + decoded.size)
    return Instruction(decoded.address, decoded.size, text, (step,), is_locked=True)


def address_of_operand(decoded: Any, operand: Any, text: str) -> z3.BitVecRef:
    """The address of an operand in memory. Raises Refused where it is not modelled."""
    memory = operand.mem
    registers = [decoded.reg_name(r) for r in (memory.base, memory.index) if r]
    if memory.segment in (capstone.x86.X86_REG_FS, capstone.x86.X86_REG_GS) or any(
        name not in X86_64.general for name in registers
    ):
        raise Refused(decoded.address, text, "has an address that is not modelled")
    base, index = (symbol(decoded.reg_name(r)) if r else word(0) for r in (memory.base, memory.index))
    return z3.simplify(base + index * memory.scale + word(memory.disp))


def _effects(
    instruction: int, found: z3.BitVecRef, given: z3.BitVecRef, register: str
) -> tuple[z3.BitVecRef, Mapping[str, z3.BitVecRef]]:
    """What is stored, and the registers written, when `found` was in memory and `given` in the register."""
    if instruction == _XCHG:
        return given, {register: _whole(found)}
    if instruction == _XADD:
        total = found + given
        flags = _flags(found, given, total, z3.ULT(total, found))
        return total, {register: _whole(found), **flags}
    expected = z3.Extract(found.size() - 1, 0, symbol("rax"))
    is_equal = found == expected
    kept = symbol("rax")
    if found.size() == 32:
        # Whether the upper half is cleared where rax is not written, manuals leave open.
        kept = z3.If(z3.BitVec(f"{UNDEFINED}rax", 1) == 1, kept, _whole(expected))
    difference = expected - found
    flags = _flags(expected, ~found, difference, z3.ULT(expected, found), borrows=True)
    return z3.If(is_equal, given, found), {"rax": z3.If(is_equal, kept, _whole(found)), **flags}


def _whole(value: z3.BitVecRef) -> z3.BitVecRef:
    """The register that a value is written to: the upper half of one of 64 bits is cleared."""
    return value if value.size() == 64 else z3.ZeroExt(64 - value.size(), value)


def _flags(
    left: z3.BitVecRef, right: z3.BitVecRef, result: z3.BitVecRef, carry: z3.BoolRef, *, borrows: bool = False
) -> dict[str, z3.BitVecRef]:
    """The flags of left + right, of which left - x is the case right = ~x with a carry in."""
    top = result.size() - 1
    half = left ^ right ^ result
    auxiliary = z3.Extract(4, 4, half)
    parity = z3.BitVecVal(1, 1)
    for bit in range(8):
        parity = parity ^ z3.Extract(bit, bit, result)
    flags = {
        "cf": z3.If(carry, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)),
        "pf": parity,
        "af": ~auxiliary if borrows else auxiliary,
        "zf": z3.If(result == 0, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)),
        "sf": z3.Extract(top, top, result),
        "of": z3.Extract(top, top, ~(left ^ right) & (left ^ result)),
    }
    return {name: z3.simplify(term) for name, term in flags.items()}
