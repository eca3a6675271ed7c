"""Questions to Z3: is a goal true under its premises?

Z3 decides; what it does not decide in time is unknown. Before it is asked, the question is brought to a
normal form (`logic.normal`), and premises that share no symbol with the goal are left out: fewer premises
can only make a goal harder to prove, never easier.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

import z3

from mcverify.deadline import MEMORY, Deadline, OutOfMemory
from mcverify.logic.normal import Normalizer
from mcverify.logic.second import SecondSolver
from mcverify.machine.terms import symbols_of

z3.set_param("memory_max_size", (MEMORY + MEMORY // 2) >> 20)  # within one question; in MiB

_QUICK_SECONDS = 1.5
_QUICK_UNITS = 10_000_000
"""What Z3 does in about that time, in its own units ("rlimit"). What the first try leads to is seen in the
report, as an assumption that is needed or not, so that it must not end sooner on a busy machine."""
_SHARE = 0.5
"""Part of the CPU below which Z3 has not had the seconds it was given."""
_MOST_PATIENCE = 20
"""How many times longer it may take then."""


class Answer(Enum):
    """What was said of a goal: by Z3, and UNCONFIRMED where Z3 proves it and a second solver that was to
    prove it too did not."""

    PROVED = "proved"
    FAILED = "failed"
    TIMEOUT = "timeout"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, the seconds it took, and for FAILED a model of premises and negated goal."""

    answer: Answer
    seconds: float
    model: z3.ModelRef | None = None
    normal: Normalizer | None = None

    def value(self, term: z3.ExprRef) -> z3.ExprRef:
        """The value of `term` in the model of a FAILED reply."""
        assert self.model is not None
        assert self.normal is not None
        return self.normal.value_in(self.model, term)


class Solver:
    """Asks Z3, and counts the queries. `timeout` is per query, in seconds. Where there is a `second`
    solver, only what it proves as well is proved."""

    def __init__(self, timeout: float, deadline: Deadline, second: SecondSolver | None = None) -> None:
        self._timeout = timeout
        self._deadline = deadline
        self._second = second
        self.queries = 0

    @property
    def is_seconded(self) -> bool:
        """Whether another solver must agree with what Z3 proves."""
        return self._second is not None

    def ask(
        self, premises: Iterable[z3.BoolRef], goal: z3.BoolRef, normal: Normalizer, *, briefly: bool = False
    ) -> Reply:
        """Whether `premises` imply `goal`; `normal` knows the ranges of symbols and makes itself familiar
        with what the premises tell of others. `briefly` gives up after the first try: the parts of a goal
        that is a long conjunction are mostly easier one by one."""
        goal = z3.simplify(goal)
        if z3.is_true(goal):
            return Reply(Answer.PROVED, 0.0)
        start = time.perf_counter()
        raw = [p for p in premises if not z3.is_true(p)]
        heard = normal.hear(raw)
        limit = min(_QUICK_SECONDS, self._timeout) if briefly else self._timeout
        answer, model = self._decide(heard, normal.formula(z3.Not(goal)), normal, limit)
        return Reply(answer, time.perf_counter() - start, model, normal)

    def ask_plainly(self, goal: z3.BoolRef) -> Reply:
        """Whether `goal` is valid, without premises or ranges."""
        return self.ask((), goal, Normalizer({}))

    def _decide(
        self, premises: list[z3.BoolRef], negated: z3.BoolRef, normal: Normalizer, limit: float
    ) -> tuple[Answer, z3.ModelRef | None]:
        if z3.is_false(negated) or any(z3.is_false(p) for p in premises):
            return Answer.PROVED, None
        known = [*premises, *normal.limits([*premises, negated])]
        relevant = relevant_premises(negated, known)
        answer, model = self._check([*relevant, negated], limit)
        if answer is Answer.PROVED or len(relevant) == len(known):
            return answer, model
        if model is not None:
            normal.complete(model)
        if model is not None and all(z3.is_true(model.eval(p, model_completion=True)) for p in known):
            return answer, model
        return self._check([*known, negated], limit)

    def _check(self, terms: Sequence[z3.BoolRef], limit: float) -> tuple[Answer, z3.ModelRef | None]:
        """Ask the SMT core first, which is quick on short sums once the equalities have been solved,
        then for the rest of the time the bit-blaster."""
        self._deadline.check("proof")
        self.queries += 1
        quick = min(_QUICK_SECONDS, limit)
        answer, model = self._tried(terms, quick)
        if answer is Answer.TIMEOUT and quick < limit:
            self._deadline.check("proof")
            answer, model = self._run(lambda: z3.SolverFor("QF_BV"), terms, limit - quick)
        if answer is Answer.PROVED and self._second is not None:
            self._deadline.check("proof")
            if not self._second.confirms(terms, self._within(self._timeout)):
                return Answer.UNCONFIRMED, None
        return answer, model

    def _within(self, seconds: float) -> float:
        remaining = self._deadline.remaining()
        return seconds if remaining is None else min(seconds, remaining + 0.001)

    def _tried(self, terms: Sequence[z3.BoolRef], seconds: float) -> tuple[Answer, z3.ModelRef | None]:
        """The answer of the SMT core to as much work as it mostly does in `seconds`; the clock ends it where
        that takes far longer."""
        solver = _core().solver()
        solver.set("rlimit", max(1, int(_QUICK_UNITS * seconds / _QUICK_SECONDS)))
        return self._asked(solver, terms, seconds * _MOST_PATIENCE)

    def _run(
        self, make: Callable[[], z3.Solver], terms: Sequence[z3.BoolRef], seconds: float
    ) -> tuple[Answer, z3.ModelRef | None]:
        """The answer of a new solver. Z3 counts seconds of the clock: where others had the CPU for most of
        them, it is asked again and given as many as make up for that, so that no verdict hangs on what else
        the machine does."""
        start, used = time.perf_counter(), time.thread_time()
        answer, model = self._asked(make(), terms, seconds)
        passed, used = time.perf_counter() - start, time.thread_time() - used
        if answer is Answer.TIMEOUT and used < _SHARE * passed:
            return self._asked(make(), terms, seconds * min(passed / max(used, 0.001), _MOST_PATIENCE))
        return answer, model

    def _asked(
        self, solver: z3.Solver, terms: Sequence[z3.BoolRef], seconds: float
    ) -> tuple[Answer, z3.ModelRef | None]:
        solver.set("timeout", max(1, int(self._within(seconds) * 1000)))
        solver.add(*terms)
        result = solver.check()
        if result == z3.unsat:
            return Answer.PROVED, None
        if result == z3.sat:
            return Answer.FAILED, solver.model()
        if "memory" in solver.reason_unknown():
            raise OutOfMemory("proof")
        return Answer.TIMEOUT, None


@cache
def _core() -> z3.Tactic:
    return z3.Then("simplify", "propagate-values", "solve-eqs", "smt")


def relevant_premises(goal: z3.BoolRef, premises: Sequence[z3.BoolRef]) -> list[z3.BoolRef]:
    """The premises that share symbols with the goal, directly or through others; of those about whole
    addresses only the ones about an address that the goal speaks of."""
    known = set(symbols_of(goal))
    wide = {n for p in premises for n in symbols_of(p) if n.endswith(":64")} - known
    waiting = [(p, s) for p in premises if not (s := symbols_of(p)) & wide]
    chosen: list[z3.BoolRef] = []
    while True:
        near = [(p, s) for p, s in waiting if not s or s & known]
        if not near:
            return chosen
        waiting = [(p, s) for p, s in waiting if s and not s & known]
        chosen += [p for p, _ in near]
        known.update(*(s for _, s in near))
