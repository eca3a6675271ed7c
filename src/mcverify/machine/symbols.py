"""The free symbols that stand for registers and per-CPU variables in the terms of one instruction."""

from __future__ import annotations

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.terms import variable


def per_cpu_symbol(name: str) -> z3.BitVecRef:
    """The value of a per-CPU variable of the architecture's `percpu.toml` while the routine runs."""
    return variable(f"{name}@0")


def symbol(name: str) -> z3.BitVecRef:
    """The input value of register `name` of one instruction, a free symbol of its width."""
    return variable(name, X86_64.widths[name])
