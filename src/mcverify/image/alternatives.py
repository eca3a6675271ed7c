"""The section .altinstructions -> alternatives. Layouts are in models/x86_64/altinstructions.toml."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.extable import NO_TABLE, Table
from mcverify.image.features import Naming, named, of_versions
from mcverify.image.image import Alternative, Image, Moves
from mcverify.image.relocate import REPLACEMENTS

SECTION_NAME = ".altinstructions"
_ADDRESSES = ("site", "replacement")
_JUMP = 0xE9


@dataclass(frozen=True)
class Layout:
    """How one entry is laid out: `fields` are sorts and widths in bytes, in order."""

    name: str
    kernels: str
    fields: tuple[tuple[str, int], ...]
    moves: Moves
    inverted: int | None
    joined: bool
    first: str
    last: str | None
    extables: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of one entry."""
        return sum(width for _, width in self.fields)

    @property
    def needed(self) -> int:
        """Bytes of the last entry of an object, whose padding the assembler may have left out."""
        return self.size - (self.fields[-1][1] if self.fields[-1][0] == "pad" and self.absolute else 0)

    @property
    def absolute(self) -> bool:
        """Whether addresses are absolute, 8 bytes wide."""
        return self.fields[0][1] == 8

    def count(self, size: int) -> int | None:
        """Entries in a section of `size` bytes; None where it cannot hold entries of this layout."""
        whole, rest = divmod(size, self.size)
        if rest == 0:
            return whole
        return whole + 1 if rest >= self.needed else None

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Sort, offset within the entry and width of each field."""
        offset = 0
        for sort, width in self.fields:
            yield sort, offset, width
            offset += width


@dataclass(frozen=True)
class _Raw:
    """One entry as it stands; `fault` is a sentence on what cannot be, "" if there is nothing."""

    site: int
    length: int
    origin: int
    replacement_length: int
    feature: int
    inverted: bool
    computed: bool
    fault: str


def read_alternatives(
    image: Image, tables: Sequence[Table], is_relocated: Callable[[int], bool], naming: Naming | None = None
) -> tuple[Alternative, ...]:
    """The alternatives of all `tables`, whose code and exception table are in `image`.

    `is_relocated` tells whether a relocation wrote at an address of the image; `naming` is what the kernel
    calls its features, None for what all kernels of the layout call them. Raises InputError where the layout
    cannot be told or an entry points outside code.
    """
    found: list[Alternative] = []
    for table in tables:
        if table.size:
            layout = _layout_of(image, table, is_relocated)
            found += _of_table(image, table, layout, len(found), naming)
    return tuple(found)


@cache
def layouts() -> tuple[Layout, ...]:
    """The layouts of the model, oldest first."""
    return tuple(
        Layout(
            name=name,
            kernels=entry["kernels"],
            fields=tuple((sort, width) for sort, width in entry["fields"]),
            moves=Moves(entry["moves"]),
            inverted=entry.get("inverted"),
            joined=entry.get("joined", False),
            first=entry["first"],
            last=entry.get("last"),
            extables=tuple(entry["extables"]),
        )
        for name, entry in X86_64.model("altinstructions.toml")["layouts"].items()
    )


def _of_table(
    image: Image, table: Table, layout: Layout, first: int, naming: Naming | None
) -> list[Alternative]:
    naming = naming or of_versions(layout.first, layout.last)
    raw = _entries(image, layout, table)
    for index, entry in enumerate(raw, first):
        if entry.fault:
            raise InputError(f"alternative {index}: {entry.fault}", where=str(image.path))
    names = {entry.feature: named(entry.feature, naming) for entry in raw}
    longest: dict[int, int] = {}
    for entry in raw:
        longest[entry.site] = max(longest.get(entry.site, 0), entry.length)
    return [
        Alternative(
            site=entry.site,
            length=longest[entry.site] if layout.joined else entry.length,
            feature=names[entry.feature][0],
            shown=names[entry.feature][1],
            inverted=entry.inverted,
            replacement=image.bytes_at(entry.origin, entry.replacement_length),
            origin=entry.origin,
            moves=layout.moves,
            index=index,
            computed=entry.computed,
        )
        for index, entry in enumerate(raw, first)
    ]


# -- which layout


def _layout_of(image: Image, table: Table, is_relocated: Callable[[int], bool]) -> Layout:
    """The one layout that the size, the relocations, the contents and the exception table allow."""
    sized = [layout for layout in layouts() if layout.count(table.size) is not None]
    if not sized:
        sizes = ", ".join(str(size) for size in sorted({layout.size for layout in layouts()}))
        raise _error(
            image, table, f"its size of {table.size} bytes is no multiple of an entry ({sizes} bytes)"
        )
    fitting = [layout for layout in sized if _relocations_fit(layout, table)] if table.relocations else sized
    if not fitting:
        raise _error(image, table, "the relocations in it are those of no known layout")
    if len({layout.fields for layout in fitting}) > 1:
        plausible = [f for f in fitting if not any(e.fault for e in _entries(image, f, table))]
        if not plausible:
            raise _error(
                image, table, f"its contents are those of no layout that its size allows: {_names(fitting)}"
            )
        fitting = _by_cover(image, plausible, table)
    if len({layout.fields for layout in fitting}) > 1:
        raise _error(image, table, f"its layout cannot be told: it may be {_names(fitting)}")
    if len(fitting) > 1 and table.relocations:
        by_hand = any(_jumps_by_hand(image, e, is_relocated) for e in _entries(image, fitting[-1], table))
        return fitting[0] if by_hand else fitting[-1]
    known = [layout for layout in fitting if image.layout in (NO_TABLE, *layout.extables)]
    return (known or fitting)[-1]


def _by_cover(image: Image, layouts: list[Layout], table: Table) -> list[Layout]:
    """Those of several layouts whose replacements make up the section of replacements without a gap, if one
    of them does: a kernel lists each replacement, and a misread length leaves some out."""
    covering = [layout for layout in layouts if _covers(image, _entries(image, layout, table))]
    return covering or layouts


def _covers(image: Image, entries: Sequence[_Raw]) -> bool:
    """Whether each byte of the sections of replacements belongs to an entry."""
    spans = sorted((e.origin, e.origin + e.replacement_length) for e in entries)
    for section in image.sections:
        if section.name == REPLACEMENTS:
            reached = section.address
            for start, end in spans:
                reached = max(reached, end) if start <= reached else reached
            if reached < section.end:
                return False
    return True


def _relocations_fit(layout: Layout, table: Table) -> bool:
    """Whether exactly the addresses are relocated, each by a relocation of its sort."""
    expected = {
        index * layout.size + offset: (width, not layout.absolute)
        for index in range(layout.count(table.size) or 0)
        for sort, offset, width in layout.places()
        if sort in _ADDRESSES
    }
    return {o: (r.form.width, r.form.relative) for o, r in table.relocations.items()} == expected


def _jumps_by_hand(image: Image, entry: _Raw, is_relocated: Callable[[int], bool]) -> bool:
    """Whether a replacement is a jump out of it that no relocation made: computed for the site."""
    code = image.bytes_at(entry.origin, entry.replacement_length)
    if len(code) != 5 or code[0] != _JUMP or is_relocated(entry.origin + 1):
        return False
    return not 0 <= 5 + int.from_bytes(code[1:], "little", signed=True) <= 5


def _names(choice: Sequence[Layout]) -> str:
    return " or ".join(f"{layout.name} ({layout.kernels})" for layout in choice)


# -- entries


def _entries(image: Image, layout: Layout, table: Table) -> list[_Raw]:
    count = layout.count(table.size) or 0
    return [_raw(image, layout, _fields(layout, table, index)) for index in range(count)]


def _fields(layout: Layout, table: Table, index: int) -> dict[str, int]:
    """The fields of an entry by sort, addresses made absolute."""
    base = index * layout.size
    values: dict[str, int] = {}
    for sort, offset, width in layout.places():
        word = table.section.data[base + offset : base + offset + width]
        relative = sort in _ADDRESSES and not layout.absolute
        value = int.from_bytes(word, "little", signed=relative)
        values[sort] = (table.section.address + base + offset + value) % (1 << 64) if relative else value
    return values


def _raw(image: Image, layout: Layout, values: Mapping[str, int]) -> _Raw:
    feature, flags = values["feature"], values.get("flags", 0)
    bits = _model()["flags"]
    inverted = bool(flags >> bits["not"] & 1)
    if layout.inverted is not None:
        inverted = bool(feature >> layout.inverted & 1)
        feature &= ~(1 << layout.inverted)
    fault = _fault_of_places(image, values) or _fault_of_numbers(values)
    return _Raw(
        site=values["site"],
        length=values["length"],
        origin=values["replacement"],
        replacement_length=values["replacement_length"],
        feature=feature,
        inverted=inverted,
        computed=bool(flags >> bits["direct_call"] & 1),
        fault=fault,
    )


def _fault_of_places(image: Image, values: Mapping[str, int]) -> str:
    site, length = values["site"], values["length"]
    origin, taken = values["replacement"], values["replacement_length"]
    if not length or not _holds_code(image, site, length):
        return f"its site, {length} bytes at {site:#x}, is not in executable code"
    if taken > length:
        return f"its replacement of {taken} bytes is longer than its site of {length} at {site:#x}"
    if len(image.bytes_at(origin, taken)) < taken:
        return f"its replacement, {taken} bytes at {origin:#x}, is in no section"
    return ""


def _holds_code(image: Image, address: int, length: int) -> bool:
    section = image.section_at(address)
    held = section is not None and (section.executable or section.name == REPLACEMENTS)
    return held and len(image.bytes_at(address, length)) == length


def _fault_of_numbers(values: Mapping[str, int]) -> str:
    known = sum(1 << _model()["flags"][name] for name in ("not", "direct_call"))
    if values.get("flags", 0) & ~known:
        return f"its flags {values['flags']:#x} are unknown"
    if values.get("pad", 0) or values.get("padding_length", 0) > values["length"]:
        return "its padding is not as it must be"
    return ""


def _model() -> dict[str, Any]:
    return X86_64.model("altinstructions.toml")


def _error(image: Image, table: Table, message: str) -> InputError:
    return InputError(f"the table of alternatives {table.section.name}: {message}", where=str(image.path))
