"""Contents of buffers and of registers that follow from a case's seed.

The same functions as in harness.c, so that a case means the same on every runner.
"""

from __future__ import annotations

from functools import lru_cache

from mcverify.arch.known import X86_64
from mcverify.contract import WORD, Contract
from mcverify.runs.case import PAGE, Case, Preset

REGISTERS = (*X86_64.general, "rflags")

PRESET = (*(name for name in X86_64.general if name != "rsp"), "rflags", *X86_64.vectors)
"""The registers that a case may set (`runs.case.Preset`)."""

LEAD = 128
"""Contents are defined from this many bytes before a buffer on."""

FRAME = b"".join((0x5CA1AB1E00000000 + i).to_bytes(8, "little") for i in range(1, 9))
"""What stands above the return address: words that are no addresses."""

VALUE = 1 << 40
"""The 128 seeds from here on are values: they stand in each word of src, and buffers of the place FREE lie as
many bytes behind a multiple of 4 GiB as their placement says."""

STACK, STACK_BYTES = 0x7100_0000_0000, 16 * PAGE
"""Where the stack lies, on either runner."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_CONTENTS, _REGISTERS, _VECTORS = 0, 1, 2
_ARITHMETIC_FLAGS = 0x8D5
_LANES = 4
"""Words of 64 bits in a vector register."""
_COMPLEMENT = bytes(255 - value or 0x7F for value in range(256))
_NOT_ZERO = bytes(value or 0x55 for value in range(256))


def is_value(seed: int) -> bool:
    """Whether the seed is a value."""
    return VALUE <= seed < VALUE + 128


def told_by(seed: int) -> tuple[int, int]:
    """By which bit the bytes of src are told from those that dst holds at first, and what it is in src:
    another one for each seed, so that each value but 0 and 255 stands in src for some of them."""
    number = 0 if is_value(seed) else (seed - 1) % 16
    return 7 - number % 8, number // 8


@lru_cache(maxsize=16)
def _with_bit(bit: int, value: int) -> bytes:
    """For each byte one with that value of the bit, and neither 0 nor 255."""
    other = 0x55 if (0x55 >> bit & 1) == value else 0xAA
    made = (byte | 1 << bit if value else byte & ~(1 << bit) for byte in range(256))
    return bytes(other if byte in (0, 255) else byte for byte in made)


def mix(x: int) -> int:
    """The output function of splitmix64 (Steele et al., Fast splittable pseudorandom number generators)."""
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & _MASK
    return x ^ x >> 31


def _random_word(seed: int, stream: int, index: int) -> int:
    return mix(mix(seed * _GOLDEN + stream & _MASK) + index * _GOLDEN & _MASK)


def stack_entry(seed: int) -> int:
    """Where the return address lies: some page further down for each seed, so that a routine which rests on
    the value of rsp, not only on what stands there, shows it."""
    return STACK + STACK_BYTES - PAGE - 8 - 8 * (mix(seed & _MASK) % 1024)


@lru_cache(maxsize=64)
def contents(seed: int, size: int, *, signed: bool = False) -> bytes:
    """What src holds from LEAD bytes before its first byte on, `size` bytes: those from 1 to 254 that have
    the bit of `told_by`; from 1 to 255 if they are `signed`; the value and zeros, if the seed is one."""
    if is_value(seed):
        return (bytes([seed & 0x7F, *bytes(7)]) * (size // 8 + 1))[:size]
    words = (_random_word(seed, _CONTENTS, i).to_bytes(8, "little") for i in range((size + 7) // 8))
    return b"".join(words)[:size].translate(_NOT_ZERO if signed else _with_bit(*told_by(seed)))


def contents_of(case: Case, contract: Contract, size: int) -> bytes:
    """What src holds in a case, from LEAD bytes before its first byte on, `size` bytes; of a fill what dst is
    to hold. They are signed where a single value is moved, whose sign may be extended."""
    if contract.unit is None:
        return _contents_of(case, contract, size)
    value = _contents_of(case, contract, LEAD + WORD)[LEAD:]
    return (value[: contract.unit] * (size // contract.unit + 1))[:size]


def first_zero(case: Case, contract: Contract) -> int:
    """The offset of the first zero byte of src, the length if there is none. A seed that is no value puts no
    zero there, so only what the case names needs to be looked at of a long one."""
    pieces = case.preset.pieces if case.preset is not None else ()
    named = max((offset + len(piece) for offset, piece in pieces), default=0)
    looked_at = max(0, min(case.len, max(PAGE, named)))
    found = contents_of(case, contract, LEAD + looked_at).find(0, LEAD)
    return case.len if found < 0 else found - LEAD


def _contents_of(case: Case, contract: Contract, size: int) -> bytes:
    known = contents(case.seed, size, signed=contract.size is not None and contract.size <= WORD)
    return known if case.preset is None else _with_preset(known, case.preset)


def _with_preset(known: bytes, preset: Preset) -> bytes:
    data = bytearray(known)
    if preset.every:
        data[:] = (preset.every * (len(known) // len(preset.every) + 1))[: len(known)]
    for offset, piece in preset.pieces:
        for i, byte in enumerate(piece, LEAD + offset):
            if 0 <= i < len(data):
                data[i] = byte
    return bytes(data)


def complement(data: bytes) -> bytes:
    """What dst holds at first where src holds `data`: each byte's complement, and never zero. No byte that a
    seed puts into src is among them."""
    return data.translate(_COMPLEMENT)


def initial_registers(case: Case, contract: Contract, dst: int, src: int, stack: int) -> dict[str, int]:
    """Registers at entry: arguments, given values, and what the seed says for all others.

    `dst` and `src` are the buffers' addresses, `stack` that of the return address.
    """
    values = {name: _random_word(case.seed, _REGISTERS, i) for i, name in enumerate(X86_64.general)}
    values["rflags"] = _random_word(case.seed, _REGISTERS, len(X86_64.general))
    if case.preset is not None:
        values.update((name, value) for name, value in case.preset.registers if name in values)
    values["rflags"] = 0x202 | values["rflags"] & _ARITHMETIC_FLAGS
    values.update(contract.given)
    if contract.dst is not None:
        values[contract.dst] = dst
    if contract.src is not None:
        values[contract.src] = src
    if contract.len is not None:
        values[contract.len] = case.len
    if contract.stored_value is not None:
        whole = _contents_of(case, contract, LEAD + WORD)[LEAD:]
        values[contract.stored_value] = int.from_bytes(whole, "little")
    values["rsp"] = stack
    return values


def initial_vectors(case: Case) -> dict[str, int]:
    """The vector registers at entry."""
    values = {name: _vector(case.seed, n) for n, name in enumerate(X86_64.vectors)}
    if case.preset is not None:
        values.update((name, value) for name, value in case.preset.registers if name in values)
    return values


def _vector(seed: int, number: int) -> int:
    words = (_random_word(seed, _VECTORS, _LANES * number + i) << 64 * i for i in range(_LANES))
    return sum(words)
