"""A second opinion: what Z3 calls unsatisfiable is asked of another solver too, in the same words."""

from __future__ import annotations

from collections.abc import Sequence

import z3

from mcverify.check.solvers import Said, ask
from mcverify.errors import Disagreement


class SecondSolver:
    """bitwuzla or cvc5, of `check.solvers.SOLVERS`, by its `name`.

    `agreed` counts the questions of which it says what Z3 says, `undecided` those of which it says nothing,
    `seconds` is what it took for both.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.agreed = 0
        self.undecided = 0
        self.seconds = 0.0

    def confirms(self, terms: Sequence[z3.BoolRef], limit: float) -> bool:
        """Whether it, too, finds within `limit` seconds that `terms` cannot all be true.

        Raises Disagreement if it says that they can.
        """
        text = script(terms)
        reply = ask(self.name, text, limit)
        self.seconds += reply.seconds
        if reply.said is Said.SAT:
            raise Disagreement(
                f"Z3 and {self.name} contradict each other on a question of the proof",
                {"question": text, "z3": "unsat", self.name: "sat"},
            )
        if reply.said is Said.UNSAT:
            self.agreed += 1
        else:
            self.undecided += 1
        return reply.said is Said.UNSAT


def script(terms: Sequence[z3.BoolRef]) -> str:
    """The question in SMT-LIB 2, by Z3's own printer."""
    solver = z3.Solver()
    solver.add(*terms)
    return f"(set-logic QF_BV)\n{solver.to_smt2()}"
