"""Contents of buffers and of registers that follow from a case's seed.

The same functions as in harness.c, so that a case means the same on every runner.
"""

from __future__ import annotations

from functools import lru_cache

from mcverify.contract import WORD, Contract
from mcverify.runs.case import Case

GENERAL = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
"""The general registers in the order of their numbers in machine code."""

REGISTERS = (*GENERAL, "rflags")

LEAD = 128
"""Contents are defined from this many bytes before a buffer on."""

FRAME = b"".join((0x5CA1AB1E00000000 + i).to_bytes(8, "little") for i in range(1, 9))
"""What stands above the return address: words that are no addresses."""

VALUE = 1 << 40
"""The 128 seeds from here on are values: they stand in each word of src, and buffers of the place FREE lie as
many bytes behind a multiple of 4 GiB as their placement says."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_CONTENTS, _REGISTERS = 0, 1
_ARITHMETIC_FLAGS = 0x8D5
_COMPLEMENT = bytes(255 - value for value in range(256))
_SEVEN_BITS = bytes(value & 0x7F or 0x55 for value in range(256))
_NOT_ZERO = bytes(value or 0x55 for value in range(256))


def is_value(seed: int) -> bool:
    """Whether the seed is a value."""
    return VALUE <= seed < VALUE + 128


def mix(x: int) -> int:
    """The output function of splitmix64 (Steele et al., Fast splittable pseudorandom number generators)."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    return x ^ x >> 31


def _random_word(seed: int, stream: int, index: int) -> int:
    return mix(mix(seed * _GOLDEN + stream & _MASK) + index * _GOLDEN & _MASK)


@lru_cache(maxsize=64)
def contents(seed: int, size: int, *, signed: bool = False) -> bytes:
    """What src holds from LEAD bytes before its first byte on, `size` bytes from 1 to 127 (0 too, if
    the seed is a value), or to 255 if they are `signed`."""
    if is_value(seed):
        return (bytes([seed & 0x7F, *bytes(7)]) * (size // 8 + 1))[:size]
    words = (_random_word(seed, _CONTENTS, i).to_bytes(8, "little") for i in range((size + 7) // 8))
    return b"".join(words)[:size].translate(_NOT_ZERO if signed else _SEVEN_BITS)


def contents_for(contract: Contract, seed: int, size: int) -> bytes:
    """The `contents` of a call: signed where a single value is moved, whose sign may be extended. (Where
    more is moved, bytes of src are told from those that dst holds by their signs.)"""
    return contents(seed, size, signed=contract.size is not None and contract.size <= WORD)


def complement(data: bytes) -> bytes:
    """Each byte's complement: what dst holds at first. No byte of src below 128 is among them, nor zero."""
    return data.translate(_COMPLEMENT)


def initial_registers(case: Case, contract: Contract, dst: int, src: int, stack: int) -> dict[str, int]:
    """Registers at entry: arguments, given values, and what the seed says for all others.

    `dst` and `src` are the buffers' addresses, `stack` that of the return address.
    """
    values = {name: _random_word(case.seed, _REGISTERS, i) for i, name in enumerate(GENERAL)}
    values["rflags"] = 0x202 | _random_word(case.seed, _REGISTERS, len(GENERAL)) & _ARITHMETIC_FLAGS
    values.update(contract.given)
    if contract.dst is not None:
        values[contract.dst] = dst
    if contract.src is not None:
        values[contract.src] = src
    if contract.len is not None:
        values[contract.len] = case.len
    if contract.stored_value is not None:
        whole = contents_for(contract, case.seed, LEAD + WORD)[LEAD:]
        values[contract.stored_value] = int.from_bytes(whole, "little")
    values["rsp"] = stack
    return values
