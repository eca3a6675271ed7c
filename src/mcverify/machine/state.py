"""A symbolic machine state: registers and the own stack frame, as terms over a location's symbols.

States are values: every change makes a new one. Registers are computed when they are asked for,
since most flags that a path sets are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed

import z3

from mcverify.arch.architecture import Architecture
from mcverify.arch.known import X86_64
from mcverify.machine.terms import distance, replace, symbols_of

STACK_BASE = z3.BitVec("rsp@0", 64)
"""The stack pointer at entry: the address of the return address."""

RETURN_ADDRESS = z3.BitVec("return@0", 64)
"""What stands there at entry."""


class Registers:
    """Register file as a chain of pending updates. Immutable; values are memoized."""

    __slots__ = ("_values", "_pending", "architecture")

    def __init__(self, values: Mapping[str, z3.BitVecRef], architecture: Architecture = X86_64) -> None:
        self.architecture = architecture
        self._values: dict[str, z3.BitVecRef] = dict(values)
        self._pending: dict[str, tuple[z3.BitVecRef, Registers, Mapping[str, z3.BitVecRef]]] = {}

    def __getitem__(self, name: str) -> z3.BitVecRef:
        if name in self._pending:
            term, before, loads = self._pending.pop(name)
            self._values[name] = before.evaluate(term, loads)
        return self._values[name]

    def evaluate(self, term: z3.ExprRef, loads: Mapping[str, z3.BitVecRef] | None = None) -> z3.ExprRef:
        """`term`, which is over input symbols and the instruction's `loads`, in this state."""
        loads, widths = loads or {}, self.architecture.widths
        names = symbols_of(term)
        return replace(
            term, {n: loads[n] if n in loads else self[n] for n in names if n in loads or n in widths}
        )

    def put_into(self, term: z3.ExprRef) -> z3.ExprRef:
        """`term`, which is over input symbols, in this state, and not simplified."""
        widths = self.architecture.widths
        names = sorted(symbols_of(term) & widths.keys())
        values = [(z3.BitVec(n, widths[n]), self[n]) for n in names]
        return z3.substitute(term, *values)

    def knows(self, name: str) -> bool:
        """Whether `name` is a register of this file."""
        return name in self._values or name in self._pending

    def written(self, writes: Mapping[str, z3.BitVecRef], loads: Mapping[str, z3.BitVecRef]) -> Registers:
        """The registers after an instruction that writes `writes` (terms over this state)."""
        after = Registers(self._values, self.architecture)
        after._pending = {n: p for n, p in self._pending.items() if n not in writes}
        # The state before keeps its own pending terms: both share what either computes first.
        after._pending |= {name: (term, self, loads) for name, term in writes.items()}
        return after

    def assigned(self, values: Mapping[str, z3.BitVecRef]) -> Registers:
        """The registers with `values` (terms over the location's symbols) in place."""
        after = Registers(self._values | dict(values), self.architecture)
        after._pending = {n: p for n, p in self._pending.items() if n not in values}
        return after


@dataclass(frozen=True)
class State:
    """Registers and stack. `stack` maps the offset of a byte from the entry's rsp to its 8-bit term;
    `drops` counts how often bytes were given up."""

    registers: Registers
    stack: Mapping[int, z3.BitVecRef]
    drops: int = 0

    @property
    def stack_offset(self) -> int | None:
        """rsp minus its value at entry, None if that is not constant."""
        return self.stack_position(self.registers[self.registers.architecture.stack_pointer])

    @staticmethod
    def stack_position(address: z3.BitVecRef) -> int | None:
        """Offset of `address` from the entry's rsp if it is constant: an access to the own frame."""
        return distance(address, STACK_BASE) if STACK_BASE.decl().name() in symbols_of(address) else None

    def read(self, offset: int, size: int) -> z3.BitVecRef:
        """`size` bytes of the stack at `offset`; bytes not written since they were given up are free
        symbols."""
        places = [offset + i for i in reversed(range(size))]
        parts = [self.stack.get(p, z3.BitVec(f"stack[{p}].{self.drops}", 8)) for p in places]
        return z3.simplify(z3.Concat(*parts) if size > 1 else parts[0])

    def released(self, stack_pointer: int) -> State:
        """The state in which nothing is known of the bytes below `stack_pointer`: an interrupt, or the
        exception frame of the next fault, overwrites them at any moment (the kernel has no red zone)."""
        kept = {offset: byte for offset, byte in self.stack.items() if offset >= stack_pointer}
        return changed(self, stack=kept, drops=self.drops + 1)

    def pushed(self, offset: int, value: z3.BitVecRef) -> State:
        """The state after `value` (a multiple of 8 bits) has been stored at `offset`."""
        size = value.size() // 8
        stored = {offset + i: z3.simplify(z3.Extract(8 * i + 7, 8 * i, value)) for i in range(size)}
        return changed(self, stack={**self.stack, **stored})
