"""What the kernel's boot code writes over the sites of alternatives.

It copies a replacement to its site and corrects the relative targets that leave it. Which it corrects
depends on the kernel's age: `moves` in models/x86_64/altinstructions.toml.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import capstone
from capstone import x86_const

from mcverify.errors import InputError
from mcverify.image.image import Alternative, Image, Moves, Section

T = TypeVar("T")

_CALL = 0xE8
_JUMP = 0xE9
_JUMP_SHORT = 0xEB
_NOP = b"\x90"
_JCC_NEAR = range(0x80, 0x90)
_JCC_SHORT = range(0x70, 0x80)


def patched(image: Image, chosen: Iterable[Alternative]) -> Image:
    """The image after the boot code has written the `chosen` alternatives, in the order of their table.

    Raises InputError where a corrected target does not fit its instruction.
    """
    writes = [(a, written(image, a)) for a in sorted(chosen, key=lambda a: a.index)]
    if not writes:
        return image
    sections = tuple(_overwritten(section, writes) for section in image.sections)
    moved = {
        a.site + offset: image.repatched[a.origin + offset]
        for a, _ in writes
        for offset in range(len(a.replacement))
        if a.origin + offset in image.repatched
    }
    return replace(
        image,
        sections=sections,
        relocated=_moved(image.relocated, writes),
        constants=_moved(image.constants, writes),
        repatched={**image.repatched, **moved},
    )


def merged_nops(image: Image) -> frozenset[int]:
    """The addresses behind the first of the nops that follow each other in a site: the boot code makes fewer
    and longer ones of them, written or not (arch/x86/kernel/alternative.c: optimize_nops())."""
    found: set[int] = set()
    for start, end in {(a.site, a.end) for a in image.alternatives if not a.constant}:
        address, after_nop = start, False
        for insn in _decoder().disasm(image.bytes_at(start, end - start), start):
            is_nop = insn.id == x86_const.X86_INS_NOP
            if is_nop:
                found.update(range(address + (not after_nop), insn.address + insn.size))
            address, after_nop = insn.address + insn.size, is_nop
    return frozenset(found)


def _moved(places: Mapping[int, T], writes: Iterable[tuple[Alternative, bytes]]) -> dict[int, T]:
    """What is known of places in code, once the replacements and theirs stand at the sites."""
    found = dict(places)
    for alternative, code in writes:
        for offset in range(len(code)):
            found.pop(alternative.site + offset, None)
            origin = alternative.origin + offset
            if offset < len(alternative.replacement) and origin in places:
                found[alternative.site + offset] = places[origin]
    return found


def written(image: Image, alternative: Alternative) -> bytes:
    """The `length` bytes that `alternative` puts at its site: its replacement, moved there, and nops."""
    code = bytearray(alternative.replacement)
    by = alternative.origin - alternative.site
    for offset, width in _to_be_moved(alternative):
        distance = int.from_bytes(code[offset : offset + width], "little", signed=True) + by
        if not -(1 << 8 * width - 1) <= distance < 1 << 8 * width - 1:
            raise InputError(
                f"alternative {alternative.index}: a target of its replacement is too far from its site"
                f" for {width} bytes",
                where=image.where(alternative.site),
            )
        code[offset : offset + width] = distance.to_bytes(width, "little", signed=True)
    return bytes(code).ljust(alternative.length, _NOP)


def _overwritten(section: Section, writes: Iterable[tuple[Alternative, bytes]]) -> Section:
    here = [(a.site - section.address, code) for a, code in writes if section.address <= a.site < section.end]
    if not here:
        return section
    data = bytearray(section.data)
    for offset, code in here:
        data[offset : offset + len(code)] = code
    return replace(section, data=bytes(data))


def _to_be_moved(alternative: Alternative) -> Iterator[tuple[int, int]]:
    """Offset and width of each relative distance that the boot code corrects."""
    code = alternative.replacement
    if alternative.moves is Moves.ALL:
        yield from _leaving(code)
    elif len(code) == 5 and (code[0] == _CALL or code[0] == _JUMP and alternative.moves is Moves.BRANCH):
        yield 1, 4


def _leaving(code: bytes) -> Iterator[tuple[int, int]]:
    """The relative distances by which instructions of `code` reach beyond it; its end still belongs to it."""
    for insn in _decoder().disasm(code, 0):
        fields = [(insn.imm_offset, insn.imm_size)] if _branches(insn) else []
        if is_rip_relative(insn):
            fields.append((insn.disp_offset, insn.disp_size))
        for offset, width in fields:
            at = insn.address + offset
            distance = int.from_bytes(code[at : at + width], "little", signed=True)
            if not 0 <= insn.address + insn.size + distance <= len(code):
                yield at, width


def _branches(insn: Any) -> bool:
    """Whether the boot code looks at the instruction's target: jmp, call and jcc, neither loop nor jrcxz."""
    first, second = insn.opcode[:2]
    if first == 0x0F:
        return second in _JCC_NEAR
    return first in (_CALL, _JUMP, _JUMP_SHORT) or first in _JCC_SHORT


_INSTRUCTION_POINTER = (x86_const.X86_REG_RIP, x86_const.X86_REG_EIP)


def is_rip_relative(insn: Any) -> bool:
    """Whether an operand of the decoded instruction lies at a distance from rip, or from its lower half."""
    return any(o.type == x86_const.X86_OP_MEM and o.mem.base in _INSTRUCTION_POINTER for o in insn.operands)


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder
