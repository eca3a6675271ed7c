"""Scripts of SMT-LIB 2, as terms: what a proof bundle holds, read and written again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\|[^|]*\||[()]|[^\s()]+")
_COMMENT = re.compile(r"^;.*$", re.MULTILINE)
_PREDICATES = frozenset(
    "= distinct bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge and or not => xor".split()
)
LINEAR = {"bvadd": 2, "bvsub": 2, "bvmul": 2, "bvneg": 1}
"""What makes sums, and how many operands each of them has."""

_OWN = "|#"
"""How names begin that are given here. One more # tells those that were read from those that are new."""

Expression = str | list["Expression"]


_DIGITS = 6
"""Digits of a width: nothing that is written by us has more than three."""


class NotRead(ValueError):
    """A script with something that is not known here; the message is a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One node, the same object wherever the same term occurs: an operator with its operands, or a leaf,
    whose operator is its text. `width` is in bits, 0 for a truth value."""

    operator: str
    operands: tuple[Term, ...]
    width: int
    number: int


@dataclass(frozen=True)
class Script:
    """What a script asserts, over which symbols."""

    asserted: tuple[Term, ...]
    terms: Terms


class Terms:
    """Makes terms, one object for each."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[int, ...]], Term] = {}

    def make(self, operator: str, operands: Sequence[Term] = (), width: int = 0) -> Term:
        """The term of that operator and those operands."""
        key = operator, tuple(o.number for o in operands)
        if key not in self._known:
            self._known[key] = Term(operator, tuple(operands), width, len(self._known))
        return self._known[key]

    def constant(self, value: int, width: int) -> Term:
        """A constant modulo 2^width."""
        return self.make(f"(_ bv{value % (1 << width)} {width})", (), width)

    def apply(self, operator: str, operands: Sequence[Term]) -> Term:
        """The application of an operator of QF_BV, with its width. Raises NotRead."""
        if len(operands) != LINEAR.get(operator, len(operands)):
            raise NotRead(f"{operator} has {len(operands)} operands")
        return self.make(operator, operands, _width(operator, operands))


def _width(operator: str, operands: Sequence[Term]) -> int:
    if operator in _PREDICATES:
        return 0
    if operator == "ite":
        return operands[1].width
    if operator == "concat":
        return sum(o.width for o in operands)
    if operator.startswith("(_ "):
        name, *numbers = operator[3:-1].split()
        if name == "extract":
            return int(numbers[0]) - int(numbers[1]) + 1
        if name in ("zero_extend", "sign_extend"):
            return operands[0].width + int(numbers[0])
        if name in ("rotate_left", "rotate_right"):
            return operands[0].width
        if name == "repeat":
            return operands[0].width * int(numbers[0])
    elif operator == "bvcomp":
        return 1
    elif operator.startswith("bv"):
        return operands[0].width
    raise NotRead(f"the operator {operator} is not known")


# -- reading


def read(text: str) -> Script:
    """The script's assertions, definitions put in. Raises NotRead."""
    terms = Terms()
    named: dict[str, Term] = {}
    asserted: list[Term] = []
    for command in _expressions(text):
        match command:
            case ["declare-const", str(name), sort]:
                named[_new(name, named)] = terms.make(name, (), _sort(sort))
            case ["define-fun", str(name), [], _, body]:
                named[_new(name, named)] = _term(terms, body, named)
            case ["assert", body]:
                asserted.append(_term(terms, body, named))
            case ["set-logic", _] | ["check-sat"]:
                pass
            case _:
                raise NotRead("there is a command that is not known")
    return Script(tuple(asserted), terms)


def _new(name: str, named: Mapping[str, Term]) -> str:
    """The name, which must stand for nothing yet, in quotes or without."""
    plain = name.strip("|")
    if plain in ("true", "false") or {plain, f"|{plain}|"} & named.keys():
        raise NotRead(f"the name {name} is taken")
    return name


def _expressions(text: str) -> list[Expression]:
    stack: list[list[Expression]] = [[]]
    for token in _TOKEN.findall(_COMMENT.sub("", text).replace(_OWN, f"{_OWN}#")):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) > 1:
            done = stack.pop()
            stack[-1].append(done)
        else:
            raise NotRead("a parenthesis is closed that was not opened")
    if len(stack) > 1:
        raise NotRead("a parenthesis is not closed")
    return stack[0]


def _width_of(text: str) -> int:
    """The width of a sort or a constant, in bits."""
    width = int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
    if width == 0:
        raise NotRead(f"a width is {text[:20]!r}")
    return width


def _sort(sort: Expression) -> int:
    match sort:
        case "Bool":
            return 0
        case ["_", "BitVec", str(width)]:
            return _width_of(width)
    raise NotRead("there is a sort that is not known")


def _term(terms: Terms, found: Expression, named: Mapping[str, Term]) -> Term:
    match found:
        case "true" | "false":
            return terms.make(found)
        case str() if found.startswith(("#x", "#b")):
            base, digits = (16, 4) if found[1] == "x" else (2, 1)
            return terms.constant(int(found[2:], base), digits * len(found[2:]))
        case str():
            if found not in named:
                raise NotRead(f"{found} is not declared")
            return named[found]
        case ["_", str(value), str(width)] if value.startswith("bv"):
            return terms.constant(int(value[2:]), _width_of(width))
        case ["let", [*pairs], body]:
            inner = {str(pair[0]): _term(terms, pair[1], named) for pair in pairs}
            return _term(terms, body, {**named, **inner})
        case [operator, *operands] if operands:
            name = operator if isinstance(operator, str) else f"({' '.join(map(str, operator))})"
            return terms.apply(name, [_term(terms, each, named) for each in operands])
    raise NotRead("there is a term that is not known")


def value_of(term: Term) -> int | None:
    """The value of a constant; None of any other term."""
    return int(term.operator[5:].split()[0]) if term.operator.startswith("(_ bv") else None


def conjuncts(term: Term) -> Iterator[Term]:
    """The terms of which an assertion is the conjunction."""
    if term.operator == "and":
        for operand in term.operands:
            yield from conjuncts(operand)
    else:
        yield term


def replaced(script: Script, old: Term, new: Term) -> list[Term]:
    """What the script asserts, with `new` in the place of `old`."""
    found: dict[Term, Term] = {old: new}
    for term in below(script.asserted):
        if term not in found:
            operands = [found[o] for o in term.operands]
            found[term] = script.terms.make(term.operator, operands, term.width)
    return [found[term] for term in script.asserted]


def below(roots: Sequence[Term]) -> list[Term]:
    """The terms of which others consist, operands first, each once."""
    found: dict[Term, None] = {}
    waiting = [(root, False) for root in reversed(roots)]
    seen = set()
    while waiting:
        term, ready = waiting.pop()
        if ready:
            found[term] = None
        elif term not in seen:
            seen.add(term)
            waiting.append((term, True))
            waiting += [(o, False) for o in reversed(term.operands)]
    return list(found)


# -- writing


def written(asserted: Sequence[Term]) -> str:
    """A script that asserts the terms; what occurs in several places is defined once."""
    order = below(asserted)
    uses = Counter(o for term in order for o in term.operands)
    lines, names = ["(set-logic QF_BV)"], dict[Term, str]()
    for term in order:
        if not term.operands:
            names[term] = term.operator
            if value_of(term) is None and term.operator not in ("true", "false"):
                lines.append(f"(declare-const {term.operator} {_said_sort(term.width)})")
            continue
        text = f"({term.operator} {' '.join(names[o] for o in term.operands)})"
        if uses[term] > 1:
            names[term] = f"|#={len(lines)}|"
            lines.append(f"(define-fun {names[term]} () {_said_sort(term.width)} {text})")
        else:
            names[term] = text
    lines += [f"(assert {names[term]})" for term in asserted]
    return "\n".join([*lines, "(check-sat)", ""])


def _said_sort(width: int) -> str:
    return f"(_ BitVec {width})" if width else "Bool"
