"""A standpoint: what is known at a location, ready to ask questions about the segments that leave it.

Equalities are solved and substituted before any solver sees them, bounded symbols are narrowed, so that what
Z3 is asked is about a few short bit-vectors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import z3

from mcverify.logic.assumptions import Assumptions
from mcverify.logic.ghost import AT_ENTRY, AT_LOCATION, RETURNED, Ghost, GhostRules
from mcverify.logic.normal import Normalizer
from mcverify.logic.solver import Answer, Reply, Solver
from mcverify.machine.terms import replace, symbols_of, variable, word
from mcverify.paths.faults import LAST_TRAP
from mcverify.paths.segment import Location, Segment


@dataclass(frozen=True)
class Invariant:
    """What holds whenever a location is reached.

    `definitions` give some symbols as terms over the others (64-bit ones, and `hit`); `bounds` are upper
    bounds of symbols by name; `facts` are further conditions.
    """

    definitions: Mapping[str, z3.ExprRef] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)
    facts: tuple[z3.BoolRef, ...] = ()


def last_trap(segment: Segment) -> z3.BitVecRef:
    """Number of the last fault taken before the end of `segment`."""
    return segment.faults[-1].trap if segment.faults else LAST_TRAP


_SLOT = "stack-"
_MOST_KEPT = 3000


def _ids(terms: Iterable[z3.ExprRef]) -> tuple[int, ...]:
    """What tells terms from others as long as they are kept."""
    return tuple(term.get_id() for term in terms)


def _word_at_end(segment: Segment, name: str) -> z3.BitVecRef:
    """The value of a register, or a word of the stack, at the end of `segment`."""
    if name.startswith(_SLOT):
        return segment.final.read(int(name.removeprefix("stack")), 8)
    return segment.final.registers[name]


class Standpoint:
    """The invariant of one location, applied.

    A symbol ``rsi~rsi@0`` of an invariant is the distance of the register from the entry's symbol behind
    the tilde.

    What was proved, or failed in a model, is kept: the variants of a routine for CPUs with and without a
    feature ask the same again. A question is known by its very terms, which are kept with it so that no other
    is taken for one of them.
    """

    _answered: ClassVar[dict[object, tuple[Reply, object]]] = {}

    def __init__(
        self,
        location: Location,
        is_entry: bool,
        invariant: Invariant,
        assumptions: Assumptions,
        solver: Solver,
    ) -> None:
        self.location = location
        self._solver = solver
        self._assumptions = assumptions
        given = {f"{r}@0": word(v) for r, v in assumptions.contract.given.items()}
        self._definitions = {n: replace(t, given) for n, t in invariant.definitions.items()} | given
        used = frozenset().union(*(symbols_of(t) for t in self._definitions.values()))
        meanings = {n: replace(t, self._definitions) for n, t in assumptions.remainders().items()}
        remainders = [variable(n) == t for n, t in meanings.items() if n in used]
        self._definitions |= {n: t for n, t in meanings.items() if n not in used}
        self._rules = GhostRules(assumptions.contract, self._definitions)
        self._start = self._rules.start(AT_ENTRY if is_entry else AT_LOCATION)
        bounds = assumptions.bounds | dict.fromkeys(meanings, 63) | dict(invariant.bounds)
        self._normal = Normalizer({n: (0, b) for n, b in bounds.items() if n not in self._definitions})
        self._here: dict[int, tuple[z3.ExprRef, z3.ExprRef]] = {}
        self._premises = [self.here(t) for t in (*assumptions.terms(), *invariant.facts)] + remainders
        self._bad_bytes = [self.here(t) for t in assumptions.bad_byte_terms()]
        self._normal.tighten(self._premises)
        # Brought to normal form once: every question starts from a copy of what is known here.
        known = [self._normal.premise(p) for p in self._premises]
        self._normal.limits([*known, *(self._normal.formula(p) for p in self._bad_bytes)])
        self._ghosts: dict[int, tuple[Segment, Ghost]] = {}
        facts = _ids(self._premises), _ids(self._bad_bytes)
        self._known = tuple(sorted(bounds.items())), *facts, solver.is_seconded

    def here(self, term: z3.ExprRef) -> z3.ExprRef:
        """`term` with the location's definitions applied."""
        known = self._here.get(term.get_id())
        if known is None:
            known = self._here[term.get_id()] = term, replace(term, self._definitions)
        return known[1]

    def ghost(self, segment: Segment) -> Ghost:
        """The ghost at the end of `segment`."""
        known = self._ghosts.get(id(segment))
        if known is None:
            known = self._ghosts[id(segment)] = segment, self._rules.after(self._start, segment.transfers)
        return known[1]

    def at_end(self, segment: Segment, term: z3.ExprRef) -> z3.ExprRef:
        """`term`, which is about a location's symbols, with the values that these have at the end of
        `segment`."""
        return self.here(replace(term, self._final_values(segment, symbols_of(term))))

    def with_ghost(self, segment: Segment, term: z3.ExprRef) -> z3.ExprRef:
        """`term`, whose registers are final values already, with the ghost's values at the end of
        `segment`."""
        values = self.ghost(segment).values()
        loaded, size = self._assumptions.contract.loaded_value, self._assumptions.contract.size
        if loaded is not None and size is not None:
            final = segment.final.registers[loaded]
            values |= {RETURNED.decl().name(): self._rules.returned(final, size)}
        return self.here(replace(term, values))

    def _final_values(self, segment: Segment, names: Iterable[str]) -> dict[str, z3.ExprRef]:
        ghost = self.ghost(segment).values()
        values: dict[str, z3.ExprRef] = {}
        for name in names:
            if name in ghost:
                values[name] = ghost[name]
            elif name == LAST_TRAP.decl().name():
                values[name] = last_trap(segment)
            elif "~" in name:
                pointer, _, base = name.partition("~")
                values[name] = _word_at_end(segment, pointer) - variable(base)
            elif name.startswith(_SLOT):
                values[name] = _word_at_end(segment, name)
            elif "@" not in name and segment.final.registers.knows(name):
                values[name] = segment.final.registers[name]
        return values

    def ask(
        self,
        goal: z3.BoolRef,
        conditions: Iterable[z3.BoolRef] = (),
        fault_facts: Iterable[z3.BoolRef] = (),
        *,
        bad_bytes: bool = False,
        briefly: bool = False,
    ) -> Reply:
        """Whether `goal` holds whenever the invariant, `conditions` and, if faults persist or `bad_bytes`
        asks for it, `fault_facts` do; `briefly` as `Solver.ask` says."""
        premises = [*self._premises, *(self.here(c) for c in conditions)]
        if bad_bytes or self._assumptions.persistent:
            premises += [*self._bad_bytes, *(self.here(f) for f in fault_facts)]
        goal = self.here(goal)
        key = self._known, _ids(premises), goal.get_id()
        known = self._answered.get(key)
        if known is not None:
            return dataclasses.replace(known[0], seconds=0.0)
        reply = self._solver.ask(premises, goal, self._normal.fork(), briefly=briefly)
        if reply.answer in (Answer.PROVED, Answer.FAILED):
            if len(self._answered) >= _MOST_KEPT:
                self._answered.clear()
            kept = Reply(Answer.PROVED, 0.0) if reply.answer is Answer.PROVED else reply
            self._answered[key] = kept, (self._premises, self._bad_bytes, premises, goal)
        return reply

    def ask_at_end(
        self, segment: Segment, goal: z3.BoolRef, *, bad_bytes: bool = False, briefly: bool = False
    ) -> Reply:
        """Whether `goal`, a term over this location's symbols, holds whenever `segment` is taken."""
        return self.ask(goal, segment.conditions, segment.fault_facts, bad_bytes=bad_bytes, briefly=briefly)
