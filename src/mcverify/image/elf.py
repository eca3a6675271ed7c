"""ELF file -> sections, symbols and relocations, as plain values; nothing is laid out yet."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from mcverify.errors import InputError

MAGIC = b"\x7fELF"
_MAX_SECTIONS = 0xFF00  # SHN_LORESERVE: more need an index of their own, which no copy routine's file has


@dataclass(frozen=True, slots=True)
class RawRelocation:
    """`offset` is in the section that is relocated, `symbol` an index into the symbols."""

    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True, slots=True)
class RawSection:
    """A section as the file has it; `data` is empty for NOBITS, whose `size` still counts."""

    index: int
    name: str
    address: int
    size: int
    alignment: int
    data: bytes
    allocated: bool
    executable: bool
    nobits: bool
    compressed: bool
    file_offset: int
    relocations: tuple[RawRelocation, ...] = ()


@dataclass(frozen=True, slots=True)
class RawSymbol:
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

    content: bytes = field(repr=False)
    relocatable: bool
    sections: dict[int, RawSection]
    symbols: tuple[RawSymbol, ...]


def parse(content: bytes, where: str) -> RawElf:
    """Read an x86-64 ELF file. Raises InputError (located at `where`) for any other content."""
    _refuse_foreign(content, where)
    with damage_as_input_error(where, "the ELF file is damaged"):
        elf = ELFFile(io.BytesIO(content))
        kind = elf["e_type"]
        if kind not in ("ET_REL", "ET_EXEC", "ET_DYN"):
            raise InputError(
                f"an ELF file of type {kind} holds no routine", where=where, hint="give a .o, .ko or vmlinux"
            )
        sections = _sections(elf, content, where)
        symbols = _symbols(elf)
        _refuse_homeless(symbols, sections, where)
        return RawElf(content, kind == "ET_REL", sections, symbols)


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


def _refuse_foreign(content: bytes, where: str) -> None:
    """Read the fixed part of the header by hand: the sentences are ours then."""
    if not content.startswith(MAGIC):
        raise InputError("it is no ELF file", where=where)
    if len(content) < 64:
        raise InputError(f"the ELF header is cut off after {len(content)} of 64 bytes", where=where)
    if content[4] != 2:
        raise InputError("it is a 32-bit ELF file", where=where, hint="mcverify reads x86-64 code")
    if content[5] != 1:
        raise InputError("it is a big-endian ELF file", where=where, hint="mcverify reads x86-64 code")
    machine = int.from_bytes(content[18:20], "little")
    if machine != 62:
        raise InputError(
            f"it is for another machine (ELF e_machine {machine})",
            where=where,
            hint="mcverify reads x86-64 code",
        )
    _check_section_headers(content, where)


def _check_section_headers(content: bytes, where: str) -> None:
    start = int.from_bytes(content[40:48], "little")
    count = int.from_bytes(content[60:62], "little")
    if start == 0 or count == 0:
        raise InputError(
            "it has no section headers", where=where, hint="give the file before it was stripped of them"
        )
    if count >= _MAX_SECTIONS or start + 64 * count > len(content):
        raise InputError("the file is cut off: its section headers are not inside it", where=where)


def _sections(elf: Any, content: bytes, where: str) -> dict[int, RawSection]:
    headers = list(enumerate(elf.iter_sections()))
    for _, section in headers:
        _check_extent(section, len(content), where)
    relocations = _relocations(elf, headers, where)
    return {i: _section(i, s, relocations.get(i, ())) for i, s in headers if s["sh_type"] != "SHT_NULL"}


def _check_extent(section: Any, length: int, where: str) -> None:
    if section["sh_type"] in ("SHT_NOBITS", "SHT_NULL"):
        return
    if section["sh_offset"] + section["sh_size"] > length:
        raise InputError(f"the file is cut off inside section {section.name}", where=where)


def _section(index: int, section: Any, relocations: tuple[RawRelocation, ...]) -> RawSection:
    flags, nobits = section["sh_flags"], section["sh_type"] == "SHT_NOBITS"
    return RawSection(
        index=index,
        name=section.name,
        address=section["sh_addr"],
        size=section["sh_size"],
        alignment=max(1, section["sh_addralign"]),
        data=b"" if nobits else section.data(),
        allocated=bool(flags & SH_FLAGS.SHF_ALLOC),
        executable=bool(flags & SH_FLAGS.SHF_EXECINSTR),
        nobits=nobits,
        compressed=bool(flags & SH_FLAGS.SHF_COMPRESSED),
        file_offset=section["sh_offset"],
        relocations=relocations,
    )


def _relocations(
    elf: Any, headers: list[tuple[int, Any]], where: str
) -> dict[int, tuple[RawRelocation, ...]]:
    """Relocations by the index of the section that they change."""
    found: dict[int, tuple[RawRelocation, ...]] = {}
    symbols = _symbol_table(elf)
    for _, section in headers:
        if elf["e_type"] != "ET_REL" or not isinstance(section, RelocationSection):
            continue
        if not section.is_RELA():
            raise InputError(f"{section.name}: relocations without addends are not of x86-64", where=where)
        if symbols is None or elf.get_section(section["sh_link"]).name != symbols.name:
            raise InputError(f"{section.name} does not refer to the symbol table", where=where)
        target = section["sh_info"]
        if not 0 < target < len(headers):
            raise InputError(f"{section.name} relocates section {target}, which there is not", where=where)
        found[target] = found.get(target, ()) + tuple(_relocation(r) for r in section.iter_relocations())
    return found


def _relocation(entry: Any) -> RawRelocation:
    return RawRelocation(entry["r_offset"], entry["r_info_type"], entry["r_info_sym"], entry["r_addend"])


def _symbol_table(elf: Any) -> Any:
    tables = (
        s for s in elf.iter_sections() if isinstance(s, SymbolTableSection) and s["sh_type"] == "SHT_SYMTAB"
    )
    return next(tables, None)


def _symbols(elf: Any) -> tuple[RawSymbol, ...]:
    table = _symbol_table(elf)
    return tuple(_symbol(s) for s in table.iter_symbols()) if table is not None else ()


def _refuse_homeless(symbols: tuple[RawSymbol, ...], sections: dict[int, RawSection], where: str) -> None:
    for symbol in symbols:
        if symbol.section is not None and symbol.section not in sections:
            message = f"symbol {symbol.name!r} is in section {symbol.section}, which there is not"
            raise InputError(message, where=where)


def _symbol(symbol: Any) -> RawSymbol:
    place = symbol["st_shndx"]
    if place == "SHN_XINDEX":
        raise ValueError(f"the section of symbol {symbol.name!r} is in a table of its own")
    return RawSymbol(
        name=symbol.name,
        value=symbol["st_value"],
        size=symbol["st_size"],
        kind=str(symbol["st_info"]["type"]),
        binding=str(symbol["st_info"]["bind"]),
        section=place if isinstance(place, int) else None,
        undefined=place in ("SHN_UNDEF", "SHN_COMMON"),
    )
