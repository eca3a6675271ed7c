"""Bit-vector questions brought to a normal form in which little is left to decide.

Where ranges show that nothing wraps around, a bit-vector term is an integer linear form over bounded
symbols. In comparisons of such forms common parts cancel (addresses lose their base, positions their
counter), many become plainly true or false, and the others need only as many bits as their values have.
Shifts and masks become a quotient and a remainder; of an address, which may be anything, only a remainder,
over a short symbol for its low bits. What is not linear stays as it is.

Each rewriting is an equivalence under the ranges, so the normal form may replace the question; the test
`tests/logic/test_normal.py` holds it against z3's own evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, gcd

import z3

from mcverify.machine.terms import free_symbols, is_free_symbol, symbols_of, variable

Range = tuple[int, int]
"""Least and greatest value, both included."""

_WIDE = 1 << 48
"""A symbol that reaches this far is an address: sums with it wrap around."""

_LOW_BITS = 12
"""How many low bits of an address have a symbol of their own: no mask of an alignment needs more."""


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


@dataclass(frozen=True, slots=True)
class _Solved:
    """An equality of sums, solved for one of its symbols: `value` is what that symbol equals. `symbols` are
    those of the premises which say so."""

    value: Linear
    symbols: frozenset[str]


class Normalizer:
    """Rewrites the premises and the goal of one question. `ranges` are of 64-bit symbols."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._ranges = dict(ranges)
        self._divisions: dict[tuple[Linear, int], tuple[Linear, Linear]] = {}
        self._remainders: dict[tuple[Linear, int], str] = {}
        self._dividends: dict[str, tuple[Linear, int]] = {}
        self._quotients: dict[str, tuple[Linear, int, Linear]] = {}
        self._linear: dict[int, tuple[z3.ExprRef, Linear | None]] = {}
        self._formulas: dict[int, tuple[z3.ExprRef, z3.BoolRef]] = {}
        self._definitions: list[z3.BoolRef] = []
        self._limits: dict[str, z3.BoolRef] = {}
        self._plain: dict[int, z3.ExprRef] = {}
        self._differences: dict[tuple[tuple[str, int], ...], Range] = {}
        self._solved: dict[str, _Solved] = {}
        self._heard: set[int] = set()

    def fork(self) -> Normalizer:
        """A normalizer that knows the same and can learn more on its own."""
        other = Normalizer(self._ranges)
        other._divisions, other._definitions = dict(self._divisions), list(self._definitions)
        other._linear, other._formulas = dict(self._linear), dict(self._formulas)
        other._limits, other._plain = dict(self._limits), self._plain
        other._differences, other._heard = dict(self._differences), set(self._heard)
        other._remainders, other._dividends = dict(self._remainders), dict(self._dividends)
        other._quotients, other._solved = dict(self._quotients), dict(self._solved)
        return other

    def value_in(self, model: z3.ModelRef, term: z3.ExprRef) -> z3.ExprRef:
        """The value of `term`, which is not in normal form, in a model of formulas that are."""
        pairs = []
        for constant in free_symbols(term):
            name = constant.decl().name()
            inner = self._widened(name) if _is_word(constant) and name in self._ranges else constant
            pairs.append((constant, model.eval(inner, model_completion=True)))
        return z3.simplify(z3.substitute(term, *pairs) if pairs else term)

    def complete(self, model: z3.ModelRef) -> None:
        """Give addresses of which `model` only has the low bits a value with these bits."""
        known = {declaration.name() for declaration in model.decls()}
        for name in {n for form, _ in self._remainders for n, _ in form.parts if self._is_wide(n)}:
            wide = self._narrow(name)
            if wide.decl().name() not in known:
                low = model.eval(self._low_bits(name), model_completion=True)
                model.update_value(wide.decl(), z3.simplify(z3.ZeroExt(wide.size() - low.size(), low)))

    def _widened(self, name: str) -> z3.BitVecRef:
        narrow = self._narrow(name)
        return z3.ZeroExt(64 - narrow.size(), narrow) if narrow.size() < 64 else narrow

    def limits(self, terms: Sequence[z3.BoolRef]) -> list[z3.BoolRef]:
        """What must be added to formulas in normal form: ranges of symbols, definitions of quotients."""
        found = [*terms, *self._definitions]
        names = sorted(frozenset().union(*(symbols_of(f) for f in found)))
        for name in names:
            if ":" in name and name not in self._limits:
                self._limits[name] = self._limit(name.rpartition(":")[0])
        limits = [self._limits[name] for name in names if ":" in name]
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
        """Take ranges from `terms`: of symbols that had none, and narrower ones as long as they need as many
        bits as before. Terms that have been brought to normal form before are known already."""
        for term in [t for t in terms if t.get_id() not in self._formulas]:
            for name, (low, high) in self._told(term):
                known = self._ranges.get(name)
                found = (low, high) if known is None else _narrowed_within(known, low, high)
                if found[0] <= found[1] and found != known:
                    self._ranges[name] = found
                    self._forget_symbol(name)

    def hear(self, terms: Sequence[z3.BoolRef]) -> list[z3.BoolRef]:
        """The premises `terms` in normal form, when all that they tell is known. The range of a symbol may
        show only when the order of others has been heard: what is left of one REP bounds the next."""
        self.learn(terms)
        found = [self.premise(term) for term in terms]
        while self._learn_new(terms):
            found = [self.premise(term) for term in terms]
        return found

    def _learn_new(self, terms: Sequence[z3.BoolRef]) -> bool:
        """Take ranges from `terms` for symbols that have none. Nothing was told by a term with such a symbol
        before, so all that is known of the order of sums stands by itself."""
        learned = False
        for term in terms:
            if symbols_of(term) <= self._ranges.keys():
                continue
            for name, (low, high) in self._told(term):
                if name not in self._ranges and low <= high < (1 << 64) - 1:
                    self._ranges[name] = low, high
                    self._forget_symbol(name)
                    learned = True
        return learned

    def _forget_symbol(self, name: str) -> None:
        """Forget what was found out of terms with a symbol whose range has become another. What has been put
        in normal form stays as it is right, unless it lacks the symbol's width."""
        self._linear = {
            i: pair
            for i, pair in self._linear.items()
            if pair[1] is not None or name not in symbols_of(pair[0])
        }
        self._formulas = {i: pair for i, pair in self._formulas.items() if name not in symbols_of(pair[0])}
        self._limits.pop(self._narrow(name).decl().name(), None)
        self._heard &= self._formulas.keys()
        # The premises that told of them are put in normal form again, which must not be by their own word.
        self._differences = {p: r for p, r in self._differences.items() if all(n != name for n, _ in p)}
        self._solved = {n: s for n, s in self._solved.items() if name not in s.symbols}

    def _forget(self) -> None:
        self._linear.clear()
        self._formulas.clear()
        self._limits.clear()
        self._differences.clear()
        self._solved.clear()
        self._heard.clear()

    def _told(self, term: z3.BoolRef) -> Iterator[tuple[str, Range]]:
        """The range of a 64-bit symbol that `term` alone implies."""
        compared = _compared(term)
        if compared is None:
            return
        low, high, strict = compared
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
        if self._differences and len(form.parts) > 1:
            parts, factor = _primitive(form.parts)
            known = self._differences.get(parts)
            if known is not None:
                ends = factor * known[0] + form.constant, factor * known[1] + form.constant
                low, high = max(low, min(ends)), min(high, max(ends))
        return low, high

    def premise(self, term: z3.BoolRef) -> z3.BoolRef:
        """`term` in normal form; what it says of the order of two sums is known of their difference from here
        on. So each premise is rewritten by what those before it say, and none by itself."""
        found = self.formula(term)
        if term.get_id() in self._heard:
            return found
        self._heard.add(term.get_id())
        for part in term.children() if z3.is_and(term) else [term]:
            self._solve_equation(part)
            compared = _compared(part)
            sides = [self.exact(side) for side in compared[:2]] if compared else [None]
            if compared is None or sides[0] is None or sides[1] is None:
                continue
            difference = sides[1].plus(sides[0], -1)
            if len(difference.parts) > 1:
                self._learn_difference(difference, int(compared[2]), equal=z3.is_eq(part))
        return found

    def _solve_equation(self, term: z3.BoolRef) -> None:
        """Solve `term` if it is an equation of sums, of which ranges show that no multiple of 2^width lies
        between the sides."""
        if not z3.is_eq(term) or not z3.is_bv(term.arg(0)):
            return
        one, other = (self.modular(side) for side in term.children())
        if one is None or other is None:
            return
        difference = one.plus(other, -1)
        low, high = self.range_of(difference)
        whole = 1 << term.arg(0).size()
        first, last = -(-low // whole), high // whole
        if first == last:
            self._solve(difference.plus(_number(-first * whole)), symbols_of(term))

    def _solve(self, form: Linear, symbols: frozenset[str]) -> None:
        """Solve ``form == 0`` for the one of its symbols that can be greatest, and put what that stands for
        into what is solved already: then a symbol that is solved stands in no value. `symbols` are those of
        the premise. Sums with addresses are left alone."""
        known = frozenset().union(*(self._solved[n].symbols for n, _ in form.parts if n in self._solved))
        form, symbols = self._substituted(form), symbols | known
        if len(form.parts) < 2:
            return
        units = [(self._ranges[n][1], n, c) for n, c in form.parts if abs(c) == 1]
        if not units or any(self._is_wide(n) for n, _ in form.parts):
            return
        _, name, coefficient = max(units)
        value = Linear(tuple(p for p in form.parts if p[0] != name), form.constant).times(-coefficient)
        self._solved[name] = _Solved(value, symbols)
        for other, solved in list(self._solved.items()):
            if other != name and any(n == name for n, _ in solved.value.parts):
                self._solved[other] = _Solved(self._substituted(solved.value), solved.symbols | symbols)

    def _substituted(self, form: Linear) -> Linear:
        """`form` with what the symbols that are solved stand for."""
        for name, coefficient in form.parts:
            solved = self._solved.get(name)
            if solved is not None:
                form = form.plus(Linear(((name, 1),), 0), -coefficient).plus(solved.value, coefficient)
        return form

    def _shorter(self, form: Linear) -> Linear:
        """`form` by what is solved, if that has fewer symbols."""
        other = self._substituted(form) if self._solved else form
        return other if len(other.parts) < len(form.parts) else form

    def _learn_difference(self, form: Linear, least: int, *, equal: bool) -> None:
        """Remember that `form` is at least `least`, or just that if `equal`."""
        parts, factor = _primitive(form.parts)
        bare = Linear(parts, 0)
        low, high = self.range_of(bare)
        bound = least - form.constant
        if factor > 0 or equal:
            low = max(low, -(-bound // factor))
        if factor < 0 or equal:
            high = min(high, bound // factor)
        if low <= high and self._differences.get(parts) != (low, high):
            self._differences[parts] = low, high
            self._learn_of_dividends(bare, low, high)
            # What was no sum for all that was known may be one now.
            self._linear = {i: pair for i, pair in self._linear.items() if pair[1] is not None}

    def _learn_of_dividends(self, form: Linear, low: int, high: int) -> None:
        """What `form`, which lies between `low` and `high`, tells where a quotient stands for a dividend."""
        for name, coefficient in form.parts:
            value, bits, _ = self._quotients.get(name, (None, 0, None))
            if value is None:
                continue
            # value = quotient << bits + remainder
            whole = (
                form.times(1 << bits).plus(self._symbol(name), -coefficient << bits).plus(value, coefficient)
            )
            rest = coefficient * ((1 << bits) - 1)
            low_end, high_end = (low << bits) + min(0, rest), (high << bits) + max(0, rest)
            if len(whole.parts) > 1:
                self._remember(whole, low_end, high_end)

    def _remember(self, form: Linear, low: int, high: int) -> None:
        """Remember that `form` lies between `low` and `high`, if that is news."""
        parts, factor = _primitive(form.parts)
        ends = sorted(Fraction(end - form.constant, factor) for end in (low, high))
        least, most = self.range_of(Linear(parts, 0))
        self._differences[parts] = max(least, ceil(ends[0])), min(most, floor(ends[1]))

    def _limit(self, name: str) -> z3.BoolRef:
        low, high = self._ranges[name]
        narrow = self._narrow(name)
        width = narrow.size()
        below = z3.BoolVal(True) if high == (1 << width) - 1 else z3.ULE(narrow, z3.BitVecVal(high, width))
        above = z3.BoolVal(True) if low == 0 else z3.UGE(narrow, z3.BitVecVal(low, width))
        return z3.simplify(z3.And(below, above))

    def _narrow(self, name: str) -> z3.BitVecRef:
        width = max(1, self._ranges[name][1].bit_length())
        return variable(f"{name}:{width}", width)

    # -- bit-vector terms ---------------------------------------------------------------------------

    def exact(self, term: z3.BitVecRef) -> Linear | None:
        """The unsigned value of `term` as a form, if ranges show that it does not wrap around."""
        form = self.modular(term)
        if form is None:
            return None
        low, high = self.range_of(form)
        whole = 1 << term.size()
        turns = low // whole
        if high // whole == turns:
            return form.plus(_number(-turns * whole))
        if term.size() <= _LOW_BITS:
            return self._remainder(form, term.size())
        return self._low_part(term)

    def _low_part(self, term: z3.BitVecRef) -> Linear | None:
        """The value of the low bits of a term, as a remainder with its quotient."""
        if not z3.is_app_of(term, z3.Z3_OP_EXTRACT) or term.params()[1]:
            return None
        value = self.exact(term.arg(0))
        return value and self._divided(value, term.size())[1]

    def modular(self, term: z3.BitVecRef) -> Linear | None:
        """A form congruent to `term` modulo 2^width."""
        known = self._linear.get(term.get_id())
        if known is None:
            found = self._modular(term)
            joined = found and self._rejoined(found)
            known = self._linear[term.get_id()] = term, joined
        return known[1]

    def _rejoined(self, form: Linear) -> Linear:
        """`form`, with the dividend where it holds a multiple of both a quotient and its remainder."""
        for name, coefficient in form.parts if len(form.parts) > 1 else ():
            value, bits, remainder = self._quotients.get(name, (None, 0, None))
            if value is None or remainder is None or len(remainder.parts) != 1 or remainder.constant:
                continue
            (rest, factor), times = remainder.parts[0], coefficient >> bits
            if factor == 1 and times << bits == coefficient and dict(form.parts).get(rest) == times:
                without = Linear(tuple((n, c) for n, c in form.parts if n not in (name, rest)), form.constant)
                return self._rejoined(without.plus(value, times))
        return form

    def _modular(self, term: z3.BitVecRef) -> Linear | None:
        kind = term.decl().kind()
        if z3.is_bv_value(term):
            return _number(_centred(term.as_long(), term.size()))
        if is_free_symbol(term):
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
        if kind == z3.Z3_OP_BASHR and z3.is_bv_value(term.arg(1)):
            return self._sign(*term.children())
        if kind == z3.Z3_OP_BOR:
            return self._union(term.children())
        return None

    def _sign(self, shifted: z3.BitVecRef, by: z3.BitVecRef) -> Linear | None:
        """The zero that is left when a value without a sign is shifted out: of an address of user memory."""
        value = self.exact(shifted)
        if value is None:
            return None
        most = self.range_of(value)[1]
        return None if most >> min(by.as_long(), shifted.size() - 1) else _number(0)

    def _union(self, parts: Sequence[z3.BitVecRef]) -> Linear | None:
        """The one of the parts that is not zero."""
        others = [part for part in parts if self.exact(part) != _number(0)]
        return self.modular(others[0]) if len(others) == 1 else None if others else _number(0)

    def _sum(self, parts: Sequence[z3.BitVecRef]) -> Linear | None:
        total = _number(0)
        for part in parts:
            form = self.modular(part)
            if form is None:
                return None
            total = total.plus(form)
        return total

    def _concatenation(self, term: z3.BitVecRef) -> Linear | None:
        """The parts at their places."""
        total, shift = _number(0), 0
        if term.decl().kind() == z3.Z3_OP_ZERO_EXT:
            return self.exact(term.arg(0))
        for part in reversed(term.children()):
            highest = shift + part.size() == term.size()
            above = self._all_above(part, shift) if highest else None
            if above is not None:
                return total.plus(above)
            form = self.modular(part) if highest else self.exact(part)
            if form is None:
                return None
            total = total.plus(form, 1 << shift)
            shift += part.size()
        return total

    def _all_above(self, part: z3.BitVecRef, low: int) -> Linear | None:
        """What a mask leaves of an address: all bits but the `low` ones, at their places."""
        if not low or not z3.is_app_of(part, z3.Z3_OP_EXTRACT):
            return None
        whole = part.arg(0)
        if part.params() != [whole.size() - 1, low] or low > _LOW_BITS:
            return None
        form = self.modular(whole)
        if form is None or self.range_of(form)[1] < _WIDE:
            return None
        return form.plus(self._remainder(form, low), -1)

    def _extraction(self, term: z3.BitVecRef) -> Linear | None:
        """Low bits of a value that has no others, or quotient and remainder by a power of two."""
        high, low = term.params()
        inner = self.modular(term.arg(0))
        if low == 0 and inner is not None and self._fits(inner, high + 1):
            return inner
        value = self.exact(term.arg(0))
        if value is None or (low == 0 and self.range_of(value)[1] >= _WIDE):
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
        known = self._divisions.get((value, bits))
        if known is None:
            name = f"quotient{len(self._divisions)}"
            self._ranges[name] = (self.range_of(value)[0] >> bits, self.range_of(value)[1] >> bits)
            known = self._divisions[value, bits] = self._symbol(name), self._remainder(value, bits)
            self._quotients[name] = value, bits, known[1]
            parts = known[0].times(1 << bits).plus(known[1])
            self._definitions.append(self._is_zero(value.plus(parts, -1)))
        return known

    # -- remainders -------------------------------------------------------------------------------

    def _remainder(self, form: Linear, bits: int) -> Linear:
        """`form` modulo 2^bits, as a form."""
        form = self._reduced(form, bits)
        low, high = self.range_of(form)
        if low >> bits == high >> bits:
            return form.plus(_number(-(low >> bits << bits)))
        name = self._remainders.get((form, bits))
        if name is None:
            name = self._remainders[form, bits] = f"remainder{len(self._remainders)}"
            self._ranges[name] = 0, (1 << bits) - 1
            self._dividends[name] = form, bits
            self._definitions.append(self._low_sum(form, bits) == self._narrow(name))
        return self._symbol(name)

    def _reduced(self, form: Linear, bits: int) -> Linear:
        """A form congruent to `form` modulo 2^bits: without multiples of 2^bits, and without remainders whose
        dividend serves as well."""
        whole = 1 << bits
        total, waiting = _number(form.constant), list(form.parts)
        while waiting:
            name, coefficient = waiting.pop()
            coefficient = (coefficient + whole // 2) % whole - whole // 2
            dividend, low = self._dividends.get(name, (None, 0))
            if dividend is not None and coefficient and coefficient % (1 << max(0, bits - low)) == 0:
                waiting += dividend.times(coefficient).parts
                total = total.plus(_number(coefficient * dividend.constant))
            else:
                total = total.plus(Linear(((name, coefficient),) if coefficient else (), 0))
        parts = [(n, (c + whole // 2) % whole - whole // 2) for n, c in total.parts]
        return Linear(tuple((n, c) for n, c in parts if c), total.constant % whole)

    def _low_sum(self, form: Linear, bits: int) -> z3.BitVecRef:
        """`form` in bit-vectors of `bits`."""
        total = z3.BitVecVal(form.constant, bits)
        for name, coefficient in form.parts:
            symbol = self._low_bits(name) if self._is_wide(name) and bits <= _LOW_BITS else self._narrow(name)
            grown = z3.ZeroExt(bits - symbol.size(), symbol) if symbol.size() < bits else symbol
            total = total + z3.BitVecVal(coefficient, bits) * z3.Extract(bits - 1, 0, grown)
        return total

    def _is_wide(self, name: str) -> bool:
        return self._ranges[name][1] >= _WIDE

    def _low_bits(self, name: str) -> z3.BitVecRef:
        low = f"{name}&low"
        if low not in self._ranges:
            self._ranges[low] = 0, (1 << _LOW_BITS) - 1
            self._definitions.append(z3.Extract(_LOW_BITS - 1, 0, self._narrow(name)) == self._narrow(low))
        return self._narrow(low)

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
        make = _CONNECTIVES.get(term.decl().kind())
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
        first, last = -(-low // whole), high // whole
        if last - first >= 4:
            is_low = left.size() <= _LOW_BITS
            return self._is_zero(self._remainder(difference, left.size())) if is_low else None
        multiples = range(first, last + 1)
        return z3.Or(
            [self._is_zero(difference.plus(_number(-m * whole))) for m in multiples] or [z3.BoolVal(False)]
        )

    def _not_negative(self, form: Linear) -> z3.BoolRef:
        """form >= 0."""
        for candidate in (form, self._shorter(form)):
            low, high = self.range_of(candidate)
            if low >= 0:
                return z3.BoolVal(True)
            if high < 0:
                return z3.BoolVal(False)
            form = candidate
        content = gcd(*(c for _, c in form.parts))
        form = Linear(tuple((n, c // content) for n, c in form.parts), form.constant // content)
        return z3.ULE(*self._sides(form))

    def _is_zero(self, form: Linear) -> z3.BoolRef:
        """form == 0."""
        for candidate in (form, self._shorter(form)):
            low, high = self.range_of(candidate)
            if low > 0 or high < 0:
                return z3.BoolVal(False)
            form = candidate
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
        width = max(1, self._greatest(negative), self._greatest(positive)).bit_length()
        return self._emitted(negative, width), self._emitted(positive, width)

    def _greatest(self, form: Linear) -> int:
        """The greatest value of a form with positive factors by the ranges of its symbols alone: each of them
        must fit, whatever is known of their sum."""
        return form.constant + sum(c * self._ranges[name][1] for name, c in form.parts)

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


def _compared(term: z3.BoolRef) -> tuple[z3.BitVecRef, z3.BitVecRef, bool] | None:
    """The smaller and the greater side of an unsigned comparison, and whether they differ; the sides of an
    equation."""
    if z3.is_not(term) and z3.is_app_of(term.arg(0), z3.Z3_OP_ULEQ):
        return term.arg(0).arg(1), term.arg(0).arg(0), True
    if z3.is_app_of(term, z3.Z3_OP_ULT):
        return term.arg(0), term.arg(1), True
    if z3.is_app_of(term, z3.Z3_OP_ULEQ) or (z3.is_eq(term) and z3.is_bv(term.arg(0))):
        return term.arg(0), term.arg(1), False
    return None


def _primitive(parts: tuple[tuple[str, int], ...]) -> tuple[tuple[tuple[str, int], ...], int]:
    """`parts` divided by their content, the first one positive, and what they were divided by."""
    factor = gcd(*(c for _, c in parts))
    if parts[0][1] < 0:
        factor = -factor
    return tuple((n, c // factor) for n, c in parts), factor


def _narrowed_within(known: Range, low: int, high: int) -> Range:
    """The part of `known` that lies between `low` and `high`, but with no fewer bits."""
    return max(low, known[0]), min(max(high, 1 << known[1].bit_length() >> 1), known[1])


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
    return is_free_symbol(term) and z3.is_bv(term) and term.size() == 64


def _centred(value: int, width: int) -> int:
    """The representative of `value` modulo 2^width that is nearest to 0."""
    return value - (1 << width) if value >> (width - 1) else value
