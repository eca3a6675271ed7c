"""z3 terms as text: SMT-LIB 2 for solvers, infix for people; the same text whenever the term is the same.

Operands of what is commutative are put in the order of their text, so that the order in which terms happened
to be made does not show.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import z3

_PLAIN = re.compile(r"[A-Za-z_!$%^&*~?][A-Za-z0-9_!$%^&*~?@.+-]*")
_ORDERED_FREELY = frozenset(("bvadd", "bvmul", "bvand", "bvor", "bvxor", "and", "or", "=", "distinct", "xor"))
_BINARY = frozenset(("bvadd", "bvmul", "bvand", "bvor", "bvxor", "concat", "xor"))
_SHARED = 5
"""Nodes of a term that is written once where it occurs twice."""

_OPERATORS = {
    z3.Z3_OP_TRUE: "true", z3.Z3_OP_FALSE: "false", z3.Z3_OP_EQ: "=", z3.Z3_OP_DISTINCT: "distinct",
    z3.Z3_OP_ITE: "ite", z3.Z3_OP_AND: "and", z3.Z3_OP_OR: "or", z3.Z3_OP_XOR: "xor", z3.Z3_OP_NOT: "not",
    z3.Z3_OP_IMPLIES: "=>", z3.Z3_OP_BNEG: "bvneg", z3.Z3_OP_BADD: "bvadd", z3.Z3_OP_BSUB: "bvsub",
    z3.Z3_OP_BMUL: "bvmul", z3.Z3_OP_BUDIV: "bvudiv", z3.Z3_OP_BUREM: "bvurem", z3.Z3_OP_BSDIV: "bvsdiv",
    z3.Z3_OP_BSREM: "bvsrem", z3.Z3_OP_BSMOD: "bvsmod", z3.Z3_OP_ULEQ: "bvule", z3.Z3_OP_SLEQ: "bvsle",
    z3.Z3_OP_UGEQ: "bvuge", z3.Z3_OP_SGEQ: "bvsge", z3.Z3_OP_ULT: "bvult", z3.Z3_OP_SLT: "bvslt",
    z3.Z3_OP_UGT: "bvugt", z3.Z3_OP_SGT: "bvsgt", z3.Z3_OP_BAND: "bvand", z3.Z3_OP_BOR: "bvor",
    z3.Z3_OP_BNOT: "bvnot", z3.Z3_OP_BXOR: "bvxor", z3.Z3_OP_CONCAT: "concat", z3.Z3_OP_BSHL: "bvshl",
    z3.Z3_OP_BLSHR: "bvlshr", z3.Z3_OP_BASHR: "bvashr", z3.Z3_OP_BCOMP: "bvcomp",
}  # fmt: skip
_INDEXED = {
    z3.Z3_OP_EXTRACT: "extract", z3.Z3_OP_ZERO_EXT: "zero_extend", z3.Z3_OP_SIGN_EXT: "sign_extend",
    z3.Z3_OP_ROTATE_LEFT: "rotate_left", z3.Z3_OP_ROTATE_RIGHT: "rotate_right", z3.Z3_OP_REPEAT: "repeat",
}  # fmt: skip
_BY_A_CONSTANT = {
    z3.Z3_OP_BUDIV_I: "bvudiv", z3.Z3_OP_BUREM_I: "bvurem", z3.Z3_OP_BSDIV_I: "bvsdiv",
    z3.Z3_OP_BSREM_I: "bvsrem", z3.Z3_OP_BSMOD_I: "bvsmod",
}  # fmt: skip
"""z3's operators whose divisor is not zero."""


class NotStandard(Exception):
    """A term that SMT-LIB 2 has no words for."""


def quoted(name: str) -> str:
    """A symbol as SMT-LIB writes it."""
    return name if _PLAIN.fullmatch(name) else f"|{name}|"


def smt2(term: z3.ExprRef) -> str:
    """The term in SMT-LIB 2. Raises NotStandard."""
    return _Written(term).text()


class _Written:
    """One term, its nodes in an order of their own."""

    def __init__(self, term: z3.ExprRef) -> None:
        self._root = term
        self._keys: dict[int, tuple[int, str]] = {}
        self._operands: dict[int, list[z3.ExprRef]] = {}
        self._order: list[z3.ExprRef] = []
        self._visit(term)

    def text(self) -> str:
        uses: dict[tuple[int, str], int] = {}
        for node in {self._key(n): n for n in self._order}.values():
            for operand in self._operands[node.get_id()]:
                uses[self._key(operand)] = uses.get(self._key(operand), 0) + 1
        shared: dict[tuple[int, str], str] = {}
        lets: list[str] = []
        for node in self._order:
            key = self._key(node)
            if uses.get(key, 0) > 1 and key[0] > _SHARED and key not in shared:
                lets.append(self._render(node, shared))
                shared[key] = f"?{len(lets)}"
        body = self._render(self._root, shared)
        for number, value in reversed(list(enumerate(lets, 1))):
            body = f"(let ((?{number} {value})) {body})"
        return body

    def _key(self, node: z3.ExprRef) -> tuple[int, str]:
        return self._keys[node.get_id()]

    def _visit(self, root: z3.ExprRef) -> None:
        """Give each node its key, operands first; then list them in an order that only the keys decide."""
        waiting = [(root, False)]
        while waiting:
            node, ready = waiting.pop()
            if node.get_id() in self._keys:
                continue
            if not ready:
                waiting.append((node, True))
                waiting += [(child, False) for child in node.children()]
                continue
            operator, operands = _operator(node), list(node.children())
            if operator in _ORDERED_FREELY:
                operands.sort(key=self._key)
            keys = [self._key(o) for o in operands]
            text = " ".join((operator, *(k[1] for k in keys)))
            self._operands[node.get_id()] = operands
            digest = text if not operands else hashlib.sha256(text.encode()).hexdigest()
            self._keys[node.get_id()] = 1 + sum(k[0] for k in keys), digest
        self._order = list(self._after_operands(root))

    def _after_operands(self, root: z3.ExprRef) -> Iterator[z3.ExprRef]:
        seen: set[int] = set()
        waiting = [(root, False)]
        while waiting:
            node, ready = waiting.pop()
            if ready:
                yield node
            elif node.get_id() not in seen:
                seen.add(node.get_id())
                waiting.append((node, True))
                waiting += [(o, False) for o in reversed(self._operands[node.get_id()])]

    def _render(self, root: z3.ExprRef, shared: dict[tuple[int, str], str]) -> str:
        done: dict[int, str] = {}
        waiting = [(root, False)]
        while waiting:
            node, ready = waiting.pop()
            number = node.get_id()
            if number in done:
                continue
            name = shared.get(self._key(node)) if node is not root else None
            operands = self._operands[number]
            if name is not None or (not operands and _operator(node) not in ("and", "or")):
                done[number] = name or _operator(node)
            elif not ready:
                waiting.append((node, True))
                waiting += [(o, False) for o in operands]
            else:
                done[number] = _applied(_operator(node), [done[o.get_id()] for o in operands])
        return done[root.get_id()]


def _applied(operator: str, operands: list[str]) -> str:
    """The application; the theory of bit-vectors knows two operands at a time."""
    if operator in ("and", "or") and len(operands) < 2:
        return operands[0] if operands else {"and": "true", "or": "false"}[operator]
    if operator in _BINARY and len(operands) > 2:
        text = operands[0]
        for operand in operands[1:]:
            text = f"({operator} {text} {operand})"
        return text
    return f"({operator} {' '.join(operands)})"


def _operator(node: z3.ExprRef) -> str:
    """The operator, or the whole of a constant or symbol."""
    if z3.is_bv_value(node):
        width = node.size()
        return f"#x{node.as_long():0{width // 4}x}" if width % 4 == 0 else f"#b{node.as_long():0{width}b}"
    declaration = node.decl()
    kind = declaration.kind()
    if kind in _OPERATORS:
        return _OPERATORS[kind]
    if kind in _INDEXED:
        return f"(_ {_INDEXED[kind]} {' '.join(str(p) for p in declaration.params())})"
    if kind in _BY_A_CONSTANT and z3.is_bv_value(node.arg(1)) and node.arg(1).as_long():
        return _BY_A_CONSTANT[kind]
    if kind == z3.Z3_OP_UNINTERPRETED and z3.is_const(node):
        return quoted(declaration.name())
    raise NotStandard(f"a proof in SMT-LIB 2 cannot be written: z3's {declaration.name()} is not standard")


# -- for people

_INFIX = {
    "bvadd": "+", "bvmul": "*", "bvsub": "-", "bvand": "&", "bvor": "|", "bvxor": "^", "and": "and",
    "or": "or", "=": "=", "distinct": "!=", "=>": "implies", "bvule": "<=", "bvult": "<", "bvuge": ">=",
    "bvugt": ">", "bvsle": "<=s", "bvslt": "<s", "bvsge": ">=s", "bvsgt": ">s", "bvshl": "<<", "bvlshr": ">>",
}  # fmt: skip


def infix(term: z3.ExprRef) -> str:
    """The term as people write it; comparisons are unsigned unless they end in s. Raises NotStandard."""
    return _infix(term, top=True)


def _infix(node: z3.ExprRef, *, top: bool = False) -> str:
    if z3.is_bv_value(node):
        return str(node.as_signed_long() if node.as_signed_long() > -4096 else hex(node.as_long()))
    if z3.is_const(node):
        return str(node.decl().name())
    operator = _operator(node)
    operands = list(node.children())
    if operator in _ORDERED_FREELY:
        operands.sort(key=lambda o: (z3.is_bv_value(o) != (operator == "bvmul"), smt2(o)))
    texts = [_infix(o) for o in operands]
    if operator.startswith("(_ extract"):
        high, low = node.params()
        return f"{texts[0]}[{high}:{low}]"
    if operator.startswith("(_ zero_extend"):
        return texts[0]
    if operator == "bvmul" and texts[0] == "-1":
        return f"-{texts[1]}"
    if operator in _INFIX:
        text = f" {_INFIX[operator]} ".join(texts).replace("+ -", "- ")
        return text if top else f"({text})"
    if operator in ("not", "bvneg", "bvnot"):
        return {"not": "not ", "bvneg": "-", "bvnot": "~"}[operator] + texts[0]
    return f"{operator.strip('()').replace('_ ', '')}({', '.join(texts)})"
