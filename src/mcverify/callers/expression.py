"""The expressions of a caller's model: sums, comparisons and choices over whole numbers.

One reader, two ways to work them out: with numbers, and with Z3's unbounded integers. The syntax is
Python's, of which only this is taken: names, decimal numbers, `+ - * // %` (the last two by a positive
number), comparisons of two terms, `and or not`, `a if c else b`, `min` and `max` of two.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import z3

Sort = Literal["number", "condition"]
_LONGEST = 300
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Mod: operator.mod,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_OF_TWO = ("min", "max")


class ExpressionError(Exception):
    """The text is no expression of the language; the message says what is wrong, in half a sentence."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression of the given sort, and the names that it speaks of."""

    text: str
    sort: Sort
    names: frozenset[str]
    _tree: ast.expr

    def number(self, values: Mapping[str, int]) -> int:
        """Its value where each name has a number; a condition gives 0 or 1."""
        return int(_worked_out(self._tree, values, _Numbers))

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether the condition holds."""
        return bool(_worked_out(self._tree, values, _Numbers))

    def term(self, values: Mapping[str, z3.ArithRef]) -> Any:
        """Its term: z3.ArithRef for a number, z3.BoolRef for a condition."""
        found = _worked_out(self._tree, values, _Terms)
        if self.sort == "condition":
            return found if isinstance(found, z3.BoolRef) else z3.BoolVal(bool(found))
        return found if isinstance(found, z3.ArithRef) else z3.IntVal(found)


def expression(text: object, sort: Sort) -> Expression:
    """The expression that `text` is. Raises ExpressionError."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ExpressionError(f"is not a text of at most {_LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ExpressionError(f"cannot be read: {text!r}") from None
    names: set[str] = set()
    found = _sort(tree, names)
    if found != sort:
        raise ExpressionError(f"is a {found} and not a {sort}: {text!r}")
    return Expression(text.strip(), sort, frozenset(names), tree)


# -- what the text means


def _sort(tree: ast.expr, names: set[str]) -> Sort:
    """The sort of a tree whose parts fit together; adds the `names` in it."""
    match tree:
        case ast.Name(id=name):
            names.add(name)
            return "number"
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return "number"
        case ast.BoolOp(values=values):
            return _all_are("condition", values, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _all_are("condition", [operand], names)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _all_are("number", [operand], names)
        case _:
            return _sort_of_several(tree, names)


def _sort_of_several(tree: ast.expr, names: set[str]) -> Sort:
    match tree:
        case ast.BinOp(op=ast.FloorDiv() | ast.Mod(), left=left, right=right):
            if not _is_positive(right):
                raise ExpressionError(
                    f"divides by something else than a positive number: {ast.unparse(tree)!r}"
                )
            return _all_are("number", [left, right], names)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _ARITHMETIC:
            return _all_are("number", [left, right], names)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            _all_are("number", [left, right], names)
            return "condition"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            _all_are("condition", [test], names)
            return _all_are("number", [body, orelse], names)
        case ast.Call(func=ast.Name(id=name), args=[first, second], keywords=[]) if name in _OF_TWO:
            return _all_are("number", [first, second], names)
    raise ExpressionError(f"has a form that is not understood: {ast.unparse(tree)!r}")


def _all_are(sort: Sort, trees: list[ast.expr], names: set[str]) -> Sort:
    for tree in trees:
        if (found := _sort(tree, names)) != sort:
            raise ExpressionError(f"has a {found} where a {sort} belongs: {ast.unparse(tree)!r}")
    return sort


def _is_positive(tree: ast.expr) -> bool:
    match tree:
        case ast.Name(id="page"):
            return True
        case ast.Constant(value=int() as value):
            return value > 0
    return False


# -- working it out


class _Numbers:
    """With Python's integers."""

    @staticmethod
    def every(parts: list[Any]) -> Any:
        return all(parts)

    @staticmethod
    def some(parts: list[Any]) -> Any:
        return any(parts)

    @staticmethod
    def no(part: Any) -> Any:
        return not part

    @staticmethod
    def choice(test: Any, then: Any, other: Any) -> Any:
        return then if test else other

    @staticmethod
    def quotient(left: Any, right: Any) -> Any:
        return left // right


class _Terms:
    """With Z3's: for a positive divisor its quotient and remainder are Python's."""

    every = staticmethod(lambda parts: z3.And(*parts))
    some = staticmethod(lambda parts: z3.Or(*parts))
    no = staticmethod(z3.Not)
    choice = staticmethod(z3.If)

    @staticmethod
    def quotient(left: Any, right: Any) -> Any:
        return left / right if isinstance(left, z3.ArithRef) else z3.IntVal(left) / right


def _worked_out(tree: ast.expr, values: Mapping[str, Any], by: type[_Numbers] | type[_Terms]) -> Any:
    def value(part: ast.expr) -> Any:
        return _worked_out(part, values, by)

    match tree:
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=number):
            return number
        case ast.BoolOp(op=ast.And(), values=parts):
            return by.every([value(part) for part in parts])
        case ast.BoolOp(values=parts):
            return by.some([value(part) for part in parts])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return by.no(value(operand))
        case ast.UnaryOp(operand=operand):
            return -value(operand)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _COMPARISONS[type(op)](value(left), value(right))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return by.choice(value(test), value(body), value(orelse))
        case _:
            return _of_two(tree, value, by)


def _of_two(tree: ast.expr, value: Callable[[ast.expr], Any], by: type[_Numbers] | type[_Terms]) -> Any:
    match tree:
        case ast.BinOp(op=ast.FloorDiv(), left=left, right=right):
            return by.quotient(value(left), value(right))
        case ast.BinOp(op=op, left=left, right=right):
            return _ARITHMETIC[type(op)](value(left), value(right))
        case ast.Call(func=ast.Name(id=name), args=args):
            smaller = name == "min"
            return reduce(
                lambda a, b: by.choice(a <= b if smaller else a >= b, a, b), [value(arg) for arg in args]
            )
    raise AssertionError(ast.dump(tree))
