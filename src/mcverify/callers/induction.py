"""The claims about a caller, proved by induction over its rounds; and where they are not, how they fail.

What holds at the start of every round is found by dropping from the model's invariants what does not follow;
then each claim is asked of each end, and the measure of each way into another round. Nothing is bounded: not
the buffer, the offsets, or the number of rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import z3

from mcverify.callers.expression import Expression, expression
from mcverify.callers.model import CONSTANTS, GIVEN, OLD, Claim, Loop
from mcverify.callers.premises import OBLIGATIONS, SLACK, Premises, by
from mcverify.callers.rounds import End, Round, State, round_from

_MILLISECONDS = 20_000
_DEPTH = 3
"""Rounds within which a failing call is looked for."""

_OF_BYTE_K = tuple(
    expression(text, "condition")
    for text in (
        "k < 0 or k >= written or at_k == right",
        "(0 <= k and k < written) or at_k == old",
        "k < 0 or k >= written or at_k != old",
    )
)
"""Invariants about byte k that every caller is asked for."""


@dataclass(frozen=True, slots=True)
class Example:
    """Numbers with which a claim fails: those of the call (`given`), the `state` at the start of the round
    that goes wrong, its number from 1 on, and the copy in it: `asked` bytes, of which the first `ok` could be
    accessed and `copied` were counted."""

    given: Mapping[str, int]
    state: Mapping[str, int]
    round: int
    asked: int
    ok: int
    copied: int


class Induction:
    """One loop under some premises, for calls of up to `len_max` bytes."""

    def __init__(self, loop: Loop, premises: Premises, len_max: int) -> None:
        self._loop = loop
        self._premises = premises
        self._variables = (*loop.state, "at_k")
        self._given = _given(premises.slack)
        self._sane = _sane(self._given, len_max)
        start = {**self._given, **{name: z3.Int(f"{name}.now") for name in self._variables}}
        self._round = round_from(loop, premises, start, "now")
        self._candidates = (*loop.invariants, *_OF_BYTE_K)
        self._solver = _solver()
        self._solver.set("core.minimize", True)
        self._solver.add(self._sane, *self._round.assumed)
        for number, fact in enumerate(self._candidates):
            self._solver.add(z3.Implies(_invariant(number), fact.term(self._round.start)))

    @cached_property
    def invariants(self) -> tuple[Expression, ...]:
        """What holds at the start of each round."""
        return tuple(self._candidates[number] for number in self._inductive)

    @cached_property
    def _inductive(self) -> Mapping[int, frozenset[str]]:
        """The largest part of the candidates that hold at the first round and that each round keeps, and of
        what its proof made use."""
        first = self._first()
        kept = [
            number for number, fact in enumerate(self._candidates) if _valid([self._sane], fact.term(first))
        ]
        while True:
            stays = {number: self._kept_by_a_round(number, kept) for number in kept}
            proved = {number: used for number, used in stays.items() if used is not None}
            if len(proved) == len(kept):
                return proved
            kept = list(proved)

    def _kept_by_a_round(self, number: int, known: Iterable[int]) -> frozenset[str] | None:
        fact = self._candidates[number]
        return self._all(known, ((condition, fact.term(state)) for condition, state in self._round.next))

    @property
    def unmet_choice(self) -> str:
        """A choice of the model that might have no value at all, "" for none: what follows there would be
        proved of no call. That the model's first value is one is proved of all others."""
        return self._choices[0]

    @cached_property
    def _choices(self) -> tuple[str, frozenset[str]]:
        """The first unmet choice, and of what the proof made use that there is none."""
        used: set[str] = set()
        invariants = [_invariant(number) for number in self._inductive]
        for condition, is_met, name in self._round.choices:
            # Not what is assumed of this choice, nor of later ones.
            solver = _solver()
            solver.set("core.minimize", True)
            solver.add(self._sane, condition, z3.Not(is_met))
            solver.add(
                *(
                    z3.Implies(_invariant(n), self._candidates[n].term(self._round.start))
                    for n in self._inductive
                )
            )
            core = self._core(solver, invariants)
            if core is None:
                return name, frozenset()
            used |= core
        return "", frozenset(used)

    def rests_on(self, claim: Claim) -> tuple[str, ...] | None:
        """The premises of which the proof makes use that the claim holds of every call; None where there is
        no proof."""
        if self.unmet_choice:
            return None
        used = self._all(self._inductive, self._goals(claim))
        if used is None:
            return None
        used |= self._choices[1]
        while (
            more := used.union(*(u for n, u in self._inductive.items() if str(_invariant(n)) in used))
        ) != used:
            used = more
        return tuple(name for name in (*OBLIGATIONS, SLACK) if str(by(name)) in used)

    def _goals(self, claim: Claim) -> Iterator[tuple[z3.BoolRef, z3.BoolRef]]:
        """What must hold, each under a condition: of each end; or that no round is lost, and that the measure
        falls on each way into another one."""
        for end in self._round.ends:
            if claim.formula is not None or end.is_lost:
                yield end.condition, self._claimed(claim, end)
        if claim.formula is None:
            before = [part.term(self._round.start) for part in self._loop.measure]
            for condition, state in self._round.next:
                yield condition, _falls(before, [part.term(state) for part in self._loop.measure])

    def _claimed(self, claim: Claim, end: End) -> z3.BoolRef:
        if claim.formula is None or end.is_lost:
            return z3.BoolVal(False)
        found: z3.BoolRef = claim.formula.term(end.state)
        return found

    def _all(
        self, known: Iterable[int], goals: Iterable[tuple[z3.BoolRef, z3.BoolRef]]
    ) -> frozenset[str] | None:
        """The premises and invariants by which all goals follow, each under its condition; None if one does
        not, or Z3 does not tell in time."""
        invariants = [_invariant(number) for number in known]
        used: set[str] = set()
        for condition, goal in goals:
            self._solver.push()
            self._solver.add(condition, z3.Not(goal))
            core = self._core(self._solver, invariants)
            self._solver.pop()
            if core is None:
                return None
            used |= core
        return frozenset(used)

    def _core(self, solver: z3.Solver, invariants: Sequence[z3.BoolRef]) -> frozenset[str] | None:
        """The literals by which the terms of a solver contradict each other; None where they do not. What
        asks most of a routine is left out first."""
        for spared in ({SLACK, "O5"}, {SLACK}, set()):
            premises = map(by, sorted(self._premises.names - spared))
            if solver.check(*premises, *invariants) == z3.unsat:
                return frozenset(map(str, solver.unsat_core()))
        return None

    # -- how it fails

    def example(self, claim: Claim) -> Example | None:
        """The smallest call, of those that go wrong in one of the first rounds: that ends against the claim,
        or for W4 is lost, or comes back to the state in which the round began."""
        state = self._first()
        so_far = [self._sane, *map(by, self._premises.names)]
        for number in range(1, _DEPTH + 1):
            made = round_from(self._loop, self._premises, state, str(number))
            so_far += made.assumed
            if found := self._smallest([*so_far, self._fails(claim, made)], made, number):
                return found
            state = {
                name: z3.Int(f"{name}.{number}") if name in self._variables else value
                for name, value in state.items()
            }
            so_far.append(z3.Or(*(self._leads_to(way, state) for way in made.next)))
        return None

    def _leads_to(self, way: tuple[z3.BoolRef, State], state: State) -> z3.BoolRef:
        condition, values = way
        return z3.And(condition, *(state[name] == values[name] for name in self._variables))

    def _fails(self, claim: Claim, made: Round) -> z3.BoolRef:
        if claim.formula is not None:
            return z3.Or(*(z3.And(end.condition, z3.Not(self._claimed(claim, end))) for end in made.ends))
        comes_back = [
            z3.And(condition, *(state[name] == made.start[name] for name in self._loop.state))
            for condition, state in made.next
        ]
        return z3.Or(*comes_back, *(end.condition for end in made.ends if end.is_lost))

    def _smallest(self, terms: Sequence[z3.BoolRef], made: Round, number: int) -> Example | None:
        solver = _solver()
        solver.add(*terms)
        if solver.check() != z3.sat:
            return None
        model = solver.model()
        for name in ("n", "max_folio", "first_bad", "offset", "k"):
            model = _least(solver, model, self._given[name])
        copy = made.copies[0] if made.copies else None
        asked, ok, copied = (
            (_number(model, term) for term in (copy.len, copy.ok, copy.copied)) if copy else (0, 0, 0)
        )
        return Example(
            given={name: _number(model, self._given[name]) for name in (*GIVEN, SLACK)},
            state={name: _number(model, made.start[name]) for name in self._loop.state},
            round=number,
            asked=asked,
            ok=ok,
            copied=copied,
        )

    def _first(self) -> State:
        """The values with which the first round starts."""
        values = {name: value.term(self._given) for name, value in self._loop.state.items()}
        return {**self._given, **values, "at_k": z3.IntVal(OLD)}


def _invariant(number: int) -> z3.BoolRef:
    """The literal that stands for a candidate."""
    return z3.Bool(f"invariant.{number}")


def _given(slack: int | None) -> State:
    return {
        **{name: z3.IntVal(value) for name, value in CONSTANTS.items()},
        **{name: z3.Int(name) for name in GIVEN},
        SLACK: z3.Int(SLACK) if slack is None else z3.IntVal(slack),
    }


def _sane(given: State, len_max: int) -> z3.BoolRef:
    """What a call may begin with."""
    page = CONSTANTS["page"]
    return z3.And(
        given["n"] >= 1,
        given["n"] <= len_max,
        given["first_bad"] >= 0,
        given["first_bad"] <= given["n"],
        given["offset"] >= 0,
        given["offset"] < page,
        given["max_folio"] >= page,
        given[SLACK] >= 0,
    )


def _falls(before: Sequence[z3.ArithRef], after: Sequence[z3.ArithRef]) -> z3.BoolRef:
    """The first part that changes gets smaller, and not below 0."""
    cases = []
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        same = [a == b for a, b in zip(before[:index], after[:index], strict=True)]
        cases.append(z3.And(*same, new < old, new >= 0))
    return z3.Or(*cases)


def _valid(known: Sequence[z3.BoolRef], goal: z3.BoolRef) -> bool:
    """Whether the goal follows; False too where Z3 does not tell in time."""
    solver = _solver()
    solver.add(*known, z3.Not(goal))
    return bool(solver.check() == z3.unsat)


def _solver() -> z3.Solver:
    solver = z3.Solver()
    solver.set("timeout", _MILLISECONDS)
    return solver


def _number(model: z3.ModelRef, term: z3.ArithRef) -> int:
    return int(model.eval(term, model_completion=True).as_long())


def _least(solver: z3.Solver, model: z3.ModelRef, term: z3.ArithRef) -> z3.ModelRef:
    """A model in which the term is as near to 0 as it can be; the solver keeps to it from then on."""
    low, high = -1, abs(_number(model, term))
    while high - low > 1:
        middle = (low + high) // 2
        solver.push()
        solver.add(term <= middle, term >= -middle)
        is_met = solver.check() == z3.sat
        if is_met:
            model = solver.model()
        high, low = (abs(_number(model, term)), low) if is_met else (high, middle)
        solver.pop()
    solver.add(term <= high, term >= -high)
    return model
