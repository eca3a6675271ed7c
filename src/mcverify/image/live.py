"""Which argument registers a routine reads, and so which of several promises of its name it makes.

The kernel's routines changed their arguments over the years: the user copy of 2.6.18 to 2.6.26 had a fourth
one, the checksumming copy before 5.10 six. Code that reads a register before writing it was given something.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import capstone
from capstone import x86_const

from mcverify.contract import Contract, contract_for, contracts_for
from mcverify.image.image import Image
from mcverify.kernels import overlap

_LONGEST = 15
_MOST = 4096
"""Instructions that are looked at."""

_NAMES = {
    **{f"r{n}": (f"r{n}", f"r{n}d", f"r{n}w", f"r{n}b") for n in (8, 9, 10, 11)},
    **{f"r{c}x": (f"r{c}x", f"e{c}x", f"{c}x", f"{c}l", f"{c}h") for c in "cd"},
    "rsi": ("rsi", "esi", "si", "sil"),
    "rdi": ("rdi", "edi", "di", "dil"),
}
"""The registers of arguments, with the names of their parts: the first two cover the whole of it."""


def borne(image: Image, routine: str) -> Contract | None:
    """The contract that a routine of the file bears by its name: of several, the one of which the code reads
    most registers, else that of the kernels that the file is for (the newest, if nothing tells them). None
    for an unknown name, for code that reads not all of what its contract says, and where code and kernels
    contradict each other."""
    known = contracts_for(routine)
    if not any(contract.when_reads for contract in known):
        return contract_for(routine, image.kernels)
    entry = next((s.address for s in image.symbols if s.name == routine), None)
    if entry is None:
        return None
    fitting = [c for c in known if all(reads(image, entry, register) for register in c.when_reads)]
    most = max((len(contract.when_reads) for contract in fitting), default=0)
    best = [contract for contract in fitting if len(contract.when_reads) == most]
    if not image.kernels:
        return best[-1] if best else None
    return next((c for c in best if overlap(c.routines[routine], image.kernels)), None)


def reads(image: Image, entry: int, register: str) -> bool:
    """Whether some path from `entry` reads `register` before it writes it. Calls are not followed."""
    names = _NAMES[register]
    waiting, seen = [entry], set[int]()
    while waiting and len(seen) < _MOST:
        address = waiting.pop()
        insn = _decoded(image.code_at(address)[:_LONGEST], address)
        if address in seen or insn is None:
            continue
        seen.add(address)
        read, written = ({insn.reg_name(r) for r in regs} for regs in insn.regs_access())
        if not read.isdisjoint(names) and not _is_zeroed(insn):
            return True
        if written.isdisjoint(names[:2]):
            waiting.extend(_following(insn))
            entry_of_table = image.entry_at(address)
            waiting += [entry_of_table.fixup] if entry_of_table is not None else []
    return False


def _is_zeroed(insn: Any) -> bool:
    """Whether it is `xor %reg, %reg`, which reads nothing."""
    operands = insn.operands
    is_idiom = insn.id in (x86_const.X86_INS_XOR, x86_const.X86_INS_SUB) and len(operands) == 2
    both = all(operand.type == x86_const.X86_OP_REG for operand in operands)
    return bool(is_idiom and both and operands[0].reg == operands[1].reg)


def _following(insn: Any) -> Iterator[int]:
    behind = insn.address + insn.size
    if insn.group(capstone.CS_GRP_RET) or insn.group(capstone.CS_GRP_CALL):
        return
    if insn.group(capstone.CS_GRP_JUMP):
        target = insn.operands[0]
        if target.type == x86_const.X86_OP_IMM:
            yield target.imm
        if insn.id == x86_const.X86_INS_JMP:
            return
    yield behind


def _decoded(code: bytes, address: int) -> Any:
    return next(_decoder().disasm(code, address, 1), None)


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder
