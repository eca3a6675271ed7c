"""Small operations on z3 terms that several rooms need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import z3

_SYMBOLS: dict[int, tuple[z3.ExprRef, frozenset[str]]] = {}


def symbols_of(term: z3.ExprRef) -> frozenset[str]:
    """Names of the free symbols of `term`."""
    known = _SYMBOLS.get(term.get_id())
    if known is not None:
        return known[1]
    names: set[str] = set()
    seen: set[int] = set()
    stack = [term]
    while stack:
        node = stack.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if z3.is_const(node):
            if node.decl().kind() == z3.Z3_OP_UNINTERPRETED:
                names.add(node.decl().name())
        else:
            stack.extend(node.children())
    # The term is kept, since z3 gives its id to another once it is freed.
    _SYMBOLS[term.get_id()] = (term, frozenset(names))
    return _SYMBOLS[term.get_id()][1]


def replace(term: z3.ExprRef, values: Mapping[str, z3.ExprRef]) -> z3.ExprRef:
    """`term` with the symbols named in `values` replaced, simplified."""
    names = symbols_of(term) & values.keys()
    if not names:
        return term
    pairs = [(_constant(name, values[name]), values[name]) for name in sorted(names)]
    return z3.simplify(z3.substitute(term, *pairs))


def _constant(name: str, like: z3.ExprRef) -> z3.ExprRef:
    return z3.Const(name, like.sort())


def word(value: int) -> z3.BitVecRef:
    """The 64-bit constant `value` modulo 2^64."""
    return z3.BitVecVal(value, 64)


def conjunction(terms: Iterable[z3.BoolRef]) -> z3.BoolRef:
    """The simplified conjunction of `terms`; true of none."""
    return z3.simplify(z3.And(*terms, z3.BoolVal(True)))


def constant(term: z3.ExprRef) -> int | None:
    """The value of a bit-vector constant (unsigned), None for any other term."""
    return term.as_long() if z3.is_bv_value(term) else None


def distance(term: z3.BitVecRef, base: z3.BitVecRef) -> int | None:
    """`term - base` as a signed 64-bit number if the difference is constant, else None."""
    value = constant(z3.simplify(term - base, som=True))
    if value is None:
        return None
    return value - (1 << 64) if value >> 63 else value
