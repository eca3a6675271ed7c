"""From guesses to invariants: what is not inductive is dropped until the rest proves itself.

Each guess is about one location. A segment that ends there must establish it, given what is still believed
where the segment starts. A guess that a model refutes is dropped, with all others that the same model
refutes, and the segments that leave its location are asked again. What survives has been proved on every
segment (Houdini; Flanagan and Leino, 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import z3

from mcverify.invariants.affine import Equality, solved
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.ghost import HIT, TOP, J
from mcverify.logic.solver import Answer, Reply, Solver
from mcverify.logic.standpoint import Invariant, Standpoint
from mcverify.machine.terms import replace, symbols_of, variable, word
from mcverify.paths.segment import Location, Paths, Segment

HIT_BELOW_TOP = z3.ULT(J, TOP) == HIT
"""The bytes stored so far are exactly those below the high-water mark."""


@dataclass
class Guesses:
    """What is believed of one location. `order` lists variables, first those best solved for. `carried` are
    values, over those at entry, of registers of which no equality was seen in runs."""

    equalities: list[Equality] = field(default_factory=list)
    order: tuple[str, ...] = ()
    bounds: dict[str, int] = field(default_factory=dict)
    facts: list[z3.BoolRef] = field(default_factory=list)
    carried: dict[str, z3.BitVecRef] = field(default_factory=dict)
    hit_is_prefix: bool = True

    def invariant(self) -> Invariant:
        """The guesses as an invariant."""
        equal = solved(self.equalities, self.order)
        # What a definition is made of has none itself.
        apart = {n: t for n, t in self.carried.items() if symbols_of(t).isdisjoint(equal)}
        definitions: dict[str, z3.ExprRef] = {**apart, **{n: replace(t, apart) for n, t in equal.items()}}
        if self.hit_is_prefix:
            definitions["hit"] = z3.ULT(J, definitions.get("top", TOP))
        return Invariant(definitions, dict(self.bounds), self._all_facts())

    def _all_facts(self) -> tuple[z3.BoolRef, ...]:
        """Facts, with bounds on variables that were solved for, and equalities that could not be solved;
        those that could are then plainly true."""
        return (
            *strongest(self.facts),
            *(e.term() for e in self.equalities),
            *(_at_most(n, b) for n, b in self.bounds.items()),
            *(_is(n, t) for n, t in self.carried.items()),
        )

    def claims(self) -> list[tuple[z3.BoolRef, Callable[[], None]]]:
        """Each guess as a term, with the way to drop it."""
        found: list[tuple[z3.BoolRef, Callable[[], None]]] = []
        found += [(e.term(), _remover(self.equalities, e)) for e in self.equalities]
        found += [(_at_most(n, b), _popper(self.bounds, n)) for n, b in self.bounds.items()]
        found += [(f, _remover(self.facts, f)) for f in self.facts]
        found += [(_is(n, t), _popper(self.carried, n)) for n, t in self.carried.items()]
        if self.hit_is_prefix:
            found.append((HIT_BELOW_TOP, self._forget_prefix))
        return found

    def _forget_prefix(self) -> None:
        self.hit_is_prefix = False


def strongest(facts: Iterable[z3.BoolRef]) -> list[z3.BoolRef]:
    """The facts without those of the form c <= q that another with a larger c implies."""
    lower: dict[int, int] = {}
    for fact in facts:
        if _is_lower_bound(fact):
            key = fact.arg(0).get_id()
            lower[key] = max(lower.get(key, 0), fact.arg(1).as_long())
    return [f for f in facts if not _is_lower_bound(f) or f.arg(1).as_long() == lower[f.arg(0).get_id()]]


def _is_lower_bound(fact: z3.BoolRef) -> bool:
    return bool(z3.is_app_of(fact, z3.Z3_OP_UGEQ)) and z3.is_bv_value(fact.arg(1))


def _at_most(name: str, bound: int) -> z3.BoolRef:
    return z3.ULE(variable(name), word(bound))


def _is(name: str, value: z3.BitVecRef) -> z3.BoolRef:
    return variable(name, value.size()) == value


def _remover(items: list[Any], item: object) -> Callable[[], None]:
    def remove() -> None:
        items[:] = [i for i in items if i is not item]

    return remove


def _popper(items: dict[str, Any], name: str) -> Callable[[], None]:
    def remove() -> None:
        items.pop(name, None)

    return remove


class Houdini:
    """Finds the inductive part of the guesses about all locations of a routine."""

    def __init__(
        self, paths: Paths, guesses: Mapping[Location, Guesses], assumptions: Assumptions, solver: Solver
    ) -> None:
        self._paths = paths
        self._guesses = guesses
        self._assumptions = assumptions
        self._solver = solver
        self._standpoints: dict[Location, Standpoint] = {}
        self.dropped = 0

    def standpoint(self, location: Location) -> Standpoint:
        """What is known at `location` at present."""
        known = self._standpoints.get(location)
        if known is None:
            known = self._standpoints[location] = self._under(self._assumptions, location)
        return known

    def under(self, assumptions: Assumptions) -> Callable[[Location], Standpoint]:
        """The same of all locations under stronger assumptions, once no guess is dropped any more."""
        return cache(partial(self._under, assumptions))

    def _under(self, assumptions: Assumptions, location: Location) -> Standpoint:
        is_entry = location == self._paths.entry
        invariant = Invariant() if is_entry else self._guesses[location].invariant()
        return Standpoint(location, is_entry, invariant, assumptions, self._solver)

    def invariant(self, location: Location) -> tuple[z3.BoolRef, ...]:
        """All that is believed of `location` at present, each part by itself."""
        if location == self._paths.entry:
            return ()
        return tuple(term for term, _ in self._guesses[location].claims() if not z3.is_true(term))

    def run(self, progress: Callable[[str], None]) -> None:
        """Drop guesses until every segment establishes all that is left."""
        inner = [s for s in self._paths.segments if isinstance(s.target, Location)]
        waiting = list(inner)
        while waiting:
            segment = waiting.pop(0)
            if self._establish(segment):
                progress(f"invariants: {len(waiting)} segments to go, {self.dropped} guesses dropped")
                assert isinstance(segment.target, Location)
                self._standpoints.pop(segment.target, None)
                again = [s for s in inner if s.source == segment.target and s not in waiting]
                waiting += again

    def _establish(self, segment: Segment) -> bool:
        """Drop what `segment` does not establish at its target; whether anything was dropped."""
        assert isinstance(segment.target, Location)
        standpoint = self.standpoint(segment.source)
        before = self.dropped
        while True:
            claims = self._guesses[segment.target].claims()
            goals = [(standpoint.at_end(segment, term), drop) for term, drop in claims]
            open_goals = [(goal, drop) for goal, drop in goals if not z3.is_true(goal)]
            if not open_goals:
                break
            reply = standpoint.ask_at_end(
                segment, z3.And([goal for goal, _ in open_goals]), briefly=len(open_goals) > 1
            )
            if reply.answer is Answer.PROVED:
                break
            if reply.model is None:
                self._drop_one_by_one(standpoint, segment, open_goals)
                break
            self._drop_refuted(reply, open_goals)
            if segment.source == segment.target:
                self._standpoints.pop(segment.source, None)
                standpoint = self.standpoint(segment.source)
        return self.dropped > before

    def _drop_refuted(self, reply: Reply, goals: Iterable[tuple[z3.BoolRef, Callable[[], None]]]) -> None:
        refuted = [drop for goal, drop in goals if not z3.is_true(reply.value(goal))]
        assert refuted, "a model of the negated conjunction refutes one of its parts"
        for drop in refuted:
            drop()
        self.dropped += len(refuted)

    def _drop_one_by_one(
        self,
        standpoint: Standpoint,
        segment: Segment,
        goals: Iterable[tuple[z3.BoolRef, Callable[[], None]]],
    ) -> None:
        for goal, drop in goals:
            if standpoint.ask_at_end(segment, goal).answer is not Answer.PROVED:
                drop()
                self.dropped += 1
