"""A script with its sums in normal form: what the certificates of SAT level begin with.

Modulo 2^64 sums, differences and products with constants are polynomials of degree one; so are their low
bits, modulo less. Each is written in one way, and an asserted equality between two of them is solved for one
of its symbols, which stands for the rest from then on. To a solver of clauses that (a + 8) - b is (a - b) + 8
is some thousand steps of carries.

This is two identities and no search: what a term is replaced by has the same polynomial, and a symbol is
replaced by what an assertion says that it equals. Comparisons, bits and truth values stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import reduce

from mcverify.check.script import LINEAR, Term, Terms, below, conjuncts, read, value_of, written

ANY = 1 << 10
"""Terms of an equality that is solved however many they are."""

_ENTRY = "@0"

Polynomial = dict[Term | None, int]
"""The factor of each term that is no sum; that of None is the constant."""


def normal(text: str, longest: int = 3) -> str:
    """The script with its sums in normal form: satisfiable if the given one is.

    An equality of more terms than `longest` is left as it is: to have its symbol stand for so many others
    often makes comparisons with it harder. Raises NotRead.
    """
    script = read(text)
    terms = script.terms
    asserted = [part for term in script.asserted for part in conjuncts(term)]
    form = NormalForm(terms, longest)
    form.measure_from_entries(asserted)
    for term in asserted:
        form.solve(term)
    found = dict.fromkeys(form.of(term) for term in asserted)
    return written([term for term in found if term.operator != "true"])


class NormalForm:
    """Normal forms of terms: sums are polynomials. An equality of more terms than `longest` is not solved."""

    def __init__(self, terms: Terms, longest: int = 0) -> None:
        self._terms = terms
        self._longest = longest
        self._stands_for: dict[Term, Polynomial] = {}
        self._done: dict[Term, Term] = {}
        self._sums: dict[Term, Polynomial] = {}

    def measure_from_entries(self, asserted: Sequence[Term]) -> None:
        """Have r stand for r@0 + d, d a new symbol, where the script speaks of r - r@0."""
        for term in below(asserted):
            if term.operator != "bvsub":
                continue
            now, entry = term.operands
            if entry.operator == f"{now.operator}{_ENTRY}":
                distance = self._terms.make(f"|#{now.operator}-{entry.operator}|", (), term.width)
                self._stands_for[now] = {entry: 1, distance: 1}

    def solve(self, term: Term) -> None:
        """Have one of the symbols of an asserted equality stand for the rest of it: rather a register than
        what it was at the entry, or its distance from that."""
        if term.operator != "=" or not term.operands[0].width:
            return
        width = term.operands[0].width
        rest = self._difference(*term.operands)
        candidates = [
            t for t, factor in rest.items()
            if t is not None and not t.operands and factor in (1, (1 << width) - 1)
        ]  # fmt: skip
        if not candidates or len(rest) - (None in rest) > self._longest:
            return
        symbol = min(candidates, key=lambda t: (t.operator.rstrip("|").endswith(_ENTRY), -t.number))
        if any(t is not None and t.operands and symbol in below([t]) for t in rest):
            return
        sign = -1 if rest.pop(symbol) == 1 else 1
        meant = _scaled(rest, sign, width)
        for name, polynomial in self._stands_for.items():
            if symbol in polynomial:
                self._stands_for[name] = _sum(
                    {t: f for t, f in polynomial.items() if t is not symbol},
                    _scaled(meant, polynomial[symbol], width), width,
                )  # fmt: skip
        self._stands_for[symbol] = meant
        self._done.clear()
        self._sums.clear()

    def of(self, root: Term) -> Term:
        """The normal form of a term."""
        for term in below([root]):
            if term not in self._done:
                self._done[term] = self._one(term)
        return self._done[root]

    def _one(self, term: Term) -> Term:
        if term in self._stands_for or (term.operands and term.width):
            return self._rendered(self._polynomial(term), term.width)
        if not term.operands:
            return term
        if term.operator == "=" and len(term.operands) == 2 and term.operands[0].width:
            return self._equality(*term.operands)
        operands = [self._done[o] for o in term.operands]
        if term.operator == "and":
            operands = [o for o in operands if o.operator != "true"]
            if len(operands) < 2:
                return operands[0] if operands else self._terms.make("true")
        if term.operator == "not" and operands[0].operator == "true":
            return self._terms.make("false")
        return self._terms.make(term.operator, operands, term.width)

    def _polynomial(self, term: Term) -> Polynomial:
        if term not in self._sums:
            self._sums[term] = self._as_sum(term)
        return self._sums[term]

    def _as_sum(self, term: Term) -> Polynomial:
        width = term.width
        if term in self._stands_for:
            return self._stands_for[term]
        if (value := value_of(term)) is not None:
            return {None: value} if value else {}
        parts = [self._polynomial(o) for o in term.operands] if term.operator in LINEAR else []
        match term.operator:
            case "bvadd":
                return _sum(parts[0], parts[1], width)
            case "bvsub":
                return _sum(parts[0], _scaled(parts[1], -1, width), width)
            case "bvneg":
                return _scaled(parts[0], -1, width)
            case "bvmul":
                for one, other in (parts, parts[::-1]):
                    if set(one) <= {None}:
                        return _scaled(other, one.get(None, 0), width)
            case "concat" if (shifted := self._shifted(term)) is not None:
                return shifted
            case operator if operator == low_bits(width):
                return self._reduced(self._polynomial(term.operands[0]), width)
        if not term.operands:
            return {term: 1}
        whole = self._terms.make(term.operator, [self.of(o) for o in term.operands], term.width)
        return {whole: 1}

    def _shifted(self, term: Term) -> Polynomial | None:
        """Of low bits of a sum with zeros behind: the sum times a power of two."""
        *high, zeros = term.operands
        if len(high) != 1 or value_of(zeros) != 0:
            return None
        whole: Polynomial = {}
        for low, factor in self._polynomial(high[0]).items():
            more: Polynomial = {None: 1}
            if low is not None:
                if low.operator != low_bits(high[0].width) or low.operands[0].width < term.width:
                    return None
                more = self._polynomial(self._low_of(low.operands[0], term.width))
            whole = _sum(whole, _scaled(more, factor << zeros.width, term.width), term.width)
        return whole

    def _reduced(self, polynomial: Polynomial, width: int) -> Polynomial:
        """The low bits of a sum: a sum of low bits."""
        lows = ({None if t is None else self._low_of(t, width): f} for t, f in polynomial.items())
        return reduce(lambda one, other: _sum(one, other, width), lows, {})

    def _low_of(self, term: Term, width: int) -> Term:
        """The low bits of a term that is no sum."""
        if term.width == width:
            return term
        if term.operator == low_bits(term.width):
            return self._low_of(term.operands[0], width)
        return self._terms.apply(low_bits(width), [term])

    def widened(self, term: Term) -> Term | None:
        """Of a sum of low bits with zeros before it: what it is if it does not wrap, the sum of the whole
        terms. None of any other term."""
        if term.operator != "concat" or len(term.operands) != 2 or value_of(term.operands[0]) != 0:
            return None
        low = term.operands[1]
        whole: Polynomial = {}
        for part, factor in self._polynomial(low).items():
            signed = factor - (1 << low.width if factor >> (low.width - 1) else 0)
            if part is None:
                whole = _sum(whole, {None: signed}, term.width)
            elif part.operator == low_bits(low.width) and part.operands[0].width == term.width:
                whole = _sum(whole, {part.operands[0]: signed}, term.width)
            else:
                return None
        return self._rendered(whole, term.width) if len(whole) > 1 else None

    def _difference(self, left: Term, right: Term) -> Polynomial:
        self.of(left), self.of(right)
        return _sum(self._polynomial(left), _scaled(self._polynomial(right), -1, left.width), left.width)

    def _equality(self, left: Term, right: Term) -> Term:
        """An equality of a sum with a constant, or of two sums where that is 0."""
        width = left.width
        rest = self._difference(left, right)
        constant = rest.pop(None, 0)
        if not rest:
            return self._terms.make("false" if constant else "true")
        first = min((t for t in rest if t is not None), key=lambda t: t.number)
        if rest[first] >= 1 << (width - 1):
            rest, constant = _scaled(rest, -1, width), -constant
        if constant:
            sides = self._rendered(rest, width), self._terms.constant(-constant, width)
        else:
            added = {t: f for t, f in rest.items() if f < 1 << (width - 1)}
            taken = {t: f for t, f in rest.items() if t not in added}
            sides = self._rendered(added, width), self._rendered(_scaled(taken, -1, width), width)
        return self._terms.make("=", sides)

    def _rendered(self, polynomial: Polynomial, width: int) -> Term:
        """The one way to write a polynomial: what is added, less what is subtracted, the constant last."""
        half = 1 << (width - 1)
        factors = sorted(((t, f) for t, f in polynomial.items() if t is not None), key=lambda p: p[0].number)
        added = [self._product(t, f, width) for t, f in factors if f < half]
        taken = [self._product(t, (1 << width) - f, width) for t, f in factors if f >= half]
        apply, constant = self._terms.apply, polynomial.get(None, 0)
        total = self._total(added)
        if taken:
            less = self._total(taken)
            assert less is not None
            total = apply("bvneg", [less]) if total is None else apply("bvsub", [total, less])
        if total is None:
            return self._terms.constant(constant, width)
        return apply("bvadd", [total, self._terms.constant(constant, width)]) if constant else total

    def _total(self, parts: Sequence[Term]) -> Term | None:
        total = None
        for part in parts:
            total = part if total is None else self._terms.apply("bvadd", [total, part])
        return total

    def _product(self, term: Term, factor: int, width: int) -> Term:
        """A product; one with a power of two is bits and zeros."""
        shift = factor.bit_length() - 1
        if not shift:
            return term
        if factor == 1 << shift:
            low = self._low_of(term, width - shift)
            return self._terms.apply("concat", [low, self._terms.constant(0, shift)])
        return self._terms.apply("bvmul", [self._terms.constant(factor, width), term])


def low_bits(width: int) -> str:
    """The operator that takes so many low bits."""
    return f"(_ extract {width - 1} 0)"


def _sum(one: Polynomial, other: Polynomial, width: int) -> Polynomial:
    total: Counter[Term | None] = Counter(one)
    for term, factor in other.items():
        total[term] += factor
    return {t: f % (1 << width) for t, f in total.items() if f % (1 << width)}


def _scaled(polynomial: Polynomial, by: int, width: int) -> Polynomial:
    scaled = {t: f * by % (1 << width) for t, f in polynomial.items()}
    return {t: f for t, f in scaled.items() if f}


def is_contradiction(text: str) -> bool:
    """Whether a script in normal form asserts `false`."""
    return "(assert false)" in text.splitlines()
