"""Guesses about a location: facts of a few fixed shapes that hold in every sample.

The shapes are those that copy loops need: a counter is not zero, one offset is at most another, a pointer is
aligned, a stored byte lies below the high-water mark. A guess costs time if it is wrong and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import z3

from mcverify.machine.terms import replace, variable, word

Row = Mapping[str, int]
_SMALL = 1 << 40
"""Values below this are counts and offsets, above it addresses."""


@dataclass(frozen=True)
class Quantity:
    """A term whose value in every sample is known: a register, an offset into a buffer, the length."""

    name: str
    term: z3.BitVecRef
    values: tuple[int, ...]

    @property
    def is_small(self) -> bool:
        """Whether it is a count or an offset rather than an address."""
        return max(self.values) < _SMALL


def quantities(rows: Sequence[Row], variables: Sequence[str], bases: Mapping[str, str]) -> list[Quantity]:
    """The small quantities of a location, each set of equal ones once.

    `variables` are names of 64-bit values in `rows`; `bases` maps "src" and "dst" to the names of the
    buffer addresses, from which address-like variables are counted.
    """
    found: dict[tuple[int, ...], Quantity] = {}
    for name in variables:
        plain = _quantity(rows, name, None)
        for candidate in (plain, *(_quantity(rows, name, base) for base in bases.values())):
            if candidate.is_small and len(set(candidate.values)) > 0:
                found.setdefault(candidate.values, candidate)
    return list(found.values())


def _quantity(rows: Sequence[Row], name: str, base: str | None) -> Quantity:
    if base is None:
        return Quantity(name, variable(name), tuple(row[name] for row in rows))
    values = tuple((row[name] - row[base]) % (1 << 64) for row in rows)
    return Quantity(f"{name}-{base}", variable(name) - variable(base), values)


def at_least(found: Sequence[Quantity]) -> Iterator[z3.BoolRef]:
    """q >= its least value, where that is not 0: what a test at a loop's end leaves; and at
    least each power of two below it, of which one may hold where the least value seen was luck."""
    for quantity in found:
        least = min(quantity.values)
        if 0 < least < 1 << 12:
            powers = {1 << k for k in range(least.bit_length())}
            # Of an argument, which does not change, the runs show the least value itself.
            bounds = {max(powers), least} if "@" in quantity.name else powers | {least}
            yield from (z3.UGE(quantity.term, word(bound)) for bound in sorted(bounds))


def ordered(found: Sequence[Quantity], definitions: Mapping[str, z3.ExprRef]) -> Iterator[z3.BoolRef]:
    """p <= q, and p < q where that held too; not those that bounds alone imply under `definitions`."""
    for low in found:
        for high in found:
            if low is high or any(a > b for a, b in zip(low.values, high.values, strict=True)):
                continue
            if _is_sum(z3.simplify(replace(high.term - low.term, definitions), som=True)):
                continue
            yield z3.ULE(low.term, high.term)
            if all(a < b for a, b in zip(low.values, high.values, strict=True)):
                yield z3.ULT(low.term, high.term)


def multiples(found: Sequence[Quantity], definitions: Mapping[str, z3.ExprRef]) -> Iterator[z3.BoolRef]:
    """2^k * p <= q: a counter of blocks beside what is left in bytes, where that is no affine equality. With
    the largest k that was seen, which may be luck, and two below. Not those that bounds alone imply under
    `definitions`."""
    for counter in found:
        for left in found:
            shift = _largest_shift(counter.values, left.values) if counter is not left else 0
            for k in range(shift, max(0, shift - 3), -1):
                scaled = counter.term * word(1 << k)
                if not _is_sum(z3.simplify(replace(left.term - scaled, definitions), som=True)):
                    yield z3.ULE(scaled, left.term)


def _largest_shift(low: Sequence[int], high: Sequence[int]) -> int:
    """The largest k <= 12 with 2^k * a <= b for each pair; 0 if there is none."""
    pairs = [(a, b) for a, b in zip(low, high, strict=True) if a]
    return next((k for k in range(12, 0, -1) if pairs and all(a << k <= b for a, b in pairs)), 0)


def _is_sum(term: z3.BitVecRef) -> bool:
    """Whether `term` is a sum of symbols and small constants with small positive factors: of bounded
    counters, never negative."""
    if z3.is_bv_value(term):
        return bool(term.as_long() < _SMALL)
    if z3.is_app_of(term, z3.Z3_OP_BADD):
        return all(_is_sum(part) for part in term.children())
    if z3.is_app_of(term, z3.Z3_OP_BMUL) and term.num_args() == 2:
        return z3.is_bv_value(term.arg(0)) and term.arg(0).as_long() < 1 << 16 and _is_symbol(term.arg(1))
    return _is_symbol(term)


def _is_symbol(term: z3.ExprRef) -> bool:
    return bool(z3.is_const(term)) and "@" not in term.decl().name()


def neighbours(rows: Sequence[Row], offset: str, mark: str = "top") -> Iterator[z3.BoolRef]:
    """What may hold of a pointer's offset and the high-water mark where they are not, or not provably,
    equal."""
    one, other = variable(offset), variable(mark)
    for low, high, (name, above) in ((one, other, (offset, mark)), (other, one, (mark, offset))):
        if all(row[name] <= row[above] for row in rows):
            yield z3.ULE(low, high)
    bits = _constant_bits([row[mark] - row[offset] for row in rows])
    if bits:
        for k in {bits, min(bits, 3)}:
            yield z3.Extract(k - 1, 0, other - one) == (rows[0][mark] - rows[0][offset]) % (1 << k)


def masks(found: Sequence[Quantity]) -> Iterator[z3.BoolRef]:
    """q <= 2^k - 1 for the least k <= 8: what `and $63` leaves."""
    for quantity in found:
        bits = max(quantity.values).bit_length()
        if bits <= 8 and len(set(quantity.values)) > 1:
            yield z3.ULE(quantity.term, word((1 << bits) - 1))


def aligned(rows: Sequence[Row], pointers: Sequence[str], counters: Sequence[str]) -> Iterator[z3.BoolRef]:
    """The low bits of a pointer, a counter, or a pointer plus a counter are constant; if not always,
    then perhaps as long as some counter is not zero."""
    sums = [(p, None) for p in (*pointers, *counters)] + [(p, c) for p in pointers for c in counters]
    for pointer, counter in sums:
        found = _aligned(rows, pointer, counter)
        if found is not None:
            yield found
            continue
        for guard in counters:
            busy = [row for row in rows if row[guard]]
            found = _aligned(busy, pointer, counter) if 0 < len(busy) < len(rows) else None
            if found is not None:
                yield z3.Implies(variable(guard) != 0, found)


def _aligned(rows: Sequence[Row], pointer: str, counter: str | None) -> z3.BoolRef | None:
    values = [row[pointer] + (row[counter] if counter else 0) for row in rows]
    bits = _constant_bits(values)
    if not bits:
        return None
    term = variable(pointer) + (variable(counter) if counter else word(0))
    return z3.Extract(bits - 1, 0, term) == values[0] % (1 << bits)


def within_line(rows: Sequence[Row], found: Sequence[Quantity], bases: Sequence[str]) -> Iterator[z3.BoolRef]:
    """q plus the misalignment of a buffer is at most 2^k: how far a loop that aligns a pointer can come."""
    for quantity in found:
        if max(quantity.values) > 64 or len(set(quantity.values)) == 1:
            continue
        for base in bases:
            bits = next((k for k in range(1, 7) if _stays_within(rows, quantity, base, 1 << k)), None)
            if bits:
                misaligned = z3.ZeroExt(64 - bits, z3.Extract(bits - 1, 0, variable(base)))
                yield z3.ULE(quantity.term + misaligned, word(1 << bits))


def _stays_within(rows: Sequence[Row], quantity: Quantity, base: str, line: int) -> bool:
    return all(v + row[base] % line <= line for v, row in zip(quantity.values, rows, strict=True))


def _constant_bits(values: Sequence[int]) -> int:
    """How many low bits (at most 6) are the same in all values."""
    return next((k for k in range(6, 0, -1) if len({v % (1 << k) for v in values}) == 1), 0)
