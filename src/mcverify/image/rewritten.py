"""Code of a linked kernel that is changed while it runs: the file has one state of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcverify.image.image import Image

# The tables, and the symbols around them where the linker script puts them into another section:
# include/asm-generic/vmlinux.lds.h, arch/x86/kernel/vmlinux.lds.S.
_STATIC_KEYS = ("__jump_table", "__start___jump_table", "__stop___jump_table")
_STATIC_CALLS = (".static_call_sites", "__start_static_call_sites", "__stop_static_call_sites")
_PARAVIRT = (".parainstructions", "__parainstructions", "__parainstructions_end")
_CONSTANTS = ("runtime_ptr_", "runtime_shift_")


@dataclass(frozen=True, slots=True)
class _Part:
    """A table: `data` lies at `address`."""

    address: int
    data: bytes


def rewritten(image: Image) -> Mapping[int, str]:
    """The instructions of a linked kernel that are changed while it runs, with the table that lists them.

    Sources: include/linux/jump_label.h, struct jump_entry (4.20 on, before: three words of 8 bytes);
    include/linux/static_call_types.h, struct static_call_site (5.10 on);
    arch/x86/include/asm/paravirt_types.h, struct paravirt_patch_site (up to 6.7).
    """
    found: dict[int, str] = {}
    for part in _parts(image, *_STATIC_KEYS):
        found |= dict.fromkeys(_static_keys(part), _STATIC_KEYS[0])
    for part in _parts(image, *_STATIC_CALLS):
        found |= dict.fromkeys(_relative(part, 8), _STATIC_CALLS[0])
    for part in _parts(image, *_PARAVIRT):
        found |= dict.fromkeys(_absolute(part, 16), _PARAVIRT[0])
    return found


def constants(image: Image) -> Mapping[int, str]:
    """The names of the constants that the boot code writes into instructions (asm/runtime-const.h, 6.11 on),
    by the address of the operand."""
    return {
        address: section.name.split("_", 2)[2]
        for section in image.sections
        if section.name.startswith(_CONSTANTS)
        for address in _relative(_Part(section.address, section.data), 4)
    }


def _parts(image: Image, section: str, first: str, last: str) -> Iterator[_Part]:
    yield from (_Part(s.address, s.data) for s in image.sections if s.name == section)
    start, stop = image.address_of(first), image.address_of(last)
    if start is not None and stop is not None and start < stop:
        holder = image.section_at(start)
        if holder is not None and stop <= holder.end and holder.name != section:
            yield _Part(start, holder.data[start - holder.address : stop - holder.address])


def _static_keys(part: _Part) -> Sequence[int]:
    """The addresses of a table of static keys: relative words, or absolute ones."""
    relative = _relative(part, 16)
    if len(part.data) % 24 == 0 and len(part.data) % 16:
        return _absolute(part, 24)
    return relative


def _relative(part: _Part, size: int) -> list[int]:
    return [
        part.address + at + int.from_bytes(part.data[at : at + 4], "little", signed=True)
        for at in range(0, len(part.data) - size + 1, size)
    ]


def _absolute(part: _Part, size: int) -> list[int]:
    return [
        int.from_bytes(part.data[at : at + 8], "little") for at in range(0, len(part.data) - size + 1, size)
    ]
