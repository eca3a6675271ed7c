"""What the kernel's exception handlers do to the registers before they continue at the fixup.

The effects are the words of `models/x86_64/extable.toml`; the handlers are those of arch/x86/mm/extable.c.
"""

from __future__ import annotations

from collections.abc import Callable

import z3

from mcverify.arch.known import X86_64
from mcverify.image.image import Handler
from mcverify.machine.state import Registers

_Effect = Callable[[Handler, Registers, z3.BitVecRef], dict[str, z3.BitVecRef]]


def _word(value: int) -> z3.BitVecRef:
    return z3.BitVecVal(value, 64)


_EFFECTS: dict[str, _Effect] = {
    "ax = trap": lambda _, __, trap: {"rax": trap},
    "ax = 0": lambda *_: {"rax": _word(0)},
    "dx = 0": lambda *_: {"rdx": _word(0)},
    "reg = imm": lambda handler, *_: {handler.register or "rax": _word(handler.imm)},
    "sp += 8": lambda _, before, __: {X86_64.stack_pointer: z3.simplify(before[X86_64.stack_pointer] + 8)},
    "cx = imm*cx + reg": lambda handler, before, _: {
        "rcx": z3.simplify(_word(handler.imm) * before["rcx"] + before[handler.register or "rax"])
    },
}


def apply_handler(
    handler: Handler, before: Registers, trap: z3.BitVecRef, address: z3.BitVecRef | None = None
) -> Registers | None:
    """The registers at the fixup, given those at the fault, the trap number and the address of the byte that
    faulted (64 bits each); None if an effect is not modelled, or the address is not known."""
    registers = before
    told = {"trap": trap} if address is None else {"trap": trap, "address": address}
    for effect in handler.effects:
        register, _, what = effect.partition(" = ")
        if effect in _EFFECTS:
            registers = registers.assigned(_EFFECTS[effect](handler, registers, trap))
        elif register in X86_64.general and what in told:
            registers = registers.assigned({register: told[what]})
        else:
            return None
    return registers
