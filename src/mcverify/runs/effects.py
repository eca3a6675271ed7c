"""The words of `models/x86_64/extable.toml` for what a handler does, as operations on registers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mcverify.arch.known import X86_64
from mcverify.image.image import Handler

_MASK = (1 << 64) - 1


class Effect(IntEnum):
    """What happens to the target register; the numbers are those of harness.c."""

    SET_TRAP = 0
    SET_IMM = 1
    ADD_IMM = 2
    SCALE_ADD = 3
    UNMODELLED = 4
    SET_ADDRESS = 5


@dataclass(frozen=True, slots=True)
class Operation:
    """One effect on one register; SCALE_ADD is target = imm * target + operand. `imm` is unsigned, 64-bit."""

    effect: Effect
    target: str = "rax"
    operand: str = "rax"
    imm: int = 0


_TOLD = {"trap": Effect.SET_TRAP, "address": Effect.SET_ADDRESS}
"""What a handler may put into any register: the number of the fault, and the address of its byte."""


def operations(handler: Handler) -> tuple[Operation, ...]:
    """The handler's effects in order; UNMODELLED for those that a runner cannot apply."""
    return tuple(_operation(word, handler) for word in handler.effects)


def _operation(word: str, handler: Handler) -> Operation:
    register, imm = handler.register or "", handler.imm & _MASK
    match word:
        case "ax = trap":
            return Operation(Effect.SET_TRAP, "rax")
        case "ax = 0":
            return Operation(Effect.SET_IMM, "rax")
        case "dx = 0":
            return Operation(Effect.SET_IMM, "rdx")
        case "sp += 8":
            return Operation(Effect.ADD_IMM, "rsp", imm=8)
        case "reg = imm" if register:
            return Operation(Effect.SET_IMM, register, imm=imm)
        case "cx = imm*cx + reg" if register:
            return Operation(Effect.SCALE_ADD, "rcx", register, imm)
    target, _, what = word.partition(" = ")
    if target in X86_64.general and what in _TOLD:
        return Operation(_TOLD[what], target)
    return Operation(Effect.UNMODELLED)
