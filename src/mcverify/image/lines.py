"""DWARF line programs -> which source line each instruction came from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from elftools.elf.elffile import ELFFile

from mcverify.image.elf import RawElf, damage_as_input_error
from mcverify.image.image import SourceLine
from mcverify.image.relocate import LaidOut

# Larger line tables belong to a whole kernel and take minutes to read.
MAX_LINE_BYTES = 4 << 20


def read_lines(elf: RawElf, laid_out: LaidOut, where: str) -> dict[int, SourceLine]:
    """Source lines by image address, from all line programs; empty without debug information.

    A path stays as the compiler was given it: relative paths stay relative. Raises
    InputError if the debug information is damaged.
    """
    if not 0 < line_bytes(elf) <= MAX_LINE_BYTES:
        return {}
    with damage_as_input_error(where, "its debug information is damaged"):
        return dict(_rows(_with_relocated_debug(elf, laid_out)))


def line_bytes(elf: RawElf) -> int:
    """Size of the line tables, 0 where there are none."""
    return sum(s.size for s in elf.sections.values() if s.name == ".debug_line")


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
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
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
        return str(PurePosixPath(folder) / _text(entry["name"]))

    def _folder(self, index: int) -> str:
        # 0 is the folder in which the compiler ran: what lies there was named without it.
        position = index - self._first
        if index == 0 or not 0 <= position < len(self._folders):
            return ""
        return _text(self._folders[position])


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
