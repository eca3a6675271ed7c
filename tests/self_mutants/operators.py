"""Small changes of our own Python: an operator, a comparison, a constant, a goal that is not given."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Mult: ast.Add,
}  # fmt: skip
_CALLS = {
    "ULE": "ULT", "ULT": "ULE", "UGE": "UGT", "UGT": "UGE", "And": "Or", "Or": "And",
    "any": "all", "all": "any", "min": "max", "max": "min",
}  # fmt: skip
_SWAPPED = {"Implies": (0, 1), "If": (1, 2)}
_LARGEST_CONSTANT = 4096

Change = tuple[str, Callable[[], None], Callable[[], None]]
"""What is changed, the change of the tree, and the way back."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: in which function, what it is, and the module's text with it.

    `name` is stable as long as the function is: function, change, and its number among equal changes there.
    """

    name: str
    line: int
    text: str


def mutants(text: str) -> Iterator[Mutant]:
    """Every mutant of a module's source, in the order of its lines."""
    counts: dict[str, int] = {}
    tree = ast.parse(text)
    for function, node in _nodes(tree):
        for what, change, undo in _changes(node):
            change()
            changed = ast.unparse(tree)
            undo()
            number = counts[function + what] = counts.get(function + what, 0) + 1
            yield Mutant(f"{function}: {what}" + (f" #{number}" if number > 1 else ""), node.lineno, changed)


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """The nodes of every function's body with the function's name; neither annotations nor docstrings."""

    def visited(name: str, node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = f"{name}.{node.name}" if name else node.name
            for statement in node.body:
                yield from visited(inner, statement)
            return
        if isinstance(node, ast.arg | ast.JoinedStr | ast.Raise) or _is_text(node):
            return
        yield name or "module", node
        skipped = node.annotation if isinstance(node, ast.AnnAssign) else None
        for child in ast.iter_child_nodes(node):
            if child is not skipped:
                yield from visited(name, child)

    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign):
            yield from visited("", statement)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            other = _COMPARISONS.get(type(operator))
            if other is not None:
                yield _replaced(node.ops, i, other(), f"{_word(operator)} -> {_word(other())}")
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        other_operator = _ARITHMETIC[type(node.op)]()
        yield _set(node, "op", other_operator, f"{_word(node.op)} -> {_word(other_operator)}")
    elif isinstance(node, ast.BoolOp):
        other_bool = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _set(node, "op", other_bool, f"{_word(node.op)} -> {_word(other_bool)}")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _set(node, "operand", ast.UnaryOp(ast.Not(), node.operand), "not dropped")
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        yield _set(node, "value", ast.Constant(None), f"yields nothing: {_short(node.value)}")
    elif isinstance(node, ast.IfExp):
        yield _set(node, "test", ast.UnaryOp(ast.Not(), node.test), f"if not: {_short(node.test)}")
    elif isinstance(node, ast.If):
        yield _set(node, "test", ast.Constant(False), f"never: if {_short(node.test)}")


def _constants(node: ast.Constant) -> Iterator[Change]:
    if isinstance(node.value, bool):
        yield _set(node, "value", not node.value, f"{node.value} -> {not node.value}")
    elif isinstance(node.value, int) and node.value <= _LARGEST_CONSTANT:
        yield _set(node, "value", node.value + 1, f"{node.value} -> {node.value + 1}")


def _calls(node: ast.Call) -> Iterator[Change]:
    is_attribute = isinstance(node.func, ast.Attribute)
    name = node.func.attr if is_attribute else getattr(node.func, "id", "")  # type: ignore[union-attr]
    if name in _CALLS:
        yield _set(node.func, "attr" if is_attribute else "id", _CALLS[name], f"{name} -> {_CALLS[name]}")
    if name in ("And", "Or") and len(node.args) > 1:
        for argument in node.args:
            rest = [a for a in node.args if a is not argument]
            yield _set(node, "args", rest, f"{name} without {_short(argument)}")
    if name == "Not":
        yield _set(node, "args", [ast.Call(node.func, node.args, [])], "Not dropped")
    if name in _SWAPPED and len(node.args) > max(_SWAPPED[name]):
        i, k = _SWAPPED[name]
        other = list(node.args)
        other[i], other[k] = other[k], other[i]
        yield _set(node, "args", other, f"{name} swapped")


def _set(node: ast.AST, field: str, value: object, what: str) -> Change:
    before = getattr(node, field)

    def change() -> None:
        setattr(node, field, value)

    def undo() -> None:
        setattr(node, field, before)

    return what, change, undo


def _replaced(items: list, index: int, value: object, what: str) -> Change:
    before = items[index]

    def change() -> None:
        items[index] = value

    def undo() -> None:
        items[index] = before

    return what, change, undo


def _word(operator: ast.AST) -> str:
    return type(operator).__name__


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 50 else f"{text[:47]}..."
