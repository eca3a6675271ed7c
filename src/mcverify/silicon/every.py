"""Encodings of every instruction: all opcodes of all maps with each prefix, by form.

What occurs in some files is a sample. A lifter that is wrong about an instruction is found by asking it about
all of them; most are refused at once, and those that are not are what a proof may come to use.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from mcverify.arch.x86_64.decoder import decoder
from mcverify.arch.x86_64.forms import form_of
from mcverify.silicon.cpu import CODE

MOST_ENCODINGS = 40
"""So many of a form's encodings are tried, from all over its opcodes and prefixes."""

_PREFIXES = (b"", b"\x66", b"\xf2", b"\xf3", b"\xf0", b"\x67")
_REX = (b"", b"\x41", b"\x48", b"\x4c")
_MAPS = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
_VEX_MAPS = (1, 2, 3)
_VEX_REGISTERS = (0, 5)
_KEPT = 2
"""So many encodings are kept of one opcode with its prefixes in one form."""
_IMMEDIATES = (0, 1, 3, 7, 8, 31, 63, 0x80, 0xFF)


def every_form() -> dict[str, list[bytes]]:
    """All instructions that the decoder knows, by form, in the order of their bytes.

    Left out are EVEX, and operands relative to the instruction, which cannot lie where a test may write.
    """
    found: dict[str, dict[bytes, list[bytes]]] = {}
    random = Random(0)
    for opcode in _opcodes():
        for modrm in _MODRM:
            code = opcode + modrm + _tail(random)
            decoded = next(decoder().disasm(code, CODE, 1), None)
            if decoded is None:
                continue
            kept = found.setdefault(form_of(decoded), {}).setdefault(opcode, [])
            code = bytes(decoded.bytes)
            if len(kept) < _KEPT and code not in kept:
                kept.append(code)
    return {
        form: sorted({code for codes in by_opcode.values() for code in codes})
        for form, by_opcode in sorted(found.items())
    }


def _opcodes() -> Iterator[bytes]:
    """What comes before ModRM."""
    for prefix, rex, map_, opcode in product(_PREFIXES, _REX, _MAPS, range(256)):
        yield prefix + rex + map_ + bytes([opcode])
    for map_number, wide, long, prefix_number, opcode, register in product(
        _VEX_MAPS, (0, 1), (0, 1), range(4), range(256), _VEX_REGISTERS
    ):
        fields = wide << 7 | (~register & 15) << 3 | long << 2 | prefix_number
        yield bytes([0xC4, 0xE0 | map_number, fields, opcode])


def _modrms() -> Iterator[bytes]:
    """Each register, or extension of the opcode, with registers and with memory."""
    for register in range(8):
        yield bytes([0xC0 | register << 3 | register])
        yield bytes([0xC0 | register << 3 | (register + 3) % 8])
        yield bytes([0x40 | register << 3 | 6])  # disp8(%rsi)
        yield bytes([0x44 | register << 3, 0xCE])  # disp8(%rsi,%rcx,8)


_MODRM = tuple(_modrms())


def _tail(random: Random) -> bytes:
    """A displacement of 8 bits, which is small, and immediates."""
    return bytes([random.choice((0, 1, 8, 0x10, 0x7F)), *(random.choice(_IMMEDIATES) for _ in range(8))])
