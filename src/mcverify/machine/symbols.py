"""The free symbols that stand for registers and per-CPU variables in the terms of one instruction."""

from __future__ import annotations

from collections.abc import Iterable

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.terms import variable

_CODE = "code#"
_DATA = "data#"
_SLOT = "slot#"


def per_cpu_symbol(name: str) -> z3.BitVecRef:
    """The value of a per-CPU variable of the architecture's `percpu.toml` while the routine runs."""
    return variable(f"{name}@0")


GS_BASE = variable("gs_base@0")
"""Where the segment gs begins."""


def code_symbol(address: int) -> z3.BitVecRef:
    """Where the code lies, when it runs, that is at `address` of the image. It is no constant: nobody knows
    before it is loaded, and so nothing but a return or a jump may make sense of it."""
    return variable(f"{_CODE}{address:x}")


def code_of(term: z3.BitVecRef) -> int | None:
    """The address of the image for which `term` stands if it is a :func:`code_symbol`, None for any other."""
    name = term.decl().name() if z3.is_const(term) else ""
    return int(name.removeprefix(_CODE), 16) if name.startswith(_CODE) else None


def data_symbol(address: int) -> z3.BitVecRef:
    """Where the datum lies, when the code runs, that is at `address` of the image: nobody knows."""
    return variable(f"{_DATA}{address:x}")


def slot_symbol(base: int, offset: int) -> z3.BitVecRef:
    """The 32-bit word at `offset` of the jump table at `base` of the image: where it leads to, less where the
    table lies."""
    return variable(f"{_SLOT}{base:x}.{offset:x}", 32)


def data_of(names: Iterable[str]) -> int | None:
    """The one address of the image of which there is a :func:`data_symbol` among `names`, else None."""
    found = [name for name in names if name.startswith(_DATA)]
    return int(found[0].removeprefix(_DATA), 16) if len(found) == 1 else None


def slot_of(names: Iterable[str]) -> tuple[int, int] | None:
    """Base and offset of the one :func:`slot_symbol` among `names`, else None."""
    found = [name for name in names if name.startswith(_SLOT)]
    if len(found) != 1:
        return None
    base, _, offset = found[0].removeprefix(_SLOT).partition(".")
    return int(base, 16), int(offset, 16)


def symbol(name: str) -> z3.BitVecRef:
    """The input value of register `name` of one instruction, a free symbol of its width."""
    return variable(name, X86_64.widths[name])
