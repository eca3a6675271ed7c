"""Facts of a bundle: equalities without a factor -1, and without those that say nothing."""

import pytest
import z3

from mcverify.bundle.balance import balanced
from mcverify.bundle.terms import smt2

A, B, C = z3.BitVecs("a b c", 64)
MINUS = z3.BitVecVal(-1, 64)


@pytest.mark.parametrize(
    ("fact", "wanted"),
    [
        (A + MINUS * B == 0, "(= a b)"),
        (A + B + MINUS * C + 8 == 0, None),
        (A + z3.BitVecVal(-3, 64) * B == C, "(= a (bvadd c (bvmul #x0000000000000003 b)))"),
        (z3.BitVecVal(0, 64) == (A - B) + MINUS * (A - B), "true"),
        ((A - B) + B == A, "true"),
        (z3.ULE(A, B), "(bvule a b)"),
        (z3.Extract(7, 0, A) == z3.BitVecVal(255, 8) * z3.Extract(7, 0, B), None),
    ],
)
def test_it_is_the_same_fact_without_a_negative_factor(fact, wanted):
    found = balanced(fact)
    solver = z3.Solver()
    solver.add(fact != found)
    assert solver.check() == z3.unsat
    assert "#xffffffffffffffff" not in smt2(found)
    assert wanted is None or smt2(found) == wanted


def test_an_equality_that_does_not_hold_stays_one():
    assert balanced(A + MINUS * B == 1).sexpr() != "true"
    assert smt2(balanced(A + 1 == A + 2)) not in ("true",)
