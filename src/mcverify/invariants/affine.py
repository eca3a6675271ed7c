"""Affine equalities that hold in every sample: the exact null space, solved for some of the variables.

They are guesses; `invariants.houdini` proves or drops them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd

import flint
import z3

from mcverify.machine.terms import variable, word

_CONSTANT = ""
"""Name of the column of ones."""


@dataclass(frozen=True, slots=True)
class Equality:
    """sum(coefficient * variable) + constant == 0, in integers modulo 2^64."""

    coefficients: tuple[tuple[str, int], ...]
    constant: int

    def coefficient(self, name: str) -> int:
        """The coefficient of `name`, 0 if it does not occur."""
        return dict(self.coefficients).get(name, 0)

    def solved_for(self, name: str) -> z3.BitVecRef:
        """The term equal to `name`, whose coefficient must be 1 or -1."""
        sign = -self.coefficient(name)
        rest = tuple((n, sign * c) for n, c in self.coefficients if n != name)
        return linear(rest, sign * self.constant)

    def term(self) -> z3.BoolRef:
        """The equality as a term."""
        return linear(self.coefficients, self.constant) == 0


@cache
def linear(coefficients: tuple[tuple[str, int], ...], constant: int) -> z3.BitVecRef:
    """sum(coefficient * variable) + constant as a 64-bit term."""
    total = word(constant)
    for name, coefficient in coefficients:
        total = total + word(coefficient) * variable(name)
    return z3.simplify(total, som=True)


def equalities(rows: Sequence[Mapping[str, int]], columns: Sequence[str]) -> list[Equality]:
    """A basis of the affine equalities among `columns` that hold in all `rows` (values are unsigned
    64-bit)."""
    if not rows:
        return []
    names = [*columns, _CONSTANT]
    table = flint.fmpz_mat(
        [[1 if n == _CONSTANT else _signed(row[n]) for n in names] for row in _distinct(rows, columns)]
    )
    basis, rank = table.nullspace()
    vectors = [[int(basis[i, k]) for i in range(len(names))] for k in range(rank)]
    return [_equality(names, vector) for vector in _reduced(vectors)]


def _distinct(rows: Sequence[Mapping[str, int]], columns: Sequence[str]) -> list[Mapping[str, int]]:
    return list({tuple(row[c] for c in columns): row for row in rows}.values())


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _reduced(vectors: list[list[int]]) -> list[list[int]]:
    """The vectors in reduced row echelon form, each divided by its content."""
    if not vectors:
        return []
    matrix = flint.fmpq_mat(flint.fmpz_mat(vectors)).rref()[0]
    rows = [[matrix[i, k] for k in range(matrix.ncols())] for i in range(matrix.nrows())]
    return [_primitive(row) for row in rows if any(row)]


def _primitive(row: list[flint.fmpq]) -> list[int]:
    scale = 1
    for value in row:
        scale = scale * int(value.q) // gcd(scale, int(value.q))
    numbers = [int(value.p) * (scale // int(value.q)) for value in row]
    content = gcd(*numbers)
    return [n // content for n in numbers]


def _equality(names: Sequence[str], vector: Sequence[int]) -> Equality:
    pairs = [(n, v) for n, v in zip(names, vector, strict=True) if v and n != _CONSTANT]
    return Equality(tuple(pairs), vector[-1])


def solved(found: Sequence[Equality], order: Sequence[str]) -> dict[str, z3.BitVecRef]:
    """Definitions: as many variables as possible, taken in `order`, in terms of the others.

    Only a coefficient of 1 or -1 is divided by: anything else has no unique quotient modulo 2^64.
    """
    rows = list(found)
    definitions: dict[str, Equality] = {}
    for name in order:
        pivot = next((r for r in rows if abs(r.coefficient(name)) == 1), None)
        if pivot is None:
            continue
        rows = [_eliminated(r, pivot, name) for r in rows if r is not pivot]
        definitions = {n: _eliminated(d, pivot, name) for n, d in definitions.items()}
        definitions[name] = pivot
    return {name: equality.solved_for(name) for name, equality in definitions.items()}


def _eliminated(row: Equality, pivot: Equality, name: str) -> Equality:
    factor = row.coefficient(name) * pivot.coefficient(name)
    if factor == 0:
        return row
    merged = dict(row.coefficients)
    for other, coefficient in pivot.coefficients:
        merged[other] = merged.get(other, 0) - factor * coefficient
    pairs = tuple((n, c) for n, c in merged.items() if c)
    return Equality(pairs, row.constant - factor * pivot.constant)
