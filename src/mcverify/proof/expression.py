"""A returned count in the routine's own terms: `8*ecx + edx` instead of a bit-vector term."""

from __future__ import annotations

import z3

from mcverify.machine.x86_64 import GENERAL, PART_NAMES

_LONGEST = 60


def in_words(term: z3.BitVecRef) -> str:
    """`term`, over registers, as a reader of the assembly would write it; "" if that gets too long."""
    text = _sum(z3.simplify(term, som=True))
    return text if len(text) <= _LONGEST else ""


def _sum(term: z3.BitVecRef) -> str:
    total: dict[str, int] = {}
    _collect(term, 1, term.size(), total)
    words = [_product(name, factor) for name, factor in total.items() if name and factor]
    constant = total.get("", 0)
    if constant or not words:
        words.append(str(constant))
    # A positive part goes first, so that no sum begins with a sign without need.
    words.sort(key=lambda w: w.startswith("-"))
    return " + ".join(words).replace("+ -", "- ")


def _product(name: str, factor: int) -> str:
    if factor in (1, -1):
        return name if factor == 1 else f"-{name}"
    return f"{factor}*{name}"


def _collect(term: z3.BitVecRef, factor: int, width: int, total: dict[str, int]) -> None:
    """Add factor * term to `total`, a sum of names; "" is the constant."""
    kind = term.decl().kind()
    if z3.is_bv_value(term):
        value = term.as_long()
        signed = value - (1 << term.size()) if value >> (term.size() - 1) else value
        total[""] = total.get("", 0) + factor * signed
    elif kind == z3.Z3_OP_BADD:
        for part in term.children():
            _collect(part, factor, width, total)
    elif kind == z3.Z3_OP_BMUL and term.num_args() == 2 and z3.is_bv_value(term.arg(0)):
        value = term.arg(0).as_long()
        signed = value - (1 << term.size()) if value >> (term.size() - 1) else value
        _collect(term.arg(1), factor * signed, width, total)
    elif kind == z3.Z3_OP_CONCAT and _is_zero(term.arg(0)):
        rest = term.children()[1:]
        _collect(rest[0] if len(rest) == 1 else z3.Concat(*rest), factor, width, total)
    elif kind == z3.Z3_OP_CONCAT and _is_zero(term.arg(term.num_args() - 1)):
        parts = term.children()
        scale = 1 << parts[-1].size()
        _collect(z3.Concat(*parts[:-1]) if len(parts) > 2 else parts[0], factor * scale, width, total)
    else:
        name = _name(term)
        total[name] = total.get(name, 0) + factor


def _is_zero(term: z3.BitVecRef) -> bool:
    return bool(z3.is_bv_value(term)) and bool(term.as_long() == 0)


def _name(term: z3.BitVecRef) -> str:
    kind = term.decl().kind()
    if z3.is_const(term):
        return str(term.decl().name()).removesuffix("@0")
    if kind == z3.Z3_OP_EXTRACT:
        high, low = term.params()
        inner = term.arg(0)
        register = inner.decl().name() if z3.is_const(inner) else ""
        if register in GENERAL and low == 0 and high >= 15:
            # A shift left drops high bits: the part named is the operand before it.
            return PART_NAMES[register] if high <= 31 else register
        if register in GENERAL and high in (31, 63):
            name = PART_NAMES[register] if high == 31 else register
            return f"({name} >> {low})"
        if low == 0:
            return f"({_name_or_sum(inner)} & {(1 << (high + 1)) - 1})"
        return f"bits {high}..{low} of ({_name_or_sum(inner)})"
    if kind == z3.Z3_OP_ITE:
        return "(either " + " or ".join(_name_or_sum(t) for t in term.children()[1:]) + ")"
    return "(" + " ".join(str(term).split()) + ")"


def _name_or_sum(term: z3.BitVecRef) -> str:
    return _sum(term)
