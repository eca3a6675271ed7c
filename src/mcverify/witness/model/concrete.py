"""Z3 terms as Python: bit-vector terms turned into straight-line source that computes with plain integers.

A bit-vector is an int from 0 to 2^n - 1, a Boolean a bool. Terms that share parts share their variables.
An operation without a translation is left to z3's simplifier, which is slow and right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import z3

Translation = Callable[[z3.ExprRef, list[str]], str]
"""From a term and the source of its arguments to the source of its value."""


class Source:
    """The body of a Python function under construction.

    `inputs` gives the source of a symbol's value by its name, for a symbol that was not defined before.
    """

    def __init__(self, inputs: Callable[[str], str]) -> None:
        self.lines: list[str] = []
        self._inputs = inputs
        self._symbols: dict[str, str] = {}
        self._values: dict[int, tuple[z3.ExprRef, str]] = {}
        self._globals: dict[str, Any] = {}
        self._count = 0

    def value(self, term: z3.ExprRef) -> str:
        """Source of the value of `term`; what computes it is written before."""
        waiting = [term]
        while waiting:
            node = waiting[-1]
            if node.get_id() in self._values:
                waiting.pop()
                continue
            missing = [child for child in node.children() if child.get_id() not in self._values]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            self._values[node.get_id()] = node, self._translated(node)
        return self._values[term.get_id()][1]

    def define(self, name: str, source: str) -> str:
        """Let the symbol `name` have the value of `source`; the variable that holds it."""
        variable = self._symbols[name] = self.variable(source)
        return variable

    def variable(self, source: str) -> str:
        """A new variable with the value of `source`."""
        self._count += 1
        self.lines.append(f"x{self._count} = {source}")
        return f"x{self._count}"

    def function(self, parameters: str) -> Callable[..., Any]:
        """The function of `parameters` whose body was written."""
        text = "\n    ".join([f"def made({parameters}):", *self.lines])
        scope = dict(self._globals)
        exec(compile(text, "<terms>", "exec"), scope)
        made: Callable[..., Any] = scope["made"]
        return made

    def _translated(self, term: z3.ExprRef) -> str:
        kind = term.decl().kind()
        if kind == z3.Z3_OP_UNINTERPRETED and term.num_args() == 0:
            name = term.decl().name()
            return self._symbols.get(name) or self.define(name, self._inputs(name))
        if kind == z3.Z3_OP_BNUM:
            return str(term.as_long())
        arguments = [self._values[child.get_id()][1] for child in term.children()]
        translation = _TRANSLATIONS.get(kind)
        if translation is not None:
            text = translation(term, arguments)
        else:
            text = f"{self._by_z3(term)}({', '.join(arguments)})"
        return text if text.isalnum() else self.variable(text)

    def _by_z3(self, term: z3.ExprRef) -> str:
        """Name of a global function that leaves the operation of `term` to z3."""
        name = f"f{len(self._globals)}"
        declaration = term.decl()
        self._globals[name] = lambda *values: _applied(declaration, values)
        return name


def evaluate(term: z3.ExprRef, values: Mapping[str, int | bool]) -> int | bool:
    """The value of one term; `values` are those of its symbols. To compute it again and again, compile it."""
    source = Source(lambda name: f"v[{name!r}]")
    source.lines.append(f"return {source.value(term)}")
    result: int | bool = source.function("v")(values)
    return result


def _applied(declaration: z3.FuncDeclRef, values: tuple[int | bool, ...]) -> int | bool:
    sorts = (declaration.domain(i) for i in range(declaration.arity()))
    terms = [_constant(sort, value) for sort, value in zip(sorts, values, strict=True)]
    result = z3.simplify(declaration(*terms))
    return z3.is_true(result) if z3.is_bool(result) else int(result.as_long())


def _constant(sort: z3.SortRef, value: int | bool) -> z3.ExprRef:
    return z3.BoolVal(value) if sort == z3.BoolSort() else z3.BitVecVal(value, sort)


# ---- Translations -------------------------------------------------------------------------------


def _mask(term: z3.ExprRef) -> int:
    return (1 << int(term.size())) - 1


def _sign(term: z3.ExprRef) -> int:
    """The sign bit of the first argument."""
    return 1 << int(term.arg(0).size()) - 1


def _joined(operator: str, *, wraps: bool = False) -> Translation:
    """An operator between all arguments; `wraps` if the result can leave the range."""

    def translation(term: z3.ExprRef, arguments: list[str]) -> str:
        text = f" {operator} ".join(arguments)
        return f"({text}) & {_mask(term)}" if wraps else text

    return translation


def _signed_comparison(operator: str) -> Translation:
    return lambda term, a: f"({a[0]} ^ {_sign(term)}) {operator} ({a[1]} ^ {_sign(term)})"


def _concatenation(term: z3.ExprRef, arguments: list[str]) -> str:
    parts, shift = [], 0
    for child, text in zip(reversed(term.children()), reversed(arguments), strict=True):
        parts.append(f"{text} << {shift}" if shift else text)
        shift += child.size()
    return " | ".join(parts)


def _extraction(term: z3.ExprRef, arguments: list[str]) -> str:
    _, low = term.params()
    shifted = f"{arguments[0]} >> {low}" if low else arguments[0]
    return f"{shifted} & {_mask(term)}"


def _sign_extension(term: z3.ExprRef, arguments: list[str]) -> str:
    return f"(({arguments[0]} ^ {_sign(term)}) - {_sign(term)}) & {_mask(term)}"


def _shift_left(term: z3.ExprRef, arguments: list[str]) -> str:
    value, count = arguments
    return f"({value} << {count}) & {_mask(term)} if {count} < {term.size()} else 0"


def _shift_right(term: z3.ExprRef, arguments: list[str]) -> str:
    value, count = arguments
    return f"{value} >> {count} if {count} < {term.size()} else 0"


def _shift_arithmetic(term: z3.ExprRef, arguments: list[str]) -> str:
    value, count = arguments
    signed = f"(({value} ^ {_sign(term)}) - {_sign(term)})"
    return f"({signed} >> min({count}, {term.size() - 1})) & {_mask(term)}"


def _different(term: z3.ExprRef, arguments: list[str]) -> str:
    return f"len({{{', '.join(arguments)}}}) == {len(arguments)}"


_TRANSLATIONS: dict[int, Translation] = {
    z3.Z3_OP_TRUE: lambda *_: "True",
    z3.Z3_OP_FALSE: lambda *_: "False",
    z3.Z3_OP_NOT: lambda _, a: f"not {a[0]}",
    z3.Z3_OP_AND: _joined("and"),
    z3.Z3_OP_OR: _joined("or"),
    z3.Z3_OP_XOR: _joined("^"),
    z3.Z3_OP_IMPLIES: lambda _, a: f"not {a[0]} or {a[1]}",
    z3.Z3_OP_EQ: _joined("=="),
    z3.Z3_OP_DISTINCT: _different,
    z3.Z3_OP_ITE: lambda _, a: f"{a[1]} if {a[0]} else {a[2]}",
    z3.Z3_OP_BADD: _joined("+", wraps=True),
    z3.Z3_OP_BSUB: _joined("-", wraps=True),
    z3.Z3_OP_BMUL: _joined("*", wraps=True),
    z3.Z3_OP_BNEG: lambda term, a: f"-{a[0]} & {_mask(term)}",
    z3.Z3_OP_BNOT: lambda term, a: f"{a[0]} ^ {_mask(term)}",
    z3.Z3_OP_BAND: _joined("&"),
    z3.Z3_OP_BOR: _joined("|"),
    z3.Z3_OP_BXOR: _joined("^"),
    z3.Z3_OP_CONCAT: _concatenation,
    z3.Z3_OP_EXTRACT: _extraction,
    z3.Z3_OP_ZERO_EXT: lambda _, a: a[0],
    z3.Z3_OP_SIGN_EXT: _sign_extension,
    z3.Z3_OP_BSHL: _shift_left,
    z3.Z3_OP_BLSHR: _shift_right,
    z3.Z3_OP_BASHR: _shift_arithmetic,
    z3.Z3_OP_ULT: _joined("<"),
    z3.Z3_OP_ULEQ: _joined("<="),
    z3.Z3_OP_UGT: _joined(">"),
    z3.Z3_OP_UGEQ: _joined(">="),
    z3.Z3_OP_SLT: _signed_comparison("<"),
    z3.Z3_OP_SLEQ: _signed_comparison("<="),
    z3.Z3_OP_SGT: _signed_comparison(">"),
    z3.Z3_OP_SGEQ: _signed_comparison(">="),
}
