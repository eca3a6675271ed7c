"""Terms of SMT-LIB 2 (QF_BV) as a tree of our own: read strictly, with the sort of every part, and evaluated.

What a bundle calls a term must be exactly one, over the symbols that it may speak of at its place. So none
closes a parenthesis of the script that it is put into, nor redefines anything there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Lookup = Callable[[str], int | None]
"""The width in bits of a symbol (0: a truth value); None of one that may not occur."""

LONGEST = 1 << 20
"""Characters of a term, at most."""

DEEPEST = 1000
"""Parentheses that are open at once, at most: solvers call themselves for each."""

_WIDEST = 4096
"""Bits of a term, at most."""

_TOKEN = re.compile(
    r"(?P<space> +)|(?P<open>\()|(?P<close>\))|(?P<hex>#x[0-9a-f]+)|(?P<bits>#b[01]+)|(?P<number>[0-9]+)"
    r"|(?P<name>\|[A-Za-z][A-Za-z0-9_#@.\[\]-]*\||[A-Za-z][A-Za-z0-9_@.-]*|\?[0-9]+|=>|=|_)"
)
_BOUND = re.compile(r"\?[0-9]+")
_CONSTANT = re.compile(r"bv[0-9]+")


class Malformed(ValueError):
    """A term that is none, or that speaks of what it may not; the message is a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """A node: its operator with operands, `name` of a symbol, or `value` of a constant. `width` is in bits, 0
    for a truth value; `numbers` are those of an indexed operator."""

    operator: str
    operands: tuple[Term, ...] = ()
    width: int = 0
    numbers: tuple[int, ...] = ()
    value: int = 0

    @property
    def is_symbol(self) -> bool:
        """Whether it is a symbol; its name is the operator then."""
        return not self.operands and self.numbers == (-1,)


def symbol(name: str, width: int) -> Term:
    """A symbol."""
    return Term(name, (), width, (-1,))


def constant(value: int, width: int) -> Term:
    """A constant, modulo 2^width; of width 0 a truth value."""
    return Term("constant", (), width, (), value % (1 << width) if width else value)


# -- what an operator makes of its operands

_SAME = frozenset(
    "bvadd bvsub bvmul bvand bvor bvxor bvudiv bvurem bvsdiv bvsrem bvsmod bvshl bvlshr bvashr".split()
)
_COMPARISONS = frozenset("bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge".split())
_CONNECTIVES = frozenset(("and", "or", "xor", "=>"))
_INDEXED = {
    "extract": 2, "zero_extend": 1, "sign_extend": 1, "rotate_left": 1, "rotate_right": 1, "repeat": 1,
}  # fmt: skip


def applied(operator: str, numbers: tuple[int, ...], operands: Sequence[Term]) -> Term:
    """The application of an operator. Raises Malformed where the operands are not of its sorts."""
    width = _width(operator, numbers, [o.width for o in operands])
    if width is None or width > _WIDEST:
        raise Malformed(f"{operator} is applied to what it is not for")
    return Term(operator, tuple(operands), width, numbers)


def _width(operator: str, numbers: tuple[int, ...], widths: Sequence[int]) -> int | None:
    if operator in _INDEXED:
        fits = len(numbers) == _INDEXED[operator] and len(widths) == 1 and widths[0] > 0
        return _indexed_width(operator, numbers, widths[0]) if fits else None
    if numbers:
        return None
    if operator in ("=", "distinct"):
        return 0 if len(widths) == 2 and widths[0] == widths[1] else None
    if operator in _CONNECTIVES or operator == "not":
        fits = len(widths) == 1 if operator == "not" else len(widths) >= 2
        return 0 if fits and not any(widths) else None
    if operator == "ite":
        return widths[1] if len(widths) == 3 and not widths[0] and widths[1] == widths[2] else None
    return _vector_width(operator, widths)


def _vector_width(operator: str, widths: Sequence[int]) -> int | None:
    if not all(widths):
        return None
    if operator in ("bvnot", "bvneg"):
        return widths[0] if len(widths) == 1 else None
    if len(widths) != 2:
        return None
    if operator == "concat":
        return widths[0] + widths[1]
    if widths[0] != widths[1]:
        return None
    return {"bvcomp": 1}.get(
        operator, widths[0] if operator in _SAME else 0 if operator in _COMPARISONS else None
    )


def _indexed_width(operator: str, numbers: tuple[int, ...], width: int) -> int | None:
    if operator == "extract":
        high, low = numbers
        return high - low + 1 if low <= high < width else None
    (number,) = numbers
    if number > _WIDEST:
        return None
    if operator.endswith("_extend"):
        return width + number
    return width * number or None if operator == "repeat" else width


# -- reading


def read(text: str, lookup: Lookup) -> Term:
    """The one term that `text` is, over the symbols that `lookup` knows. Raises Malformed."""
    if len(text) > LONGEST:
        raise Malformed(f"a term has {len(text)} characters, more than {LONGEST}")
    return _Reader(text, lookup).term()


@dataclass
class _Open:
    """An application that is not closed yet; of a `let` the names that it has bound, `value` the one whose
    value is being read."""

    operator: str
    numbers: tuple[int, ...]
    operands: list[Term]
    bound: list[str]
    value: str = ""
    in_body: bool = False


class _Reader:
    def __init__(self, text: str, lookup: Lookup) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._lookup = lookup
        self._bound: dict[str, Term] = {}

    def term(self) -> Term:
        """The whole. Nothing here calls itself, however deep a term is."""
        waiting: list[_Open] = []
        while True:
            found = self._begin(waiting)
            if len(waiting) > DEEPEST:
                raise Malformed(f"a term is nested more than {DEEPEST} deep")
            while found is not None:
                if not waiting:
                    if self._at != len(self._tokens):
                        raise Malformed("there is more behind the term")
                    return found
                found = self._place(waiting, found)

    def _next(self, *, wanted: str = "") -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Malformed("a term ends too early")
        kind, text = self._tokens[self._at]
        self._at += 1
        if wanted and kind != wanted:
            raise Malformed(f"{text} stands where it does not belong")
        return kind, text

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _begin(self, waiting: list[_Open]) -> Term | None:
        """The leaf at the next token; None where an application or a `let` begins, which waits then."""
        kind, text = self._next()
        if kind == "name":
            return self._named(text)
        if kind in ("hex", "bits"):
            digits, base = text[2:], 16 if kind == "hex" else 2
            width = len(digits) * (4 if base == 16 else 1)
            if width > _WIDEST:
                raise Malformed(f"a constant has {width} bits")
            return constant(int(digits, base), width)
        if kind != "open":
            raise Malformed(f"{text} stands where it does not belong")
        return self._opened(waiting)

    def _named(self, name: str) -> Term:
        if name in ("true", "false"):
            return constant(int(name == "true"), 0)
        if name in self._bound:
            return self._bound[name]
        width = self._lookup(name)
        if width is None:
            raise Malformed(f"{name} may not occur there")
        return symbol(name, width)

    def _opened(self, waiting: list[_Open]) -> Term | None:
        kind, text = self._next()
        if kind == "name" and text == "_":
            return self._indexed_constant()
        if kind == "name" and text == "let":
            self._next(wanted="open")
            waiting.append(_Open("let", (), [], []))
            self._bind(waiting[-1])
            return None
        numbers: tuple[int, ...] = ()
        if kind == "open":
            _, underscore = self._next(wanted="name")
            _, text = self._next(wanted="name")
            if underscore != "_":
                raise Malformed(f"{underscore} stands where an operator belongs")
            numbers = self._numbers()
        elif kind != "name":
            raise Malformed(f"{text} stands where an operator belongs")
        waiting.append(_Open(text, numbers, [], []))
        return None

    def _numbers(self) -> tuple[int, ...]:
        found = []
        while self._peek() == "number":
            found.append(_small(self._next()[1]))
        self._next(wanted="close")
        return tuple(found)

    def _indexed_constant(self) -> Term:
        _, value = self._next(wanted="name")
        numbers = self._numbers()
        if _CONSTANT.fullmatch(value) is None or len(numbers) != 1 or not 0 < numbers[0] <= _WIDEST:
            raise Malformed(f"{value} is no constant")
        if len(value) > _WIDEST or int(value[2:]) >> numbers[0]:
            raise Malformed("a constant does not fit its width")
        return constant(int(value[2:]), numbers[0])

    def _bind(self, open_: _Open) -> None:
        """Begin the next binding of a `let`, or its body."""
        if self._peek() == "close":
            self._next()
            if not open_.bound:
                raise Malformed("a let binds nothing")
            open_.in_body = True
            return
        self._next(wanted="open")
        _, name = self._next(wanted="name")
        if _BOUND.fullmatch(name) is None or name in self._bound:
            raise Malformed(f"a let binds {name}")
        open_.value = name

    def _place(self, waiting: list[_Open], found: Term) -> Term | None:
        """Give a finished term to what waits for it; what is finished by that, if anything is."""
        open_ = waiting[-1]
        if open_.operator == "let":
            self._next(wanted="close")
            if open_.in_body:
                for name in open_.bound:
                    del self._bound[name]
                waiting.pop()
                return found
            open_.bound.append(open_.value)
            self._bound[open_.value] = found
            self._bind(open_)
            return None
        open_.operands.append(found)
        if self._peek() != "close":
            return None
        self._next()
        waiting.pop()
        return applied(open_.operator, open_.numbers, open_.operands)


def _small(text: str) -> int:
    if len(text) > 5:
        raise Malformed(f"{text[:8]}... is no index")
    return int(text)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Malformed(f"{text[at : at + 12]!r} is no part of a term")
        at = match.end()
        if match.lastgroup != "space":
            yield match.lastgroup or "", match[0]


def parts(root: Term) -> list[Term]:
    """The nodes of a term, operands first, each once."""
    found: dict[int, Term] = {}
    waiting = [(root, False)]
    while waiting:
        node, ready = waiting.pop()
        if id(node) in found:
            continue
        if ready or not node.operands:
            found[id(node)] = node
        else:
            waiting.append((node, True))
            waiting += [(o, False) for o in node.operands]
    return list(found.values())


def symbols(root: Term) -> frozenset[str]:
    """The names of the symbols of a term."""
    return frozenset(node.operator for node in parts(root) if node.is_symbol)


# -- evaluating


class Program:
    """A term, ready to be evaluated many times. `names` are its symbols; `seen` has, for each of its parts
    that is a truth value and no constant, which values it has had: bit 0 for false, bit 1 for true."""

    def __init__(self, term: Term) -> None:
        self.term = term
        self._parts = parts(term)
        places = {id(node): at for at, node in enumerate(self._parts)}
        self._work = [
            (at, _meaning(node), tuple(places[id(o)] for o in node.operands))
            for at, node in enumerate(self._parts)
            if node.operands
        ]
        self._names = [(at, node.operator) for at, node in enumerate(self._parts) if node.is_symbol]
        self.names = tuple(name for _, name in self._names)
        self._constants = [0 if node.operands or node.is_symbol else node.value for node in self._parts]
        self._truths = [at for at, node in enumerate(self._parts) if not node.width and node.operands]
        self.seen = dict.fromkeys(self._truths, 0)

    def value(self, symbols_: Mapping[str, int]) -> int:
        """The value under these of the symbols. Raises KeyError for one that is not given."""
        values = self._constants.copy()
        for at, name in self._names:
            values[at] = symbols_[name]
        for at, meaning, operands in self._work:
            values[at] = meaning(*[values[o] for o in operands])
        for at in self._truths:
            self.seen[at] |= 1 << values[at]
        return values[-1]

    def unseen(self) -> Iterator[tuple[Term, bool]]:
        """Its truth values, each with a value that it has not had."""
        for at, seen in self.seen.items():
            for value in (False, True):
                if not seen >> value & 1:
                    yield self._parts[at], value


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def _divided(a: int, b: int, width: int) -> int:
    """bvsdiv: towards zero; by zero it is 1 or -1."""
    one, other = _signed(a, width), _signed(b, width)
    if not other:
        return 1 if one < 0 else (1 << width) - 1
    quotient = abs(one) // abs(other)
    return (quotient if (one < 0) == (other < 0) else -quotient) % (1 << width)


def _remainder(a: int, b: int, width: int) -> int:
    """bvsrem: its sign is that of the dividend."""
    one, other = _signed(a, width), _signed(b, width)
    if not other:
        return a
    rest = abs(one) % abs(other)
    return (-rest if one < 0 else rest) % (1 << width)


_TRUTHS: Mapping[str, Callable[..., bool]] = {
    "=": lambda a, b: a == b,
    "distinct": lambda a, b: a != b,
    "not": lambda a: not a,
    "and": lambda *a: all(a),
    "or": lambda *a: any(a),
    "xor": lambda *a: sum(a) % 2 == 1,
    "=>": lambda *a: bool(a[-1]) or not all(a[:-1]),
    "bvult": lambda a, b: a < b,
    "bvule": lambda a, b: a <= b,
    "bvugt": lambda a, b: a > b,
    "bvuge": lambda a, b: a >= b,
}
_SIGNED: Mapping[str, Callable[[int, int], bool]] = {
    "bvslt": lambda a, b: a < b,
    "bvsle": lambda a, b: a <= b,
    "bvsgt": lambda a, b: a > b,
    "bvsge": lambda a, b: a >= b,
}
_ARITHMETIC: Mapping[str, Callable[[int, int, int], int]] = {
    "bvadd": lambda a, b, _: a + b,
    "bvsub": lambda a, b, _: a - b,
    "bvmul": lambda a, b, _: a * b,
    "bvand": lambda a, b, _: a & b,
    "bvor": lambda a, b, _: a | b,
    "bvxor": lambda a, b, _: a ^ b,
    "bvudiv": lambda a, b, _: a // b if b else -1,
    "bvurem": lambda a, b, _: a % b if b else a,
    "bvsdiv": _divided,
    "bvsrem": _remainder,
    "bvsmod": lambda a, b, w: _signed(a, w) % _signed(b, w) if b else a,
    "bvshl": lambda a, b, w: a << b if b < w else 0,
    "bvlshr": lambda a, b, w: a >> b if b < w else 0,
    "bvashr": lambda a, b, w: _signed(a, w) >> min(b, w),
}


def _meaning(node: Term) -> Callable[..., int]:
    """What the node makes of the values of its operands."""
    operator, width, operands = node.operator, node.width, node.operands
    mask = (1 << width) - 1
    inner = operands[0].width
    if operator in _TRUTHS:
        truth = _TRUTHS[operator]
        return lambda *a: int(truth(*a))
    if operator in _SIGNED:
        compared = _SIGNED[operator]
        return lambda a, b: int(compared(_signed(a, inner), _signed(b, inner)))
    if operator in _ARITHMETIC:
        combined = _ARITHMETIC[operator]
        return lambda a, b: combined(a, b, width) & mask
    if operator == "ite":
        return lambda c, a, b: a if c else b
    if operator == "concat":
        low = operands[1].width
        return lambda a, b: a << low | b
    if operator in ("bvnot", "bvneg"):
        return (lambda a: ~a & mask) if operator == "bvnot" else (lambda a: -a & mask)
    if operator == "bvcomp":
        return lambda a, b: int(a == b)
    return _indexed_meaning(operator, node.numbers, inner, mask)


def _indexed_meaning(operator: str, numbers: tuple[int, ...], inner: int, mask: int) -> Callable[[int], int]:
    number = numbers[-1]
    if operator == "extract":
        return lambda a: a >> number & mask
    if operator == "zero_extend":
        return lambda a: a
    if operator == "sign_extend":
        return lambda a: _signed(a, inner) & mask
    if operator == "repeat":
        return lambda a: sum(a << inner * k for k in range(number))
    left = number % inner if operator == "rotate_left" else -number % inner
    return lambda a: (a << left | a >> (inner - left)) & mask


__all__ = [
    "Lookup",
    "Malformed",
    "Program",
    "Term",
    "applied",
    "constant",
    "parts",
    "read",
    "symbol",
    "symbols",
]
