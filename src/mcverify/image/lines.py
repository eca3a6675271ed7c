"""DWARF line programs -> which source line each instruction came from."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo
from elftools.elf.elffile import ELFFile

from mcverify.image.compiler_names import as_named
from mcverify.image.elf import MAX_LINE_BYTES, RawElf, damage_as_input_error, line_bytes
from mcverify.image.image import SourceLine
from mcverify.image.relocate import LaidOut
from mcverify.shown import printable

PLACES = "places are given as symbol+offset"
"""The end of a note on a linked file, or a module, whose lines are not read with it."""

# What is read of a linked file's debug information, by the names that pyelftools has for it.
_SECTIONS = {
    "debug_info_sec": ".debug_info",
    "debug_aranges_sec": ".debug_aranges",
    "debug_abbrev_sec": ".debug_abbrev",
    "debug_str_sec": ".debug_str",
    "debug_line_sec": ".debug_line",
    "debug_line_str_sec": ".debug_line_str",
    "debug_addr_sec": ".debug_addr",
    "debug_str_offsets_sec": ".debug_str_offsets",
}
_OTHERS = (
    "debug_frame_sec eh_frame_sec debug_loc_sec debug_ranges_sec debug_pubtypes_sec debug_pubnames_sec"
    " debug_loclists_sec debug_rnglists_sec debug_sup_sec gnu_debugaltlink_sec debug_types_sec"
).split()


def read_lines(elf: RawElf, laid_out: LaidOut, where: str) -> dict[int, SourceLine]:
    """Source lines by image address, from all line programs; empty without debug information.

    A path stays as the compiler was given it: relative paths stay relative. Raises
    InputError if the debug information is damaged.
    """
    if not 0 < line_bytes(elf) <= MAX_LINE_BYTES:
        return {}
    with damage_as_input_error(where, "its debug information is damaged"):
        return dict(_rows(_with_relocated_debug(elf, laid_out)))


def lines_of(path: Path, addresses: Collection[int]) -> dict[int, SourceLine]:
    """Source lines of the compilation units of a linked file that hold one of `addresses`.

    Only those units are read. Empty where the file has no debug information, or none that says which unit
    an address belongs to (.debug_aranges). Raises InputError if it is damaged.
    """
    with path.open("rb") as file, damage_as_input_error(str(path), "its debug information is damaged"):
        elf = ELFFile(cast("Any", file))
        found = {s.name: s for s in elf.iter_sections() if s.name in _SECTIONS.values()}
        if not {".debug_info", ".debug_aranges", ".debug_abbrev", ".debug_line"} <= found.keys():
            return {}
        if any(section.compressed for section in found.values()):
            return {}
        dwarf = _dwarf({key: _part(file, found.get(name)) for key, name in _SECTIONS.items()})
        ranges = dwarf.get_aranges()
        units = {ranges.cu_offset_at_addr(address) for address in addresses} - {None}
        return {
            address: line
            for unit in sorted(units)
            for address, line in _rows_of(dwarf, dwarf.get_CU_at(unit))
        }


def _dwarf(sections: dict[str, Any]) -> Any:
    config = DwarfConfig(little_endian=True, machine_arch="x64", default_address_size=8)
    return DWARFInfo(config=config, **sections, **dict.fromkeys(_OTHERS))


def _part(file: BinaryIO, section: Any) -> Any:
    if section is None:
        return None
    start, size = section["sh_offset"], section["sh_size"]
    return DebugSectionDescriptor(_Part(file, start, size), section.name, start, size, section["sh_addr"])


class _Part(io.RawIOBase):
    """A part of a file, as a file: what is not asked for is not read."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` from the start, from here, or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, all where it is negative."""
        left = max(0, self._size - self._at)
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def _with_relocated_debug(elf: RawElf, laid_out: LaidOut) -> bytes:
    """The file with its debug sections relocated to the image's addresses.

    pyelftools relocates to addresses within sections, where .text and .fixup both begin at
    0; so it is given contents that need no relocation any more.
    """
    content = bytearray(elf.content)
    for index, data in laid_out.debug.items():
        section = elf.sections[index]
        if not section.compressed:
            content[section.file_offset : section.file_offset + len(data)] = data
    return bytes(content)


def _rows(content: bytes) -> Iterator[tuple[int, SourceLine]]:
    dwarf = ELFFile(io.BytesIO(content)).get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
    for unit in dwarf.iter_CUs():
        yield from _rows_of(dwarf, unit)


def _rows_of(dwarf: Any, unit: Any) -> Iterator[tuple[int, SourceLine]]:
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return
    files = _Files(program.header)
    for entry in program.get_entries():
        state = entry.state
        if state is not None and not state.end_sequence and state.line > 0:
            yield state.address, SourceLine(files.path(state.file), state.line)


class _Files:
    """The file table of one line program (DWARF 5, section 6.2.4; DWARF 4 counts from 1)."""

    def __init__(self, header: Any) -> None:
        self._first = 0 if header["version"] >= 5 else 1
        self._entries = header["file_entry"]
        self._folders = header["include_directory"]
        self._paths: dict[int, str] = {}

    def path(self, index: int) -> str:
        """The path of file `index` as the compiler was given it."""
        if index not in self._paths:
            self._paths[index] = self._find(index)
        return self._paths[index]

    def _find(self, index: int) -> str:
        position = index - self._first
        if not 0 <= position < len(self._entries):
            return "?"
        entry = self._entries[position]
        folder = self._folder(entry["dir_index"])
        return as_named(str(PurePosixPath(folder) / _text(entry["name"])))

    def _folder(self, index: int) -> str:
        # 0 is the folder in which the compiler ran: what lies there was named without it.
        position = index - self._first
        if index == 0 or not 0 <= position < len(self._folders):
            return ""
        return _text(self._folders[position])


def _text(name: bytes | str) -> str:
    return printable(name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name)
