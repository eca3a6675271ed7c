"""Flags that an instruction leaves undefined: the CPU may do what it likes with them, and so no proof may
rest on what the lifter happens to make of them.

Which they are is data (`instructions.toml`, from "flags affected" in the Intel SDM, vol. 2). A shift
or rotation leaves its flags alone where the count, taken modulo 32 or 64, is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import z3
from capstone import x86_const

from mcverify.arch.x86_64.decoder import counts_in_cl
from mcverify.machine.instruction import UNDEFINED
from mcverify.machine.symbols import symbol


def with_undefined(
    decoded: Any, writes: Mapping[str, z3.BitVecRef], table: Mapping[str, Any]
) -> dict[str, z3.BitVecRef]:
    """`writes` of an instruction, with a free symbol for each flag under the condition that it is undefined.

    `decoded` is capstone's view of it, `table` the part `undefined_flags` of `instructions.toml`.
    """
    found = dict(writes)
    for flag, condition in _undefined(decoded, table):
        known = found.get(flag, symbol(flag))
        found[flag] = z3.simplify(z3.If(condition, z3.BitVec(f"{UNDEFINED}{flag}", 1), known))
    return found


def _undefined(decoded: Any, table: Mapping[str, Any]) -> Iterator[tuple[str, z3.BoolRef]]:
    name = decoded.insn_name()
    for flag in table["always"].get(name, ()):
        yield flag, z3.BoolVal(True)
    for when, condition in _COUNTED.items():
        flags = table[when].get(name, ())
        if flags:
            count, size = _count(decoded)
            for flag in flags:
                yield flag, condition(count, size)


_COUNTED: Mapping[str, Callable[[z3.BitVecRef, int], z3.BoolRef]] = {
    "unless_count_0": lambda count, _: count != 0,
    "unless_count_0_or_1": lambda count, _: z3.UGT(count, 1),
    "unless_count_1": lambda count, _: count != 1,
    # A count that is taken modulo 32 or 64 comes to the size of narrower operands only.
    "from_operand_size_on": lambda count, size: z3.UGE(count, size) if size < 32 else z3.BoolVal(False),
}


def _count(decoded: Any) -> tuple[z3.BitVecRef, int]:
    """The masked count of a shift, 8 bits, and the width in bits of what is shifted."""
    shifted = next((o for o in decoded.operands if o.type == x86_const.X86_OP_MEM), decoded.operands[-1])
    mask = 63 if shifted.size == 8 else 31
    if counts_in_cl(decoded):
        count = z3.Extract(7, 0, symbol("rcx")) & mask
    else:
        given = [o.imm for o in decoded.operands if o.type == x86_const.X86_OP_IMM]
        count = z3.BitVecVal((given[0] if given else 1) & mask, 8)
    return count, 8 * shifted.size
