"""Capstone's view of x86-64 code, as `Decoded` and `Effects`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import capstone
from capstone import x86_const

from mcverify.arch.decoded import Decoded, Effects, MemoryOperand, Repetition, Use
from mcverify.arch.known import X86_64

_WORD = X86_64.word
_MASK = (1 << 64) - 1


def decode(code: bytes, address: int) -> Decoded | None:
    """The instruction that `code` begins with, were it at `address`; None if it cannot be decoded."""
    return _decoded(code, address)


def effects(code: bytes, address: int) -> Effects | None:
    """What that instruction does; None if it cannot be decoded."""
    return _effects(code, address)


def text(code: bytes, address: int) -> str:
    """The instruction in AT&T syntax, "" if it cannot be decoded."""
    insn = next(_att_decoder().disasm(code, address, 1), None)
    return f"{insn.mnemonic} {insn.op_str}".strip() if insn is not None else ""


def raw(code: bytes, address: int) -> Iterator[Any]:
    """Capstone's own view of the instructions of `code`, with details, for modules of this folder alone."""
    yield from _decoder().disasm(code, address)


@lru_cache(maxsize=1 << 18)
def _decoded(code: bytes, address: int) -> Decoded | None:
    insn = next(_decoder().disasm(code, address, 1), None)
    if insn is None:
        return None
    return Decoded(
        address,
        bytes(insn.bytes),
        insn.mnemonic,
        insn.mnemonic.split()[-1],
        tuple(_targets(insn)),
        is_call=insn.group(x86_const.X86_GRP_CALL),
        is_return=insn.group(x86_const.X86_GRP_RET),
        is_indirect=_is_indirect(insn),
        repeats=_repeats(insn),
        uses_segment=_uses_segment(insn),
        uses_hidden=_uses_x87(insn),
        enters_kernel=insn.mnemonic in ("syscall", "sysenter", "int"),
        is_nop=insn.id == x86_const.X86_INS_NOP,
    )


@lru_cache(maxsize=1 << 13)
def _effects(code: bytes, address: int) -> Effects | None:
    insn = next(_decoder().disasm(code, address, 1), None)
    if insn is None:
        return None
    models = X86_64.model("instructions.toml")
    name = insn.mnemonic.split()[-1]
    model = models.get(name, {})
    read, written = (_registers(insn, ids) for ids in insn.regs_access())
    flags_written, flags_undefined = _flags(insn)
    width = insn.operands[0].size if insn.operands else 0
    return Effects(
        memory=tuple(_memory(insn)),
        reads={} if _is_zeroed(insn) else _bytes(read),
        writes=_bytes(written),
        vectors_written=frozenset(_vectors(written)),
        flags_written=flags_written,
        flags_undefined=flags_undefined,
        sets={n: v for n, v in model.get("writes", {}).items() if n in X86_64.control},
        immediates=tuple(o.imm % (1 << 8 * width) for o in insn.operands if _is_immediate(o)),
        operand_width=width,
        use=_use(insn),
        names=tuple(_named(insn)),
        may_access=_may_access(insn),
        is_plain=insn.id in _PLAIN or _only_names(insn),
        alignment=_alignment(insn, models["unaligned"]["names"]),
        is_nontemporal=name.startswith(_NONTEMPORAL) and not name.endswith("a"),
        is_fence=bool(model.get("fence", False)),
        is_model_specific=insn.id in _MODEL_SPECIFIC,
        hint_needs=str(model["cpuid"]) if model.get("hint", False) else "",
    )


_NONTEMPORAL = ("movnt", "vmovnt", "maskmov", "vmaskmovdqu")

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

_COMPARING = frozenset(
    getattr(x86_const, f"X86_INS_{name}") for name in ("CMP", "TEST", "SUB", "XOR", "BT", "AND", "ADD")
)
_LOADING = (x86_const.X86_INS_MOV, x86_const.X86_INS_MOVABS)


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


# -- where it goes


_BRANCHES = (x86_const.X86_GRP_JUMP, x86_const.X86_GRP_CALL, x86_const.X86_GRP_BRANCH_RELATIVE)
"""Groups of which a branch is in one at least: `loop` is in the last alone."""


def _is_immediate(operand: Any) -> bool:
    return bool(operand.type == x86_const.X86_OP_IMM)


def _targets(insn: Any) -> Iterator[int]:
    is_branch = any(insn.group(group) for group in _BRANCHES)
    if is_branch and insn.operands and _is_immediate(insn.operands[0]):
        yield insn.operands[0].imm & _MASK
    goes_on = insn.id not in (x86_const.X86_INS_JMP, x86_const.X86_INS_UD2)
    if goes_on and not insn.group(x86_const.X86_GRP_RET):
        yield insn.address + insn.size


def _is_indirect(insn: Any) -> bool:
    jumps = any(insn.group(group) for group in (x86_const.X86_GRP_JUMP, x86_const.X86_GRP_CALL))
    return jumps and bool(insn.operands) and not _is_immediate(insn.operands[0])


_REPEATS = ("rep", "repe", "repz", "repne", "repnz")
_WIDTHS = {"b": 1, "w": 2, "d": 4, "q": 8}


def _repeats(insn: Any) -> Repetition | None:
    prefix, _, name = insn.mnemonic.partition(" ")
    if prefix not in _REPEATS:
        return None
    is_copy = name[:-1] in ("movs", "stos")
    return Repetition(_WIDTHS[name[-1]] if is_copy else 0, name.startswith("movs"), "rcx")


# -- state that is not there in a user process, or that runs do not keep


def _uses_segment(insn: Any) -> bool:
    return any(o.type == x86_const.X86_OP_MEM and o.mem.segment in _SEGMENTS for o in insn.operands)


_SEGMENTS: Mapping[int, str] = {x86_const.X86_REG_FS: "fs", x86_const.X86_REG_GS: "gs"}


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


# -- operands


def _only_names(insn: Any) -> bool:
    """Whether the instruction has an address for an operand, and nothing is accessed there."""
    return insn.id in (x86_const.X86_INS_LEA, x86_const.X86_INS_NOP) or insn.mnemonic.startswith("prefetch")


def _may_access(insn: Any) -> bool:
    if _only_names(insn) or insn.id in _MODEL_SPECIFIC:
        return False
    return insn.id not in _PLAIN or any(o.type == x86_const.X86_OP_MEM for o in insn.operands)


def _memory(insn: Any) -> Iterator[MemoryOperand]:
    for position, operand in enumerate(insn.operands):
        if operand.type == x86_const.X86_OP_MEM:
            yield _explicit(insn, operand, *_directions(insn, position, operand.access))
    yield from _on_stack(insn)


def _directions(insn: Any, position: int, access: int) -> tuple[bool, bool]:
    """Whether it loads, and whether it stores. Capstone 5.0 takes the destination of some moves (movnti,
    movntdq, vmovdqu) for something read."""
    if not _may_access(insn):
        return False, False
    if position == 0 and insn.mnemonic.removeprefix("v").startswith("mov"):
        return False, True
    return bool(access & capstone.CS_AC_READ), bool(access & capstone.CS_AC_WRITE)


def _explicit(insn: Any, operand: Any, loads: bool, stores: bool) -> MemoryOperand:
    memory = operand.mem
    names = [insn.reg_name(register) if register else "" for register in (memory.base, memory.index)]
    base, index = (X86_64.whole(name) or "" for name in names)
    return MemoryOperand(
        base,
        index,
        memory.scale,
        memory.disp,
        operand.size,
        loads,
        stores,
        relative_to=insn.address + insn.size if memory.base in _INSTRUCTION_POINTER else None,
        segment=_SEGMENTS.get(memory.segment, ""),
        address_bits=8 * insn.addr_size,
    )


_INSTRUCTION_POINTER = (x86_const.X86_REG_RIP, x86_const.X86_REG_EIP)

_STACK: Mapping[int, MemoryOperand] = {
    **{
        number: MemoryOperand("rsp", "", 1, -_WORD, _WORD, False, True, is_implicit=True)
        for number in (x86_const.X86_INS_PUSH, x86_const.X86_INS_PUSHFQ, x86_const.X86_INS_CALL)
    },
    **{
        number: MemoryOperand("rsp", "", 1, 0, _WORD, True, False, is_implicit=True)
        for number in (x86_const.X86_INS_POP, x86_const.X86_INS_POPFQ, x86_const.X86_INS_RET)
    },
    x86_const.X86_INS_LEAVE: MemoryOperand("rbp", "", 1, 0, _WORD, True, False, is_implicit=True),
}


def _on_stack(insn: Any) -> Iterator[MemoryOperand]:
    if insn.id in _STACK:
        yield _STACK[insn.id]


def _alignment(insn: Any, unaligned: list[str]) -> int:
    """Intel SDM vol. 1, 4.1.1 and vol. 2, 2.4."""
    size = max((o.size for o in insn.operands if o.type == x86_const.X86_OP_MEM), default=0)
    if size < _SSE or _only_names(insn):
        return 0
    name = insn.insn_name()
    if name.startswith("v"):
        return size if name.startswith(_ALIGNED_VEX) else 0
    return size if size == _SSE and name not in unaligned else 0


def _named(insn: Any) -> Iterator[int]:
    for operand in insn.operands:
        if _is_immediate(operand):
            yield operand.imm & _MASK
        elif operand.type == x86_const.X86_OP_MEM:
            start = insn.address + insn.size if operand.mem.base == x86_const.X86_REG_RIP else 0
            yield start + operand.mem.disp & _MASK


def _use(insn: Any) -> Use:
    return "compares" if insn.id in _COMPARING else "loads" if insn.id in _LOADING else ""


# -- registers and flags


def _registers(insn: Any, ids: list[int]) -> list[str]:
    return [insn.reg_name(number) for number in ids]


def _bytes(names: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        if (part := X86_64.parts.get(name)) is not None:
            found[part.register] = found.get(part.register, 0) | part.written
    return found


def _vectors(names: list[str]) -> Iterator[str]:
    """The vector registers among the names, whole: ymm3 of xmm3, and ymm17 of zmm17."""
    return (f"ymm{name[3:]}" for name in names if name[1:3] == "mm" and name[3:].isdigit())


def _is_zeroed(insn: Any) -> bool:
    """Whether it is `xor %reg, %reg`, which reads nothing."""
    operands = insn.operands
    is_idiom = insn.id in (x86_const.X86_INS_XOR, x86_const.X86_INS_SUB) and len(operands) == 2
    both = all(operand.type == x86_const.X86_OP_REG for operand in operands)
    return bool(is_idiom and both and operands[0].reg == operands[1].reg)


_SHIFTS = ("sh", "sa", "ro", "rc")
_MORE_UNDEFINED: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_SHIFTS, frozenset({"of", "af"})),  # of is defined for a count of one only
    **dict.fromkeys(("mul", "imul"), frozenset({"sf", "zf", "af", "pf"})),
}
"""What capstone does not tell of the manual's tables (Intel SDM vol. 2), by the beginning of the mnemonic."""


def _flags(insn: Any) -> tuple[frozenset[str], frozenset[str]]:
    """The flags that it leaves with a value that the manual promises, and those that it leaves undefined."""
    written = _with_verbs(insn, ("MODIFY", "RESET", "SET"))
    more = (flags for name, flags in _MORE_UNDEFINED.items() if insn.mnemonic.startswith(name))
    undefined = _with_verbs(insn, ("UNDEFINED",)) | next(more, frozenset())
    return written - undefined, undefined


def _with_verbs(insn: Any, verbs: tuple[str, ...]) -> frozenset[str]:
    return frozenset(flag for verb in verbs for flag, bit in _FLAGS[verb] if insn.eflags & bit)


_FLAGS: Mapping[str, tuple[tuple[str, int], ...]] = {
    verb: tuple((flag, getattr(x86_const, f"X86_EFLAGS_{verb}_{flag.upper()}", 0)) for flag in X86_64.flags)
    for verb in ("MODIFY", "RESET", "SET", "UNDEFINED")
}
"""Capstone's bits for what may happen to each flag."""
