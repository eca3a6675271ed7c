"""The image: what the user's file holds, as values.

An image is the file laid out in one flat 64-bit address space with its relocations
applied: code bytes, symbols, lines, exception table. Everything after this room works on
an image and never looks at the file again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from mcverify.arch.architecture import Architecture

STAND_IN = " (assumed)"
"""End of the name of a section that stands for a routine in C (`image/callees.py`)."""

_LONGEST_SITE = 255
"""Bytes of a site at most: its table has one byte for the length."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a source file, as the assembler's debug information names it."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Section:
    """An allocated section at its address in the image; `data` has its relocations applied. `is_constant`:
    nothing in it is ever written, by the linker neither."""

    name: str
    address: int
    data: bytes
    executable: bool
    is_constant: bool = False

    @property
    def end(self) -> int:
        """First address behind the section."""
        return self.address + len(self.data)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A label of the image. `size` is in bytes, 0 where the file does not say.

    `is_function` holds for STT_FUNC symbols, `is_global` for STB_GLOBAL and STB_WEAK ones.
    """

    name: str
    address: int
    size: int
    is_function: bool
    is_global: bool


@dataclass(frozen=True, slots=True)
class Handler:
    """What the kernel's exception handler does before it continues at the fixup.

    `effects` are the words of `models/x86_64/extable.toml` ("ax = trap", "reg = imm", ...), in
    the order in which they happen; `register` and `imm` are their operands.
    """

    name: str
    effects: tuple[str, ...] = ()
    register: str | None = None
    imm: int = 0


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One exception-table entry: a fault at `insn` continues at `fixup`, after `handler`.

    `insn` and `fixup` are image addresses; `index` is the entry's position in the table as
    the file has it (0 first), for messages. `ranged`: the table's entry is for a range of code, and this is
    its part for one instruction.
    """

    insn: int
    fixup: int
    handler: Handler
    index: int
    ranged: bool = False


class Moves(StrEnum):
    """Which relative targets of a replacement are corrected when it is copied to its site."""

    CALL = "call"
    BRANCH = "branch"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One alternative: on a CPU that has `feature` (`inverted`: that has it not) the boot code copies
    `replacement`, which lies at `origin`, over the `length` bytes at `site`, with nops behind it.

    `index` is its position in the table: of two alternatives for one site the later one is written
    last. `computed` holds where the boot code writes something that no file says. `feature` is the same for
    all kernels, if need be a number; `shown` is what the kernel at hand calls it. Where the boot code writes
    a constant into an instruction, `constant` is its name, and the site is the operand.
    """

    site: int
    length: int
    feature: str
    inverted: bool
    replacement: bytes
    origin: int
    moves: Moves
    index: int
    computed: bool = False
    shown: str = ""
    constant: str = ""

    @property
    def end(self) -> int:
        """First address behind the site."""
        return self.site + self.length


@dataclass(frozen=True, slots=True)
class Annotation:
    """A comment of the source addressed to us: `/* mcverify: contract bytes_left */`.

    `key` is the first word after the colon of ``mcverify:`` (or ``expect`` for an
    ``expect:`` comment), `value` the rest.
    """

    key: str
    value: str
    where: SourceLine


@dataclass(frozen=True, slots=True)
class CodeWord:
    """A word of data that are never written which tells a place in code, of the section from `first` to
    `end`: by its distance from somewhere in the data (`relative`), or by its address. `width` is in bytes."""

    width: int
    relative: bool
    first: int
    end: int


@dataclass(frozen=True)
class Image:
    """One input file, laid out and relocated.

    `externals` maps the address given to each undefined symbol to its name: a jump there
    leaves the image. `lines` maps instruction addresses to source lines. `layout` names
    the exception-table layout found (a key of `extable.toml`). `notes` are facts the reader of a
    verdict must know (a CONFIG that was assumed, a routine in the source that the object lacks).
    `sha256` is the digest of the file's content, in hex. `alternatives` are in the order of their table.
    `relocated` are the places at which a relocation wrote into code, with whether it wrote a distance and no
    address; `constants` are those of them that refer to data which are never written, with where these begin
    and end; `repatched` are the instructions, or operands, that the kernel rewrites as it runs, with the
    section that says so.
    `built` holds for what a kernel's build has made whole: a linked kernel (`linked`), or a module; `packed`
    for what was compressed in the file, `focused` once all is left out that one routine does not need.
    `kernels` are those that the file is for ("6.12.57", "6.4 to 6.18"), as far as `kernels_by` tells: its
    tree, what it says of itself, or what its text uses.
    `table` is a sentence on an exception table that is not one of Linux, `table_bytes` and `entry_bytes` are
    the sizes of the table and of an entry.
    `code_words` are the words of an object's read-only data that tell places in code, by their addresses;
    `word_references` the places in code whose relocations refer to such data, with where these begin and end;
    `code_references` those at which an address of the file's own code is held.
    `object_code` is the object that was read, empty where it is `built`.
    """

    path: Path
    architecture: Architecture
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    entries: tuple[TableEntry, ...]
    lines: Mapping[int, SourceLine]
    externals: Mapping[int, str]
    layout: str
    annotations: tuple[Annotation, ...] = ()
    notes: tuple[str, ...] = field(default=())
    sha256: str = ""
    alternatives: tuple[Alternative, ...] = ()
    relocated: Mapping[int, bool] = field(default_factory=dict)
    constants: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    repatched: Mapping[int, str] = field(default_factory=dict)
    built: bool = False
    linked: bool = False
    packed: bool = False
    focused: bool = False
    kernels: str = ""
    kernels_by: str = ""
    table: str = ""
    table_bytes: int = 0
    entry_bytes: int = 0
    code_words: Mapping[int, CodeWord] = field(default_factory=dict)
    word_references: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    code_references: Mapping[int, int] = field(default_factory=dict)
    object_code: bytes = field(default=b"", repr=False)

    @cached_property
    def _by_address(self) -> dict[int, list[Symbol]]:
        named: dict[int, list[Symbol]] = {}
        for symbol in self.symbols:
            named.setdefault(symbol.address, []).append(symbol)
        return named

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {symbol.name: symbol.address for symbol in reversed(self.symbols)}

    @cached_property
    def _starts(self) -> list[Symbol]:
        named = (s for s in self.symbols if s.is_function or s.is_global)
        return sorted(named, key=lambda s: (s.address, not s.is_function))

    @cached_property
    def _symbols_by_address(self) -> list[Symbol]:
        return sorted(self.symbols, key=lambda s: s.address)

    @cached_property
    def _line_starts(self) -> list[int]:
        return sorted(self.lines)

    @cached_property
    def _alternatives_by_site(self) -> list[Alternative]:
        return sorted(self.alternatives, key=lambda a: a.site)

    @cached_property
    def _entries_by_insn(self) -> dict[int, TableEntry]:
        return {entry.insn: entry for entry in reversed(self.entries)}

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """Function symbols, in address order."""
        return tuple(sorted((s for s in self.symbols if s.is_function), key=lambda s: s.address))

    def section_at(self, address: int) -> Section | None:
        """The section that holds `address`, or None."""
        return next((s for s in self.sections if s.address <= address < s.end), None)

    def names_of_datum(self, address: int) -> tuple[str, ...]:
        """The names of a datum's address: of a symbol of the file, or of one that it lacks."""
        outside = self.externals.get(address)
        return (*((outside,) if outside is not None else ()), *self.names_at(address))

    def constant_at(self, insn: int, length: int, address: int, size: int) -> bytes | None:
        """The `size` bytes at `address`, if the instruction of `length` bytes at `insn` has a relocation that
        refers to data around them which are never written; else None. An address that was come by otherwise
        holds something else once the file is linked."""
        section = self.section_at(address)
        places = [self.constants[place] for place in range(insn, insn + length) if place in self.constants]
        if section is None or not any(first <= address and address + size <= end for first, end in places):
            return None
        start = address - section.address
        return section.data[start : start + size]

    def refers_to_words(self, address: int, size: int, data: int) -> bool:
        """Whether the instruction of `size` bytes at `address` has a relocation that refers to the read-only
        data around `data`, by a symbol which no other file may define."""
        found = (self.word_references.get(place) for place in range(address, address + size))
        return any(ends is not None and ends[0] <= data < ends[1] for ends in found)

    def code_at(self, address: int, size: int = 15) -> bytes:
        """At most `size` bytes of executable code at `address`; empty where there is none."""
        section = self.section_at(address)
        if section is None or not section.executable:
            return b""
        start = address - section.address
        return section.data[start : start + size]

    def holds_address(self, address: int, size: int) -> bool:
        """Whether an address was written into the instruction of `size` bytes at `address`."""
        return any(self.relocated.get(place) is False for place in range(address, address + size))

    def holds_distance(self, address: int, size: int) -> bool:
        """Whether a distance to elsewhere was written into the instruction of `size` bytes at `address`."""
        return any(self.relocated.get(place) is True for place in range(address, address + size))

    def rewritten_at(self, address: int, size: int) -> str | None:
        """The section that says so, if the kernel rewrites the instruction of `size` bytes at `address`."""
        places = range(address, address + size)
        return next((self.repatched[place] for place in places if place in self.repatched), None)

    def bytes_at(self, address: int, size: int) -> bytes:
        """At most `size` bytes at `address`, of code or data; empty where there is neither."""
        section = self.section_at(address)
        if section is None:
            return b""
        start = address - section.address
        return section.data[start : start + size]

    def entry_at(self, address: int) -> TableEntry | None:
        """The entry whose faulting instruction is exactly `address`.

        The kernel searches a sorted table; of two entries for one instruction the file's
        first is taken here, and `image.extable` refuses the pair if they differ.
        """
        return self._entries_by_insn.get(address)

    def alternatives_between(self, start: int, end: int) -> list[Alternative]:
        """The alternatives whose sites overlap [start, end), in the order of their table."""
        by_site = self._alternatives_by_site
        first = bisect_left(by_site, start - _LONGEST_SITE, key=lambda a: a.site)
        last = bisect_left(by_site, end, key=lambda a: a.site)
        return sorted((a for a in by_site[first:last] if a.end > start), key=lambda a: a.index)

    def symbols_between(self, start: int, end: int) -> list[Symbol]:
        """The symbols at [start, end), by address."""
        found = self._symbols_by_address
        first = bisect_left(found, start, key=lambda s: s.address)
        return found[first : bisect_left(found, end, key=lambda s: s.address)]

    def address_of(self, name: str) -> int | None:
        """The address of the first symbol of that name, None if there is none."""
        return self._by_name.get(name)

    def near(self, address: int) -> str:
        """`symbol+offset` of `address`, by the nearest function or global label before it."""
        before = bisect_right(self._starts, address, key=lambda s: s.address) - 1
        section = self.section_at(address)
        if before < 0 or section is None or self._starts[before].address < section.address:
            return hex(address)
        first = bisect_left(self._starts, self._starts[before].address, key=lambda s: s.address)
        symbol, offset = self._starts[first], address - self._starts[first].address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    def names_at(self, address: int) -> list[str]:
        """All names of `address`, in the order of the symbol table."""
        return [symbol.name for symbol in self._by_address.get(address, [])]

    def label_at(self, address: int) -> str | None:
        """The name of `address`: a local label before a function's own name; None if unnamed."""
        names = self._by_address.get(address)
        if not names:
            return None
        return min(names, key=lambda s: (s.is_function, s.is_global, s.name)).name

    def line_at(self, address: int) -> SourceLine | None:
        """The source line that the instruction at `address` came from, if known."""
        index = bisect_right(self._line_starts, address) - 1
        if index < 0:
            return None
        start = self._line_starts[index]
        here, there = self.section_at(address), self.section_at(start)
        return self.lines[start] if here is not None and here is there else None

    def where(self, address: int) -> str:
        """`file:line` of `address`; where there are no lines, section+offset, or symbol+offset of what is
        `built`."""
        line = self.line_at(address)
        if line is not None:
            return str(line)
        section = self.section_at(address)
        if section is not None and section.name.endswith(STAND_IN):
            return section.name
        if self.built:
            return f"{self.path}: {self.near(address)}"
        if section is None:
            return f"{self.path}: {address:#x}"
        return f"{self.path}: {section.name}+{address - section.address:#x}"
