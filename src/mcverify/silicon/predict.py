"""What the lifted steps of an instruction say of a concrete state, compiled to Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import z3

from mcverify.machine.instruction import UNDEFINED, Instruction, Kind, Leave, Step
from mcverify.machine.terms import symbols_of
from mcverify.silicon.cpu import WINDOW, WINDOW_SIZE
from mcverify.witness.model.concrete import Source

MOST_ITERATIONS = 4096

Registers = Mapping[str, int]


class OutOfReach(Exception):
    """The state is of no use: an address beyond the window and its guards, or a REP without an end."""


class Fault(Exception):
    """An access that touches a page without access."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(f"{low:#x}")
        self.low, self.high = low, high


@dataclass(frozen=True, slots=True)
class Predicted:
    """What must be seen: `kind` as in a Result; `changed` are bytes of the window by address.

    `free` has a mask of the bits that nothing promises, by register. `touched` is the access of a fault.
    """

    kind: str
    rip: int
    after: Registers
    changed: Mapping[int, int]
    free: Mapping[str, int]
    touched: tuple[int, int] | None = None


class Memory:
    """The window, byte by byte; pages beside it may not be accessed."""

    def __init__(self, contents: bytes) -> None:
        self._bytes = bytearray(contents)
        self._before = contents

    def load(self, address: int, size: int) -> int:
        """The value of `size` bytes. Raises Fault or OutOfReach."""
        at = self._offset(address, size)
        return int.from_bytes(self._bytes[at : at + size], "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Put `size` bytes. Raises Fault or OutOfReach, and then none is put."""
        at = self._offset(address, size)
        self._bytes[at : at + size] = value.to_bytes(size, "little")

    def changed(self) -> dict[int, int]:
        """Bytes that differ from what was there first, by address."""
        if self._bytes == self._before:
            return {}
        pairs = enumerate(zip(self._before, self._bytes, strict=True))
        return {WINDOW + i: new for i, (old, new) in pairs if old != new}

    @staticmethod
    def _offset(address: int, size: int) -> int:
        at = address - WINDOW
        if not -4096 <= at <= WINDOW_SIZE + 4096 - size:
            raise OutOfReach
        if at < 0 or at + size > WINDOW_SIZE:
            raise Fault(address, address + size)
        return at


class Predictor:
    """The steps of one instruction as functions."""

    def __init__(self, instruction: Instruction) -> None:
        self._instruction = instruction
        self._hint = _compiled_address(instruction.hint) if instruction.hint is not None else None
        self._steps = [(step, _compiled(step), _needs_undefined(step)) for step in instruction.steps]

    def predict(self, before: Registers, contents: bytes) -> Predicted:
        """What comes of the state; a REP is repeated until it goes on or faults.

        Raises OutOfReach for a state that says nothing. Asserts that exactly one step is taken.
        """
        memory, registers = Memory(contents), dict(before)
        free: dict[str, int] = {}
        for _ in range(MOST_ITERATIONS):
            try:
                kind, rip = self._once(registers, memory, free)
            except Fault as fault:
                touched = fault.low, fault.high
                return Predicted(
                    "fault", self._instruction.address, registers, memory.changed(), free, touched
                )
            if kind == "trap" or rip != self._instruction.address or self._instruction.rep is None:
                return Predicted(kind, rip, registers, memory.changed(), free)
        raise OutOfReach

    def _once(self, registers: dict[str, int], memory: Memory, free: dict[str, int]) -> tuple[str, int]:
        if self._hint is not None:
            memory.load(self._hint(registers), 1)
        taken = [
            (step, run if doubtful else None, found)
            for step, run, doubtful in self._steps
            if (found := run(registers, 0, memory.load)) is not None
        ]
        assert len(taken) == 1, "the ways through an instruction exclude each other and cover every state"
        step, again, (stores, writes, returns_to) = taken[0]
        if step.target is Leave.TRAP:
            return "trap", self._instruction.address
        others = again(registers, 1, memory.load)[1] if again else {}
        free |= {name: mask for name, other in others.items() if (mask := other ^ writes[name])}
        for address, size, value in stores:
            memory.store(address, size, value)
        registers |= writes
        assert isinstance(step.target, int) or step.target is Leave.RETURN
        return "done", step.target if isinstance(step.target, int) else returns_to


def _needs_undefined(step: Step) -> bool:
    return any(name.startswith(UNDEFINED) for term in step.writes.values() for name in symbols_of(term))


Compiled = Callable[[Registers, int, Callable[[int, int], int]], Any]
"""From registers, the value of what is undefined, and a way to load: None where the guard fails, else the
stores in order, the registers written, and the first value loaded."""


def _compiled_address(term: z3.BitVecRef) -> Callable[[Registers], int]:
    source = Source(lambda name: f"v[{name!r}]")
    source.lines.append(f"return {source.value(term)}")
    found: Callable[[Registers], int] = source.function("v")
    return found


def _compiled(step: Step) -> Compiled:
    source = Source(lambda name: "u" if name.startswith(UNDEFINED) else f"v[{name!r}]")
    source.lines.append(f"if not ({source.value(step.guard)}): return None")
    stores, first = [], "0"
    for access in step.accesses:
        address = source.value(access.address)
        if access.kind is Kind.LOAD:
            value = source.define(access.value.decl().name(), f"load({address}, {access.size})")
            first = value if first == "0" else first
        else:
            stores.append(f"({address}, {access.size}, {source.value(access.value)})")
    writes = [f"{name!r}: {source.value(term)}" for name, term in step.writes.items()]
    source.lines.append(
        f"return ({', '.join(stores)}{',' if stores else ''}), {{{', '.join(writes)}}}, {first}"
    )
    return source.function("v, u, load")
