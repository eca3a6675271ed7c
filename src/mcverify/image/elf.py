"""ELF file -> sections, symbols and relocations, as plain values; nothing is laid out yet.

A file is read where something is asked for: of a kernel with debug information that is a small part. The
headers are read by pyelftools; symbols and relocations, of which there may be hundred thousands, by `struct`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from mcverify.arch.architecture import Architecture, ByteOrder
from mcverify.arch.known import BY_ELF, BY_NAME
from mcverify.errors import InputError
from mcverify.shown import printable

MAGIC = b"\x7fELF"
_MAX_SECTIONS = 0xFF00  # SHN_LORESERVE: more need an index of their own, which no copy routine's file has
LINES = ".debug_line"
MAX_LINE_BYTES = 4 << 20
"""Larger line tables belong to a whole kernel, or a large module, and take minutes to read."""
_HEADER = 64
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_RELA = struct.Struct("<QQq")  # Elf64_Rela
_UNDEFINED, _RESERVED, _XINDEX, _COMMON = 0, 0xFF00, 0xFFFF, 0xFFF2
_LONGEST_NAME = 4096
_HINT = f"mcverify reads {' and '.join(BY_NAME)} code"
_KINDS = {
    0: "STT_NOTYPE",
    1: "STT_OBJECT",
    2: "STT_FUNC",
    3: "STT_SECTION",
    4: "STT_FILE",
    10: "STT_GNU_IFUNC",
}
_BINDINGS = {0: "STB_LOCAL", 1: "STB_GLOBAL", 2: "STB_WEAK"}


class RawRelocation(NamedTuple):
    """`offset` is in the section that is relocated, `symbol` an index into the symbols."""

    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class RawSection:
    """A section as the file has it. `data` is read when it is asked for; it is empty for NOBITS, whose
    `size` still counts. `merged`: the linker puts equal elements of such sections, each of `element` bytes
    (unless they are strings, of any length), into one place."""

    index: int
    name: str
    address: int
    size: int
    alignment: int
    allocated: bool
    executable: bool
    nobits: bool
    compressed: bool
    writable: bool
    file_offset: int
    merged: bool
    element: int
    file: BinaryIO = field(repr=False, compare=False)
    relocations: tuple[RawRelocation, ...] = ()

    @property
    def data(self) -> bytes:
        """The contents, before relocation."""
        return b"" if self.nobits else _read(self.file, self.file_offset, self.size)


class RawSymbol(NamedTuple):
    """`section` is an index, or None: then `undefined` tells an external from an absolute value."""

    name: str
    value: int
    size: int
    kind: str
    binding: str
    section: int | None
    undefined: bool


@dataclass(frozen=True)
class RawElf:
    """One ELF file; `relocatable` for ET_REL, otherwise addresses are final."""

    file: BinaryIO = field(repr=False)
    architecture: Architecture
    relocatable: bool
    sections: dict[int, RawSection]
    symbols: tuple[RawSymbol, ...]

    @property
    def content(self) -> bytes:
        """The whole file."""
        return _read(self.file, 0, _size(self.file))

    @property
    def is_module(self) -> bool:
        """Whether it is a kernel module."""
        return self.relocatable and any(s.name == ".modinfo" for s in self.sections.values())


def parse(file: BinaryIO, where: str) -> RawElf:
    """Read an x86-64 ELF file. Raises InputError (located at `where`) for any other content.

    `file` is read again when the data of a section is asked for.
    """
    length = _size(file)
    architecture = _architecture(_read(file, 0, _HEADER), length, where)
    with damage_as_input_error(where, "the ELF file is damaged"):
        elf = ELFFile(file)
        kind = elf["e_type"]
        if kind not in ("ET_REL", "ET_EXEC", "ET_DYN"):
            raise InputError(
                f"an ELF file of type {kind} holds no routine", where=where, hint="give a .o, .ko or vmlinux"
            )
        headers = list(elf.iter_sections())
        _check_extents(headers, length, where)
        symbols = _symbols(headers, file)
        relocations = _relocations(headers, file, where) if kind == "ET_REL" else {}
        sections = {
            i: _section(i, s, file, relocations.get(i, ()))
            for i, s in enumerate(headers)
            if s["sh_type"] != "SHT_NULL"
        }
        _refuse_homeless(symbols, sections, where)
        return RawElf(file, architecture, kind == "ET_REL", sections, symbols)


def line_bytes(elf: RawElf) -> int:
    """Size of the line tables, 0 where there are none."""
    return sum(s.size for s in elf.sections.values() if s.name == LINES)


@contextmanager
def damage_as_input_error(where: str, what: str) -> Iterator[None]:
    """Turn whatever the ELF library raises on a malformed file into an InputError.

    pyelftools raises its own errors but also assertions, KeyError, UnicodeDecodeError and
    others, by where the damage sits. Only calls into it belong inside.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InputError(f"{what}: {reason}", where=where) from error


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _architecture(header: bytes, length: int, where: str) -> Architecture:
    """Read the fixed part of the header by hand: the sentences are ours then."""
    if not header.startswith(MAGIC):
        raise InputError("it is no ELF file", where=where)
    if len(header) < _HEADER:
        raise InputError(f"the ELF header is cut off after {len(header)} of {_HEADER} bytes", where=where)
    if header[4] != 2:
        raise InputError("it is a 32-bit ELF file", where=where, hint=_HINT)
    order: ByteOrder = "little" if header[5] == 1 else "big"
    machine = int.from_bytes(header[18:20], order)
    architecture = BY_ELF.get((machine, order))
    if architecture is None:
        foreign = f"it is for another machine (ELF e_machine {machine})"
        sentence = "it is a big-endian ELF file" if order == "big" else foreign
        raise InputError(sentence, where=where, hint=_HINT)
    _check_section_headers(header, length, where)
    return architecture


def _check_section_headers(header: bytes, length: int, where: str) -> None:
    start = int.from_bytes(header[40:48], "little")
    count = int.from_bytes(header[60:62], "little")
    if start == 0 or count == 0:
        raise InputError(
            "it has no section headers", where=where, hint="give the file before it was stripped of them"
        )
    if count >= _MAX_SECTIONS or start + 64 * count > length:
        raise InputError("the file is cut off: its section headers are not inside it", where=where)


def _check_extents(headers: Iterable[Any], length: int, where: str) -> None:
    """Refuse sections that reach beyond the file, or share so much of it that it would be read many times."""
    total = 0
    for section in headers:
        if section["sh_type"] in ("SHT_NOBITS", "SHT_NULL"):
            continue
        if section["sh_offset"] + section["sh_size"] > length:
            raise InputError(f"the file is cut off inside section {section.name}", where=where)
        total += section["sh_size"]
    if total > length:
        raise InputError(
            f"the ELF file is damaged: its sections, {total} bytes in all, overlap in {length} bytes",
            where=where,
        )


def _section(index: int, section: Any, file: BinaryIO, relocations: tuple[RawRelocation, ...]) -> RawSection:
    flags = section["sh_flags"]
    return RawSection(
        index=index,
        name=printable(section.name),
        address=section["sh_addr"],
        size=section["sh_size"],
        alignment=max(1, section["sh_addralign"]),
        allocated=bool(flags & SH_FLAGS.SHF_ALLOC),
        executable=bool(flags & SH_FLAGS.SHF_EXECINSTR),
        nobits=section["sh_type"] == "SHT_NOBITS",
        compressed=bool(flags & SH_FLAGS.SHF_COMPRESSED),
        writable=bool(flags & SH_FLAGS.SHF_WRITE),
        file_offset=section["sh_offset"],
        merged=bool(flags & SH_FLAGS.SHF_MERGE),
        element=0 if flags & SH_FLAGS.SHF_STRINGS else section["sh_entsize"],
        file=file,
        relocations=relocations,
    )


def _relocations(headers: list[Any], file: BinaryIO, where: str) -> dict[int, tuple[RawRelocation, ...]]:
    """Relocations by the index of the section that they change."""
    found: dict[int, tuple[RawRelocation, ...]] = {}
    table = _symbol_table(headers)
    lines = sum(s["sh_size"] for s in headers if s.name == LINES)
    for section in headers:
        if section["sh_type"] not in ("SHT_REL", "SHT_RELA"):
            continue
        if section["sh_type"] == "SHT_REL":
            raise InputError(f"{section.name}: relocations without addends are not of x86-64", where=where)
        link = section["sh_link"]
        if table is None or not 0 < link < len(headers) or headers[link].name != table.name:
            raise InputError(f"{section.name} does not refer to the symbol table", where=where)
        target = section["sh_info"]
        if not 0 < target < len(headers):
            raise InputError(f"{section.name} relocates section {target}, which there is not", where=where)
        if lines > MAX_LINE_BYTES and not headers[target]["sh_flags"] & SH_FLAGS.SHF_ALLOC:
            continue  # debug information that is not read
        found[target] = found.get(target, ()) + tuple(
            RawRelocation(offset, info & 0xFFFFFFFF, info >> 32, addend)
            for offset, info, addend in _RELA.iter_unpack(_whole(section, file, _RELA.size))
        )
    return found


def _whole(section: Any, file: BinaryIO, size: int) -> bytes:
    """The contents of a table whose entries have `size` bytes."""
    if section["sh_entsize"] != size or section["sh_size"] % size:
        raise ValueError(f"{section.name} is no table of entries of {size} bytes")
    return _read(file, section["sh_offset"], section["sh_size"])


def _symbol_table(headers: Iterable[Any]) -> Any:
    return next((s for s in headers if s["sh_type"] == "SHT_SYMTAB"), None)


def _symbols(headers: list[Any], file: BinaryIO) -> tuple[RawSymbol, ...]:
    table = _symbol_table(headers)
    if table is None:
        return ()
    link = table["sh_link"]
    if not 0 < link < len(headers) or headers[link]["sh_type"] != "SHT_STRTAB":
        raise ValueError("the symbol table has no table of names")
    names = _Names(_read(file, headers[link]["sh_offset"], headers[link]["sh_size"]))
    rows = _SYMBOL.iter_unpack(_whole(table, file, _SYMBOL.size))
    return tuple(_symbol(names, *row) for row in rows)


def _symbol(names: _Names, name: int, info: int, _other: int, place: int, value: int, size: int) -> RawSymbol:
    if place == _XINDEX:
        raise ValueError(f"the section of symbol {names.at(name)!r} is in a table of its own")
    return RawSymbol(
        names.at(name),
        value,
        size,
        _KINDS.get(info & 0xF, "STT_OTHER"),
        _BINDINGS.get(info >> 4, "STB_OTHER"),
        place if _UNDEFINED < place < _RESERVED else None,
        place in (_UNDEFINED, _COMMON),
    )


class _Names:
    """A table of strings."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def at(self, offset: int) -> str:
        """The string at `offset`. Raises ValueError where there is none."""
        end = self._data.find(b"\0", offset, offset + _LONGEST_NAME)
        if offset >= len(self._data) or end < 0:
            raise ValueError(f"there is no name at {offset:#x} of the table of names")
        return printable(self._data[offset:end].decode("utf-8", "replace"))


def _refuse_homeless(symbols: tuple[RawSymbol, ...], sections: dict[int, RawSection], where: str) -> None:
    for symbol in symbols:
        if symbol.section is not None and symbol.section not in sections:
            message = f"symbol {symbol.name!r} is in section {symbol.section}, which there is not"
            raise InputError(message, where=where)
