"""Whether terms hold."""

from __future__ import annotations

import z3

from mcverify.machine.terms import free_symbols


def is_valid(claim: z3.BoolRef) -> bool:
    """Whether `claim` holds for all values of its symbols; some values are tried before Z3 is asked."""
    simple = z3.simplify(claim)
    if z3.is_true(simple) or z3.is_false(simple):
        return bool(z3.is_true(simple))
    words = [symbol for symbol in free_symbols(simple) if z3.is_bv(symbol)]
    some = [(symbol, z3.BitVecVal(0x5DEECE66D * (i + 1), symbol.size())) for i, symbol in enumerate(words)]
    if z3.is_false(z3.simplify(z3.substitute(simple, *some))):
        return False
    solver = z3.Solver()
    solver.add(z3.Not(simple))
    return bool(solver.check() == z3.unsat)
