"""What the random states need to know of an instruction beyond its ways, as capstone has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import capstone
from capstone import x86_const as x86

from mcverify.arch.known import X86_64
from mcverify.contract import REGISTERS

Kind = Literal["plain", "jump", "return", "rep", "nothing", "stac", "clac"]
"""How it is carried out: on the emulator; `jump` where it may be forced to go the other way; `return` and
`nothing` (a hint, a fence) by us; `stac` and `clac` change the alignment-check flag alone."""

_NOTHING = frozenset(
    "clwb clflushopt clflush sfence mfence lfence pause endbr64 nop prefetcht0 prefetcht1 prefetcht2"
    " prefetchnta prefetchw prefetchwt1 cldemote".split()
)
_STRINGS = {
    f"{name}{letter}": (size, name == "movs")
    for name in ("movs", "stos")
    for letter, size in {"b": 1, "w": 2, "d": 4, "q": 8}.items()
}
_REPEATING = ("rep", "repe", "repz", "repne", "repnz")
_ALIGNED_VEX = ("vmovdqa", "vmovap", "vmovntd", "vmovntp")
_BY_CL = ((0xD2,), (0xD3,), (0x0F, 0xA5), (0x0F, 0xAD))
_VECTOR = 16


@dataclass(frozen=True, slots=True)
class Repeated:
    """A `rep movs` or `rep stos`: bytes of an element, and whether it has a source."""

    size: int
    copies: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """One instruction. `place` computes the address of its operand in memory of the registers before it;
    `aligned` is what that must be a multiple of; `pops` how many bytes a return takes off the stack;
    `undefined` the flags that it leaves undefined, of the registers before it."""

    address: int
    size: int
    text: str
    kind: Kind
    place: Callable[[Callable[[str], int]], int] | None
    aligned: int
    pops: int
    repeated: Repeated | None
    undefined: Callable[[Callable[[str], int]], list[str]]
    uses_segment: bool

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.size


def show(code: bytes, address: int) -> Shown | None:
    """The instruction at the begin of `code`; None where there is none."""
    found = next(_decoder().disasm(code, address, 1), None)
    if found is None:
        return None
    name = str(found.mnemonic).split()[-1]
    repeated = _repeated(found, name)
    memory = next((o for o in found.operands if o.type == x86.X86_OP_MEM), None)
    immediate = found.operands[0].imm if found.operands and found.operands[0].type == x86.X86_OP_IMM else 0
    return Shown(
        address,
        found.size,
        f"{found.mnemonic} {found.op_str}".strip(),
        _kind(found, name, repeated),
        _place(found, memory) if memory is not None else None,
        _aligned(found, name, memory),
        8 + (immediate if found.group(x86.X86_GRP_RET) else 0),
        repeated,
        lambda value: _undefined(found, value),
        memory is not None and memory.mem.segment in (x86.X86_REG_FS, x86.X86_REG_GS),
    )


def _kind(found: Any, name: str, repeated: Repeated | None) -> Kind:
    if repeated is not None:
        return "rep"
    if found.group(x86.X86_GRP_RET):
        return "return"
    if name in _NOTHING:
        return "nothing"
    if name == "stac" or name == "clac":
        return "stac" if name == "stac" else "clac"
    branches = found.group(x86.X86_GRP_JUMP) or found.group(x86.X86_GRP_BRANCH_RELATIVE)
    return "jump" if branches and not found.group(x86.X86_GRP_CALL) else "plain"


def _repeated(found: Any, name: str) -> Repeated | None:
    prefix, _, rest = str(found.mnemonic).partition(" ")
    if prefix not in _REPEATING or rest not in _STRINGS or found.addr_size != 8:
        return None
    return Repeated(*_STRINGS[name])


def _place(found: Any, operand: Any) -> Callable[[Callable[[str], int]], int] | None:
    memory = operand.mem
    here = found.address + found.size
    names = [found.reg_name(r) if r else "" for r in (memory.base, memory.index)]
    wide = all(name in ("", "rip", *REGISTERS) for name in names)

    def place(value: Callable[[str], int]) -> int:
        base, index = (here if n == "rip" else value(n) if n else 0 for n in names)
        return int(base + index * memory.scale + memory.disp) % (1 << 64)

    return place if wide else None


def _aligned(found: Any, name: str, memory: Any) -> int:
    """What the address of its operand must be a multiple of (Intel SDM vol. 2, exceptions type 1, 2, 4)."""
    if memory is None:
        return 1
    if name.startswith("v"):
        return int(memory.size) if name.startswith(_ALIGNED_VEX) and memory.size >= _VECTOR else 1
    unaligned = X86_64.model("instructions.toml")["unaligned"]["names"]
    return _VECTOR if memory.size == _VECTOR and name not in unaligned else 1


def _undefined(found: Any, value: Callable[[str], int]) -> list[str]:
    """The flags that it leaves undefined (`models/x86_64/instructions.toml`)."""
    tables = X86_64.model("instructions.toml")["undefined_flags"]
    name = found.insn_name()
    flags = list(tables["always"].get(name, ()))
    counted: Mapping[str, Callable[[int, int], bool]] = {
        "unless_count_0": lambda count, _: count != 0,
        "unless_count_0_or_1": lambda count, _: count > 1,
        "from_operand_size_on": lambda count, size: size < 32 and count >= size,
    }
    for when, holds in counted.items():
        more = tables[when].get(name, ())
        if more and holds(*_count(found, value)):
            flags += more
    return flags


def _count(found: Any, value: Callable[[str], int]) -> tuple[int, int]:
    """The count of a shift, and the bits of what is shifted."""
    shifted = found.operands[0]
    mask = 63 if shifted.size == 8 else 31
    opcode = tuple(found.opcode)
    if any(opcode[: len(known)] == known for known in _BY_CL):
        return value("rcx") & 0xFF & mask, 8 * shifted.size
    given = [o.imm for o in found.operands if o.type == x86.X86_OP_IMM]
    return (given[0] if given else 1) & mask, 8 * shifted.size


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder
