"""Calls that a model of Z3 suggests: of those in which a goal fails the ones that are quickest to run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import z3

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.logic.solver import Reply
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import symbols_of, variable, word
from mcverify.paths.explore import address_of, entry_symbol
from mcverify.paths.faults import FIRST_BAD
from mcverify.paths.segment import Segment, Transfer
from mcverify.runs.case import Preset

_SECONDS = 5.0
"""So long a shorter call is looked for."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load from src of `size` bytes at an offset, and the symbol of its value."""

    offset: z3.BitVecRef
    value: z3.BitVecRef
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a failure hangs on besides the call: terms for registers and flags at entry by name, the `loads`
    of the way to it, and the registers at its start that may hold what was loaded before."""

    registers: Mapping[str, z3.BitVecRef]
    loads: tuple[Loaded, ...] = ()
    held: Mapping[str, z3.BitVecRef] = field(default_factory=dict)


@dataclass(frozen=True)
class Hint:
    """The call of a model in which a goal fails.

    `reply` has the model, `terms` are the values that are asked for: "len", "src", "dst", "bad_src",
    "bad_dst", and "fault_src" or "fault_dst" where the way to the failure faults there. `ask` gives a model
    in which a condition holds besides, if there is one. `found` is what else the failure hangs on.
    """

    reply: Reply
    terms: Mapping[str, z3.BitVecRef]
    ask: Callable[[z3.BoolRef], Reply]
    found: Found

    def __call__(self, name: str) -> int | None:
        """A value in the model; None for a fault that the way does not have."""
        term = self.terms.get(name)
        return None if term is None else int(self.reply.value(term).as_long())

    @cached_property
    def presets(self) -> tuple[Preset, ...]:
        """What the model has at entry, of which the failure speaks: all of it; and, since a register may hold
        what was loaded last, with the values of registers in each byte or word of src."""
        registers = self._registers()
        pieces = tuple(filter(None, map(self._piece, self.found.loads)))
        loaded = [b"", *(v for n in self.found.held.values() for v in _everywhere(self._value_of(n)))]
        made = (Preset(registers, every, pieces) for every in dict.fromkeys(loaded))
        return tuple(preset for preset in made if preset != Preset())

    def _value_of(self, term: z3.BitVecRef) -> int:
        return int(self.reply.value(term).as_long())

    def _registers(self) -> tuple[tuple[str, int], ...]:
        values = {name: self._value_of(term) for name, term in self.found.registers.items()}
        flags = {X86_64.flags[name]: values.pop(name) for name in X86_64.flags if name in values}
        if flags:
            values["rflags"] = sum(value << bit for bit, value in flags.items())
        return tuple(values.items())

    def _piece(self, load: Loaded) -> tuple[int, bytes] | None:
        """What a load of the model finds in src; None for one that is not in it."""
        offset = self._value_of(load.offset)
        within = offset + load.size <= self._value("len")
        return (offset, self._value_of(load.value).to_bytes(load.size, "little")) if within else None

    def within(self, length: int) -> Hint | None:
        """One of at most `length` bytes, if Z3 finds it at once."""
        reply = self.ask(z3.ULE(self.terms["len"], word(length)))
        return None if reply.model is None else replace(self, reply=reply)

    def shortest(self) -> Hint:
        """The one with the fewest bytes before its first fault (or its end), and among these the shortest:
        exact, as far as Z3 is quick about it."""
        until = time.monotonic() + _SECONDS
        faults = [name for name in ("fault_src", "fault_dst") if name in self.terms]
        found = self
        for name in (*faults, "len"):
            found = found._with_least(name, until)
        return found

    def _with_least(self, name: str, until: float) -> Hint:
        """The one with the least value of `name`, by bisection."""
        term, found = self.terms[name], self
        low, high = 0, found._value(name)
        while low < high and time.monotonic() < until:
            middle = (low + high) // 2
            reply = found.ask(z3.ULE(term, word(middle)))
            if reply.model is None:
                low = middle + 1
            else:
                found = replace(self, reply=reply)
                high = found._value(name)
        return found._bounded(name, high)

    def _value(self, name: str) -> int:
        return self._value_of(self.terms[name])

    def _bounded(self, name: str, at_most: int) -> Hint:
        """The same, which asks for no greater value of `name` from now on."""
        bound = z3.ULE(self.terms[name], word(at_most))
        return replace(self, ask=lambda condition: self.ask(z3.And(bound, condition)))


_MOST_HELD = 4


def _everywhere(value: int) -> tuple[bytes, bytes]:
    """A word in which the lowest byte of a value stands everywhere, and one that is the value."""
    word = value % (1 << 64)
    return bytes([value & 0xFF]) * 8, word.to_bytes(8, "little")


def found_by(
    contract: Contract,
    source: z3.BitVecRef,
    said: Iterable[z3.ExprRef],
    transfers: Iterable[Transfer],
    here: Callable[[z3.ExprRef], z3.ExprRef],
) -> Found:
    """What a model has at entry, and in src at the address `source`, as far as the terms `said` speak of it.
    `here` applies what is known at the location."""
    spoken = frozenset().union(*(symbols_of(term) for term in said))
    taken = (*contract.arguments, *contract.given, X86_64.stack_pointer)
    registers: dict[str, z3.BitVecRef] = {}
    held: dict[str, z3.BitVecRef] = {}
    for name in (*X86_64.general, *X86_64.flags, *X86_64.vectors):
        if name in taken:
            continue
        at_entry, now = (
            here(entry_symbol(name, X86_64.widths[name])),
            here(variable(name, X86_64.widths[name])),
        )
        if not symbols_of(at_entry).isdisjoint(spoken):
            registers[name] = at_entry
        elif not symbols_of(now).isdisjoint(spoken):
            # At a loop head it may still hold what it held at entry, or what was loaded last.
            registers[name] = now
            if name in X86_64.general and len(held) < _MOST_HELD:
                held[name] = now
    loads = (
        Loaded(here(t.address - source), here(t.value), t.size)
        for t in transfers
        if t.kind is Kind.LOAD and t.value is not None and t.elements is None
    )
    return Found(
        registers, tuple(load for load in loads if not symbols_of(load.value).isdisjoint(spoken)), held
    )


def terms_of(contract: Contract, length: z3.BitVecRef, segment: Segment | None) -> dict[str, z3.BitVecRef]:
    """The terms of a hint, over the symbols of the location at which `segment` starts."""
    terms = {"len": length, "bad_src": FIRST_BAD[Kind.LOAD], "bad_dst": FIRST_BAD[Kind.STORE]}
    terms |= {
        "dst": address_of(contract.dst or contract.src),
        "src": address_of(contract.src or contract.dst),
    }
    for fault in reversed(segment.faults if segment is not None else ()):
        buffer = "src" if fault.access.kind is Kind.LOAD else "dst"
        terms[f"fault_{buffer}"] = fault.access.address - terms[buffer]
    return terms
