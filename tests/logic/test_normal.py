"""The normal form of a formula says the same as the formula, wherever the ranges hold."""

from __future__ import annotations

from random import Random

import pytest
import z3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcverify.deadline import Deadline
from mcverify.logic.normal import Normalizer
from mcverify.logic.solver import Answer, Solver
from mcverify.machine.terms import symbols_of

BOUNDED = ("a", "b", "c")
FREE = ("x", "y")
TOPS = (
    0,
    1,
    7,
    8,
    63,
    255,
    4096,
    0x7FFFF000,
    (1 << 32) - 1,
    1 << 32,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
CONSTANTS = (
    0,
    1,
    2,
    7,
    8,
    9,
    63,
    64,
    255,
    0x7FFFF000,
    1 << 32,
    (1 << 32) + 7,
    1 << 63,
    (1 << 64) - 8,
    (1 << 64) - 1,
)
NARROW = (1, 3, 8, 16, 32)


def word(value: int) -> z3.BitVecRef:
    return z3.BitVecVal(value, 64)


class Maker:
    """Formulas of the shapes that questions have, out of one seed."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def term(self, depth: int) -> z3.BitVecRef:
        """A 64-bit term."""
        if depth == 0 or self.random.random() < 0.15:
            return self._leaf()
        return self.random.choice(
            (
                self._sum,
                self._difference,
                self._negative,
                self._product,
                self._mask,
                self._quotient,
                self._shifted,
                self._choice,
                self._signed,
                self._union,
            )
        )(depth - 1)

    def _leaf(self) -> z3.BitVecRef:
        if self.random.random() < 0.3:
            return word(self.random.choice(CONSTANTS))
        return z3.BitVec(self.random.choice(BOUNDED * 3 + FREE), 64)

    def _sum(self, depth: int) -> z3.BitVecRef:
        return self.term(depth) + self.term(depth)

    def _difference(self, depth: int) -> z3.BitVecRef:
        return self.term(depth) - self.term(depth)

    def _negative(self, depth: int) -> z3.BitVecRef:
        return -self.term(depth)

    def _product(self, depth: int) -> z3.BitVecRef:
        return word(self.random.choice((2, 3, 8, 64, (1 << 64) - 1, (1 << 64) - 8, 1 << 61))) * self.term(
            depth
        )

    def _mask(self, depth: int) -> z3.BitVecRef:
        width = self.random.choice(NARROW)
        return z3.ZeroExt(64 - width, z3.Extract(width - 1, 0, self.term(depth)))

    def _quotient(self, depth: int) -> z3.BitVecRef:
        low = self.random.choice((1, 3, 6, 31, 32, 63))
        high = self.random.choice((low, 63, max(low, 31)))
        return z3.ZeroExt(63 - high + low, z3.Extract(high, low, self.term(depth)))

    def _shifted(self, depth: int) -> z3.BitVecRef:
        shift = self.random.choice((1, 3, 6, 32))
        low = z3.BitVecVal(self.random.randrange(1 << shift), shift)
        return z3.Concat(z3.Extract(63 - shift, 0, self.term(depth)), low)

    def _signed(self, depth: int) -> z3.BitVecRef:
        return self.term(depth) >> word(self.random.choice((1, 6, 32, 63, 64, 70)))

    def _union(self, depth: int) -> z3.BitVecRef:
        return self.term(depth) | self.random.choice((self._signed, self._quotient, self.term))(depth)

    def _choice(self, depth: int) -> z3.BitVecRef:
        return z3.If(self.comparison(depth), self.term(depth), self.term(depth))

    def comparison(self, depth: int) -> z3.BoolRef:
        """A comparison of terms of 64 bits, or of their low bits."""
        one, other = self.term(depth), self.term(depth)
        width = self.random.choice((64, 64, 64, *NARROW))
        if width < 64:
            one, other = z3.Extract(width - 1, 0, one), z3.Extract(width - 1, 0, other)
        make = self.random.choice((z3.ULE, z3.ULT, z3.UGE, z3.UGT, lambda a, b: a == b, lambda a, b: a <= b))
        return make(one, other)

    def formula(self, depth: int) -> z3.BoolRef:
        """A formula over comparisons."""
        if depth == 0:
            return self.comparison(2)
        make = self.random.choice(
            (z3.And, z3.Or, z3.Implies, z3.Xor, lambda a, b: a == b, lambda a, b: z3.Not(z3.And(a, b)),
             lambda a, b: z3.If(z3.Bool("p"), a, b))
        )  # fmt: skip
        return make(self.formula(depth - 1), self.formula(depth - 1))

    def ranges(self) -> dict[str, tuple[int, int]]:
        """A range for each bounded symbol; some begin above 0, some hold one value."""
        found = {}
        for name in BOUNDED:
            top = self.random.choice(TOPS)
            found[name] = (self.random.choice((0, 0, 0, top // 2, top)), top)
        return found

    def values(self, ranges: dict[str, tuple[int, int]]) -> dict[str, int]:
        """Values of all symbols within the ranges, often at their ends."""
        found = {
            name: self.random.choice((low, top, self.random.randint(low, top)))
            for name, (low, top) in ranges.items()
        }
        return found | {name: self.random.choice((*CONSTANTS, self.random.getrandbits(64))) for name in FREE}


seeds = st.integers(min_value=0, max_value=(1 << 48) - 1)
often = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def at(term: z3.ExprRef, values: dict[str, int]) -> z3.ExprRef:
    """`term` with values in place of symbols of 64 bits."""
    return z3.simplify(z3.substitute(term, *((z3.BitVec(n, 64), word(v)) for n, v in values.items())))


def holds(normal: Normalizer, formula: z3.BoolRef, values: dict[str, int], p: bool) -> bool:
    """Whether a normal form can be true with these values; quotients and remainders are found by z3."""
    terms = [formula, *normal.limits([formula])]
    pairs = [(z3.Bool("p"), z3.BoolVal(p))]
    for name, value in values.items():
        pairs.append((z3.BitVec(name, 64), word(value)))
        pairs += [
            (z3.BitVec(f"{name}:{w}", w), z3.BitVecVal(value, w)) for w in range(value.bit_length() or 1, 65)
        ]
    solver = z3.Solver()
    solver.set("timeout", 5000)
    solver.add(*(z3.simplify(z3.substitute(term, *pairs)) for term in terms))
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)


@often
@given(seeds)
def test_a_normal_form_has_the_value_of_its_formula(seed: int) -> None:
    random = Random(seed)
    maker = Maker(random)
    ranges = maker.ranges()
    formula = maker.formula(random.choice((0, 0, 1, 2)))
    normal = Normalizer(ranges)
    found = normal.formula(z3.simplify(formula) if random.random() < 0.7 else formula)
    for p in (True, False):
        values = maker.values(ranges)
        truth = z3.simplify(z3.substitute(at(formula, values), (z3.Bool("p"), z3.BoolVal(p))))
        assert holds(normal, found, values, p) == z3.is_true(truth)
        assert holds(normal, z3.Not(found), values, p) == z3.is_false(truth)


def equation(random: Random) -> z3.BoolRef:
    """An equation of short sums of bounded symbols, as invariants have them."""
    sides = [_short_sum(random), _short_sum(random)]
    return z3.simplify(sides[0] == sides[1])


def _short_sum(random: Random) -> z3.BitVecRef:
    total = word(random.choice((0, 0, 8, 64, 4096)))
    for name in random.sample([*BOUNDED, "d", "e"], random.choice((1, 2, 3))):
        total = total + word(random.choice((1, 1, 1, 8, 64, 1 << 24, (1 << 64) - 1))) * z3.BitVec(name, 64)
    return total


def _ordered(term: z3.BoolRef, more: int) -> z3.BoolRef:
    """What an equation says of the order of its sides, eightfold; anything else as it is."""
    return z3.ULE(8 * term.arg(0), 8 * term.arg(1) + word(more)) if z3.is_eq(term) else term


@often
@given(seeds)
def test_what_is_proved_by_equations_of_sums_holds(seed: int) -> None:
    """Equations are solved for one symbol and the rest rewritten: the rewritten question is still the same
    one."""
    random = Random(seed)
    ranges = {n: (0, random.choice((7, 63, 255, 0x7FFFF000, 1 << 41))) for n in (*BOUNDED, "d", "e")}
    premises = [equation(random) for _ in range(random.choice((1, 2, 3)))]
    # The first holds where the premises do, so there is something to be proved.
    of_premise, other = premises[0], equation(random)
    goal = random.choice((_ordered(of_premise, random.choice((0, 1))), other, _ordered(other, 0)))
    normal = Normalizer(ranges)
    known = [normal.premise(p) for p in premises[:1]] if random.random() < 0.5 else []
    reply = Solver(1.0, Deadline(None)).ask(premises, goal, normal.fork() if known else normal)
    plain = z3.Solver()
    plain.set("timeout", 1000)
    plain.add(*premises, z3.Not(goal))
    plain.add(*(z3.ULE(z3.BitVec(n, 64), word(top)) for n, (_, top) in ranges.items()))
    truth = plain.check()
    if reply.answer is Answer.PROVED:
        assert truth != z3.sat
    if truth == z3.unsat:
        assert reply.answer is not Answer.FAILED


def test_a_sum_that_is_known_leaves_only_what_it_does_not_say() -> None:
    """The length is what was copied, the blocks that are left and the rest: what is asked of it by way of
    these is true or short."""
    length, done, blocks, rest = (z3.BitVec(n, 64) for n in ("length", "done", "blocks", "rest"))
    ranges = {"length": (0, 1 << 31), "done": (0, 1 << 31), "blocks": (0, 1 << 25), "rest": (0, 63)}
    normal = Normalizer(ranges)
    normal.hear([z3.simplify(64 * blocks == length - done - rest - 64)])
    assert z3.is_true(normal.formula(z3.ULE(64 * blocks + rest, length)))
    j = z3.BitVec("j", 64)
    normal.learn([z3.ULE(j, word(1 << 31))])
    short = normal.formula(z3.ULE(length, j + 64 * blocks + rest + 64))
    assert {n.rpartition(":")[0] for n in symbols_of(short)} == {"done", "j"}


@pytest.mark.parametrize(("bits", "is_known"), [(22, True), (24, False)])
def test_an_equation_that_may_wrap_tells_nothing_of_the_sums(bits: int, is_known: bool) -> None:
    """2^22 times a value below 2^41 is what it equals; 2^24 times that may be so modulo 2^64 alone."""
    a, b, c = z3.BitVecs("a b c", 64)
    normal = Normalizer({"a": (0, (1 << 41) - 1), "b": (0, 255), "c": (0, 255)})
    normal.hear([(1 << bits) * a == b + c])
    assert z3.is_true(normal.formula(z3.ULE(a, b + c))) == is_known


@often
@given(seeds)
def test_what_is_proved_in_normal_form_holds(seed: int) -> None:
    """Premises that narrow ranges are learnt from; no values within them may contradict a proved goal."""
    random = Random(seed)
    maker = Maker(random)
    ranges = maker.ranges()
    premises = [maker.comparison(1) for _ in range(random.randrange(4))]
    premises += [
        z3.ULE(z3.BitVec("x", 64), z3.BitVec("a", 64)),
        z3.Not(z3.ULE(z3.BitVec("b", 64), z3.BitVec("y", 64))),
    ][: random.randrange(3)]
    premises = [z3.simplify(p) for p in premises]
    goal = maker.formula(random.choice((0, 1)))
    normal = Normalizer(ranges)
    if random.random() < 0.5:
        normal.tighten(premises)
    reply = Solver(1.0, Deadline(None)).ask(premises, goal, normal)
    plain = z3.Solver()
    plain.set("timeout", 1000)
    plain.add(*premises, z3.Not(goal))
    plain.add(
        *(
            z3.And(z3.ULE(low, z3.BitVec(n, 64)), z3.ULE(z3.BitVec(n, 64), top))
            for n, (low, top) in ranges.items()
        )
    )
    truth = plain.check()
    if reply.answer is Answer.PROVED:
        assert truth != z3.sat
    if truth == z3.unsat:
        assert reply.answer is not Answer.FAILED


@pytest.mark.parametrize("top", TOPS)
def test_a_value_at_the_end_of_its_range_is_kept(top: int) -> None:
    a = z3.BitVec("a", 64)
    normal = Normalizer({"a": (0, top)})
    formulas = [normal.formula(a == word(top))]
    solver = z3.Solver()
    solver.add(*formulas, *normal.limits(formulas))
    assert solver.check() == z3.sat


def test_an_address_cancels_when_it_is_rounded_up() -> None:
    """((p + 8) & -8) - p lies between 1 and 8, wherever p is."""
    p, n = z3.BitVecs("p n", 64)
    step = ((p + 8) & word(-8)) - p
    normal = Normalizer({"p": (0, (1 << 64) - 1), "n": (8, 4096)})
    found = normal.exact(z3.simplify(n - step, som=True))
    assert found is not None
    assert normal.range_of(found) == (0, 4095)
    reply = Solver(5.0, Deadline(None)).ask([], z3.And(z3.ULE(1, step), z3.ULE(step, 8)), normal)
    assert reply.answer is Answer.PROVED


@pytest.mark.parametrize("bits", [1, 3, 6, 12])
def test_low_bits_of_sums_with_an_address_are_those_of_the_sum(bits: int) -> None:
    p, a = z3.BitVecs("p a", 64)
    normal = Normalizer({"p": (0, (1 << 64) - 1), "a": (0, 4096)})
    low = z3.Extract(bits - 1, 0, p + a)
    solver = Solver(5.0, Deadline(None))
    rounded = z3.Concat(z3.Extract(63, bits, p + a), z3.BitVecVal(0, bits))
    same = p + a - rounded == z3.ZeroExt(64 - bits, low)
    assert solver.ask([], same, normal.fork()).answer is Answer.PROVED
    assert solver.ask([low == 1], z3.Extract(bits - 1, 0, p + a + 1) == 0, normal.fork()).answer is (
        Answer.PROVED if bits == 1 else Answer.FAILED
    )


def test_a_premise_that_bounds_a_difference_makes_it_exact_and_is_kept() -> None:
    """done <= total: total - done does not wrap around; the premise does not vanish by its own word, even if
    another premise narrows a range of its symbols."""
    done, total = z3.BitVecs("done total", 64)
    normal = Normalizer({"done": (0, 4096), "total": (0, 4096)})
    rest = z3.ZeroExt(32, z3.Extract(31, 0, total - done))
    premises = [z3.ULE(done, total), z3.ULE(word(1), done)]
    normal.limits([normal.premise(premises[0])])
    solver = Solver(5.0, Deadline(None))
    assert solver.ask(premises, rest + done == total, normal.fork()).answer is Answer.PROVED
    reply = solver.ask(premises, z3.ULT(total, 3), normal.fork())
    assert reply.answer is Answer.FAILED
    assert all(z3.is_true(reply.value(premise)) for premise in premises)


def test_a_sum_is_as_wide_as_its_symbols_though_a_premise_bounds_it() -> None:
    x, y, limit = z3.BitVec("x", 64), z3.BitVec("y", 64), z3.BitVec("limit", 64)
    normal = Normalizer({"x": (0, 0x7FFFF000), "y": (0, 7), "limit": (0, 6)})
    normal.premise(z3.ULE(x + y, 7))
    found = normal.formula(z3.ULE(x + y, limit))
    assert z3.is_bool(found)


def test_what_one_count_leaves_bounds_the_next() -> None:
    """Words, then bytes: of the second count nothing is known but that it is below what the first one left,
    in 32 bits, with the bytes behind the last word. The sum needs no Z3."""
    total, words, more = z3.BitVecs("total words more", 64)
    normal = Normalizer({"total": (0, 0x7FFFF000), "words": (0, 1 << 28)})
    left = z3.ZeroExt(32, z3.Extract(31, 0, total) - 8 * z3.Extract(31, 0, words))
    premises = [z3.ULT(words, z3.LShR(total, 3)), z3.ULT(more, left)]
    premises = [z3.simplify(premise) for premise in premises]
    solver = Solver(5.0, Deadline(None))
    goal = z3.simplify(total - (left - more) == 8 * words + more)
    assert solver.ask(premises, goal, normal.fork()).answer is Answer.PROVED
    assert solver.queries == 0
    reply = solver.ask(premises, z3.ULT(more, 8), normal.fork())
    assert reply.answer is Answer.FAILED
    assert all(z3.is_true(reply.value(premise)) for premise in premises)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_known_of_a_quotient_is_known_of_its_dividend(sign: int) -> None:
    """quotient - x between bounds, so dividend - 8 * x too, as near as the remainder lets."""
    total, x = z3.BitVecs("total x", 64)
    normal = Normalizer({"total": (0, 4096), "x": (0, 512)})
    quotient = z3.LShR(total, 3)
    small, great = (x, quotient) if sign > 0 else (quotient, x)
    solver = Solver(5.0, Deadline(None))
    premises = [z3.simplify(z3.ULT(small, great))]
    for bound, holds in ((8, sign > 0), (9, False), (-1, sign < 0), (-2, False)):
        difference = total - 8 * x
        goal = difference >= bound if bound > 0 else difference <= bound
        reply = solver.ask(premises, z3.simplify(goal), normal.fork())
        assert (reply.answer is Answer.PROVED) == holds, bound
