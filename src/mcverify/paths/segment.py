"""What the paths room hands on: locations, and the acyclic segments between them.

A segment starts at a location with a free symbol for everything that a loop may change, runs without
passing another location, and ends at a location or an exit. Faults are ordinary branches. All terms are
over the symbols of the segment's start, the entry's symbols (`...@0`) and the values of its loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import z3

from mcverify.machine.instruction import Kind
from mcverify.machine.state import State


@dataclass(frozen=True, slots=True)
class Location:
    """A cut point in one discrete mode: code address, whether a fault has been taken, offset of the stack
    pointer from its value at entry (bytes), the modes of the architecture that are not as at entry, with
    their values, and whether a non-temporal store waits for a fence. `frames` are the words of the stack, by
    offset, in which a call has left where it returns to: a loop in a callee is a location of its own for each
    of its callers. `window` is where a fault continues while a handler is set
    (`windows.toml`). `is_entry` tells the call of the routine from a loop back to its first instruction."""

    address: int
    faulted: bool
    stack: int
    modes: tuple[tuple[str, int], ...] = ()
    unfenced: bool = False
    is_entry: bool = False
    frames: tuple[tuple[int, int], ...] = ()
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes moved between memory and registers, or from memory to memory.

    One access of `size` bytes at `address`: `value` is a load's fresh symbol, or the term stored. Under REP
    there are `elements` (a term) of `size` bytes each; what a REP stores is `value`, again and again, or
    comes from the address `source`. `partial` says that only some of its bytes, nobody knows which, were
    transferred: a fault struck a REP that promises no order. Where one locked instruction loads and stores a
    word, `locked` is the loaded value, of both.
    """

    kind: Kind
    at: int
    address: z3.BitVecRef
    size: int
    value: z3.BitVecRef | None = None
    elements: z3.BitVecRef | None = None
    source: z3.BitVecRef | None = None
    partial: bool = False
    locked: z3.BitVecRef | None = None

    @property
    def bytes(self) -> z3.BitVecRef:
        """Number of bytes, as a 64-bit term."""
        size = z3.BitVecVal(self.size, 64)
        return size if self.elements is None else size * self.elements


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault taken on the segment: the access that faulted, the fixup it went to, the trap number (a term).

    `before` is the state in which the faulting instruction stood (for REP: at the faulting element);
    `address` that of the byte that faulted (a term), where the handler hands it on.
    """

    access: Transfer
    fixup: int | None
    trap: z3.BitVecRef
    before: State
    address: z3.BitVecRef | None = None


@dataclass(frozen=True, slots=True)
class FrameAccess:
    """An access of `size` bytes to the own stack frame, at `offset` from rsp at entry."""

    kind: Kind
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Taken:
    """One instruction of a segment: its address, the kind of its access that faulted (None: none did), how
    many of the segment's conditions, transfers and faults there are when it is over, its accesses to the
    own frame, the address that it gives a hint about, and the symbols of flags that it leaves undefined."""

    at: int
    fault: Kind | None
    conditions: int
    transfers: int
    faults: int
    frame: tuple[FrameAccess, ...] = ()
    hint: z3.BitVecRef | None = None
    undefined: tuple[str, ...] = ()


class Ending(Enum):
    """How a segment ends if not at a location.

    RETURN     by a return instruction
    UNCOVERED  at a fault on an instruction that has no table entry (an oops)
    TRAP       at an exception that is no page fault or machine check
    OUTSIDE    by a jump to a symbol outside the image
    LOST       at something that is not understood: `Segment.reason`
    ENDLESS    at a call that leads back to itself: `Segment.reason`
    """

    RETURN = "return"
    UNCOVERED = "uncovered"
    TRAP = "trap"
    OUTSIDE = "outside"
    LOST = "lost"
    ENDLESS = "endless"


@dataclass(frozen=True)
class Segment:
    """One acyclic path. `conditions` are the branch conditions, `fault_facts` what its accesses tell of the
    addresses that fault (`paths.faults`); `transfers` are the accesses outside the own stack frame, in
    order."""

    source: Location
    target: Location | Ending
    at: int
    conditions: tuple[z3.BoolRef, ...]
    fault_facts: tuple[z3.BoolRef, ...]
    transfers: tuple[Transfer, ...]
    faults: tuple[Fault, ...]
    final: State
    trail: tuple[int, ...]
    returned_to: z3.BitVecRef | None = None
    faulted: bool = False
    unfenced: bool = False
    reason: str = ""
    steps: tuple[Taken, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """A way that was not followed since its last condition is plainly false. `conditions` has that one as it
    was before it was simplified, `target` the address to which it would go (None: out of straight code)."""

    source: Location
    conditions: tuple[z3.BoolRef, ...]
    steps: tuple[Taken, ...]
    target: int | None
    faults: tuple[Fault, ...] = ()
    transfers: tuple[Transfer, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An access to be proved inside its buffer: what is known when it is about to happen."""

    source: Location
    conditions: tuple[z3.BoolRef, ...]
    transfer: Transfer


@dataclass(frozen=True, slots=True)
class StrayStack:
    """An access to the stack outside the own frame: at or above the return address, or below rsp."""

    source: Location
    at: int
    offset: int
    conditions: tuple[z3.BoolRef, ...]


@dataclass(frozen=True)
class Paths:
    """All the ways through a routine. `slots` gives, per location, the stack offsets of the
    8-byte words that are known there; `live` the registers whose value still matters; `limits` are sentences
    on what is taken of the kernel's own variables that it reads; `assumed` names the
    routines outside that are taken to do what `callees.toml` says; `pruned` are the ways that no state
    can take."""

    entry: Location
    locations: tuple[Location, ...]
    segments: tuple[Segment, ...]
    accesses: tuple[AccessPoint, ...]
    strays: tuple[StrayStack, ...]
    slots: Mapping[Location, frozenset[int]]
    live: Mapping[int, frozenset[str]]
    instructions: Mapping[int, str] = field(default_factory=dict)
    visited: frozenset[int] = frozenset()
    assumed: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    pruned: tuple[Pruned, ...] = ()
