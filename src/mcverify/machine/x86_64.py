"""x86-64 names and widths: the one place that knows this architecture's registers.

A machine state is a mapping from these names to bit-vector terms. Flags are single bits and
not a packed word, so that a loop which changes one of them leaves the others known.
"""

from __future__ import annotations

from typing import Final

import z3

from mcverify.machine.terms import variable

GENERAL: Final = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
"""The sixteen general registers, in encoding order; 64 bits each."""

FLAG_BITS: Final = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "of": 11}
"""Arithmetic flags and their bit numbers in rflags (Intel SDM vol. 1, 3.4.3)."""

CONTROL: Final = {"df": 10, "ac": 18, "id": 21}
"""Flags of rflags that no arithmetic changes: direction, alignment check, CPUID detection."""

VECTOR: Final = tuple(f"ymm{n}" for n in range(16))
"""Vector registers, 256 bits each; xmm registers are their lower halves."""

WIDTHS: Final[dict[str, int]] = (
    dict.fromkeys(GENERAL, 64) | dict.fromkeys((*FLAG_BITS, *CONTROL), 1) | dict.fromkeys(VECTOR, 256)
)
"""Every name of a machine state and its width in bits."""

STACK_POINTER: Final = "rsp"

PART_NAMES: Final[dict[str, str]] = {
    **{r: "e" + r[1:] for r in GENERAL[:8]},
    **{r: r + "d" for r in GENERAL[8:]},
}
"""Name of the lower 32 bits of each general register."""


def per_cpu_symbol(name: str) -> z3.BitVecRef:
    """The value of a per-CPU variable of `models/percpu.toml` while the routine runs."""
    return variable(f"{name}@0")


def symbol(name: str) -> z3.BitVecRef:
    """The input value of register `name` of one instruction, a free symbol of its width."""
    return variable(name, WIDTHS[name])
