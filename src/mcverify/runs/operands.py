"""What an instruction accesses and writes, given the registers before it: its operands, evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcverify.arch.decoded import Decoded, Effects, MemoryOperand
from mcverify.image.image import Image
from mcverify.runs.code import decode, effects


@dataclass(frozen=True, slots=True)
class Touched:
    """Memory that an instruction touches: `size` bytes from `address` on."""

    address: int
    size: int
    is_store: bool


def directions(done: Effects | None) -> frozenset[bool] | None:
    """How an instruction with these effects accesses memory: False for a load, True for a store, empty where
    it does not. None where that is not known."""
    if done is None:
        return None
    found = frozenset(is_store for operand in done.memory for is_store in _directions(operand))
    return found if found or not done.may_access else None


def _directions(operand: MemoryOperand) -> tuple[bool, ...]:
    return (False,) * operand.loads + (True,) * operand.stores


class Operands:
    """The operands of an image's instructions."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._known: dict[int, tuple[Decoded | None, Effects | None]] = {}

    def touched(self, address: int, registers: Mapping[str, int]) -> tuple[Touched, ...]:
        """What the instruction at `address` loads and stores, loads first; of one that repeats itself and has
        an element left, the next one."""
        instruction, done = self._at(address)
        if instruction is None or done is None:
            return ()
        if instruction.repeats is not None and not registers[instruction.repeats.count]:
            return ()
        touched = (
            Touched(operand.at(registers), operand.size, is_store)
            for operand in done.memory
            for is_store in _directions(operand)
        )
        return tuple(sorted(touched, key=lambda what: what.is_store))

    def written(self, address: int) -> frozenset[str]:
        """The general registers that the instruction at `address` writes, in part or whole."""
        return frozenset(self.written_bytes(address))

    def written_bytes(self, address: int) -> Mapping[str, int]:
        """The same with the bytes that it writes, as masks: bit n stands for byte n of the register."""
        _, done = self._at(address)
        return done.writes if done is not None else {}

    def _at(self, address: int) -> tuple[Decoded | None, Effects | None]:
        if address not in self._known:
            self._known[address] = decode(self._image, address), effects(self._image, address)
        return self._known[address]
