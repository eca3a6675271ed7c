"""Stand-ins for the routines in C that a file goes to and does not hold (`models/callees.toml`).

A stand-in is machine code that does what is assumed of the routine, at the address of its undefined symbol
and with exception-table entries of its own: so runs can execute the assumption like any other code. The paths
of a proof do not look at this code; they have a transition of their own for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from mcverify.image.image import Handler, Image, Section, Symbol, TableEntry
from mcverify.models import read_toml

ASSUMED = "assumed"
"""Name of the handler of a stand-in's entries, and where its code is said to lie."""

_LOOP = bytes.fromhex(
    "89 d1"  # mov %edx, %ecx
    "85 c9"  # test %ecx, %ecx
    "74 0e"  # jz out
    "8a 06"  # again: mov (%rsi), %al
    "88 07"  # mov %al, (%rdi)
    "48 ff c6"  # inc %rsi
    "48 ff c7"  # inc %rdi
    "ff c9"  # dec %ecx
    "75 f2"  # jnz again
    "89 c8"  # out: mov %ecx, %eax
)
_LOAD, _STORE, _OUT = 6, 8, 20
_CLAC = bytes.fromhex("0f 01 ca")
# A caller must not count on what the ABI lets a callee change: not of rcx, rdx, rsi, rdi, r8 to r11.
_SPOIL = b"".join(
    bytes.fromhex(mov) + b"\x5a\xc7\x1b\x6d"  # mov $0x6d1bc75a, %ecx ...
    for mov in ("b9", "ba", "be", "bf", "41 b8", "41 b9", "41 ba", "41 bb")
)
_RETURN = bytes.fromhex("c3")


@dataclass(frozen=True, slots=True)
class Callee:
    """What is assumed of a routine that copies byte by byte: see `models/callees.toml`."""

    name: str
    summary: str
    kernels: str
    source: str
    layouts: tuple[str, ...]
    clears_ac: bool

    @staticmethod
    def load_at(address: int) -> int:
        """The instruction that loads, in a stand-in at `address`."""
        return address + _LOAD

    @staticmethod
    def store_at(address: int) -> int:
        """The instruction that stores, in a stand-in at `address`."""
        return address + _STORE

    @staticmethod
    def fixup_at(address: int) -> int:
        """Where a stand-in at `address` goes on after a fault."""
        return address + _OUT

    @property
    def code(self) -> bytes:
        """The machine code of a stand-in."""
        return _LOOP + (_CLAC if self.clears_ac else b"") + _SPOIL + _RETURN


@cache
def known() -> Mapping[str, Callee]:
    """The routines of which something is assumed, by name."""
    tables = read_toml("callees.toml")
    return {
        name: Callee(
            name, said["summary"], said["kernels"], said["source"], tuple(said["layouts"]), said["clears_ac"]
        )
        for name, said in tables.items()
    }


def callees(image: Image) -> Mapping[int, Callee]:
    """Those that the image goes to, by their address in it."""
    return {
        address: known()[name]
        for address, name in image.externals.items()
        if name in known() and image.section_at(address) is not None
    }


def assumed_at(image: Image, address: int) -> bool:
    """Whether `address` lies in a stand-in."""
    return any(start <= address < start + len(c.code) for start, c in callees(image).items())


def with_callees(image: Image) -> Image:
    """The image with stand-ins for the routines that it goes to; without a table of its own, as it is."""
    wanted = [
        (address, known()[name])
        for address, name in sorted(image.externals.items())
        if name in known() and image.layout in known()[name].layouts
    ]
    if not image.entries or not wanted:
        return image
    sections = [Section(f"{c.name} (assumed)", address, c.code, executable=True) for address, c in wanted]
    symbols = [
        Symbol(c.name, c.fixup_at(address), 0, is_function=False, is_global=False) for address, c in wanted
    ]
    insns = [(at, c.fixup_at(a)) for a, c in wanted for at in (c.load_at(a), c.store_at(a))]
    first = len(image.entries)
    entries = [TableEntry(at, fixup, Handler(ASSUMED), first + i) for i, (at, fixup) in enumerate(insns)]
    return replace(
        image,
        sections=(*image.sections, *sections),
        symbols=(*image.symbols, *symbols),
        entries=(*image.entries, *entries),
    )
