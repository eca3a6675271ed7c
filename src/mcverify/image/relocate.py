"""Plain ELF values -> one address space: sections at their addresses, relocations applied."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from elftools.elf.enums import ENUM_RELOC_TYPE_x64

from mcverify.errors import InputError
from mcverify.image.elf import RawElf, RawRelocation, RawSection, RawSymbol
from mcverify.image.image import CodeWord, Section, Symbol

# Below 2^47, so that a user process can map the image at the same addresses; far from where
# Linux puts programs, libraries and stacks.
BASE = 0x1000_0000_0000
# For files with 32-bit absolute relocations (-mcmodel=kernel): within the low 2 GB, where
# both R_X86_64_32 and R_X86_64_32S reach.
LOW_BASE = 0x4000_0000
PAGE = 0x1000
EXTERNAL_SPACING = PAGE  # code may be put in place of one (image/callees.py)

REPLACEMENTS = ".altinstr_replacement"
"""The section of the replacements of alternatives: code that is copied from there and never runs there."""

_MAX_ALIGNMENT = 1 << 21
_MAX_BYTES = 1 << 28
_MAX_ZEROS = 1 << 26


class Kind(NamedTuple):
    """How a relocation type writes: `width` in bytes; `signed` None where any 64-bit value fits."""

    width: int
    relative: bool
    signed: bool | None


# System V ABI, AMD64 supplement 1.0, table 4.9. PLT32 is PC32 to a kernel, which has no PLT.
_KINDS = {
    1: Kind(8, False, None),  # R_X86_64_64
    2: Kind(4, True, True),  # R_X86_64_PC32
    4: Kind(4, True, True),  # R_X86_64_PLT32
    10: Kind(4, False, False),  # R_X86_64_32
    11: Kind(4, False, True),  # R_X86_64_32S
    12: Kind(2, False, False),  # R_X86_64_16
    13: Kind(2, True, True),  # R_X86_64_PC16
    14: Kind(1, False, False),  # R_X86_64_8
    15: Kind(1, True, True),  # R_X86_64_PC8
    24: Kind(8, True, None),  # R_X86_64_PC64
}
_NONE = 0
_ADDRESSES = (1, 10, 11)
"""Relocations by which an instruction holds an address: R_X86_64_64, R_X86_64_32 and R_X86_64_32S."""
_OF_TABLES = (1, 2)
"""Relocations by which a jump table tells places in code: R_X86_64_64 and R_X86_64_PC32."""
_NAMES: dict[int, str] = {
    number: name for name, number in ENUM_RELOC_TYPE_x64.items() if isinstance(number, int)
}
_GAP = 64
"""Bytes between two sections at least, lest one that fills its pages go on in the next, or what counts from
the begin of a table's entry lead there."""
_LONGEST_SHIFT = 16
"""How far behind a section the place may seem to lie that a word of a table means, where it counts from the
begin of its entry: whether code lies there is asked when the table is read."""
# What stands before the distance of a branch: call and jmp, jcc behind 0f; the short ones, loop and jrcxz.
_NEAR_BRANCH, _NEAR_CONDITION = (0xE8, 0xE9), range(0x80, 0x90)
_SHORT_BRANCH = (0xEB, *range(0x70, 0x80), *range(0xE0, 0xE4))
# Labels that clang invents for `1:` and for debug information, and those of the stand-ins' macros.
_COMPILER_LABEL = re.compile(r"\.Ltmp\d+|\.L(debug|line|info|func|cu|sec|mcverify)_\w+")


class Relocated(NamedTuple):
    """A relocation after it was applied: its `kind`, the symbol's name and value + addend, and the addresses
    from the first to behind the last at which the symbol's data lie, if they are constant."""

    kind: int
    name: str
    target: int
    constant: tuple[int, int] | None = None

    @property
    def form(self) -> Kind:
        """Width and sort of the field."""
        return _KINDS[self.kind]


@dataclass(frozen=True)
class LaidOut:
    """The file in one address space.

    `relocated` gives, for each allocated section's address, its relocations by offset;
    `code_words` the words of read-only data that tell places in code (`image.CodeWord`), and
    `word_references` the places in code by which such data are found, `code_references` those at which code
    holds addresses of the file's own code, with these;
    `debug` the relocated contents of sections that are not allocated, by section index.
    """

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    externals: dict[int, str]
    relocated: dict[int, dict[int, Relocated]]
    debug: dict[int, bytes]
    code_words: dict[int, CodeWord]
    word_references: dict[int, tuple[int, int]]
    code_references: dict[int, int]

    def is_relocated(self, address: int) -> bool:
        """Whether a relocation wrote at `address`."""
        return any(address - section in offsets for section, offsets in self.relocated.items())

    def beside(self, address: int, shift: int) -> int | None:
        """What the relocation `shift` bytes from the one at `address` refers to, None if there is none."""
        for section, relocations in self.relocated.items():
            if address - section in relocations and address - section + shift in relocations:
                return relocations[address - section + shift].target
        return None

    def in_code(self) -> dict[int, bool]:
        """The places in code, replacements included, at which a relocation wrote, and whether a distance."""
        run = {s.address for s in self.sections if s.executable or s.name == REPLACEMENTS}
        return {
            section + offset: r.form.relative
            for section, relocations in self.relocated.items()
            if section in run
            for offset, r in relocations.items()
        }

    def constants(self) -> dict[int, tuple[int, int]]:
        """The places in code, replacements included, at which a relocation wrote where constant data lie,
        with the first address of these data and that behind the last."""
        run = {s.address for s in self.sections if s.executable or s.name == REPLACEMENTS}
        return {
            section + offset: r.constant
            for section, relocations in self.relocated.items()
            if section in run
            for offset, r in relocations.items()
            if r.constant is not None
        }

    def named_by(self, names: Collection[str]) -> dict[int, str]:
        """What the relocations of the sections of these names refer to, with the section's name."""
        of = {section.address: section.name for section in self.sections if section.name in names}
        return {r.target: of[at] for at, found in self.relocated.items() if at in of for r in found.values()}

    def used_as_number(self) -> dict[str, int]:
        """Undefined names whose value, not their distance, the file uses; each with a place of use."""
        undefined = set(self.externals.values())
        return {
            r.name: section + offset
            for section, relocations in self.relocated.items()
            for offset, r in relocations.items()
            if not r.form.relative and r.name in undefined
        }


def lay_out(elf: RawElf, where: str, tables: Mapping[str, Callable[[int], int]]) -> LaidOut:
    """Give every allocated section and undefined symbol an address and apply the relocations.

    `tables` are the sections that are tables of places in code, each with how far from the word at an offset
    the place lies that its distance counts from.
    Linked files keep their addresses. Raises InputError for a relocation that is unknown,
    misplaced or does not fit, naming it.
    """
    return _Layout(elf, where, tables).result()


class _Layout:
    """The one pass over a file; lives only inside :func:`lay_out`."""

    def __init__(self, elf: RawElf, where: str, tables: Mapping[str, Callable[[int], int]]) -> None:
        self.elf = elf
        self.where = where
        self.tables = tables
        self.addresses = self._section_addresses()
        self.external_addresses = self._external_addresses()
        self.astray = self._astray()
        self.astray_addresses = self._astray_addresses()
        self.relocated: dict[int, dict[int, Relocated]] = {}
        self.code_words: dict[int, CodeWord] = {}
        self.word_references: dict[int, tuple[int, int]] = {}
        self.code_references: dict[int, int] = {}

    def result(self) -> LaidOut:
        contents = {
            i: self._relocate(s) for i, s in self.elf.sections.items() if i in self.addresses or s.relocations
        }
        return LaidOut(
            sections=self._image_sections(contents),
            symbols=tuple(self._image_symbol(s) for s in self.elf.symbols if self._is_label(s)),
            externals={address: self.elf.symbols[i].name for i, address in self.external_addresses.items()}
            | {address: name for name, address in self.astray_addresses.items()},
            relocated={self.addresses[i]: r for i, r in self.relocated.items() if i in self.addresses},
            debug={i: data for i, data in contents.items() if i not in self.addresses},
            code_words=self.code_words,
            word_references=self.word_references,
            code_references=self.code_references,
        )

    # -- addresses

    def _section_addresses(self) -> dict[int, int]:
        allocated = [s for s in self.elf.sections.values() if s.allocated]
        if not self.elf.relocatable:
            return {s.index: s.address for s in allocated if not s.nobits}
        self._check_size(allocated)
        addresses: dict[int, int] = {}
        at = LOW_BASE if self._wants_low_addresses() else BASE
        for section in allocated:
            at = _round_up(at, max(PAGE, self._alignment(section)))
            addresses[section.index] = at
            at += section.size + _GAP
        return addresses

    def _check_size(self, allocated: list[RawSection]) -> None:
        zeros = [s for s in allocated if s.nobits]
        for sections, limit in ((allocated, _MAX_BYTES), (zeros, _MAX_ZEROS)):
            total = sum(s.size for s in sections)
            if total > limit:
                raise InputError(
                    f"its sections ask for {total} bytes, more than the {limit} mcverify takes",
                    where=self.where,
                )

    def _alignment(self, section: RawSection) -> int:
        if section.alignment & (section.alignment - 1) or section.alignment > _MAX_ALIGNMENT:
            raise InputError(
                f"section {section.name} has the alignment {section.alignment}", where=self.where
            )
        return section.alignment

    def _wants_low_addresses(self) -> bool:
        return any(
            kind is not None and not kind.relative and kind.width < 8
            for section in self.elf.sections.values()
            if section.allocated
            for kind in (_KINDS.get(r.kind) for r in section.relocations)
        )

    def _external_addresses(self) -> dict[int, int]:
        """Addresses by symbol index, a page apart, behind the image; one address per name."""
        start = self._behind()
        indices = [i for i, s in enumerate(self.elf.symbols) if s.undefined and s.name]
        names = {name: k for k, name in enumerate(dict.fromkeys(self.elf.symbols[i].name for i in indices))}
        return {i: start + EXTERNAL_SPACING * names[self.elf.symbols[i].name] for i in indices}

    def _behind(self) -> int:
        """The first page behind the image and a gap."""
        end = max((self.addresses[i] + self.elf.sections[i].size for i in self.addresses), default=BASE)
        return _round_up(end + PAGE, PAGE)

    def _astray(self) -> dict[tuple[int, int], str]:
        """The branches and entries of tables, by section and offset, that are about a place of which only the
        linker knows what will lie there: beside an undefined symbol, outside the section of one that is
        defined, or at one that another file may define instead; with words for the place."""
        if not self.elf.relocatable:
            return {}
        return {
            (section.index, relocation.offset): words
            for section in self.elf.sections.values()
            if (section.executable or section.name in self.tables) and section.relocations
            for code in (section.data,)
            for relocation in section.relocations
            if relocation.kind in _KINDS and (section.name in self.tables or _is_branch(code, relocation))
            if (words := self._beside(section, relocation)) is not None
        }

    def _beside(self, section: RawSection, relocation: RawRelocation) -> str | None:
        """Words for the place that is meant, None where the file says what lies there."""
        if relocation.symbol >= len(self.elf.symbols):
            return None
        symbol = self.elf.symbols[relocation.symbol]
        distance = relocation.addend + self._behind_field(section, relocation)
        home = self._home(symbol)
        name = symbol.name or (home.name if home else "")
        if symbol.kind == "STT_GNU_IFUNC":
            return f"{name} (an IFUNC: what lies there chooses the routine)"
        if home is None and not symbol.undefined:
            return f"{name} (an absolute address: nobody knows where this code will lie)"
        if home is not None and self._may_be_elsewhere(symbol):
            return f"{name} (weak: another file may define it instead)"
        if symbol.undefined:
            known = distance == 0
        else:
            beyond = _LONGEST_SHIFT if section.name in self.tables else 0
            known = home is not None and 0 <= symbol.value + distance <= home.size + beyond
        if known:
            return None
        return f"{name}{distance:+#x}" if name else f"{distance:#x}"

    def _behind_field(self, section: RawSection, relocation: RawRelocation) -> int:
        """From where a distance counts: a branch's from the end of its field, a table's from its begin or
        from what the table says."""
        shift = self.tables.get(section.name)
        return _KINDS[relocation.kind].width if shift is None else -shift(relocation.offset)

    def _astray_addresses(self) -> dict[str, int]:
        """Addresses of their own for the places to which branches go astray, as if each were a symbol."""
        start = max(self.external_addresses.values(), default=self._behind()) + EXTERNAL_SPACING
        names = dict.fromkeys(self.astray.values())
        return {name: start + EXTERNAL_SPACING * k for k, name in enumerate(names)}

    def _home(self, symbol: RawSymbol) -> RawSection | None:
        """The section of a symbol; None where it is of none, or of one that is not kept."""
        return self.elf.sections.get(symbol.section) if symbol.section is not None else None

    def _may_be_elsewhere(self, symbol: RawSymbol) -> bool:
        """Whether another file may define the symbol instead. A module is linked already."""
        return symbol.binding == "STB_WEAK" and not self.elf.is_module

    def _value(self, index: int) -> int:
        """The value of a symbol in the image; sections that are not allocated begin at 0."""
        symbol = self.elf.symbols[index]
        if symbol.section is not None and self.elf.relocatable:
            return self.addresses.get(symbol.section, 0) + symbol.value
        return self.external_addresses.get(index, symbol.value)

    # -- contents

    def _relocate(self, section: RawSection) -> bytes:
        data = bytearray(section.data if not section.nobits else self._zeros(section))
        for relocation in section.relocations:
            if relocation.kind != _NONE:
                self._apply(section, relocation, data)
        return bytes(data)

    def _zeros(self, section: RawSection) -> bytes:
        return bytes(section.size) if section.index in self.addresses else b""

    def _apply(self, section: RawSection, relocation: RawRelocation, data: bytearray) -> None:
        kind = self._kind(section, relocation)
        name = self._name(section, relocation)
        if relocation.offset + kind.width > len(data):
            raise self._error(section, relocation, f"it lies outside the section, whose size is {len(data)}")
        target = self._value(relocation.symbol) + relocation.addend
        if (astray := self.astray.get((section.index, relocation.offset))) is not None:
            target = self.astray_addresses[astray] - self._behind_field(section, relocation)
        place = self.addresses.get(section.index, 0) + relocation.offset
        value = target - place if kind.relative else target
        if not _fits(value, kind):
            raise self._error(
                section,
                relocation,
                f"the value {value:#x}{f' of {name}' if name else ''} does not fit into {kind.width} bytes",
            )
        field = (value & (1 << 8 * kind.width) - 1).to_bytes(kind.width, "little")
        data[relocation.offset : relocation.offset + kind.width] = field
        self._note_code_word(section, relocation, kind, place)
        done = self.relocated.setdefault(section.index, {})
        constant = self._constant(self.elf.symbols[relocation.symbol])
        done[relocation.offset] = Relocated(relocation.kind, name, target, constant)

    def _constant(self, symbol: RawSymbol) -> tuple[int, int] | None:
        """Where the data of a symbol lie that every linker leaves together, and as they are. What is behind
        its section, or its element of a section that is merged, is known to our layout alone."""
        home = self._home(symbol)
        if home is None or not self.elf.relocatable or not _is_constant(home):
            return None
        if self._may_be_elsewhere(symbol):
            return None
        start = self.addresses.get(home.index)
        if start is None or home.merged and not 0 < home.element <= home.size:
            return None
        if not home.merged:
            return start, start + home.size
        first = start + symbol.value // home.element * home.element
        return first, first + home.element

    def _note_code_word(self, section: RawSection, relocation: RawRelocation, kind: Kind, place: int) -> None:
        """Note a word of an object's read-only data by which a symbol of its code is told, that no other file
        may define instead; and the reverse, by which code finds such data."""
        symbol = self.elf.symbols[relocation.symbol]
        home = self._home(symbol)
        if not self.elf.relocatable or home is None or home.index not in self.addresses:
            return
        if symbol.binding == "STB_WEAK" or "IFUNC" in symbol.kind:
            return
        if relocation.kind in _ADDRESSES and _runs(section) and _runs(home):
            self.code_references[place] = self._value(relocation.symbol) + relocation.addend
        if relocation.kind not in _OF_TABLES:
            return
        first = self.addresses[home.index]
        if _is_only_read(section) and _runs(home):
            self.code_words[place] = CodeWord(kind.width, kind.relative, first, first + home.size)
        elif _runs(section) and _is_only_read(home):
            self.word_references[place] = first, first + home.size

    def _kind(self, section: RawSection, relocation: RawRelocation) -> Kind:
        kind = _KINDS.get(relocation.kind)
        if kind is not None:
            return kind
        name = _NAMES.get(relocation.kind, f"type {relocation.kind}")
        if "GOT" in name:
            message = f"{name}: position-independent code that reaches data through a GOT is not supported"
            raise self._error(section, relocation, message, hint="compile with -fno-pic, as the kernel does")
        raise self._error(section, relocation, f"{name} is not supported")

    def _name(self, section: RawSection, relocation: RawRelocation) -> str:
        if relocation.symbol >= len(self.elf.symbols):
            raise self._error(
                section, relocation, f"it refers to symbol {relocation.symbol}, which there is not"
            )
        symbol = self.elf.symbols[relocation.symbol]
        if symbol.name or symbol.section is None:
            return symbol.name
        named = self.elf.sections.get(symbol.section)
        return named.name if named else ""

    def _error(
        self, section: RawSection, relocation: RawRelocation, message: str, hint: str | None = None
    ) -> InputError:
        return InputError(
            f"cannot apply the relocation at {section.name}+{relocation.offset:#x}: {message}",
            where=self.where,
            hint=hint,
        )

    # -- what the image shows

    def _image_sections(self, contents: Mapping[int, bytes]) -> tuple[Section, ...]:
        sections = (
            Section(
                self.elf.sections[i].name,
                address,
                contents[i],
                executable=_runs(self.elf.sections[i]),
                is_constant=self.elf.relocatable and _is_constant(self.elf.sections[i]),
            )
            for i, address in self.addresses.items()
            if contents[i]
        )
        return tuple(sorted(sections, key=lambda s: s.address))

    def _is_label(self, symbol: RawSymbol) -> bool:
        return (
            symbol.section in self.addresses
            and bool(symbol.name)
            and symbol.kind not in ("STT_SECTION", "STT_FILE")
            and not _COMPILER_LABEL.fullmatch(symbol.name)
        )

    def _image_symbol(self, symbol: RawSymbol) -> Symbol:
        base = self.addresses[symbol.section] if self.elf.relocatable and symbol.section is not None else 0
        return Symbol(
            name=symbol.name,
            address=base + symbol.value,
            size=symbol.size,
            is_function=symbol.kind in ("STT_FUNC", "STT_GNU_IFUNC"),
            is_global=symbol.binding in ("STB_GLOBAL", "STB_WEAK"),
        )


def _runs(section: RawSection) -> bool:
    """Whether code of the section is run where it lies: replacements of alternatives are copied elsewhere."""
    return section.executable and section.name != REPLACEMENTS


def _is_constant(section: RawSection) -> bool:
    """Whether an object's section holds data that are only read and are complete in the file. (The .rodata of
    a linked kernel has what is written until its init is over, too.)"""
    return _is_only_read(section) and not section.relocations


def _is_only_read(section: RawSection) -> bool:
    """Whether a section holds data that are never written once they are relocated."""
    return section.allocated and not (section.executable or section.writable or section.nobits)


def _is_branch(code: bytes, relocation: RawRelocation) -> bool:
    """Whether a relocation is the distance of a branch, by the opcode before it: what is relative to rip
    otherwise has a ModRM byte there that is none of these."""
    kind = _KINDS.get(relocation.kind)
    before = code[max(0, relocation.offset - 2) : relocation.offset]
    if kind is None or not kind.relative or not before:
        return False
    if kind.width == 1:
        return before[-1] in _SHORT_BRANCH
    return before[-1] in _NEAR_BRANCH or before[0] == 0x0F and before[-1] in _NEAR_CONDITION


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _fits(value: int, kind: Kind) -> bool:
    bits = 8 * kind.width
    if kind.signed is None:
        return True
    if kind.signed:
        return -(1 << bits - 1) <= value < 1 << bits - 1
    return 0 <= value < 1 << bits
