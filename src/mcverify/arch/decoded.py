"""One decoded instruction, in words that every architecture has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Use = Literal["compares", "loads", ""]
"""What an instruction does with its immediate operands: it compares or combines with them, or puts them into
a register."""


@dataclass(frozen=True, slots=True)
class MemoryOperand:
    """An operand in memory: base + scale * index + displacement, cut to `address_bits`.

    `base` and `index` are general registers, "" for none. `relative_to` is the address to which the
    displacement counts, if it counts to one of the code. `size` is in bytes. Where neither `loads` nor
    `stores` holds, the instruction only names the address. `segment` is a segment whose base is not zero;
    `is_implicit` marks an access that the text does not name (a push)."""

    base: str
    index: str
    scale: int
    displacement: int
    size: int
    loads: bool
    stores: bool
    relative_to: int | None = None
    segment: str = ""
    address_bits: int = 64
    is_implicit: bool = False

    def at(self, registers: Mapping[str, int]) -> int:
        """The address, given the general registers before the instruction."""
        base = registers[self.base] if self.base else self.relative_to or 0
        index = registers[self.index] if self.index else 0
        return (base + self.scale * index + self.displacement) & (1 << self.address_bits) - 1


@dataclass(frozen=True, slots=True)
class Repetition:
    """An instruction that repeats itself: `width` is the size of an element in bytes, `loads` tells whether a
    source is read, `count` is the register that counts the elements down; an instruction that is no copy and
    no fill has the width 0."""

    width: int
    loads: bool
    count: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What an instruction does. `memory` are its operands in memory, explicit ones first.

    `reads` and `writes` are general registers with the bytes that are read or changed, as masks: bit n stands
    for byte n. `vectors_written` are vector registers. `flags_written` have a value that the manual promises
    afterwards, `flags_undefined` have none. `sets` are modes and flags that become a constant.
    `immediates` are unsigned numbers of `operand_width` bytes, with their `use`; `names` are addresses that
    stand in it, jump targets among them. `may_access` is false only if it surely accesses no memory;
    `is_plain` holds if all that it changes are explicit operands, general registers and flags. `alignment` is
    what the address of its operand must be a multiple of (0: anything), `is_nontemporal` marks a store that
    only a fence orders, `is_fence` such a fence. `is_model_specific` marks access to a register that not
    every CPU has. `hint_needs` is the feature of the CPU without which a hint is no instruction.
    """

    memory: tuple[MemoryOperand, ...]
    reads: Mapping[str, int]
    writes: Mapping[str, int]
    vectors_written: frozenset[str]
    flags_written: frozenset[str]
    flags_undefined: frozenset[str]
    sets: Mapping[str, int]
    immediates: tuple[int, ...]
    operand_width: int
    use: Use
    names: tuple[int, ...]
    may_access: bool
    is_plain: bool
    alignment: int
    is_nontemporal: bool
    is_fence: bool
    is_model_specific: bool
    hint_needs: str

    @property
    def explicit(self) -> tuple[MemoryOperand, ...]:
        """The operands in memory that the text names."""
        return tuple(operand for operand in self.memory if not operand.is_implicit)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded instruction as far as a walk over code needs it; `Architecture.effects` has the rest.

    `name` is the mnemonic without prefixes. `targets` are the known addresses at which it may continue.
    `is_call`, `is_return`, `is_indirect` (goes to where only an operand says) tell what kind of branch it is;
    `repeats` what it repeats. `uses_segment` holds for an operand in a segment whose base is not zero: what
    lies there in the kernel is not there in a user process; `uses_hidden` where state that runs do not keep
    may be read or changed (x87); `enters_kernel` for a system call or software interrupt; `is_nop` for an
    instruction without an effect.
    """

    address: int
    code: bytes
    mnemonic: str
    name: str
    targets: tuple[int, ...]
    is_call: bool = False
    is_return: bool = False
    is_indirect: bool = False
    repeats: Repetition | None = None
    uses_segment: bool = False
    uses_hidden: bool = False
    enters_kernel: bool = False
    is_nop: bool = False

    @property
    def end(self) -> int:
        """The address of the instruction behind this one."""
        return self.address + len(self.code)
