"""Small operations on z3 terms that several rooms need."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import z3

# z3 would take x <= c apart into "the high bits of x are zero" and a comparison of the low ones, which is
# easier to blast into bits and hides from us that it is a bound.
z3.set_param("rewriter.bv_le2extract", False)

_NONE: frozenset[str] = frozenset()
_SYMBOLS: dict[int, tuple[z3.ExprRef, frozenset[str]]] = {}


def symbols_of(term: z3.ExprRef) -> frozenset[str]:
    """Names of the free symbols of `term`."""
    known = _SYMBOLS.get(term.get_id())
    if known is None:
        # The term is kept, since z3 gives the ids of it and of its parts to others once it is freed.
        known = _SYMBOLS[term.get_id()] = term, _collected(term)
    return known[1]


def free_symbols(term: z3.ExprRef) -> list[z3.ExprRef]:
    """The free symbols of `term`, each once, as terms."""
    found: list[z3.ExprRef] = []
    seen: set[int] = set()
    waiting = [term]
    while waiting:
        node = waiting.pop()
        if node.get_id() in seen:
            continue
        seen.add(node.get_id())
        if is_free_symbol(node):
            found.append(node)
        waiting.extend(node.children())
    return found


def is_free_symbol(term: z3.ExprRef) -> bool:
    """Whether `term` is a symbol that stands for any value."""
    return bool(z3.is_const(term)) and term.decl().kind() == z3.Z3_OP_UNINTERPRETED


def _collected(term: z3.ExprRef) -> frozenset[str]:
    """The names, by a walk over z3's own handles: wrapping every node would take ten times as long."""
    context, names = term.ctx_ref(), set[str]()
    seen, waiting = set[int](), [term.as_ast()]
    while waiting:
        node = waiting.pop()
        number = z3.Z3_get_ast_id(context, node)
        if number in seen or z3.Z3_get_ast_kind(context, node) != z3.Z3_APP_AST:
            continue
        seen.add(number)
        known = _SYMBOLS.get(number)
        if known is not None:
            names |= known[1]
            continue
        arguments = z3.Z3_get_app_num_args(context, node)
        if arguments:
            waiting.extend(z3.Z3_get_app_arg(context, node, i) for i in range(arguments))
            continue
        declaration = z3.Z3_get_app_decl(context, node)
        if z3.Z3_get_decl_kind(context, declaration) == z3.Z3_OP_UNINTERPRETED:
            symbol = z3.Z3_get_decl_name(context, declaration)
            names.add(z3.Z3_get_symbol_string(context, symbol))
    return frozenset(names) if names else _NONE


def replace(term: z3.ExprRef, values: Mapping[str, z3.ExprRef]) -> z3.ExprRef:
    """`term` with the symbols named in `values` replaced, simplified."""
    names = symbols_of(term) & values.keys()
    if not names:
        return term
    pairs = [(_symbol_like(name, values[name]), values[name]) for name in sorted(names)]
    return z3.simplify(z3.substitute(term, *pairs))


def _symbol_like(name: str, value: z3.ExprRef) -> z3.ExprRef:
    return variable(name, value.size()) if isinstance(value, z3.BitVecRef) else z3.Const(name, value.sort())


# z3py takes microseconds to make a term, and the same few symbols and constants are asked for
# ten thousand times in one proof.


@cache
def variable(name: str, width: int = 64) -> z3.BitVecRef:
    """The free symbol `name` of `width` bits."""
    return z3.BitVec(name, width)


@cache
def word(value: int) -> z3.BitVecRef:
    """The 64-bit constant `value` modulo 2^64."""
    return z3.BitVecVal(value, 64)


def low(term: z3.BitVecRef, bits: int) -> z3.BitVecRef:
    """The lowest `bits` of a 64-bit term, zero-extended to 64."""
    return term if bits == 64 else z3.ZeroExt(64 - bits, z3.Extract(bits - 1, 0, term))


def constant(term: z3.ExprRef) -> int | None:
    """The value of a bit-vector constant (unsigned), None for any other term."""
    return term.as_long() if z3.is_bv_value(term) else None


def distance(term: z3.BitVecRef, base: z3.BitVecRef) -> int | None:
    """`term - base` as a signed 64-bit number if the difference is constant, else None."""
    value = constant(z3.simplify(term - base, som=True))
    if value is None:
        return None
    return value - (1 << 64) if value >> 63 else value
