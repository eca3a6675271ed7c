"""What the kernel's exception handlers do to the registers before they continue at the fixup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import z3

from mcverify.image.image import Handler
from mcverify.machine.state import Registers

Effect = Callable[[Handler, Registers, z3.BitVecRef], dict[str, z3.BitVecRef]]
"""The registers that an effect changes, given the handler, the registers at the fault and the trap number."""


def apply_handler(
    handler: Handler, before: Registers, trap: z3.BitVecRef, address: z3.BitVecRef | None = None
) -> Registers | None:
    """The registers at the fixup, given those at the fault, the trap number and the address of the byte that
    faulted (64 bits each); None if an effect is not modelled, or the address is not known.

    `EFFECTS` in the module `handlers` of the architecture's folder has the effects by the words of its
    `extable.toml`.
    """
    effects = cast("Mapping[str, Effect]", before.architecture.code("handlers").EFFECTS)
    registers = before
    told = {"trap": trap} if address is None else {"trap": trap, "address": address}
    for effect in handler.effects:
        register, _, what = effect.partition(" = ")
        if effect in effects:
            registers = registers.assigned(effects[effect](handler, registers, trap))
        elif register in before.architecture.general and what in told:
            registers = registers.assigned({register: told[what]})
        else:
            return None
    return registers
