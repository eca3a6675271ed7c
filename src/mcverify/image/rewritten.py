"""Code that the kernel changes while it boots or runs, besides alternatives: the file has one state of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mcverify.image.image import Alternative, Image, Moves, Section
from mcverify.image.relocate import REPLACEMENTS

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


@dataclass(frozen=True, slots=True)
class Constant:
    """An operand at `address` into which the boot code writes the constant `name`, as `section` lists it."""

    address: int
    name: str
    section: str


def constants(image: Image) -> tuple[Constant, ...]:
    """The operands that the boot code writes (asm/runtime-const.h, 6.11 on)."""
    return tuple(
        Constant(address, section.name.split("_", 2)[2], section.name)
        for section in image.sections
        if section.name.startswith(_CONSTANTS)
        for address in _relative(_Part(section.address, section.data), 4)
    )


def with_constants(image: Image) -> Image:
    """The image where an operand that the boot code writes is what it writes (runtime.toml), as one
    alternative or the other; and where it is not known what that is, is marked as rewritten."""
    known: list[Alternative] = []
    unknown: dict[int, str] = {}
    for constant in constants(image):
        section = image.section_at(constant.address)
        said = image.architecture.model("runtime.toml").get(constant.name)
        if said is None or constant.section != f"{_CONSTANTS[0]}{constant.name}" or not _is_code(section):
            unknown[constant.address] = constant.section
            continue
        first = len(image.alternatives) + len(known)
        known += [
            Alternative(
                site=constant.address,
                length=said["size"],
                feature=said["feature"],
                inverted=key == "without",
                replacement=int(said[key]).to_bytes(said["size"], "little"),
                origin=constant.address,
                moves=Moves.CALL,
                index=first + number,
                shown=said["feature"],
                constant=constant.name,
            )
            for number, key in enumerate(("with", "without"))
        ]
    return replace(
        image, alternatives=(*image.alternatives, *known), repatched={**image.repatched, **unknown}
    )


def _is_code(section: Section | None) -> bool:
    return section is not None and section.executable and section.name != REPLACEMENTS


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
