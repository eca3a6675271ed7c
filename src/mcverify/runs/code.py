"""The instructions of a routine that can be reached, as capstone decodes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import capstone
from capstone import x86_const

from mcverify.arch.known import X86_64
from mcverify.image.image import Image


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction. `targets` are the known addresses at which it may continue; `uses_segment`
    holds for an operand in fs or gs: what lies there in the kernel is not there in a user process;
    `uses_x87` where an x87 or MMX register may be read or changed."""

    address: int
    code: bytes
    mnemonic: str
    targets: tuple[int, ...]
    uses_segment: bool = False
    uses_x87: bool = False

    @property
    def end(self) -> int:
        """The address of the instruction behind this one."""
        return self.address + len(self.code)


def reachable(
    image: Image,
    entry: int,
    until: Callable[[Instruction], bool] = lambda _: False,
    *,
    faults: bool = True,
) -> dict[int, Instruction]:
    """All instructions reached from `entry` by known jumps, calls and, with `faults`, fixups, by address.

    What cannot be decoded, and where an indirect jump goes, is left out, and what lies behind instructions
    for which `until` holds.
    """
    found: dict[int, Instruction] = {}
    waiting = [entry]
    while waiting:
        address = waiting.pop()
        if address in found:
            continue
        instruction = decode(image, address)
        if instruction is None:
            continue
        found[address] = instruction
        if until(instruction):
            continue
        waiting.extend(instruction.targets)
        table_entry = image.entry_at(address) if faults else None
        if table_entry is not None:
            waiting.append(table_entry.fixup)
    return found


def decode(image: Image, address: int) -> Instruction | None:
    """The instruction at `address`, None if there is no code or it cannot be decoded."""
    return _decoded(image.code_at(address), address)


def decode_bytes(code: bytes, address: int) -> Instruction | None:
    """The instruction that `code` begins with, were it at `address`; None if it cannot be decoded."""
    return _decoded(code, address)


def text_of(code: bytes, address: int) -> str:
    """The instruction at `address` in AT&T syntax, "" if it cannot be decoded."""
    insn = next(_att_decoder().disasm(code, address, 1), None)
    return f"{insn.mnemonic} {insn.op_str}".strip() if insn is not None else ""


def accesses_memory(image: Image, address: int) -> bool:
    """Whether the instruction at `address` may load or store: False only if it surely does neither."""
    insn = detailed(image, address)
    return insn is None or may_access(insn)


def touches_more_than_stack(image: Image, address: int) -> bool:
    """Whether the instruction at `address` has an operand in memory that is not told by the stack pointer."""
    insn = detailed(image, address)
    if insn is None or _only_names(insn):
        return False
    memory = (operand.mem for operand in insn.operands if operand.type == x86_const.X86_OP_MEM)
    return any(not place.base or insn.reg_name(place.base) not in ("rsp", "esp") for place in memory)


def is_model_specific(image: Image, address: int) -> bool:
    """Whether the instruction at `address` faults for a register that is not there, and accesses no
    memory."""
    insn = detailed(image, address)
    return insn is not None and insn.id in _MODEL_SPECIFIC


def may_access(insn: Any) -> bool:
    """The same of capstone's view of an instruction."""
    if _only_names(insn) or insn.id in _MODEL_SPECIFIC:
        return False
    return insn.id not in _PLAIN or any(operand.type == x86_const.X86_OP_MEM for operand in insn.operands)


def _only_names(insn: Any) -> bool:
    """Whether the instruction has an address for an operand, and nothing is accessed there."""
    return insn.id in (x86_const.X86_INS_LEA, x86_const.X86_INS_NOP) or insn.mnemonic.startswith("prefetch")


def is_nontemporal(image: Image, address: int) -> bool:
    """Whether the instruction at `address` is a store that only a fence orders."""
    name = _mnemonic(image, address)
    return name.startswith(("movnt", "vmovnt", "maskmov", "vmaskmovdqu")) and not name.endswith("a")


def must_be_aligned(image: Image, address: int) -> int:
    """How the address of the memory operand of the instruction at `address` must be aligned, in bytes; 0
    where it need not be (Intel SDM vol. 1, 4.1.1 and vol. 2, 2.4)."""
    insn = detailed(image, address)
    size = max((o.size for o in insn.operands if o.type == x86_const.X86_OP_MEM), default=0) if insn else 0
    if size < _SSE or _only_names(insn):
        return 0
    name = insn.insn_name()
    if name.startswith("v"):
        return size if name.startswith(_ALIGNED_VEX) else 0
    return size if size == _SSE and name not in X86_64.model("instructions.toml")["unaligned"]["names"] else 0


def is_fence(image: Image, address: int) -> bool:
    """Whether the instruction at `address` orders non-temporal stores (`models/x86_64/instructions.toml`)."""
    return bool(X86_64.model("instructions.toml").get(_mnemonic(image, address), {}).get("fence", False))


def keeps_hidden(image: Image, address: int) -> bool:
    """Whether the instruction at `address` may change what the general registers and flags do not show:
    memory, or a vector register."""
    insn = detailed(image, address)
    if insn is not None and _only_names(insn):
        return False
    if insn is None or insn.id not in _PLAIN:
        return True
    return any(o.type == x86_const.X86_OP_MEM and o.access & capstone.CS_AC_WRITE for o in insn.operands)


def access_width(code: bytes, address: int) -> int:
    """How many bytes the memory operand of an instruction has, 0 without one."""
    insn = next(_decoder().disasm(code, address, 1), None)
    operands = insn.operands if insn is not None else ()
    return max((o.size for o in operands if o.type == x86_const.X86_OP_MEM), default=0)


def named_addresses(code: bytes, address: int) -> Iterator[int]:
    """Addresses that an instruction names besides jump targets: relative to it, or as such."""
    insn = next(_decoder().disasm(code, address, 1), None)
    if insn is None:
        return
    for operand in insn.operands:
        if operand.type == x86_const.X86_OP_IMM:
            yield operand.imm & (1 << 64) - 1
        elif operand.type == x86_const.X86_OP_MEM:
            start = address + len(insn.bytes) if operand.mem.base == x86_const.X86_REG_RIP else 0
            yield start + operand.mem.disp & (1 << 64) - 1


def _mnemonic(image: Image, address: int) -> str:
    instruction = decode(image, address)
    return instruction.mnemonic if instruction is not None else ""


def detailed(image: Image, address: int) -> Any:
    """Capstone's own view of the instruction at `address`, with operands; None if it cannot be decoded."""
    return disassembled(image.code_at(address), address)


def modifies(image: Image, entry: int) -> bool:
    """Whether an instruction of the routine at `entry` stores what hangs on what it finds at that place: then
    a byte that was stored may look as if it was not."""
    both = capstone.CS_AC_READ | capstone.CS_AC_WRITE
    found = (detailed(image, address) for address in reachable(image, entry))
    return any(o.access == both for i in found if i for o in i.operands if o.type == capstone.x86.X86_OP_MEM)


def disassembled(code: bytes, address: int) -> Any:
    """Capstone's own view of the instruction that `code` begins with; None if it cannot be decoded."""
    return next(_decoder().disasm(code, address, 1), None)


@lru_cache(maxsize=1 << 18)
def _decoded(code: bytes, address: int) -> Instruction | None:
    insn = next(_decoder().disasm(code, address, 1), None)
    if insn is None:
        return None
    return Instruction(
        address,
        bytes(insn.bytes),
        insn.mnemonic,
        tuple(_targets(insn)),
        _uses_segment(insn),
        _uses_x87(insn),
    )


def returning_externals(image: Image) -> frozenset[int]:
    """Addresses of the external symbols that stand for a return (`models/x86_64/externals.toml`)."""
    names = X86_64.model("externals.toml")["return_thunks"]["names"]
    return frozenset(address for address, name in image.externals.items() if name in names)


_MODEL_SPECIFIC = frozenset(
    getattr(x86_const, f"X86_INS_{name}") for name in ("RDMSR", "WRMSR", "RDPMC", "XGETBV", "XSETBV")
)
"""Instructions that fault where there is no such register; they access no memory."""

_SSE = 16
_ALIGNED_VEX = ("vmovap", "vmovdqa", "vmovntp", "vmovntdq")
"""Of instructions with a VEX or EVEX prefix only these ask for alignment."""

_PLAIN = frozenset(
    getattr(x86_const, f"X86_INS_{name}")
    for name in "MOV MOVZX MOVSX MOVSXD ADD ADC SUB SBB AND OR XOR NOT NEG INC DEC CMP TEST SHL SHR SAR ROL"
    " ROR SHLD SHRD IMUL MUL BT BSF BSR BSWAP XCHG CLD STD CLC STC MFENCE SFENCE LFENCE PAUSE JMP JA JAE JB"
    " JBE JE JNE JG JGE JL JLE JO JNO JP JNP JS JNS JRCXZ JECXZ LOOP LOOPE LOOPNE".split()
)
"""Instructions that access memory by an explicit operand only."""


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder


@cache
def _att_decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.syntax = capstone.CS_OPT_SYNTAX_ATT
    return decoder


def _uses_segment(insn: Any) -> bool:
    segments = (x86_const.X86_REG_FS, x86_const.X86_REG_GS)
    return any(o.type == x86_const.X86_OP_MEM and o.mem.segment in segments for o in insn.operands)


def _uses_x87(insn: Any) -> bool:
    if insn.group(x86_const.X86_GRP_FPU) or insn.group(x86_const.X86_GRP_MMX):
        return True
    if insn.mnemonic.startswith(("f", "xsave", "xrstor", "emms")):
        return True
    return any(o.type == x86_const.X86_OP_REG and _is_x87(o.reg) for o in insn.operands)


def _is_x87(register: int) -> bool:
    return bool(
        x86_const.X86_REG_MM0 <= register <= x86_const.X86_REG_MM7
        or x86_const.X86_REG_ST0 <= register <= x86_const.X86_REG_ST7
        or x86_const.X86_REG_FP0 <= register <= x86_const.X86_REG_FP7
    )


_BRANCHES = (x86_const.X86_GRP_JUMP, x86_const.X86_GRP_CALL, x86_const.X86_GRP_BRANCH_RELATIVE)
"""Groups of which a branch is in one at least: `loop` is in the last alone."""


def _targets(insn: Any) -> Iterator[int]:
    if (
        any(insn.group(group) for group in _BRANCHES)
        and insn.operands
        and insn.operands[0].type == x86_const.X86_OP_IMM
    ):
        yield insn.operands[0].imm & (1 << 64) - 1
    if insn.id not in (x86_const.X86_INS_JMP, x86_const.X86_INS_UD2) and not insn.group(
        x86_const.X86_GRP_RET
    ):
        yield insn.address + insn.size
