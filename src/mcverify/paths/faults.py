"""What a fault, or its absence, tells about the addresses that are bad.

A fault is a property of the address. All that a forward copy can notice of a set of bad bytes is its first
one, so one symbol per buffer stands for every such set: the offset of the first bad byte (the buffer's
length if none is bad). An access that ends before it does not fault, one that covers it does, one that lies
beyond it may or may not; more is not assumed, so several bad regions, and readable bytes behind them, are
included.
"""

from __future__ import annotations

from collections.abc import Iterator

import z3

from mcverify.machine.instruction import Kind
from mcverify.machine.terms import word
from mcverify.paths.segment import Transfer

FIRST_BAD = {Kind.LOAD: z3.BitVec("bad_src", 64), Kind.STORE: z3.BitVec("bad_dst", 64)}
"""Offset of the first bad byte of src (for loads) and of dst (for stores)."""


NUL = z3.BitVec("nul@0", 64)
"""Offset of the first zero byte of a string in src, its largest length if there is none."""


LAST_TRAP = z3.BitVec("last_trap", 64)
"""Number of the last fault that was taken before a location."""


def survives(transfer: Transfer, base: z3.BitVecRef) -> z3.BoolRef:
    """That `transfer`, in the buffer at `base`, did not fault: the first bad byte is not among its bytes."""
    offset = transfer.address - base
    return z3.UGE(FIRST_BAD[transfer.kind] - offset, transfer.bytes)


def strikes(transfer: Transfer, base: z3.BitVecRef) -> z3.BoolRef:
    """That `transfer` faulted: one of its bytes is bad, so the first bad one is not behind them."""
    offset = transfer.address - base
    return z3.ULT(FIRST_BAD[transfer.kind], offset + transfer.bytes)


def of_string(
    address: z3.BitVecRef, value: z3.BitVecRef, base: z3.BitVecRef, length: z3.BitVecRef
) -> Iterator[z3.BoolRef]:
    """What a load of `value` from `address` tells of where the first zero byte of the string at `base` is."""
    for k in range(value.size() // 8):
        offset, byte = z3.simplify(address - base + k), z3.Extract(8 * k + 7, 8 * k, value)
        yield z3.Implies(z3.ULT(offset, NUL), byte != 0)
        yield z3.Implies(z3.And(offset == NUL, z3.ULT(NUL, length)), byte == 0)


def trap_numbers(trap: z3.BitVecRef, numbers: tuple[int, ...]) -> z3.BoolRef:
    """That `trap` is one of the exception `numbers`."""
    return z3.Or([trap == number for number in numbers])


def is_harmless(
    address: z3.BitVecRef, base: z3.BitVecRef, length: z3.BitVecRef, bad: z3.BitVecRef | None, line: int
) -> z3.BoolRef:
    """That the cache line (`line` bytes, a power of two) of the byte at `address` holds a good byte of the
    buffer at `base`, so that a hint about it does not fault: they lie in one page. `bad` is the offset of the
    first bad byte, None where no access to the buffer faults.

    A hint may lie before the buffer, in the line where that begins.
    """
    starts_here = z3.And(z3.ULE(address, base), z3.UGE(address | word(line - 1), base))
    good = length if bad is None else bad
    return z3.Or(z3.ULT(address - base, good), z3.And(starts_here, good != 0))
