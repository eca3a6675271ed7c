"""Counts in the routine's own terms: no word of the solver, whatever the term."""

from __future__ import annotations

import random
import re

import pytest
import z3

from mcverify.proof.expression import in_words
from mcverify.witness.formula import evaluate, with_numbers

RAX, RCX, RDX, R8 = (z3.BitVec(name, 64) for name in ("rax", "rcx", "rdx", "r8"))
LOAD = z3.BitVec("load7", 64)


def e(register: z3.BitVecRef) -> z3.BitVecRef:
    return z3.Extract(31, 0, register)


def wide(term: z3.BitVecRef) -> z3.BitVecRef:
    return z3.ZeroExt(64 - term.size(), term)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (z3.BitVecVal(0, 64), "0"),
        (RCX, "rcx"),
        (wide(e(RCX)), "ecx"),
        (RDX + 64 * RCX - 8, "rdx + 64*rcx - 8"),
        (wide(8 * e(RCX) + e(RDX)), "8*ecx + edx"),
        (wide((e(RCX) << 3) + (e(RDX) & 7)), "8*ecx + (edx & 7)"),
        (wide((e(RCX) << 6) + (e(RDX) & 63) - 16), "64*ecx + (edx & 63) - 16"),
        (wide(z3.Extract(15, 0, RCX)), "cx"),
        (wide(z3.Extract(7, 0, RDX)), "dl"),
        (wide(z3.Extract(7, 0, R8)) + 1, "r8b + 1"),
        (wide(z3.LShR(e(RDX), 3)), "(edx >> 3)"),
        (z3.LShR(RDX, 3), "(rdx >> 3)"),
        (z3.LShR(RDX, 3) & 7, "(edx >> 3 & 7)"),
        (RDX & 63, "(edx & 63)"),
        (RDX & 0xFFFF_FFFF_FFFF, "(rdx & 281474976710655)"),
        (wide(e(RCX * RDX)), "(ecx * edx)"),
        (RCX | RDX, "(rcx | rdx)"),
        (~RCX, "~rcx"),
        (z3.SignExt(32, e(RCX)), "signed(ecx)"),
        (RCX >> 3, "sar(rcx, 3)"),
        (RCX << (RDX & 63), "(rcx << (edx & 63))"),
        (z3.If(RCX == 0, RDX, RAX + 1), "(either rdx or rax + 1)"),
        (z3.If(RCX == 0, z3.BitVecVal(0, 64), LOAD), "(either 0 or a loaded value)"),
        (z3.Concat(e(RCX), e(RDX)), "4294967296*rcx + edx"),
    ],
)
def test_a_count_is_told_in_the_routines_terms(term, words):
    assert in_words(term) == words


def test_what_is_too_long_is_told_by_what_it_depends_on():
    term = sum((RCX ^ (RDX + n)) * (R8 | n) for n in range(1, 9))
    assert in_words(term) == "worked out of rcx and rdx and r8"


SOLVER = re.compile(r"Concat|Extract|If\(|BV|bv|ZeroExt|SignExt|LShR|RotateLeft|ULE|Not\(|@|\n")


def grown(dice: random.Random, depth: int) -> z3.BitVecRef:
    """A random term of 64 bits."""
    if depth == 0:
        return dice.choice(
            [RAX, RCX, RDX, R8, LOAD, z3.BitVecVal(dice.randrange(1 << 12), 64), z3.BitVec("stack[-8].1", 64)]
        )
    a, b = grown(dice, depth - 1), grown(dice, depth - 1)
    low, high = sorted((dice.randrange(64), dice.randrange(64)))
    return dice.choice(
        [
            lambda: a + b,
            lambda: a - b,
            lambda: a * b,
            lambda: a & b,
            lambda: a | b,
            lambda: a ^ b,
            lambda: ~a,
            lambda: -a,
            lambda: a << (b & 31),
            lambda: z3.LShR(a, low),
            lambda: a >> low,
            lambda: z3.UDiv(a, b),
            lambda: z3.URem(a, b),
            lambda: a / b,
            lambda: z3.SRem(a, b),
            lambda: z3.RotateLeft(a, low),
            lambda: z3.RotateRight(a, b),
            lambda: z3.If(z3.ULT(a, b), a, b),
            lambda: wide(e(a)),
            lambda: z3.SignExt(32, e(a)),
            lambda: wide(z3.Extract(high, low, a)),
            lambda: z3.Concat(e(a), e(b)),
            lambda: wide(z3.If(a == b, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))),
        ]
    )()


@pytest.mark.parametrize("seed", range(300))
def test_no_term_is_told_in_the_solvers_words(seed):
    dice = random.Random(seed)
    words = in_words(grown(dice, dice.randrange(1, 5)))
    assert words
    assert not SOLVER.search(words), words
    assert words.count("(") == words.count(")")


@pytest.mark.parametrize("seed", range(60))
def test_what_can_be_evaluated_has_the_value_of_the_term(seed):
    dice = random.Random(seed)
    registers = {name: dice.randrange(1 << 12) for name in ("rax", "rcx", "rdx", "r8")}
    term = wide(
        (e(RCX) << dice.randrange(7)) + (e(RDX) & (1 << dice.randrange(1, 9)) - 1) - dice.randrange(99)
    ) + z3.LShR(RAX, dice.randrange(1, 9))
    value = z3.simplify(
        z3.substitute(term, *[(r, z3.BitVecVal(registers[str(r)], 64)) for r in (RAX, RCX, RDX)])
    )
    assert evaluate(in_words(term), registers) & 0xFFFF_FFFF == value.as_long() & 0xFFFF_FFFF


def test_numbers_are_put_in_for_registers_alone():
    registers = {"rcx": 3, "rdx": 0x1_0000_0005}
    assert evaluate("low32(rdx) + (rcx ^ 1)", registers) == 7
    assert with_numbers("low32(rdx) + 8*ecx", registers) == "low32(0x100000005) + 8*3"
    assert evaluate("worked out of rcx and rdx", registers) is None
