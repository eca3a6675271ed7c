"""The count of an exit in the routine's terms (`rdx + 64*rcx - 8`), with a run's numbers put in."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping

from mcverify.arch.known import X86_64

_NAME = re.compile(r"\b[a-z][a-z0-9]+\b(?!\()")
_CALL = re.compile(r"low(8|16|32)")
_MASK = (1 << 64) - 1
_WIDTHS = (64, 32, 16, 8)
_LARGE = 1 << 20

_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.RShift: operator.rshift,
    ast.LShift: lambda value, count: value << min(count, _WIDTHS[0]),
}


def evaluate(formula: str, registers: Mapping[str, int]) -> int | None:
    """The value of `formula` as an unsigned 64-bit number; None if it is no sum over these registers."""
    try:
        tree = ast.parse(formula, mode="eval")
        return _value(tree.body, registers) & _MASK
    except (SyntaxError, ValueError, KeyError):
        return None


def with_numbers(formula: str, registers: Mapping[str, int]) -> str:
    """`formula` with the registers' values in place of their names; "" if one is no register."""

    def value(name: re.Match[str]) -> str:
        text = shown(_register(name.group(), registers))
        return f"({text})" if text.startswith("-") and name.start() else text

    try:
        return _NAME.sub(value, formula)
    except KeyError:
        return ""


def shown(value: int) -> str:
    """An unsigned 64-bit number as a reader expects it: small, negative or hexadecimal."""
    signed = value - (1 << 64) if value >> 63 else value
    return str(signed) if abs(signed) < _LARGE else f"{value:#x}"


def _value(node: ast.expr, registers: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return _register(name, registers)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, registers)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return ~_value(operand, registers)
        case ast.Call(func=ast.Name(id=name), args=[argument]) if match := _CALL.fullmatch(name):
            return _value(argument, registers) & (1 << int(match[1])) - 1
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, registers), _value(right, registers))
    raise ValueError("no sum over registers")


def _register(name: str, registers: Mapping[str, int]) -> int:
    """The value of a register or of its lower part. Raises KeyError for other names."""
    full = X86_64.whole(name)
    if full is None:
        raise KeyError(name)
    names = X86_64.names_of(full)
    if name in names[: len(_WIDTHS)]:
        return registers[full] & (1 << _WIDTHS[names.index(name)]) - 1
    return registers[full] >> 8 & 0xFF
