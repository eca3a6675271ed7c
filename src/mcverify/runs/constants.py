"""What a routine compares with, as states at entry in which its registers, flags and data hold just that.

Of 2^64 values a seed gives one: a comparison with the wrong register, or with a byte of what was copied,
shows only where that happens to hold the constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.runs.case import Preset
from mcverify.runs.code import effects, reachable

_WORD = 8
_MOST = 20
_ALL_FLAGS = 0x8D5
_EDGES = (0, -1)
"""Tried for every routine: what a register, a flag or a byte is without any of its bits, or with all."""


@dataclass(frozen=True, slots=True, order=True)
class Constant:
    """A value that something of `width` bytes is compared with, unsigned."""

    value: int
    width: int

    def near(self) -> tuple[Constant, ...]:
        """It, and its neighbours."""
        return tuple(Constant((self.value + step) % (1 << 8 * self.width), self.width) for step in (0, -1, 1))

    @property
    def words(self) -> tuple[int, ...]:
        """Words that hold it: alone, everywhere, and in each byte if it fits there."""
        narrow = [self.width, *([1] if self.value < 1 << 8 else [])]
        return (self.value, *(sum(self.value << 8 * at for at in range(0, _WORD, n)) for n in narrow))


def compared_with(image: Image, entry: int) -> tuple[Constant, ...]:
    """The constants that the routine at `entry` compares with, those of its comparisons first; then those
    that it puts into registers, since a comparison has no room for 64 bits."""
    found: tuple[list[Constant], list[Constant]] = ([], [])
    for address in sorted(reachable(image, entry)):
        done = effects(image, address)
        if done is not None and done.use:
            constants = (Constant(value, done.operand_width) for value in done.immediates)
            found[done.use == "loads"].extend(constants)
    return tuple(dict.fromkeys((*found[0], *found[1])))[:_MOST]


def presets(image: Image, entry: int, contract: Contract) -> tuple[Preset, ...]:
    """States at entry in which the registers that are no arguments, or the contents of src, hold a constant
    that the routine at `entry` compares with, or one beside it. A flag that asks for zeros is free, too.
    """
    constants = dict.fromkeys(near for known in compared_with(image, entry) for near in known.near())
    chosen = {*contract.arguments, *contract.given, "rsp"} - {contract.zero_rest}
    free = tuple(r for r in X86_64.general if r not in chosen)
    found = [preset for value in _EDGES for preset in _edges(value, free, contract)]
    for constant in constants:
        found += _holding(constant, free, contract)
    if contract.string_length is not None:
        found += [Preset(pieces=((at, b"\0"),)) for at in _ENDS]
    return tuple(dict.fromkeys(found))


_ENDS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 71)
"""Where a string may end."""


def _edges(value: int, free: tuple[str, ...], contract: Contract) -> Iterator[Preset]:
    constant = Constant(value % (1 << 64), _WORD)
    flags = ("rflags", value & _ALL_FLAGS)
    yield Preset((*_registers(constant.value, free), flags))
    if contract.src is not None or contract.stored_value is not None:
        yield Preset(every=constant.value.to_bytes(_WORD, "little"))


def _holding(constant: Constant, free: tuple[str, ...], contract: Contract) -> Iterator[Preset]:
    for word in dict.fromkeys(constant.words):
        yield Preset(_registers(word, free))
        if contract.src is not None or contract.stored_value is not None:
            yield Preset(every=word.to_bytes(_WORD, "little"))


def _registers(word: int, free: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    whole = sum(word << 64 * lane for lane in range(4))
    return (*((name, word) for name in free), *((name, whole) for name in X86_64.vectors))
