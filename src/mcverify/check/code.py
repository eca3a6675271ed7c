"""The instructions of the object as capstone decodes them: what may come next, and what may fault.

Written for `check` alone: the proof's own view of the code has no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import capstone
from capstone import x86_const as x86

_NO_ACCESS = frozenset((x86.X86_INS_LEA, x86.X86_INS_NOP))
_HINTS = frozenset((x86.X86_INS_CLWB, x86.X86_INS_CLFLUSHOPT, x86.X86_INS_CLFLUSH))
_FENCES = frozenset((x86.X86_INS_SFENCE, x86.X86_INS_MFENCE))
_STACK = (x86.X86_REG_RSP, x86.X86_REG_ESP)
_HERE = (x86.X86_REG_RIP, x86.X86_REG_EIP)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `targets` are the addresses where it may go on, `returns` and `calls` say that it is a
    return or a call, `goes` that it is a jump or a call, `indirect` that it goes to an address which the code
    does not show; `is_relative`: an operand in memory is told by its distance from here. `loads` and `stores`
    are its memory accesses, those by rsp left out; `hints`: it may fault, but moves nothing (clwb)."""

    address: int
    size: int
    text: str
    targets: tuple[int, ...]
    returns: bool
    calls: bool
    indirect: bool
    loads: bool
    stores: bool
    is_nontemporal: bool
    is_fence: bool
    hints: bool = False
    goes: bool = False
    is_relative: bool = False

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size

    def accesses(self, kind: str) -> bool:
        """Whether it has an access of that kind."""
        return self.loads if kind == "load" else self.stores


def decode(code: bytes, address: int) -> Instruction | None:
    """The instruction at the begin of `code`, None where there is none."""
    found = next(_decoder().disasm(code, address, 1), None)
    if found is None:
        return None
    jumps = _jumps(found)
    operands = [o for o in found.operands if o.type == x86.X86_OP_MEM] if _accesses(found) else []
    outside = [(n, o) for n, o in enumerate(found.operands) if o in operands and o.mem.base not in _STACK]
    name = found.mnemonic
    return Instruction(
        address,
        found.size,
        f"{name} {found.op_str}".strip(),
        tuple(_targets(found)),
        bool(found.group(x86.X86_GRP_RET)),
        bool(found.group(x86.X86_GRP_CALL)),
        bool(jumps and found.operands and found.operands[0].type != x86.X86_OP_IMM),
        any(_does(found, n, o, capstone.CS_AC_READ) for n, o in outside),
        any(_does(found, n, o, capstone.CS_AC_WRITE) for n, o in outside),
        _is_nontemporal(name),
        found.id in _FENCES,
        found.id in _HINTS and any(o.mem.base not in _STACK for o in found.operands),
        jumps,
        any(o.mem.base in _HERE for o in found.operands if o.type == x86.X86_OP_MEM),
    )


def _is_nontemporal(name: str) -> bool:
    return name.startswith(("movnt", "vmovnt", "maskmov")) and not name.endswith("ntdqa")


def _accesses(found: Any) -> bool:
    return not (found.id in _NO_ACCESS or found.id in _HINTS or str(found.mnemonic).startswith("prefetch"))


def _does(found: Any, number: int, operand: Any, access: int) -> bool:
    """Whether a memory operand is read, or written.

    Of moves, of which capstone is sometimes wrong (movups, movnti), and where it says nothing, the first is
    written and the others are read, as Intel's order has it.
    """
    if operand.access and not found.mnemonic.startswith(("mov", "vmov")):
        return bool(operand.access & access)
    return bool((access == capstone.CS_AC_WRITE) == (number == 0 and len(found.operands) > 1))


def _jumps(found: Any) -> bool:
    """Whether it is a jump or a call; `loop` is in the last of these groups alone."""
    return any(
        found.group(group) for group in (x86.X86_GRP_JUMP, x86.X86_GRP_CALL, x86.X86_GRP_BRANCH_RELATIVE)
    )


def _targets(found: Any) -> Iterator[int]:
    if _jumps(found) and found.operands and found.operands[0].type == x86.X86_OP_IMM:
        yield found.operands[0].imm & (1 << 64) - 1
    goes_on = found.id not in (x86.X86_INS_JMP, x86.X86_INS_UD2) and not found.group(x86.X86_GRP_RET)
    if goes_on and not found.group(x86.X86_GRP_CALL):
        yield found.address + found.size


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder
