"""Bit-vector questions brought to a normal form in which little is left to decide.

Where ranges show that nothing wraps around, a bit-vector term is an integer linear form over bounded
symbols. In comparisons of such forms common parts cancel (addresses lose their base, positions their
counter), many become plainly true or false, and the others need only as many bits as their values have.
Shifts and masks become a quotient and a remainder. What is not linear stays as it is.

Each rewriting is an equivalence under the ranges, so the normal form may replace the question; the test
`tests/logic/test_normal.py` holds it against z3's own evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd

import z3

from mcverify.machine.terms import symbols_of, variable

Range = tuple[int, int]
"""Least and greatest value, both included."""


@dataclass(frozen=True, slots=True)
class Linear:
    """constant + sum(coefficient * symbol), an integer; `parts` are sorted by name and have no zero
    coefficient."""

    parts: tuple[tuple[str, int], ...]
    constant: int

    def plus(self, other: Linear, factor: int = 1) -> Linear:
        """self + factor * other."""
        merged = dict(self.parts)
        for name, coefficient in other.parts:
            merged[name] = merged.get(name, 0) + factor * coefficient
        return Linear(
            tuple(sorted((n, c) for n, c in merged.items() if c)), self.constant + factor * other.constant
        )

    def times(self, factor: int) -> Linear:
        """factor * self."""
        return Linear(tuple((n, factor * c) for n, c in self.parts if factor), factor * self.constant)


def _number(value: int) -> Linear:
    return Linear((), value)


class Normalizer:
    """Rewrites the premises and the goal of one question. `ranges` are of 64-bit symbols."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._ranges = dict(ranges)
        self._divisions: dict[tuple[Linear, int], tuple[str, str]] = {}
        self._linear: dict[int, tuple[z3.ExprRef, Linear | None]] = {}
        self._formulas: dict[int, tuple[z3.ExprRef, z3.BoolRef]] = {}
        self._definitions: list[z3.BoolRef] = []
        self._limits: dict[str, z3.BoolRef] = {}
        self._plain: dict[int, z3.ExprRef] = {}

    def fork(self) -> Normalizer:
        """A normalizer that knows the same and can learn more on its own."""
        other = Normalizer(self._ranges)
        other._divisions, other._definitions = dict(self._divisions), list(self._definitions)
        other._linear, other._formulas = dict(self._linear), dict(self._formulas)
        other._limits, other._plain = dict(self._limits), self._plain
        return other

    def value_in(self, model: z3.ModelRef, term: z3.ExprRef) -> z3.ExprRef:
        """The value of `term`, which is not in normal form, in a model of formulas that are."""
        pairs = []
        for constant in _constants(term):
            name = constant.decl().name()
            inner = self._widened(name) if _is_word(constant) and name in self._ranges else constant
            pairs.append((constant, model.eval(inner, model_completion=True)))
        return z3.simplify(z3.substitute(term, *pairs) if pairs else term)

    def _widened(self, name: str) -> z3.BitVecRef:
        narrow = self._narrow(name)
        return z3.ZeroExt(64 - narrow.size(), narrow) if narrow.size() < 64 else narrow

    def limits(self, terms: Sequence[z3.BoolRef]) -> list[z3.BoolRef]:
        """What must be added to formulas in normal form: ranges of symbols, definitions of quotients."""
        found = [*terms, *self._definitions]
        names = sorted(frozenset().union(*(symbols_of(f) for f in found)))
        for name in names:
            if "|" in name and name not in self._limits:
                self._limits[name] = self._limit(name.rpartition("|")[0])
        limits = [self._limits[name] for name in names if "|" in name]
        return [f for f in (*self._definitions, *limits) if not z3.is_true(f)]

    # -- ranges -----------------------------------------------------------------------------------

    def tighten(self, terms: Sequence[z3.BoolRef]) -> None:
        """Narrow the ranges by `terms`, of which those that compare a symbol with a constant matter."""
        for term in terms:
            for name, (low, high) in self._told(term):
                least, most = self._ranges.get(name, (0, (1 << 64) - 1))
                if max(least, low) <= min(most, high):
                    self._ranges[name] = max(least, low), min(most, high)
        self._forget()

    def learn(self, terms: Sequence[z3.BoolRef]) -> None:
        """Take ranges of symbols that had none from `terms`: x < t and x <= t with a bounded t. Terms that
        have been brought to normal form before are known already."""
        for term in [t for t in terms if t.get_id() not in self._formulas]:
            for name, limits in self._told(term):
                if name not in self._ranges:
                    self._ranges[name] = limits
                    self._forget()

    def _forget(self) -> None:
        self._linear.clear()
        self._formulas.clear()
        self._limits.clear()

    def _told(self, term: z3.BoolRef) -> Iterator[tuple[str, Range]]:
        """The range of a 64-bit symbol that `term` alone implies."""
        strict = z3.is_not(term) and z3.is_app_of(term.arg(0), z3.Z3_OP_ULEQ)
        if strict:
            high, low = term.arg(0).children()
        elif z3.is_app_of(term, z3.Z3_OP_ULEQ) or (z3.is_eq(term) and z3.is_bv(term.arg(0))):
            low, high = term.children()
        else:
            return
        if z3.is_eq(term):
            sides = [(a, b) for a, b in ((low, high), (high, low)) if _is_word(a) and z3.is_bv_value(b)]
            yield from ((a.decl().name(), (b.as_long(), b.as_long())) for a, b in sides)
            return
        most = self.exact(high) if _is_word(low) else None
        if most is not None:
            yield low.decl().name(), (0, max(0, self.range_of(most)[1] - strict))
        least = self.exact(low) if _is_word(high) and high.decl().name() in self._ranges else None
        if least is not None:
            yield high.decl().name(), (self.range_of(least)[0] + strict, (1 << 64) - 1)

    def range_of(self, form: Linear) -> Range:
        """Least and greatest value of a form."""
        low = high = form.constant
        for name, coefficient in form.parts:
            least, most = self._ranges[name]
            low += coefficient * (least if coefficient > 0 else most)
            high += coefficient * (most if coefficient > 0 else least)
        return low, high

    def _limit(self, name: str) -> z3.BoolRef:
        low, high = self._ranges[name]
        narrow = self._narrow(name)
        width = narrow.size()
        below = z3.BoolVal(True) if high == (1 << width) - 1 else z3.ULE(narrow, z3.BitVecVal(high, width))
        above = z3.BoolVal(True) if low == 0 else z3.UGE(narrow, z3.BitVecVal(low, width))
        return z3.simplify(z3.And(below, above))

    def _narrow(self, name: str) -> z3.BitVecRef:
        width = max(1, self._ranges[name][1].bit_length())
        return variable(f"{name}|{width}", width)

    # -- bit-vector terms ---------------------------------------------------------------------------

    def exact(self, term: z3.BitVecRef) -> Linear | None:
        """The unsigned value of `term` as a form, if ranges show that it does not wrap around."""
        form = self.modular(term)
        if form is None:
            return None
        low, high = self.range_of(form)
        whole = 1 << term.size()
        turns = low // whole
        return form.plus(_number(-turns * whole)) if high // whole == turns else None

    def modular(self, term: z3.BitVecRef) -> Linear | None:
        """A form congruent to `term` modulo 2^width."""
        known = self._linear.get(term.get_id())
        if known is None:
            known = self._linear[term.get_id()] = term, self._modular(term)
        return known[1]

    def _modular(self, term: z3.BitVecRef) -> Linear | None:
        kind = term.decl().kind()
        if z3.is_bv_value(term):
            return _number(_centred(term.as_long(), term.size()))
        if _is_free(term):
            return self._symbol(term.decl().name()) if term.decl().name() in self._ranges else None
        if kind == z3.Z3_OP_BADD:
            return self._sum(term.children())
        if kind == z3.Z3_OP_BSUB:
            first, *rest = term.children()
            return self._sum([first, *(-part for part in rest)])
        if kind == z3.Z3_OP_BNEG:
            inner = self.modular(term.arg(0))
            return inner and inner.times(-1)
        if kind == z3.Z3_OP_BMUL and term.num_args() == 2 and z3.is_bv_value(term.arg(0)):
            inner = self.modular(term.arg(1))
            return inner and inner.times(_centred(term.arg(0).as_long(), term.size()))
        if kind in (z3.Z3_OP_CONCAT, z3.Z3_OP_ZERO_EXT):
            return self._concatenation(term)
        if kind == z3.Z3_OP_EXTRACT:
            return self._extraction(term)
        return None

    def _sum(self, parts: Sequence[z3.BitVecRef]) -> Linear | None:
        total = _number(0)
        for part in parts:
            form = self.modular(part)
            if form is None:
                return None
            total = total.plus(form)
        return total

    def _concatenation(self, term: z3.BitVecRef) -> Linear | None:
        """The parts at their places; every part but the highest must be exact."""
        total, shift = _number(0), 0
        if term.decl().kind() == z3.Z3_OP_ZERO_EXT:
            return self.exact(term.arg(0))
        for part in reversed(term.children()):
            form = self.exact(part)
            if form is None:
                return None
            total = total.plus(form, 1 << shift)
            shift += part.size()
        return total

    def _extraction(self, term: z3.BitVecRef) -> Linear | None:
        """Low bits of a value that has no others, or quotient and remainder by a power of two."""
        high, low = term.params()
        inner = self.modular(term.arg(0))
        if low == 0 and inner is not None and self._fits(inner, high + 1):
            return inner
        value = self.exact(term.arg(0))
        if value is None:
            return inner if low == 0 else None
        if low:
            value = self._divided(value, low)[0]
        if self.range_of(value)[1] >> (high - low + 1):
            value = self._divided(value, high - low + 1)[1]
        return value

    def _fits(self, form: Linear, bits: int) -> bool:
        low, high = self.range_of(form)
        return low >= 0 and high >> bits == 0

    def _divided(self, value: Linear, bits: int) -> tuple[Linear, Linear]:
        """Quotient and remainder of a non-negative form by 2^bits, as new symbols with their definition."""
        if all(c % (1 << bits) == 0 for _, c in value.parts):
            quotient = Linear(tuple((n, c >> bits) for n, c in value.parts), value.constant >> bits)
            return quotient, _number(value.constant % (1 << bits))
        names = self._divisions.get((value, bits))
        if names is None:
            number = len(self._divisions)
            names = self._divisions[value, bits] = f"quotient{number}", f"remainder{number}"
            self._ranges[names[0]] = (self.range_of(value)[0] >> bits, self.range_of(value)[1] >> bits)
            self._ranges[names[1]] = (0, (1 << bits) - 1)
            parts = self._symbol(names[0]).times(1 << bits).plus(self._symbol(names[1]))
            self._definitions.append(self._is_zero(value.plus(parts, -1)))
        return self._symbol(names[0]), self._symbol(names[1])

    def _symbol(self, name: str) -> Linear:
        """A symbol as a form; a number if it can only have one value."""
        low, high = self._ranges[name]
        return _number(low) if low == high else Linear(((name, 1),), 0)

    # -- formulas -------------------------------------------------------------------------------------

    def formula(self, term: z3.BoolRef) -> z3.BoolRef:
        """`term` in normal form."""
        known = self._formulas.get(term.get_id())
        if known is None:
            known = self._formulas[term.get_id()] = term, self._formula(term)
        return known[1]

    def _formula(self, term: z3.BoolRef) -> z3.BoolRef:
        choice = self._choice(term)
        if choice is not None:
            condition, then, otherwise = choice.children()
            found = z3.If(condition, *(z3.substitute(term, (choice, part)) for part in (then, otherwise)))
            return self.formula(z3.simplify(found))
        kind = term.decl().kind()
        if kind == z3.Z3_OP_ULEQ:
            found = self._at_most(*term.children())
        elif kind == z3.Z3_OP_ULT:
            found = self._at_most(term.arg(1), term.arg(0))
            found = None if found is None else z3.Not(found)
        elif kind == z3.Z3_OP_EQ and z3.is_bv(term.arg(0)):
            found = self._equal(*term.children())
        else:
            found = self._connective(term)
        return z3.simplify(self._narrowed(term) if found is None else found)

    def _choice(self, atom: z3.BoolRef) -> z3.BitVecRef | None:
        """A bit-vector if-then-else among the summands of a comparison, to be lifted out of it."""
        if atom.decl().kind() not in _COMPARISONS:
            return None
        waiting = atom.children()
        if not isinstance(waiting[0], z3.BitVecRef):
            return None
        while waiting:
            node = waiting.pop()
            if node.get_id() in self._plain:
                continue
            kind = node.decl().kind()
            if kind == z3.Z3_OP_ITE:
                return node
            if kind in _TRANSPARENT:
                waiting.extend(node.children())
            else:
                self._plain[node.get_id()] = node
        return None

    def _connective(self, term: z3.BoolRef) -> z3.BoolRef | None:
        parts = term.children()
        if not parts or not all(isinstance(part, z3.BoolRef) for part in parts):
            return None
        kind = term.decl().kind()
        if kind == z3.Z3_OP_AND:
            return z3.And([self.formula(part) for part in _rejoined(parts)])
        make = _CONNECTIVES.get(kind)
        return make(*map(self.formula, parts)) if make else None

    def _at_most(self, left: z3.BitVecRef, right: z3.BitVecRef) -> z3.BoolRef | None:
        low, high = self.exact(left), self.exact(right)
        if low is not None and high is not None:
            return self._not_negative(high.plus(low, -1))
        whole = 1 << left.size()
        if high is not None:
            low = self.modular(left)
            if low is None:
                return None
            least, most = self.range_of(low)
            # Below zero the value is `whole` more, which is above everything that `right` can be.
            if -whole <= least < 0 <= most < whole and least + whole > self.range_of(high)[1]:
                return z3.And(self._not_negative(low), self._not_negative(high.plus(low, -1)))
        elif low is not None:
            high = self.modular(right)
            if high is None:
                return None
            least, most = self.range_of(high)
            if -whole <= least < 0 <= most < whole and least + whole >= self.range_of(low)[1]:
                return z3.Or(z3.Not(self._not_negative(high)), self._not_negative(high.plus(low, -1)))
        return None

    def _equal(self, left: z3.BitVecRef, right: z3.BitVecRef) -> z3.BoolRef | None:
        one, other = self.modular(left), self.modular(right)
        if one is None or other is None:
            return None
        difference = one.plus(other, -1)
        low, high = self.range_of(difference)
        whole = 1 << left.size()
        multiples = range(-(-low // whole), high // whole + 1)
        if len(multiples) > 4:
            return None
        return z3.Or(
            [self._is_zero(difference.plus(_number(-m * whole))) for m in multiples] or [z3.BoolVal(False)]
        )

    def _not_negative(self, form: Linear) -> z3.BoolRef:
        """form >= 0."""
        low, high = self.range_of(form)
        if low >= 0:
            return z3.BoolVal(True)
        if high < 0:
            return z3.BoolVal(False)
        content = gcd(*(c for _, c in form.parts))
        form = Linear(tuple((n, c // content) for n, c in form.parts), form.constant // content)
        return z3.ULE(*self._sides(form))

    def _is_zero(self, form: Linear) -> z3.BoolRef:
        """form == 0."""
        low, high = self.range_of(form)
        if low > 0 or high < 0:
            return z3.BoolVal(False)
        if not form.parts:
            return z3.BoolVal(form.constant == 0)
        content = gcd(*(c for _, c in form.parts))
        if form.constant % content:
            return z3.BoolVal(False)
        form = Linear(tuple((n, c // content) for n, c in form.parts), form.constant // content)
        left, right = self._sides(form)
        return left == right

    def _sides(self, form: Linear) -> tuple[z3.BitVecRef, z3.BitVecRef]:
        """The negative and the positive part of a form, in as many bits as both need."""
        negative = Linear(tuple((n, -c) for n, c in form.parts if c < 0), max(0, -form.constant))
        positive = Linear(tuple((n, c) for n, c in form.parts if c > 0), max(0, form.constant))
        width = max(1, self.range_of(negative)[1], self.range_of(positive)[1]).bit_length()
        return self._emitted(negative, width), self._emitted(positive, width)

    def _emitted(self, form: Linear, width: int) -> z3.BitVecRef:
        parts = [self._scaled(self._narrow(name), coefficient, width) for name, coefficient in form.parts]
        if form.constant or not parts:
            parts.append(z3.BitVecVal(form.constant, width))
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    @staticmethod
    def _scaled(narrow: z3.BitVecRef, factor: int, width: int) -> z3.BitVecRef:
        wide = z3.ZeroExt(width - narrow.size(), narrow) if narrow.size() < width else narrow
        shift = (factor & -factor).bit_length() - 1
        shifted = z3.Concat(z3.Extract(width - shift - 1, 0, wide), z3.BitVecVal(0, shift)) if shift else wide
        return shifted if factor >> shift == 1 else shifted * (factor >> shift)

    def _narrowed(self, term: z3.ExprRef) -> z3.ExprRef:
        """`term` as it is, over the narrow symbols."""
        names = sorted(symbols_of(term) & self._ranges.keys())
        pairs = [(variable(name), self._widened(name)) for name in names]
        return z3.substitute(term, *pairs) if pairs else term


_CONNECTIVES = {
    z3.Z3_OP_AND: z3.And,
    z3.Z3_OP_OR: z3.Or,
    z3.Z3_OP_NOT: z3.Not,
    z3.Z3_OP_IMPLIES: z3.Implies,
    z3.Z3_OP_EQ: lambda a, b: a == b,
    z3.Z3_OP_ITE: z3.If,
    z3.Z3_OP_XOR: z3.Xor,
}


def _rejoined(parts: Sequence[z3.BoolRef]) -> list[z3.BoolRef]:
    """The conjuncts, with what z3's simplifier takes apart put together again: of x <= c, with a c of few
    bits, it makes "the high bits of x are zero, and the low ones are at most c"."""
    found = list(parts)
    for high in parts:
        if not (
            z3.is_eq(high) and z3.is_bv(high.arg(0)) and _is_extract(high.arg(0)) and _is_zero(high.arg(1))
        ):
            continue
        top, bottom = high.arg(0).params()
        whole = high.arg(0).arg(0)
        for low in parts:
            if (
                top == whole.size() - 1
                and z3.is_app_of(low, z3.Z3_OP_ULEQ)
                and z3.is_bv_value(low.arg(1))
                and _is_low_part(low.arg(0), whole, bottom)
            ):
                bound = z3.BitVecVal(low.arg(1).as_long(), whole.size())
                found = [p for p in found if p is not high and p is not low] + [z3.ULE(whole, bound)]
    return found


def _is_extract(term: z3.ExprRef) -> bool:
    return bool(z3.is_app_of(term, z3.Z3_OP_EXTRACT))


def _is_zero(term: z3.ExprRef) -> bool:
    return bool(z3.is_bv_value(term)) and bool(term.as_long() == 0)


def _is_low_part(term: z3.BitVecRef, whole: z3.BitVecRef, bits: int) -> bool:
    """Whether `term` is, as z3 simplifies it, the lower `bits` bits of `whole`."""
    return term.size() == bits and bool(z3.simplify(z3.Extract(bits - 1, 0, whole)).eq(term))


_COMPARISONS = {z3.Z3_OP_EQ, z3.Z3_OP_ULEQ, z3.Z3_OP_ULT}

_TRANSPARENT = {
    z3.Z3_OP_BADD,
    z3.Z3_OP_BMUL,
    z3.Z3_OP_BNEG,
    z3.Z3_OP_CONCAT,
    z3.Z3_OP_ZERO_EXT,
    z3.Z3_OP_EXTRACT,
}


def _is_word(term: z3.ExprRef) -> bool:
    return _is_free(term) and z3.is_bv(term) and term.size() == 64


def _is_free(term: z3.ExprRef) -> bool:
    return bool(z3.is_const(term)) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED


def _centred(value: int, width: int) -> int:
    """The representative of `value` modulo 2^width that is nearest to 0."""
    return value - (1 << width) if value >> (width - 1) else value


def _constants(term: z3.ExprRef) -> list[z3.ExprRef]:
    """The free symbols of `term`, each once, as terms."""
    found: dict[int, z3.ExprRef] = {}
    seen: set[int] = set()
    waiting = [term]
    while waiting:
        node = waiting.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if _is_free(node):
            found[node.get_id()] = node
        waiting.extend(node.children())
    return list(found.values())
