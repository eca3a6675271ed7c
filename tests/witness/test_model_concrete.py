"""Compiled terms compute what z3's simplifier does."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
import z3

from mcverify.witness.model.concrete import Source, evaluate

WIDTH = 12
SYMBOLS = {name: z3.BitVec(name, WIDTH) for name in ("a", "b", "c")}
A, B, C = SYMBOLS.values()
P = z3.ULT(A, B)

OPERATIONS: dict[str, z3.ExprRef] = {
    "add": A + B + C,
    "subtract": A - B,
    "multiply": A * B,
    "negate": -A,
    "invert": ~A,
    "and": A & B,
    "or": A | B,
    "xor": A ^ B,
    "concatenate": z3.Concat(A, B, C),
    "extract": z3.Extract(9, 3, A),
    "zero extend": z3.ZeroExt(7, A),
    "sign extend": z3.SignExt(7, A),
    "shift left": A << B,
    "shift right": z3.LShR(A, B),
    "shift arithmetic": A >> B,
    "divide": z3.UDiv(A, B),
    "remainder": z3.URem(A, B),
    "signed divide": A / B,
    "signed remainder": z3.SRem(A, B),
    "modulo": A % B,
    "rotate": z3.RotateLeft(A, 5),
    "rotate by": z3.RotateRight(A, B),
    "repeat": z3.RepeatBitVec(3, A),
    "choose": z3.If(P, A, C),
    "ult": z3.ULT(A, B),
    "ule": z3.ULE(A, B),
    "ugt": z3.UGT(A, B),
    "uge": z3.UGE(A, B),
    "slt": A < B,
    "sle": A <= B,
    "sgt": A > B,
    "sge": A >= B,
    "equal": A == B,
    "distinct": z3.Distinct(A, B, C),
    "not": z3.Not(P),
    "both": z3.And(P, A == C, z3.BoolVal(True)),
    "either": z3.Or(P, A == C, z3.BoolVal(False)),
    "exclusive": z3.Xor(P, A == C),
    "implies": z3.Implies(P, A == C),
    "equivalent": (A == C) == P,
    "choose a condition": z3.If(P, A == C, B == C),
}
EDGES = (0, 1, 2, WIDTH - 1, WIDTH, (1 << WIDTH - 1) - 1, 1 << WIDTH - 1, (1 << WIDTH) - 1)


def by_z3(term: z3.ExprRef, values: dict[str, int]) -> int | bool:
    pairs = [(SYMBOLS[name], z3.BitVecVal(value, WIDTH)) for name, value in values.items()]
    result = z3.simplify(z3.substitute(term, *pairs))
    return z3.is_true(result) if z3.is_bool(result) else result.as_long()


def some_values(random: Random) -> dict[str, int]:
    drawn = {n: random.choice((random.choice(EDGES), random.getrandbits(WIDTH))) for n in SYMBOLS}
    if random.random() < 0.2:
        drawn["b"] = drawn["a"]
    return drawn


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_computed_as_by_z3(name: str) -> None:
    random, term = Random(name), OPERATIONS[name]
    for _ in range(60):
        values = some_values(random)
        assert evaluate(term, values) == by_z3(term, values), values


def test_every_operation_of_the_machine_has_a_translation() -> None:
    """The slow way through z3 is for what no instruction needs."""
    by_z3_only = {"divide", "remainder", "signed divide", "signed remainder", "modulo", "rotate",
                  "rotate by", "repeat"}  # fmt: skip
    slow = set()
    for name, term in OPERATIONS.items():
        source = Source(lambda symbol: f"v[{symbol!r}]")
        source.value(term)
        slow |= {name} if any("= f0(" in line for line in source.lines) else set()
    assert slow == by_z3_only


def grown(random: Random, depth: int) -> z3.BitVecRef:
    """A term of many operations whose parts are shared."""
    pool: list[z3.BitVecRef] = list(SYMBOLS.values())
    make: list[Callable[[z3.BitVecRef, z3.BitVecRef], z3.BitVecRef]] = [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: z3.If(z3.ULT(x, y), x, y ^ 5),
        lambda x, y: z3.Concat(z3.Extract(5, 0, x), z3.Extract(11, 6, y)),
        lambda x, y: z3.LShR(x, y & 7),
    ]
    for _ in range(depth):
        pool.append(random.choice(make)(random.choice(pool), random.choice(pool)))
    return pool[-1]


@pytest.mark.parametrize("seed", range(12))
def test_a_large_term_is_computed_as_by_z3(seed: int) -> None:
    random = Random(seed)
    term = grown(random, 60)
    for _ in range(5):
        values = some_values(random)
        assert evaluate(term, values) == by_z3(term, values), values


def test_a_deep_term_needs_no_deep_stack() -> None:
    term = A
    for _ in range(5000):
        term = (term ^ B) + 1
    assert evaluate(term, {"a": 3, "b": 0}) == (3 + 5000) % (1 << WIDTH)


def test_a_shared_part_is_computed_once() -> None:
    shared = A * B
    source = Source(lambda symbol: f"v[{symbol!r}]")
    source.value(shared + (shared ^ C))
    assert sum("*" in line for line in source.lines) == 1
