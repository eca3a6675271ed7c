"""What an instruction accesses and writes, given the registers before it: capstone's operands, evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from capstone import CS_AC_READ, CS_AC_WRITE, x86_const

from mcverify.arch.known import X86_64
from mcverify.image.image import Image
from mcverify.runs.code import accesses_memory, detailed, disassembled, may_access

_MASK = (1 << 64) - 1
_WORD = 8


@dataclass(frozen=True, slots=True)
class Touched:
    """Memory that an instruction touches: `size` bytes from `address` on."""

    address: int
    size: int
    is_store: bool


@dataclass(frozen=True, slots=True)
class _Operand:
    """base + scale * index + displacement; empty names count as zero. Addresses are cut to `mask`, which
    an address-size prefix makes 32 bits wide."""

    base: str
    index: str
    scale: int
    displacement: int
    size: int
    is_store: bool
    mask: int = _MASK

    def at(self, registers: Mapping[str, int]) -> Touched:
        base = registers[self.base] if self.base else 0
        index = registers[self.index] if self.index else 0
        address = (base + self.scale * index + self.displacement) & self.mask
        return Touched(address, self.size, self.is_store)


def directions(code: bytes, address: int) -> frozenset[bool] | None:
    """How the first instruction of `code` at `address` accesses memory: False for a load, True for a store,
    empty where it does not. None where that is not known, or it cannot be decoded."""
    insn = disassembled(code, address)
    if insn is None:
        return None
    found = frozenset(operand.is_store for operand in _memory(insn))
    return found if found or not may_access(insn) else None


class Operands:
    """The operands of an image's instructions, each decoded once."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._memory: dict[int, tuple[_Operand, ...]] = {}
        self._written: dict[int, Mapping[str, int]] = {}
        self._repeats: dict[int, bool] = {}

    def touched(self, address: int, registers: Mapping[str, int]) -> tuple[Touched, ...]:
        """What the instruction at `address` loads and stores, loads first; of a REP that has an element
        left, the next one."""
        if address not in self._memory:
            self._decode(address)
        if self._repeats[address] and not registers["rcx"]:
            return ()
        return tuple(operand.at(registers) for operand in self._memory[address])

    def written(self, address: int) -> frozenset[str]:
        """The general registers that the instruction at `address` writes, in part or whole."""
        return frozenset(self.written_bytes(address))

    def written_bytes(self, address: int) -> Mapping[str, int]:
        """The same with the bytes that it writes, as masks: bit n stands for byte n of the register."""
        if address not in self._written:
            self._decode(address)
        return self._written[address]

    def _decode(self, address: int) -> None:
        insn = detailed(self._image, address)
        self._repeats[address] = (
            insn is not None
            and insn.prefix[0]
            in (
                x86_const.X86_PREFIX_REP,
                x86_const.X86_PREFIX_REPNE,
            )
            and insn.mnemonic.startswith("rep")
        )
        memory = list(_memory(insn)) if insn is not None and accesses_memory(self._image, address) else []
        self._memory[address] = tuple(sorted(memory, key=lambda operand: operand.is_store))
        names = (insn.reg_name(r) for r in insn.regs_access()[1]) if insn is not None else ()
        written: dict[str, int] = {}
        for name in names:
            if (part := X86_64.parts.get(name)) is not None:
                written[part.register] = written.get(part.register, 0) | part.written
        self._written[address] = written


def _memory(insn: Any) -> Iterator[_Operand]:
    for position, operand in enumerate(insn.operands):
        if operand.type == x86_const.X86_OP_MEM:
            for is_store in _directions(insn, position, operand.access):
                yield _explicit(insn, operand, is_store)
    yield from _on_stack(insn)


def _directions(insn: Any, position: int, access: int) -> Iterator[bool]:
    """False for a load, True for a store. Capstone 5.0 takes the destination of some moves (movnti, movntdq,
    vmovdqu) for something read."""
    if position == 0 and insn.mnemonic.removeprefix("v").startswith("mov"):
        yield True
        return
    if access & CS_AC_READ:
        yield False
    if access & CS_AC_WRITE:
        yield True


def _explicit(insn: Any, operand: Any, is_store: bool) -> _Operand:
    memory = operand.mem
    names = [insn.reg_name(register) if register else "" for register in (memory.base, memory.index)]
    base, index = (X86_64.whole(name) or "" for name in names)
    displacement = memory.disp + (insn.address + insn.size if names[0] == "rip" else 0)
    mask = _MASK if insn.addr_size == _WORD else (1 << 32) - 1
    return _Operand(base, index, memory.scale, displacement, operand.size, is_store, mask)


def _on_stack(insn: Any) -> Iterator[_Operand]:
    if insn.id in (x86_const.X86_INS_PUSH, x86_const.X86_INS_PUSHFQ, x86_const.X86_INS_CALL):
        yield _Operand("rsp", "", 1, -_WORD, _WORD, is_store=True)
    elif insn.id in (x86_const.X86_INS_POP, x86_const.X86_INS_POPFQ, x86_const.X86_INS_RET):
        yield _Operand("rsp", "", 1, 0, _WORD, is_store=False)
    elif insn.id == x86_const.X86_INS_LEAVE:
        yield _Operand("rbp", "", 1, 0, _WORD, is_store=False)
