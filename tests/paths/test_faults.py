"""What a fault, or its absence, tells of the first bad byte, for every set of bad bytes of a small buffer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import pytest
import z3

from mcverify.machine.instruction import Kind
from mcverify.machine.terms import word
from mcverify.paths.faults import FIRST_BAD, LAST_TRAP, is_harmless, strikes, survives, trap_numbers
from mcverify.paths.segment import Transfer

BASE = 0x1004
LENGTH = 4
LINE = 4


def sets_of_bad_bytes() -> Iterator[frozenset[int]]:
    for count in range(LENGTH + 1):
        yield from map(frozenset, combinations(range(LENGTH), count))


def holds(term: z3.BoolRef, kind: Kind, first_bad: int) -> bool:
    return bool(z3.is_true(z3.simplify(z3.substitute(term, (FIRST_BAD[kind], word(first_bad))))))


@pytest.mark.parametrize("kind", list(Kind))
def test_each_set_of_bad_bytes_fits_what_is_said_of_its_first_one(kind: Kind) -> None:
    """And no more is known: for each first bad byte that fits there is a set of bad bytes that fits."""
    for offset in range(LENGTH):
        for size in range(1, LENGTH - offset + 1):
            transfer, base = Transfer(kind, 0, word(BASE + offset), size), word(BASE)
            touched = set(range(offset, offset + size))
            faulting = {min(bad) for bad in sets_of_bad_bytes() if bad & touched}
            passing = {min(bad, default=LENGTH) for bad in sets_of_bad_bytes() if not bad & touched}
            every = range(LENGTH + 1)
            assert {b for b in every if holds(strikes(transfer, base), kind, b)} == faulting
            assert {b for b in every if holds(survives(transfer, base), kind, b)} == passing


def test_the_trap_number_is_one_of_those_that_may_be() -> None:
    for numbers in ((14,), (14, 18)):
        for trap in (13, 14, 18):
            term = z3.simplify(z3.substitute(trap_numbers(LAST_TRAP, numbers), (LAST_TRAP, word(trap))))
            assert (z3.is_true(term), z3.is_false(term)) == (trap in numbers, trap not in numbers)


@pytest.mark.parametrize("at", range(LINE))
def test_a_hint_is_harmless_where_its_line_holds_a_good_byte_before_a_bad_one(at: int) -> None:
    """A buffer that begins `at` bytes into a line. That the line ends with bad bytes is no harm: they lie in
    one page with the good one, and a page is good or bad as a whole."""
    start = BASE + at
    for length in range(3 * LINE):
        for first_bad in (None, *range(length + 1)):
            good = set(range(start, start + (length if first_bad is None else first_bad)))
            for address in range(BASE - LINE, BASE + 4 * LINE):
                bad = None if first_bad is None else word(first_bad)
                term = z3.simplify(is_harmless(word(address), word(start), word(length), bad, LINE))
                assert z3.is_true(term) != z3.is_false(term)
                line = range(address // LINE * LINE, address // LINE * LINE + LINE)
                at_a_good_byte = address in good
                before_the_start = address <= start and start in line and bool(good)
                assert z3.is_true(term) == (at_a_good_byte or before_the_start)
                assert not z3.is_true(term) or good.intersection(line)
