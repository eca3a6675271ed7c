"""The effects of the kernel's exception handlers on the registers.

The effects are the words of `models/x86_64/extable.toml`; the handlers are those of arch/x86/mm/extable.c.
"""

from __future__ import annotations

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.handlers import Effect


def _word(value: int) -> z3.BitVecRef:
    return z3.BitVecVal(value, 64)


EFFECTS: dict[str, Effect] = {
    "ax = trap": lambda _, __, trap: {"rax": trap},
    "ax = 0": lambda *_: {"rax": _word(0)},
    "dx = 0": lambda *_: {"rdx": _word(0)},
    "reg = imm": lambda handler, *_: {handler.register or "rax": _word(handler.imm)},
    "sp += 8": lambda _, before, __: {X86_64.stack_pointer: z3.simplify(before[X86_64.stack_pointer] + 8)},
    "cx = imm*cx + reg": lambda handler, before, _: {
        "rcx": z3.simplify(_word(handler.imm) * before["rcx"] + before[handler.register or "rax"])
    },
}
