"""Stand-ins for the routines in C that a file goes to and does not hold (`models/x86_64/callees.toml`).

A stand-in is machine code that does what is assumed of the routine, at the address of its undefined symbol
and with exception-table entries of its own: so runs can execute the assumption like any other code. The paths
of a proof do not look at this code; they have a transition of their own for it.

One that calls a routine of the file for each byte (`Callee.calls`) does so in a run, too, in a part of the
stack that lies `NESTED` bytes and more below its caller's: so the runners tell what happens in those calls
from what happens in the routine's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from mcverify.arch.known import X86_64
from mcverify.image.image import STAND_IN, Handler, Image, Section, Symbol, TableEntry

ASSUMED = "assumed"
"""Name of the handler of a stand-in's entries, and where its code is said to lie."""

NESTED = 0x4000
"""How far below its caller's stack pointer a stand-in puts the stack of the routine that it calls, in bytes:
no own frame is as large (`models/x86_64/cpu.toml`)."""

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
_CALLING = bytes.fromhex(
    "53 55 41 54 41 55"  # push %rbx, %rbp, %r12, %r13
    "48 89 fb"  # mov %rdi, %rbx
    "48 89 f5"  # mov %rsi, %rbp
    "41 89 d4"  # mov %edx, %r12d
    "49 89 e5"  # mov %rsp, %r13
    "48 8d a4 24 00 c0 ff ff"  # lea -0x4000(%rsp), %rsp
    "45 85 e4"  # again: test %r12d, %r12d
    "74 20"  # jz out
    "48 89 df"  # mov %rbx, %rdi
    "48 89 ee"  # mov %rbp, %rsi
    "ba 01 00 00 00"  # mov $1, %edx
    "e8 00 00 00 00"  # call the routine
    "48 85 c0"  # test %rax, %rax
    "75 0b"  # jnz out
    "48 ff c3"  # inc %rbx
    "48 ff c5"  # inc %rbp
    "41 ff cc"  # dec %r12d
    "eb db"  # jmp again
    "44 89 e0"  # out: mov %r12d, %eax
    "4c 89 ec"  # mov %r13, %rsp
    "41 5d 41 5c 5d 5b"  # pop %r13, %r12, %rbp, %rbx
)
_CALL_LOAD, _CALL_STORE, _CALL, _CALL_OUT = 31, 34, 42, 63
"""Of a stand-in that calls: where it takes up the addresses of a byte, in whose place the accesses of the
routine that it calls are told; where the call is, and where it ends."""

_ZEROING = bytes.fromhex(
    "41 89 d0"  # mov %edx, %r8d
    "41 89 c9"  # mov %ecx, %r9d
    "45 85 c0"  # test %r8d, %r8d
    "74 0f"  # jz out
    "8a 06"  # again: mov (%rsi), %al
    "88 07"  # mov %al, (%rdi)
    "48 ff c6"  # inc %rsi
    "48 ff c7"  # inc %rdi
    "41 ff c8"  # dec %r8d
    "75 f1"  # jnz again
    "44 89 c0"  # out: mov %r8d, %eax
    "45 85 c9"  # test %r9d, %r9d
    "74 11"  # jz done
    "44 89 c1"  # mov %r8d, %ecx
    "85 c9"  # test %ecx, %ecx
    "74 0a"  # jz done
    "c6 07 00"  # zero: movb $0, (%rdi)
    "48 ff c7"  # inc %rdi
    "ff c9"  # dec %ecx
    "75 f6"  # jnz zero
)
_ZERO_LOAD, _ZERO_STORE, _ZERO_OUT, _ZERO, _ZERO_DONE = 11, 13, 26, 41, 51

_CLAC = bytes.fromhex("0f 01 ca")
# A caller must not count on what the ABI lets a callee change: not of rcx, rdx, rsi, rdi, r8 to r11.
_SPOIL = b"".join(
    bytes.fromhex(mov) + b"\x5a\xc7\x1b\x6d"  # mov $0x6d1bc75a, %ecx ...
    for mov in ("b9", "ba", "be", "bf", "41 b8", "41 b9", "41 ba", "41 bb")
)
_RETURN = bytes.fromhex("c3")


@dataclass(frozen=True, slots=True)
class Callee:
    """What is assumed of a routine that copies byte by byte: see `models/x86_64/callees.toml`."""

    name: str
    summary: str
    kernels: str
    source: str
    layouts: tuple[str, ...]
    clears_ac: bool
    calls: str | None = None
    zeroes: bool = False


@dataclass(frozen=True, slots=True)
class StandIn:
    """The stand-in for `callee` at `address`. `calls` is the address of the routine of the file that it calls
    for each byte, None where the file has none, or it calls none."""

    callee: Callee
    address: int
    calls: int | None

    @property
    def name(self) -> str:
        """The routine's name."""
        return self.callee.name

    @property
    def clears_ac(self) -> bool:
        """Whether user access is closed when it returns."""
        return self.callee.clears_ac

    def summary(self, entry: int) -> str:
        """What is taken to be true of it in a proof of the routine at `entry`, as a sentence."""
        callee = self.callee
        said = f"{callee.name}() {callee.summary}"
        if callee.calls is None:
            return said
        if self.calls == entry:
            return (
                f"{callee.name}() calls {callee.calls}() for each byte, and {callee.summary}, as is proved"
                " here of a length of 1"
            )
        where = "which this file does not hold" if self.calls is None else "another routine of this file"
        return f"{said}: it calls {callee.calls}() for each byte, {where}"

    @property
    def load_at(self) -> int:
        """The instruction that loads a byte, or stands for those that do."""
        return self.address + self._offsets[0]

    @property
    def store_at(self) -> int:
        """The instruction that stores a byte, or stands for those that do."""
        return self.address + self._offsets[1]

    @property
    def fixup_at(self) -> int:
        """Where it goes on after a fault."""
        return self.address + self._offsets[2]

    @property
    def zero_at(self) -> int | None:
        """The instruction that zeroes a byte that is left; None if it zeroes none."""
        return self.address + _ZERO if self.callee.zeroes else None

    @property
    def entries(self) -> Mapping[int, int]:
        """Where it goes on after a fault, by the instruction that faulted."""
        by_zeroing = {} if self.zero_at is None else {self.zero_at: self.address + _ZERO_DONE}
        return {self.load_at: self.fixup_at, self.store_at: self.fixup_at, **by_zeroing}

    @property
    def _offsets(self) -> tuple[int, int, int]:
        if self.callee.zeroes:
            return _ZERO_LOAD, _ZERO_STORE, _ZERO_OUT
        return (_LOAD, _STORE, _OUT) if self.calls is None else (_CALL_LOAD, _CALL_STORE, _CALL_OUT)

    @property
    def end(self) -> int:
        """First address behind its code."""
        return self.address + len(self.code)

    @property
    def code(self) -> bytes:
        """Its machine code."""
        work = _ZEROING if self.callee.zeroes else _LOOP
        if self.calls is not None:
            behind = _CALL + 5
            distance = (self.calls - self.address - behind) & (1 << 32) - 1
            work = _CALLING[: behind - 4] + distance.to_bytes(4, "little") + _CALLING[behind:]
        return work + (_CLAC if self.clears_ac else b"") + _SPOIL + _RETURN


@cache
def known() -> Mapping[str, Callee]:
    """The routines of which something is assumed, by the names of their tables."""
    tables = X86_64.model("callees.toml")
    return {
        table: Callee(
            said.get("symbol", table), said["summary"], said["kernels"], said["source"],
            tuple(said["layouts"]), said["clears_ac"], said.get("calls"), said.get("zeroes", False),
        )
        for table, said in tables.items()
    }  # fmt: skip


def callees(image: Image) -> Mapping[int, StandIn]:
    """The stand-ins of the image, by address."""
    return {
        stand_in.address: stand_in
        for stand_in in _stand_ins(image)
        if image.section_at(stand_in.address) is not None
    }


def calls_of(image: Image, entry: int) -> tuple[int, ...]:
    """The addresses of the stand-ins that call the routine at `entry` for each byte."""
    return tuple(address for address, stand_in in callees(image).items() if stand_in.calls == entry)


def calling(image: Image) -> StandIn | None:
    """The one stand-in that calls a routine of the file; None if there is none, or several."""
    found = [stand_in for stand_in in callees(image).values() if stand_in.calls is not None]
    return found[0] if len(found) == 1 else None


def assumed_at(image: Image, address: int) -> bool:
    """Whether `address` lies in a stand-in."""
    return any(s.address <= address < s.end for s in callees(image).values())


def with_callees(image: Image) -> Image:
    """The image with stand-ins for the routines that it goes to; without a table of its own, as it is."""
    wanted = list(_stand_ins(image))
    if not image.entries or not wanted:
        return image
    sections = [Section(f"{s.name}{STAND_IN}", s.address, s.code, executable=True) for s in wanted]
    symbols = [
        Symbol(s.name, fixup, 0, is_function=False, is_global=False)
        for s in wanted
        for fixup in dict.fromkeys(s.entries.values())
    ]
    insns = [entry for s in wanted for entry in s.entries.items()]
    first = max(entry.index for entry in image.entries) + 1
    entries = [TableEntry(at, fixup, Handler(ASSUMED), first + i) for i, (at, fixup) in enumerate(insns)]
    return replace(
        image,
        sections=(*image.sections, *sections),
        symbols=(*image.symbols, *symbols),
        entries=(*image.entries, *entries),
    )


def _stand_ins(image: Image) -> Iterator[StandIn]:
    for address, name in sorted(image.externals.items()):
        for callee in known().values():
            if callee.name == name and image.layout in callee.layouts:
                yield StandIn(callee, address, _called(image, callee))


def _called(image: Image, callee: Callee) -> int | None:
    """Where the routine lies that `callee` calls, if the file has it as code."""
    address = image.address_of(callee.calls) if callee.calls is not None else None
    return address if address is not None and image.code_at(address, 1) else None
