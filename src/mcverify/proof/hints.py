"""Calls that a model of Z3 suggests: of those in which a goal fails the ones that are quickest to run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import z3

from mcverify.contract import Contract
from mcverify.logic.solver import Reply
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import word
from mcverify.paths.explore import address_of
from mcverify.paths.faults import FIRST_BAD
from mcverify.paths.segment import Segment

_SECONDS = 5.0
"""So long a shorter call is looked for."""


@dataclass(frozen=True)
class Hint:
    """The call of a model in which a goal fails.

    `reply` has the model, `terms` are the values that are asked for: "len", "src", "dst", "bad_src",
    "bad_dst", and "fault_src" or "fault_dst" where the way to the failure faults there. `ask` gives a model
    in which a condition holds besides, if there is one.
    """

    reply: Reply
    terms: Mapping[str, z3.BitVecRef]
    ask: Callable[[z3.BoolRef], Reply]

    def __call__(self, name: str) -> int | None:
        """A value in the model; None for a fault that the way does not have."""
        term = self.terms.get(name)
        return None if term is None else int(self.reply.value(term).as_long())

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
                found = Hint(reply, self.terms, self.ask)
                high = found._value(name)
        return found._bounded(name, high)

    def _value(self, name: str) -> int:
        return int(self.reply.value(self.terms[name]).as_long())

    def _bounded(self, name: str, at_most: int) -> Hint:
        """The same, which asks for no greater value of `name` from now on."""
        bound = z3.ULE(self.terms[name], word(at_most))
        return Hint(self.reply, self.terms, lambda condition: self.ask(z3.And(bound, condition)))


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
