"""A returned count in the routine's own terms: `8*ecx + (edx & 7)` instead of a bit-vector term.

The language is that of registers, shifts and masks; `witness/formula.py` reads the sums of it. It has words
for every term: what would be too long, or has no such form, is told by the registers that it depends on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.terms import symbols_of

_LONGEST = 60
_WIDTHS = (64, 32, 16, 8)
# Symbols that are no registers, by the beginnings that `paths` gives them.
_OTHERS = {
    "load": "a loaded value",
    "stack": "a saved value",
    "trap": "the trap number",
    "done": "elements done",
}


def in_words(term: z3.BitVecRef) -> str:
    """`term`, over registers, as a reader of the assembly would write it."""
    text = _sum(z3.simplify(term, som=True))
    return text if len(text) <= _LONGEST else _depending(term)


def _depending(term: z3.ExprRef) -> str:
    names = sorted(dict.fromkeys(map(_symbol, symbols_of(term))), key=_order)
    return f"worked out of {' and '.join(names)}"


def _order(name: str) -> tuple[bool, int, str]:
    return name not in X86_64.general, X86_64.general.index(name) if name in X86_64.general else 0, name


# -- sums


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


def _collect(term: z3.BitVecRef, factor: int, room: int, total: dict[str, int]) -> None:
    """Add factor * term to `total`, a sum of names; "" is the constant. `room` is the width of the place in
    which the term stands: bits that do not fit into it are dropped, as by a shift."""
    kind = term.decl().kind()
    if z3.is_bv_value(term):
        total[""] = total.get("", 0) + factor * _signed(term)
    elif kind == z3.Z3_OP_BADD:
        for part in term.children():
            _collect(part, factor, room, total)
    elif kind == z3.Z3_OP_BNEG:
        _collect(term.arg(0), -factor, room, total)
    elif kind == z3.Z3_OP_BMUL and term.num_args() == 2 and z3.is_bv_value(term.arg(0)):
        _collect(term.arg(1), factor * _signed(term.arg(0)), room, total)
    elif kind == z3.Z3_OP_CONCAT:
        _collect_pieces(term, factor, total)
    elif kind == z3.Z3_OP_ZERO_EXT:
        _collect(term.arg(0), factor, term.arg(0).size(), total)
    else:
        name = _atom(term, room)
        total[name] = total.get(name, 0) + factor


def _collect_pieces(term: z3.BitVecRef, factor: int, total: dict[str, int]) -> None:
    """A number that is put together of pieces is their sum, each at its place."""
    pieces = term.children()
    while len(pieces) > 1 and _is_zero(pieces[0]):
        pieces = pieces[1:]
    if (extended := _sign_extended(pieces)) is not None:
        name = f"signed({_sum(extended)})"
        total[name] = total.get(name, 0) + factor
        return
    room = offset = sum(piece.size() for piece in pieces)
    for piece in pieces:
        # What reaches from elsewhere to the top was shifted there, and is named by what it was before.
        reaches = offset == room != piece.size()
        offset -= piece.size()
        if not _is_zero(piece):
            _collect(piece, factor << offset, room if reaches else piece.size(), total)


def _sign_extended(pieces: list[z3.BitVecRef]) -> z3.BitVecRef | None:
    """What is extended by copies of its highest bit, None if it is not of that form."""
    *copies, last = pieces
    if not copies or last.decl().kind() != z3.Z3_OP_EXTRACT or any(c.size() != 1 for c in copies):
        return None
    top = z3.Extract(last.params()[0], last.params()[0], last.arg(0))
    return last if all(copy.eq(top) for copy in copies) else None


def _signed(value: z3.BitVecNumRef) -> int:
    number = int(value.as_long())
    return number - (1 << value.size()) if number >> (value.size() - 1) else number


def _is_zero(term: z3.BitVecRef) -> bool:
    return bool(z3.is_bv_value(term)) and bool(term.as_long() == 0)


# -- parts of sums


def _atom(term: z3.BitVecRef, room: int) -> str:
    kind = term.decl().kind()
    if z3.is_const(term):
        return _symbol(term.decl().name())
    if kind == z3.Z3_OP_EXTRACT:
        return _extract(term, room)
    if kind == z3.Z3_OP_ITE:
        return "(either " + " or ".join(dict.fromkeys(_sum(t) for t in term.children()[1:])) + ")"
    if kind in _SIGNS:
        return f" {_SIGNS[kind]} ".join(["(" + _inner(term.arg(0)), *map(_inner, term.children()[1:])]) + ")"
    if kind in _FUNCTIONS:
        return _FUNCTIONS[kind](term)
    return f"({_depending(term)})"


def _inner(term: z3.BitVecRef) -> str:
    text = _sum(term)
    return f"({text})" if " " in text and not _is_closed(text) else text


def _is_closed(text: str) -> bool:
    """Whether one pair of brackets holds the whole text."""
    depth = 0
    for at, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return at == len(text) - 1
    return False


def _extract(term: z3.BitVecRef, room: int) -> str:
    high, low = term.params()
    inner = term.arg(0)
    width = high + 1 - low
    register = inner.decl().name() if z3.is_const(inner) else ""
    if low == 0 and register in X86_64.general:
        return _part(register, width, room)
    if low == 0:
        return _inner(inner) if room > width else _lowest(_inner(inner), width)
    name = X86_64.names_of(register)[1] if register in X86_64.general and high <= 31 else _inner(inner)
    top = 31 if name != register and register in X86_64.general else inner.size() - 1
    return f"({name} >> {low})" if high == top else f"({name} >> {low} & {(1 << width) - 1})"


def _part(register: str, width: int, room: int) -> str:
    """The lowest `width` bits of a register, in a place of `room` bits."""
    if room > width and room in _WIDTHS:
        return X86_64.names_of(register)[_WIDTHS.index(room)]
    if width in _WIDTHS:
        return X86_64.names_of(register)[_WIDTHS.index(width)]
    return f"({X86_64.names_of(register)[width <= 32]} & {(1 << width) - 1})"


def _lowest(text: str, width: int) -> str:
    return f"low{width}({text})" if width in _WIDTHS else f"({text} & {(1 << width) - 1})"


def _symbol(name: str) -> str:
    plain = name.removesuffix("@0")
    if plain in X86_64.general or not re.fullmatch(r"[a-z]+[\d.\[\]-]*.*", plain):
        return plain
    if plain in X86_64.flags:
        return plain.upper()
    return next((words for begins, words in _OTHERS.items() if plain.startswith(begins)), plain)


_SIGNS: Mapping[int, str] = {
    z3.Z3_OP_BAND: "&",
    z3.Z3_OP_BOR: "|",
    z3.Z3_OP_BXOR: "^",
    z3.Z3_OP_BMUL: "*",
    z3.Z3_OP_BSHL: "<<",
    z3.Z3_OP_BLSHR: ">>",
    z3.Z3_OP_BUDIV: "/",
    z3.Z3_OP_BUDIV_I: "/",
    z3.Z3_OP_BUREM: "%",
    z3.Z3_OP_BUREM_I: "%",
}


def _call(name: str) -> Callable[[z3.BitVecRef], str]:
    return lambda term: f"{name}({', '.join(map(_sum, term.children()))})"


_FUNCTIONS: Mapping[int, Callable[[z3.BitVecRef], str]] = {
    z3.Z3_OP_BNOT: lambda term: f"~{_inner(term.arg(0))}",
    z3.Z3_OP_SIGN_EXT: _call("signed"),
    z3.Z3_OP_BASHR: _call("sar"),
    z3.Z3_OP_EXT_ROTATE_LEFT: _call("rol"),
    z3.Z3_OP_EXT_ROTATE_RIGHT: _call("ror"),
}
