"""One instruction as a transition: what it reads, writes, accesses, and where it goes.

All terms are z3 bit-vectors over the input symbols of `machine.symbols.symbol` and the values
of the instruction's own loads. Nothing here knows about paths, buffers or contracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import z3

UNDEFINED = "undefined."
"""Begins the name of the symbol that stands for an undefined flag; each execution has another one."""


class Kind(Enum):
    """Direction of a memory access."""

    LOAD = "load"
    STORE = "store"


class Leave(Enum):
    """Ways to leave the routine's straight code other than to a known address.

    RETURN    through the address on top of the stack
    INDIRECT  to a computed address
    TRAP      by an exception of the instruction itself that is no page fault (a misaligned
              operand: #GP), for which the fixups are not made
    """

    RETURN = "return"
    INDIRECT = "indirect"
    TRAP = "trap"


@dataclass(frozen=True, slots=True)
class Access:
    """A memory access of `size` bytes at `address` (64 bits).

    `value` (8 * size bits, little endian) is a fresh symbol for a load, the term stored for a store.
    """

    kind: Kind
    address: z3.BitVecRef
    size: int
    value: z3.BitVecRef


@dataclass(frozen=True, slots=True)
class Step:
    """One way through an instruction: taken if `guard` holds; the accesses happen in order, and
    if none of them faults, `writes` are the registers that change and `target` is what comes next. `goes_to`
    is the address, a term, of a `target` that is none that is known."""

    guard: z3.BoolRef
    accesses: tuple[Access, ...]
    writes: Mapping[str, z3.BitVecRef]
    target: int | Leave
    is_call: bool = False
    goes_to: z3.BitVecRef | None = None


@dataclass(frozen=True, slots=True)
class Rep:
    """An instruction that repeats itself: element size in bytes, whether a source is read, and the registers
    with the count of elements left, the destination, the source and the value that is stored without one.
    `modes` are those that must be as at entry for it to go upwards."""

    size: int
    reads_source: bool
    next: int
    count: str
    destination: str
    source: str
    value: str
    modes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A decoded and lifted instruction. `steps` are all its ways, with guards that exclude each other and
    cover every state; `rep` is set for the string instructions, whose steps are those of one iteration.
    `is_nontemporal` marks stores that only a fence orders, `is_fence` such a fence. `hint` is the address of
    the byte whose cache line an instruction like clwb is about: it faults where a load of that byte would.
    `form` is the key of `silicon.tsv`. `is_locked`: its load and its store are one access to all others."""

    address: int
    size: int
    text: str
    steps: tuple[Step, ...]
    rep: Rep | None = None
    is_fence: bool = False
    is_nontemporal: bool = False
    hint: z3.BitVecRef | None = None
    form: str = ""
    is_locked: bool = False


class Refused(Exception):
    """An instruction that is not understood: the proof that meets it ends as unknown."""

    def __init__(self, address: int, text: str, reason: str) -> None:
        super().__init__(f"{text}: {reason}")
        self.address = address
        self.text = text
        self.reason = reason
