"""Equalities as people write them: a + b = c, where the engine has 0 = a + b + (-1) * c.

A solver that multiplies bit by bit makes 64 adders of the factor -1, for every such fact that it knows.
"""

from __future__ import annotations

from collections.abc import Iterator

import z3

from mcverify.machine.terms import constant, word


def balanced(fact: z3.BoolRef) -> z3.BoolRef:
    """The same fact; an equality of sums with what is subtracted on the other side, `true` where the
    two sides are the same anyway."""
    if not z3.is_eq(fact) or not z3.is_bv(fact.arg(0)) or fact.arg(0).size() != 64:
        return fact
    left, right = _sides(fact.arg(0))
    other_right, other_left = _sides(fact.arg(1))
    left, right = left + other_left, right + other_right
    found = _sum(left) == _sum(right)
    return z3.BoolVal(True) if z3.is_true(z3.simplify(found, som=True)) else found


def _sides(term: z3.BitVecRef) -> tuple[list[z3.BitVecRef], list[z3.BitVecRef]]:
    """What is added in a sum, and what is subtracted from it by a negative factor."""
    added: list[z3.BitVecRef] = []
    subtracted: list[z3.BitVecRef] = []
    for part in _parts(term):
        value, factor = constant(part), _factor(part)
        if value is not None:
            signed = value - (1 << 64) if value >> 63 else value
            (added if signed > 0 else subtracted).extend([word(abs(signed))] if signed else [])
        elif factor < 0:
            subtracted.append(part.arg(1) if factor == -1 else word(-factor) * part.arg(1))
        else:
            added.append(part)
    return added, subtracted


def _parts(term: z3.BitVecRef) -> Iterator[z3.BitVecRef]:
    if term.decl().kind() == z3.Z3_OP_BADD:
        for operand in term.children():
            yield from _parts(operand)
    else:
        yield term


def _factor(term: z3.BitVecRef) -> int:
    """The constant factor of a product of two, signed; 1 of all else."""
    if term.decl().kind() != z3.Z3_OP_BMUL or term.num_args() != 2:
        return 1
    value = constant(term.arg(0))
    if value is None:
        return 1
    return value - (1 << 64) if value >> 63 else value


def _sum(terms: list[z3.BitVecRef]) -> z3.BitVecRef:
    total = terms[0] if terms else word(0)
    for term in terms[1:]:
        total = total + term
    return total
