"""The form of an instruction: its name with the kinds and widths of its operands, in AT&T order.

`add m32, r64`-like texts are keys: of the table that says which forms were compared with a CPU
(`models/x86_64/silicon.tsv`), and of what a proof rests on where one is missing there.

r64 r32 r16 r8      a general register by its width; h8 is one of ah, bh, ch, dh
m64 ... m8, m128    memory by what is accessed there; a trailing `i` tells that the address has an index,
                    `p` that it is relative to the instruction, `s` a segment override, `a32` a 32-bit address
i                   an immediate, or the 1 that a shift by one implies; `label` the target of a branch
xmm ymm cl          as they are; cl only where it counts
(same)              two register operands are one register, which decoders and CPUs treat apart
"""

from __future__ import annotations

from functools import cache
from typing import Any

from capstone import CS_GRP_BRANCH_RELATIVE, x86_const

from mcverify.arch.x86_64.decoder import counts_in_cl

_HIGH = {x86_const.X86_REG_AH, x86_const.X86_REG_BH, x86_const.X86_REG_CH, x86_const.X86_REG_DH}
_SEGMENTS = {x86_const.X86_REG_FS, x86_const.X86_REG_GS}
_SHIFTS = ("sh", "sa", "ro", "rc")
_REPEATS = {x86_const.X86_PREFIX_REP: "rep ", x86_const.X86_PREFIX_REPNE: "repne "}
_STRINGS = ("movs", "stos", "lods", "cmps", "scas")
_ADDRESS_SIZE = 0x67
_LOCK = 0xF0


def form_of(decoded: Any) -> str:
    """The form of an instruction that capstone decoded with details."""
    name = _name(decoded)
    if _is_string(decoded):
        return f"{_REPEATS.get(decoded.prefix[0], '')}{name}{_address_size(decoded)}"
    if CS_GRP_BRANCH_RELATIVE in decoded.groups:
        return f"{name} label"
    kinds = _kinds(decoded)
    registers = [o.reg for o in decoded.operands if o.type == x86_const.X86_OP_REG]
    same = " (same)" if len(registers) > len(set(registers)) else ""
    prefix = "lock " if decoded.prefix[0] == _LOCK else ""
    return f"{prefix}{name} {', '.join(kinds)}{same}".strip()


def _name(decoded: Any) -> str:
    name: str = decoded.insn_name()
    return name.split()[-1]


def _is_string(decoded: Any) -> bool:
    """Whether it is one of the string instructions; `movsd` also moves an xmm register."""
    is_vector = any(_is_vector(o) for o in decoded.operands)
    return _name(decoded)[:4] in _STRINGS and len(_name(decoded)) == len("movsb") and not is_vector


def _is_vector(operand: Any) -> bool:
    first, last = x86_const.X86_REG_XMM0, x86_const.X86_REG_ZMM31
    return bool(operand.type == x86_const.X86_OP_REG and first <= operand.reg <= last)


def _in_att_order(decoded: Any) -> list[Any]:
    """The operands, the destination last, whatever syntax the decoder is set to."""
    operands = list(decoded.operands)
    return operands if _is_att(decoded) else operands[::-1]


def _kinds(decoded: Any) -> list[str]:
    """The kinds of the operands; of a shift in memory by cl the decoder names the memory alone for sure."""
    if counts_in_cl(decoded):
        shifted = [o for o in decoded.operands if o.type != x86_const.X86_OP_IMM]
        if len(shifted) == 1:
            return ["cl", _kind(decoded, shifted[0])]
    return [_kind(decoded, operand) for operand in _in_att_order(decoded)]


def _is_att(decoded: Any) -> bool:
    return "%" in decoded.op_str or "$" in decoded.op_str


def _kind(decoded: Any, operand: Any) -> str:
    if operand.type == x86_const.X86_OP_IMM:
        return "i"
    if operand.type == x86_const.X86_OP_REG:
        return _register(decoded, operand)
    memory = operand.mem
    marks = [
        "i" if memory.index else "",
        "p" if memory.base == x86_const.X86_REG_RIP else "",
        "s" if memory.segment in _SEGMENTS else "",
        _address_size(decoded),
    ]
    return f"m{8 * operand.size}{''.join(marks)}"


def _address_size(decoded: Any) -> str:
    return "a32" if decoded.prefix[3] == _ADDRESS_SIZE else ""


def _register(decoded: Any, operand: Any) -> str:
    if _is_vector(operand):
        return _vector(operand.reg)
    if operand.reg in _HIGH:
        return "h8"
    if operand.reg == x86_const.X86_REG_CL and _name(decoded).startswith(_SHIFTS):
        return "cl"
    return f"r{8 * operand.size}"


@cache
def _vector(register: int) -> str:
    for name in ("XMM", "YMM", "ZMM"):
        if register <= getattr(x86_const, f"X86_REG_{name}31"):
            return name.lower()
    return "vector"
