"""What every proof assumes of its inputs, as terms and as sentences."""

from __future__ import annotations

from dataclasses import dataclass

import z3

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.logic.ghost import J
from mcverify.machine.instruction import Kind
from mcverify.machine.terms import word
from mcverify.paths.explore import entry_symbol
from mcverify.paths.faults import FIRST_BAD, NUL

USER_END = X86_64.limits.user_end
"""The kernel's TASK_SIZE_MAX: user memory lies below."""


@dataclass(frozen=True)
class Assumptions:
    """Preconditions on length, addresses and fault regions.

    `granularity` is the size in bytes, a power of two, of which the bounds of bad regions are multiples.
    `persistent` says that faults belong to addresses: the same access faults again; without it each access
    may fault or not.
    """

    contract: Contract
    len_max: int
    granularity: int
    persistent: bool

    @property
    def length(self) -> z3.BitVecRef:
        """The length asked for, in bytes; a constant where the contract fixes it."""
        if self.contract.len is None:
            return word(self.contract.size or 0)
        return entry_symbol(self.contract.len)

    @property
    def buffers(self) -> tuple[tuple[Kind, z3.BitVecRef], ...]:
        """The buffers' addresses, with the accesses that go there."""
        named = ((Kind.LOAD, self.contract.src), (Kind.STORE, self.contract.dst))
        return tuple((kind, entry_symbol(register)) for kind, register in named if register is not None)

    @property
    def bounds(self) -> dict[str, int]:
        """Upper bounds of the entry's symbols, by name."""
        names = [J, *(FIRST_BAD[kind] for kind, _ in self.buffers)]
        if self.contract.string_length is not None:
            names.append(NUL)
        if self.contract.len is not None:
            names.append(self.length)
        return {n.decl().name(): self.len_max for n in names}

    def remainders(self) -> dict[str, z3.BitVecRef]:
        """What the symbols ``LEN%SIZE`` mean, by name: the length modulo a power of two."""
        found: dict[str, z3.BitVecRef] = {}
        if self.contract.len is None:
            return found
        for bits in (3, 4, 5, 6):
            name = f"{self.length.decl().name()}%{1 << bits}"
            found[name] = z3.ZeroExt(64 - bits, z3.Extract(bits - 1, 0, self.length))
        return found

    def terms(self) -> tuple[z3.BoolRef, ...]:
        """Preconditions that hold at every point of every run."""
        length = self.length
        found = [z3.ULE(length, word(self.len_max))]
        found += [z3.ULE(base, word(-1) - length) for _, base in self.buffers]
        if self.contract.string_length is not None:
            found.append(z3.ULE(NUL, length))
        if self.contract.told == "address" and self.contract.status is None:
            found += [base != 0 for _, base in self.buffers]
        if self.contract.user:
            found += [z3.ULE(base, word(USER_END) - length) for _, base in self.buffers]
        return tuple(found)

    def bad_byte_terms(self) -> tuple[z3.BoolRef, ...]:
        """What is known of the first bad byte of each buffer: its place among lines."""
        found = []
        for kind, base in self.buffers:
            bad = FIRST_BAD[kind]
            found.append(z3.ULE(bad, self.length))
            low = self.granularity.bit_length() - 1
            if low:
                on_line = z3.Extract(low - 1, 0, base + bad) == 0
                found.append(z3.Or(bad == 0, bad == self.length, on_line))
        return tuple(found)
