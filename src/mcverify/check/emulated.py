"""One instruction at a time on Unicorn: what it does to registers and memory, and which bytes it touches.

Memory is wherever an access comes to, full of random bytes. Nothing of this is shared with the runs of whole
routines (`runs/`), nor with the lifter: the terms of a bundle are held against what this does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import unicorn
from unicorn import x86_const as x86

from mcverify.check.shape import FLAGS, STATE, VECTORS
from mcverify.contract import REGISTERS

PAGE = 4096
_PLACES = 1 << 52
"""Unicorn looks at so many addresses, at the low bits alone."""

_CODE = (1 << 47) - 1
"""It fetches no instruction from the upper half: code lies at the low bits of its address."""

_END = _PLACES - (1 << 20)
"""There is no memory behind it: an access there would go on at 0."""

_MOST_PAGES = 2000
_AROUND = 512
"""Bytes of memory before and behind an address that is near."""
_BITS = {"cf": 0, "pf": 2, "af": 4, "zf": 6, "sf": 7, "df": 10, "of": 11, "ac": 18, "id": 21}
_ALWAYS = 0x2
_NUMBERS: Mapping[str, int] = {
    name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in (*REGISTERS, *VECTORS)
}
_FLAGS_NUMBER, _RIP = x86.UC_X86_REG_EFLAGS, x86.UC_X86_REG_RIP


class NotRunError(Exception):
    """An instruction that Unicorn does not know, or that has no place in its memory."""


@dataclass(frozen=True, slots=True)
class Touched:
    """Bytes that an instruction has read or is about to write, at the low bits of their address."""

    is_store: bool
    place: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a machine's state, to come back to: its registers, and what has been written since the start."""

    registers: Any
    written: tuple[_Write, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Write:
    """Bytes that were written, and what was there before."""

    place: int
    before: bytes
    after: bytes


class Emulated:
    """A machine without devices or page tables. `code_place` says where an address of code lies in it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self._pages: set[int] = set()
        self._code: set[int] = set()
        self._written: list[_Write] = []
        self._touched: list[Touched] = []
        self._failed = False
        both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
        self._uc.hook_add(both, self._on_access)

    @staticmethod
    def code_place(address: int) -> int:
        """Where the code of an address lies."""
        return address & _CODE

    def load_code(self, pieces: Iterable[tuple[int, bytes]]) -> None:
        """Put code at addresses."""
        for address, code in pieces:
            place = self.code_place(address)
            for page in range(place & -PAGE, place + len(code), PAGE):
                if page not in self._code:
                    self._uc.mem_map(page, PAGE)
                    self._code.add(page)
            self._uc.mem_write(place, code)

    # -- registers

    def set(self, name: str, value: int) -> None:
        """Give a register, or a flag, a value."""
        if name in _BITS:
            bit = 1 << _BITS[name]
            flags = int(self._uc.reg_read(_FLAGS_NUMBER)) & ~bit
            self._uc.reg_write(_FLAGS_NUMBER, flags | _ALWAYS | (bit if value else 0))
        else:
            self._uc.reg_write(_NUMBERS[name], value)

    def get(self, name: str) -> int:
        """The value of a register or of a flag."""
        if name in _BITS:
            return int(self._uc.reg_read(_FLAGS_NUMBER)) >> _BITS[name] & 1
        return int(self._uc.reg_read(_NUMBERS[name]))

    def start(self, values: Mapping[str, int]) -> None:
        """Set all of the state, and forget what was written."""
        self._written.clear()
        if len(self._pages) > _MOST_PAGES:
            for page in self._pages:
                self._uc.mem_unmap(page, PAGE)
            self._pages.clear()
        flags = _ALWAYS | sum(values[name] << _BITS[name] for name in FLAGS)
        self._uc.reg_write(_FLAGS_NUMBER, flags)
        for name in STATE:
            if name not in _BITS:
                self._uc.reg_write(_NUMBERS[name], values[name])

    # -- memory

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the memory."""
        place = self._reachable(address, size)
        return bytes(self._uc.mem_read(place, size))

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of the memory."""
        place = self._reachable(address, len(data))
        self._written.append(_Write(place, bytes(self._uc.mem_read(place, len(data))), data))
        self._uc.mem_write(place, data)

    def _reachable(self, address: int, size: int) -> int:
        place = address % _PLACES
        if place + size > _END:
            raise NotRunError(f"there is no memory at {address:#x}")
        for page in range(place & -PAGE, place + size, PAGE):
            if page not in self._code:
                self._map(page)
        return place

    def _map(self, page: int) -> None:
        if page in self._pages:
            return
        try:
            self._uc.mem_map(page, PAGE)
        except unicorn.UcError as error:
            raise NotRunError(f"there is no memory at {page:#x}") from error
        self._pages.add(page)
        self._uc.mem_write(page, self._random.randbytes(PAGE))

    # -- running

    def save(self) -> Snapshot:
        """The state as it is."""
        return Snapshot(self._uc.context_save(), tuple(self._written))

    def restore(self, snapshot: Snapshot) -> None:
        """Go to a state that was saved since the start."""
        self._uc.context_restore(snapshot.registers)
        same = 0
        for one, other in zip(self._written, snapshot.written, strict=False):
            if one is not other:
                break
            same += 1
        for write in reversed(self._written[same:]):
            self._uc.mem_write(write.place, write.before)
        for write in snapshot.written[same:]:
            self._uc.mem_write(write.place, write.after)
        self._written = list(snapshot.written)

    def step(self, address: int, near: Iterable[int]) -> tuple[int, tuple[Touched, ...]]:
        """Execute the instruction at an address, of a REP one element: where the next one lies, and what it
        touches, in order. `near` are addresses around which there must be memory. Raises NotRunError."""
        self._touched.clear()
        self._failed = False
        for wanted in near:
            place = wanted % _PLACES
            for page in range((place - _AROUND) & -PAGE, place + _AROUND, PAGE):
                if 0 <= page < _END and page not in self._code:
                    self._map(page)
        place = self.code_place(address)
        try:
            self._uc.emu_start(place, 0, count=1)
        except unicorn.UcError as error:
            went = error.errno == unicorn.UC_ERR_FETCH_UNMAPPED and self._uc.reg_read(_RIP) != place
            if not went:
                raise NotRunError(str(error)) from error
        if self._failed:
            raise NotRunError("it goes where no memory was expected")
        to = int(self._uc.reg_read(_RIP))
        return (address + to - place) % (1 << 64), tuple(self._touched)

    def _on_access(self, _uc: object, kind: int, place: int, size: int, value: int, _data: object) -> None:
        pages = {place & -PAGE, (place + size - 1) & -PAGE}
        if not all(page in self._pages or page in self._code for page in pages):
            self._failed = True
            return
        if kind == unicorn.UC_MEM_WRITE:
            data = (value % (1 << 8 * size)).to_bytes(size, "little")
            self._written.append(_Write(place, bytes(self._uc.mem_read(place, size)), data))
            self._touched.append(Touched(True, place, data))
        else:
            self._touched.append(Touched(False, place, bytes(self._uc.mem_read(place, size))))
