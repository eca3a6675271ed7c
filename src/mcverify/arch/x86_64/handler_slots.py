"""Instructions by which a routine puts the address of a handler into a slot, where there is no exception
table: moves from and to gs, and of the addresses of its own code.

VEX knows neither where gs begins nor that an immediate is an address. Both are free symbols here, of which
only the room of paths makes something (`windows.toml`).
"""

from __future__ import annotations

from typing import Any

import capstone
import z3

from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.locked import address_of_operand
from mcverify.image.extable import NO_TABLE
from mcverify.image.image import Image
from mcverify.machine.instruction import Access, Instruction, Kind, Step
from mcverify.machine.symbols import GS_BASE, code_symbol, symbol
from mcverify.machine.terms import word

_WORD = 8
_GS, _RIP = capstone.x86.X86_REG_GS, capstone.x86.X86_REG_RIP
_MOVES = (capstone.x86.X86_INS_MOV, capstone.x86.X86_INS_MOVABS)


def of_handler(image: Image, decoded: Any, text: str) -> Instruction | None:
    """The instruction, if it is one of these and the file has no exception table. Raises Refused where its
    address is not modelled."""
    if image.layout != NO_TABLE or len(decoded.operands) != 2 or decoded.addr_size != _WORD:
        return None
    if image.rewritten_at(decoded.address, decoded.size) is not None or any(decoded.prefix[::2]):
        return None
    source, target = decoded.operands  # in the order of AT&T
    if decoded.id == capstone.x86.X86_INS_LEA:
        return _moved(decoded, text, _code_beside(image, decoded, source), target)
    if decoded.id not in _MOVES or not source.size == target.size == _WORD:
        return None
    if source.type == capstone.CS_OP_MEM:
        return _loaded(image, decoded, text, source, target)
    return _moved(decoded, text, _value(image, decoded, source, target), target)


def _loaded(image: Image, decoded: Any, text: str, source: Any, target: Any) -> Instruction | None:
    """A load from gs into a register."""
    address, register = _from_gs(image, decoded, source), _register(decoded, target)
    if address is None or register is None:
        return None
    value = z3.BitVec("ld0", 64)
    access = Access(Kind.LOAD, address, _WORD, value)
    return _instruction(decoded, text, (access,), {register: value})


def _moved(decoded: Any, text: str, value: z3.BitVecRef | None, target: Any) -> Instruction | None:
    """A move of a value into a register, or to memory."""
    if value is None:
        return None
    if target.type == capstone.CS_OP_REG:
        register = _register(decoded, target)
        return None if register is None else _instruction(decoded, text, (), {register: value})
    is_gs = target.mem.segment == _GS and not target.mem.base and not target.mem.index
    address = GS_BASE + word(target.mem.disp) if is_gs else address_of_operand(decoded, target, text)
    return _instruction(decoded, text, (Access(Kind.STORE, z3.simplify(address), _WORD, value),), {})


def _value(image: Image, decoded: Any, source: Any, target: Any) -> z3.BitVecRef | None:
    """What is moved: an address of the file's own code; or anything, if it goes to gs. None for a move that
    is the lifter's own business."""
    relocated = [p for p in range(decoded.address, decoded.address + decoded.size) if p in image.relocated]
    to_gs = target.type == capstone.CS_OP_MEM and target.mem.segment == _GS
    if source.type == capstone.CS_OP_IMM:
        held = image.code_references.get(decoded.address + decoded.imm_offset)
        if held is not None and len(relocated) == 1 and image.code_at(held, 1):
            return code_symbol(held)
        return word(source.imm) if to_gs and not relocated else None
    register = _register(decoded, source)
    return symbol(register) if to_gs and not relocated and register is not None else None


def _from_gs(image: Image, decoded: Any, operand: Any) -> z3.BitVecRef | None:
    """The address of an operand at a fixed place from gs."""
    relocated = any(p in image.relocated for p in range(decoded.address, decoded.address + decoded.size))
    memory = operand.mem
    if memory.segment != _GS or memory.base or memory.index or relocated:
        return None
    return z3.simplify(GS_BASE + word(memory.disp))


def _code_beside(image: Image, decoded: Any, operand: Any) -> z3.BitVecRef | None:
    """The address of code of the same section that a `lea` gives."""
    at = decoded.address + decoded.size + operand.mem.disp
    relocated = any(p in image.relocated for p in range(decoded.address, decoded.address + decoded.size))
    if operand.mem.base != _RIP or operand.mem.index or operand.mem.segment or relocated:
        return None
    here = image.section_at(decoded.address)
    is_beside = here is not None and here.address <= at < here.end
    return code_symbol(at) if is_beside and image.code_at(at, 1) else None


def _register(decoded: Any, operand: Any) -> str | None:
    """The general register that is an operand, but rsp; None for any other."""
    name = decoded.reg_name(operand.reg) if operand.type == capstone.CS_OP_REG else ""
    return name if name in X86_64.general and name != X86_64.stack_pointer else None


def _instruction(
    decoded: Any, text: str, accesses: tuple[Access, ...], writes: dict[str, z3.BitVecRef]
) -> Instruction:
    step = Step(z3.BoolVal(True), accesses, writes, decoded.address + decoded.size)
    return Instruction(decoded.address, decoded.size, text, (step,))
