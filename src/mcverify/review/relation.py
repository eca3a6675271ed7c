"""The proof that two revisions of a routine do the same on all inputs.

Both are walked at once, from location to location, as a product of their segments: wherever both can be taken
on the same inputs, they must end alike, with the same bytes stored. What is believed of a pair of locations
are equalities between a register (or stack word) of one and of the other; those that some pair of segments
does not establish are dropped until the rest proves itself, as with the invariants of one routine. It is a
simulation, step by step: routines that do the same in another order of loops are not recognized.

A pair that fails is followed no further. What was proved holds of every run that goes through no such pair,
and a pair that failed concerns only the exits that lie on the ways to it and behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import z3

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.ghost import HIT, OK, TOP, J
from mcverify.logic.normal import Normalizer
from mcverify.logic.solver import Answer, Reply, Solver
from mcverify.logic.standpoint import Invariant
from mcverify.machine.terms import constant, free_symbols, replace, symbols_of, variable, word
from mcverify.paths.explore import slot_symbol
from mcverify.paths.faults import FIRST_BAD, LAST_TRAP
from mcverify.paths.segment import Ending, Location, Paths, Segment
from mcverify.review.joint import Half, Values, contradicts, coupling, links, same_stores
from mcverify.review.ways import Ways, both

PREFIX = "new."
"""Begins the names of the newer revision's symbols."""

Node = tuple[Location, Location, tuple[str, str]]
"""A location of each, and the row of the first fault before it in each ("" without one): so what fails behind
one fault is not held against the others."""
_MOST_PLACES, _MOST_NODES = 60, 600
_PATIENCE = 4
"""So many goals may take all the time that a question has; others then get less."""
_SHARED = frozenset(
    t.decl().name() for t in (J, HIT, OK, TOP, *FIRST_BAD.values())
)  # one arbitrary byte, what became of it, and the set of bad bytes are the same for both
_DISCRETE = ("df", "ac")


class NotProved(Exception):
    """Equivalence was not proved; the text says why. `reply` is that of the solver, if one was asked."""

    def __init__(self, why: str, reply: Reply | None = None) -> None:
        super().__init__(why)
        self.reply = reply


@dataclass(frozen=True)
class Failure:
    """A pair of segments that may be taken at once and was not proved to end alike: why, and the `rows` of
    the exits that such runs may take. A model in `reply` gives inputs on which the two may differ."""

    rows: frozenset[str]
    why: str
    reply: Reply | None = None


@dataclass(frozen=True)
class Walk:
    """What came of a walk: at how many pairs of locations the two keep step, and what was not proved."""

    places: int
    failures: tuple[Failure, ...]

    @property
    def open(self) -> frozenset[str]:
        """The rows of the exits at which the two were not proved to do the same. At all others they do: no
        run that takes one of those goes through a pair that failed."""
        return frozenset().union(*(failure.rows for failure in self.failures))


@dataclass(frozen=True)
class Side:
    """One revision: its ways, and what was proved of its locations."""

    ways: Ways
    invariants: Mapping[Location, Invariant]

    @property
    def paths(self) -> Paths:
        """Its paths."""
        return self.ways.paths

    def leaving(self, location: Location) -> list[Segment]:
        """The segments that begin at the location."""
        return [segment for segment in self.paths.segments if segment.source == location]


@dataclass(frozen=True, slots=True)
class Equal:
    """That a value of the older revision equals one of the newer, by their symbols' names; `bits` of them."""

    old: str
    new: str
    bits: int

    @property
    def has_half(self) -> bool:
        """Whether it is about two whole registers of 64 bits, of which the lower halves may be equal
        alone."""
        return self.bits == 64 and self.old in X86_64.widths and self.new in X86_64.widths


@dataclass
class Simulation:
    """The product of two revisions under `assumptions`. Where all exits that a pair of segments can lead to
    are among those `given_up`, nothing is asked: at these the two are known to differ."""

    old: Side
    new: Side
    contract: Contract
    assumptions: Assumptions
    solver: Solver
    deadline: Deadline
    given_up: frozenset[str] = frozenset()
    _believed: dict[Node, list[Equal]] = field(default_factory=dict)
    _names_given: dict[int, tuple[z3.ExprRef, z3.ExprRef]] = field(default_factory=dict)
    _failures: dict[tuple[Node, int, int], Failure] = field(default_factory=dict)

    def walk(self) -> Walk:
        """Walk to the end. Raises NotProved where that is too far, and OutOfTime."""
        start = (self.old.paths.entry, self.new.paths.entry, ("", ""))
        self._believed[start] = []
        waiting = [start]
        while waiting:
            self.deadline.check("review")
            node = waiting.pop(0)
            for target in self._leave(node):
                if self._places > _MOST_PLACES or len(self._believed) > _MOST_NODES:
                    raise NotProved("their loops do not keep step")
                if target not in waiting:
                    waiting.append(target)
        return Walk(self._places, tuple(self._failures.values()))

    @property
    def _places(self) -> int:
        return len({node[:2] for node in self._believed})

    # -- one pair of locations --------------------------------------------------------------------

    def _leave(self, node: Node) -> list[Node]:
        """Check every pair of segments that leaves the node; the nodes of which less is believed now."""
        weaker: list[Node] = []
        values = self._values(node)
        olds = [Half(s, values) for s in self.old.leaving(node[0])]
        news = [Half(s, values, self._renamed) for s in self.new.leaving(node[1])]
        for old in olds:
            for new in news:
                if contradicts(old, new):
                    continue
                linked = new.linked(links(old, new, PREFIX))
                if contradicts(old, linked):
                    continue
                target = self._checked(node, old, linked)
                if target is not None and target not in weaker:
                    weaker.append(target)
        return weaker

    def _checked(self, node: Node, old: Half, new: Half) -> Node | None:
        """Check a pair of segments, and go no further behind one that failed; the node of which less is
        believed now."""
        key = node, id(old.segment), id(new.segment)
        if key in self._failures:
            return None
        rows = both(self.old.ways, self.new.ways, (old.segment, new.segment), node[2])
        if rows <= self.given_up:
            self._failures[key] = Failure(rows, "they are known to differ")
            return None
        try:
            return self._pair(node, old, new)
        except NotProved as failed:
            self._failures[key] = Failure(rows, str(failed), failed.reply)
            return None

    def _firsts(self, node: Node, old: Half, new: Half) -> tuple[str, str]:
        before = node[2]
        one = self.old.ways.first(old.segment, before[0])
        return one, self.new.ways.first(new.segment, before[1])

    @property
    def is_patient(self) -> bool:
        """Whether a goal may still have all of its time."""
        answers = [f.reply.answer for f in self._failures.values() if f.reply is not None]
        return answers.count(Answer.TIMEOUT) < _PATIENCE

    def _values(self, node: Node) -> Values:
        """What the symbols of both are at the node: the older's by its invariant's definitions, the newer's
        by what is believed equal, then by its own definitions."""
        old_definitions = self._definitions(self.old, node[0], "")
        found: dict[str, z3.ExprRef] = {}
        for equal in self._believed[node]:
            if equal.bits == _bits(equal.old):
                found.setdefault(PREFIX + equal.new, _symbol(equal.old))
                for name in self._distances(node[0], equal.old):
                    found.setdefault(PREFIX + equal.new + name, variable(equal.old + name))
        for name, term in self._definitions(self.new, node[1], PREFIX).items():
            found.setdefault(name, replace(term, found))
        found = {name: replace(term, old_definitions) for name, term in found.items()}
        return found | old_definitions

    def _distances(self, location: Location, register: str) -> list[str]:
        """Endings of the symbols that stand for the register's distance from a buffer."""
        invariant = self.old.invariants.get(location, Invariant())
        names = {*invariant.bounds, *(n for t in invariant.definitions.values() for n in symbols_of(t))}
        return [name[len(register) :] for name in names if name.startswith(f"{register}~")]

    def _definitions(self, side: Side, location: Location, prefix: str) -> dict[str, z3.ExprRef]:
        invariant = side.invariants.get(location, Invariant())
        given = {f"{r}@0": word(v) for r, v in self.contract.given.items()}
        found = {
            _prefixed(name, prefix): replace(self._rename(term, prefix), given)
            for name, term in invariant.definitions.items()
            if name not in _SHARED
        }
        return found | given

    def _rename(self, term: z3.ExprRef, prefix: str) -> z3.ExprRef:
        return replace(term, self._names(term)) if prefix else term

    def _names(self, term: z3.ExprRef) -> Values:
        """The newer revision's own symbols under names of their own."""
        return {n: _like(PREFIX + n, t) for n, t in _symbols(term).items() if not _is_shared(n)}

    def _renamed(self, term: z3.ExprRef) -> z3.ExprRef:
        """A term of the newer revision, its own symbols under names of their own."""
        known = self._names_given.get(term.get_id())
        if known is None:
            # The term is kept, since z3 gives its id to another once it is freed.
            known = self._names_given[term.get_id()] = term, self._rename(term, PREFIX)
        return known[1]

    # -- one pair of segments ---------------------------------------------------------------------

    def _pair(self, node: Node, old: Half, new: Half) -> Node | None:
        """Check a pair that can perhaps be taken at once; the node it leads to if less is believed there
        now."""
        question = _Question(self, node, old, new)
        ends = (old.segment.target, new.segment.target)
        if isinstance(ends[0], Location) and isinstance(ends[1], Location):
            self._same_memory(question)
            return self._arrive((ends[0], ends[1], self._firsts(node, old, new)), question)
        if ends[0] is not ends[1] or ends[0] not in (Ending.RETURN, Ending.UNCOVERED):
            question.refute("they go different ways")
            return None
        self._same_memory(question)
        if ends[0] is Ending.RETURN:
            question.demand(list(self._results(old, new)), "they may return different values")
            if "O10" in self.contract.obligations and old.segment.unfenced != new.segment.unfenced:
                question.refute("only one of them fences its stores")
        return None

    def _same_memory(self, question: _Question) -> None:
        goals = same_stores(question.old, question.new)
        if goals is None:
            question.refute("they may store different bytes")
        else:
            question.demand(goals, "they may store different bytes")

    def _results(self, old: Half, new: Half) -> Iterator[z3.BoolRef]:
        contract = self.contract
        results = {getattr(contract, role): contract.bits(role) for role in contract.widths}
        for name, bits in results.items():
            one, other = (half.term(half.segment.final.registers[name]) for half in (old, new))
            yield z3.Extract(bits - 1, 0, one) == z3.Extract(bits - 1, 0, other)
        whole = (name for name in contract.results if name not in results)
        for name in (*whole, *contract.kept, X86_64.stack_pointer, *_DISCRETE):
            yield old.term(old.segment.final.registers[name]) == new.term(new.segment.final.registers[name])
        assert old.segment.returned_to is not None
        assert new.segment.returned_to is not None
        yield old.term(old.segment.returned_to) == new.term(new.segment.returned_to)

    def _arrive(self, target: Node, question: _Question) -> Node | None:
        """Drop what is believed of the target and does not hold; the target if that was something."""
        fresh = target not in self._believed
        candidates = filter(question.seems_equal, self._candidates(target)) if fresh else ()
        believed = list(candidates) if fresh else self._believed[target]
        goals = {equal: question.equal(equal) for equal in believed}
        open_goals = [equal for equal, goal in goals.items() if not z3.is_true(goal)]
        wrong = {equal for equal in open_goals if not question.holds(goals[equal])}
        kept = [equal for equal in believed if equal not in wrong]
        if not fresh:
            halves = (Equal(equal.old, equal.new, 32) for equal in wrong if equal.has_half)
            kept += [half for half in halves if question.holds(question.equal(half))]
        if fresh and question.is_impossible():
            return None
        if fresh or wrong:
            self._believed[target] = _without_doubles(kept) if fresh else kept
            return target
        return None

    def _candidates(self, node: Node) -> Iterator[Equal]:
        """Pairs of what matters at two locations: registers and stack words of the same width."""
        olds, news = _matters(self.old.paths, node[0]), _matters(self.new.paths, node[1])
        for one in olds:
            for other in news:
                if _bits(one) == _bits(other):
                    yield Equal(one, other, _bits(one))
        for one in olds:
            for other in news:
                if one in X86_64.widths and other in X86_64.widths and _bits(one) == _bits(other) == 64:
                    yield Equal(one, other, 32)

    def premises(self, node: Node, values: Values) -> list[z3.BoolRef]:
        """What is known at a node besides the values of its symbols."""
        known = [*self.assumptions.terms(), *self.assumptions.bad_byte_terms()]
        for side, location, prefix in ((self.old, node[0], ""), (self.new, node[1], PREFIX)):
            invariant = side.invariants.get(location, Invariant())
            known += [self._rename(fact, prefix) for fact in invariant.facts]
            known += [
                z3.ULE(variable(_prefixed(name, prefix)), word(bound))
                for name, bound in invariant.bounds.items()
            ]
            known += [
                _like(_prefixed(name, prefix), term) == self._rename(term, prefix)
                for name, term in invariant.definitions.items()
                if name not in _SHARED
            ]
        for equal in self._believed[node]:
            known.append(_low(_symbol(equal.old), equal.bits) == _low(_symbol(equal.new, PREFIX), equal.bits))
        known += [variable(name) == term for name, term in self.assumptions.remainders().items()]
        return [t for t in (replace(term, values) for term in known) if not z3.is_true(t)]

    def ranges(self, node: Node, values: Values) -> dict[str, tuple[int, int]]:
        """Bounds of the symbols at a node."""
        found = {name: (0, bound) for name, bound in self.assumptions.bounds.items()}
        found |= dict.fromkeys(self.assumptions.remainders(), (0, 63))
        for side, location, prefix in ((self.old, node[0], ""), (self.new, node[1], PREFIX)):
            invariant = side.invariants.get(location, Invariant())
            found |= {_prefixed(name, prefix): (0, bound) for name, bound in invariant.bounds.items()}
        return {name: limits for name, limits in found.items() if name not in values}


@dataclass
class _Question:
    """A pair of segments, and what may be assumed where both are taken."""

    simulation: Simulation
    node: Node
    old: Half
    new: Half
    _premises: list[z3.BoolRef] | None = None
    _sampled: dict[tuple[bool, str], tuple[int | None, ...]] = field(default_factory=dict)

    def demand(self, goals: Sequence[z3.BoolRef], otherwise: str) -> None:
        """Raise NotProved, with these words, unless the goals hold."""
        open_goals = [goal for goal in map(z3.simplify, goals) if not z3.is_true(goal)]
        if not open_goals:
            return
        reply = self._ask(z3.And(open_goals), briefly=not self.simulation.is_patient)
        if reply.answer is not Answer.PROVED:
            raise NotProved(otherwise, reply)

    def refute(self, otherwise: str) -> None:
        """Raise NotProved unless the two cannot be taken at once."""
        self.demand([z3.BoolVal(False)], otherwise)

    def holds(self, goal: z3.BoolRef) -> bool:
        """Whether the goal is proved."""
        return self._ask(goal, briefly=True).answer is Answer.PROVED

    def is_impossible(self) -> bool:
        """Whether the two cannot be taken at once."""
        return self._ask(z3.BoolVal(False), briefly=True).answer is Answer.PROVED

    def equal(self, equal: Equal) -> z3.BoolRef:
        """What must hold at the end for the values to be equal at the target."""
        one = _final(self.old, equal.old)
        other = _final(self.new, equal.new)
        return z3.simplify(_low(one, equal.bits) == _low(other, equal.bits))

    def seems_equal(self, equal: Equal) -> bool:
        """Whether the values are equal at the target for one of a few values of all symbols: otherwise they
        are so by luck at best."""
        ones = self._samples(self.old, equal.old)
        others = self._samples(self.new, equal.new)
        mask = (1 << equal.bits) - 1
        return any(
            one is None or other is None or (one ^ other) & mask == 0
            for one, other in zip(ones, others, strict=True)
        )

    def _samples(self, half: Half, name: str) -> tuple[int | None, ...]:
        """A value at the end of a segment, for each of a few values of all symbols; None where that is no
        number."""
        key = half is self.old, name
        if key not in self._sampled:
            term = _final(half, name)
            symbols = free_symbols(term)
            values = (replace(term, _values(symbols, seed)) for seed in (3, 1021))
            self._sampled[key] = tuple(constant(z3.simplify(value)) for value in values)
        return self._sampled[key]

    def _ask(self, goal: z3.BoolRef, *, briefly: bool = False) -> Reply:
        if self._premises is None:
            both = [*self.old.conditions(), *self.new.conditions(), *coupling(self.old, self.new)]
            values = self.simulation._values(self.node)
            self._premises = [*self.simulation.premises(self.node, values), *both]
            self._ranges = self.simulation.ranges(self.node, values)
        return self.simulation.solver.ask(self._premises, goal, Normalizer(self._ranges), briefly=briefly)


def _is_shared(name: str) -> bool:
    """Whether a symbol means the same in both revisions: a value at entry, the arbitrary byte, the bad ones.

    A distance such as rsi~rsi@0 is one revision's own.
    """
    return name in _SHARED or ("@" in name and "~" not in name)


def _prefixed(name: str, prefix: str) -> str:
    return name if _is_shared(name) else prefix + name


def _final(half: Half, name: str) -> z3.ExprRef:
    """The value that a location's symbol has at the end of a segment."""
    segment = half.segment
    if name == LAST_TRAP.decl().name():
        return half.term(segment.faults[-1].trap if segment.faults else LAST_TRAP)
    if name.startswith("stack-"):
        return half.term(segment.final.read(int(name.removeprefix("stack")), 8))
    return half.term(segment.final.registers[name])


def _matters(paths: Paths, location: Location) -> list[str]:
    """What of the machine may still be read behind a location."""
    live = paths.live.get(location.address, frozenset())
    names = [
        name for name in X86_64.widths if name in live and name not in (X86_64.stack_pointer, *_DISCRETE)
    ]
    names += [slot_symbol(offset).decl().name() for offset in sorted(paths.slots.get(location, ()))]
    return names + ([LAST_TRAP.decl().name()] if location.faulted else [])


def _without_doubles(equals: Sequence[Equal]) -> list[Equal]:
    """The equalities without those of 32 bits that one of 64 implies."""
    whole = {(e.old, e.new) for e in equals if e.bits == _bits(e.old)}
    return [e for e in equals if e.bits == _bits(e.old) or (e.old, e.new) not in whole]


def _bits(name: str) -> int:
    return X86_64.widths.get(name, 64)


def _symbol(name: str, prefix: str = "") -> z3.BitVecRef:
    return variable(prefix + name, _bits(name))


def _low(term: z3.BitVecRef, bits: int) -> z3.BitVecRef:
    return term if term.size() == bits else z3.Extract(bits - 1, 0, term)


def _like(name: str, term: z3.ExprRef) -> z3.ExprRef:
    return variable(name, term.size()) if isinstance(term, z3.BitVecRef) else z3.Const(name, term.sort())


def _values(symbols: Sequence[z3.ExprRef], seed: int) -> dict[str, z3.ExprRef]:
    """A small value for each symbol that is a number, by name: the same in every term."""
    names = ((symbol.decl().name(), symbol) for symbol in symbols if isinstance(symbol, z3.BitVecRef))
    return {n: z3.BitVecVal(crc32(f"{seed} {n}".encode()) % 4093, t.size()) for n, t in names}


def _symbols(term: z3.ExprRef) -> dict[str, z3.ExprRef]:
    """The free symbols of a term, by name."""
    return {symbol.decl().name(): symbol for symbol in free_symbols(term)}
