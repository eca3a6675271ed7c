"""Random states in which one instruction is executed: addresses mostly within reach, all else anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from capstone import x86_const

from mcverify.arch.known import X86_64
from mcverify.silicon.cpu import WINDOW, WINDOW_SIZE

_EDGES = (0, 1, 2, 7, 8, 63, 64, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, (1 << 31) - 1, 1 << 31,
          (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
_MASK = (1 << 64) - 1
_MOST_BYTES = 500
"""Bytes that a REP may store: step.c tells of no more."""
_STRING = ("movs", "stos", "lods", "cmps", "scas")
_STACK = {x86_const.X86_INS_PUSH: -8, x86_const.X86_INS_POP: 0, x86_const.X86_INS_RET: 0,
          x86_const.X86_INS_CALL: -8, x86_const.X86_INS_LEAVE: 0}  # fmt: skip


@dataclass(frozen=True)
class Pointer:
    """base + scale * index + displacement must come to lie near the window."""

    base: str
    index: str = ""
    scale: int = 1
    displacement: int = 0


class States:
    """States for one instruction, from a seed of its own."""

    def __init__(self, decoded: Any, seed: str) -> None:
        self._random = Random(seed)
        self._pointers = list(_pointers(decoded))
        name = decoded.insn_name().split()[-1]
        size = max((operand.size for operand in decoded.operands), default=1)
        self._most_elements = _MOST_BYTES // size
        self._repeats = name[:4] in _STRING and decoded.prefix[0] in (
            x86_const.X86_PREFIX_REP,
            x86_const.X86_PREFIX_REPNE,
        )

    def registers(self) -> dict[str, int]:
        """All registers, flags and vector registers. The alignment check stays off, since the kernel answers
        it with a signal of its own; the CPUID flag too, which a return from a signal does not set."""
        random = self._random
        found = {name: self._value() for name in X86_64.general}
        found |= {name: random.getrandbits(256) for name in X86_64.vectors}
        found |= {name: random.getrandbits(1) for name in (*X86_64.flags, *X86_64.control)}
        found["ac"] = found["id"] = 0
        if random.randrange(4):
            found["df"] = 0
        for pointer in self._pointers:
            self._aim(pointer, found)
        if self._repeats:
            found["rcx"] = random.choice((0, 1, random.randrange(20), random.randrange(self._most_elements)))
        return found

    def poke(self, registers: Mapping[str, int]) -> tuple[int, bytes]:
        """Bytes for the window: mostly at the place of an operand, and often equal to a register."""
        random = self._random
        value = registers[random.choice(X86_64.general)] if random.randrange(2) else self._value()
        data = value.to_bytes(8, "little")
        pointer = self._pointers[0] if self._pointers else None
        at = _value_of(pointer, registers) if pointer else WINDOW
        return (at, data) if WINDOW <= at <= WINDOW + WINDOW_SIZE - len(data) else (WINDOW, data)

    def _value(self) -> int:
        random = self._random
        kind = random.randrange(5)
        if kind == 0:
            return random.choice(_EDGES)
        if kind == 1:
            return random.randrange(300)
        if kind == 2:
            return -random.randrange(300) & _MASK
        return random.getrandbits(random.choice((8, 16, 32, 64)))

    def _aim(self, pointer: Pointer, registers: dict[str, int]) -> None:
        random = self._random
        if pointer.index and pointer.index != pointer.base and random.randrange(8):
            registers[pointer.index] = random.choice((random.randrange(64), -random.randrange(64) & _MASK))
        target = self._target()
        if pointer.index == pointer.base:
            registers[pointer.base] = (target - pointer.displacement) // (pointer.scale + 1)
            return
        offset = pointer.scale * registers.get(pointer.index, 0) + pointer.displacement
        registers[pointer.base] = (target - offset) & _MASK

    def _target(self) -> int:
        random = self._random
        near = random.randrange(10)
        if near == 0:
            return WINDOW + random.randrange(-40, 40)
        if near == 1:
            return WINDOW + WINDOW_SIZE + random.randrange(-40, 40)
        if near == 2:
            return WINDOW + WINDOW_SIZE // 2 + random.randrange(-40, 40)
        return WINDOW + random.randrange(WINDOW_SIZE) & -random.choice((1, 1, 8, 32))


def _value_of(pointer: Pointer, registers: Mapping[str, int]) -> int:
    offset = pointer.scale * registers.get(pointer.index, 0) + pointer.displacement
    return (registers[pointer.base] + offset) & _MASK


def _pointers(decoded: Any) -> list[Pointer]:
    found = []
    for operand in decoded.operands:
        if operand.type != x86_const.X86_OP_MEM:
            continue
        memory = operand.mem
        base = X86_64.whole(decoded.reg_name(memory.base)) if memory.base else None
        index = X86_64.whole(decoded.reg_name(memory.index)) if memory.index else None
        if base:
            found.append(Pointer(base, index or "", memory.scale, memory.disp))
    if decoded.id in _STACK:
        base = "rbp" if decoded.id == x86_const.X86_INS_LEAVE else "rsp"
        found.append(Pointer(base, displacement=_STACK[decoded.id]))
    return found
