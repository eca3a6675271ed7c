"""Exception-table sections -> entries. Layouts and handlers are data: models/x86_64/extable.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.image import Handler, Image, Section, TableEntry
from mcverify.image.relocate import REPLACEMENTS, Relocated
from mcverify.image.source import line_with

SECTION_NAMES = ("__ex_table", ".extable")
NO_TABLE = "none"

_LABEL = re.compile(r"[A-Za-z_.$][\w.$]*")
"""A symbol by its name; a place beside one, or a bare address, is none."""

_WIDTHS = {"absolute": 8, "relative": 4, "handler": 4, "data": 4}
_ADDRESS_FIELDS = ("absolute", "relative")


@dataclass(frozen=True)
class Layout:
    """How one entry is laid out: `fields` as in the model, `name` its key there."""

    name: str
    kernels: str
    fields: tuple[str, ...]

    @cached_property
    def size(self) -> int:
        """Bytes of one entry."""
        return sum(_WIDTHS[f] for f in self.fields)

    @cached_property
    def places(self) -> list[tuple[int, str]]:
        """Offset within the entry and sort of each field."""
        starts = [sum(_WIDTHS[f] for f in self.fields[:i]) for i in range(len(self.fields))]
        return list(zip(starts, self.fields, strict=True))


@dataclass(frozen=True)
class Table:
    """One table section; `relocations` by offset, empty in a linked file."""

    section: Section
    relocations: Mapping[int, Relocated]

    @property
    def size(self) -> int:
        """Bytes of the section."""
        return len(self.section.data)

    def field(self, offset: int, sort: str) -> int:
        """The address that a field refers to, or the data word."""
        width = _WIDTHS[sort]
        word = self.section.data[offset : offset + width]
        if sort == "absolute":
            return int.from_bytes(word, "little")
        if sort == "data":
            return int.from_bytes(word, "little")
        return (self.section.address + offset + int.from_bytes(word, "little", signed=True)) % (1 << 64)


@dataclass(frozen=True)
class _Raw:
    """One entry before its handler is looked up: `third` is an address, a data word or None."""

    insn: int
    fixup: int
    third: int | None


def read_tables(image: Image, tables: Sequence[Table]) -> tuple[str, tuple[TableEntry, ...]]:
    """The layout's name and the entries of all `tables`, whose code and symbols are in `image`.

    Without a table the layout is "none". Raises InputError where the layout cannot be told,
    an entry points outside code, a handler is unknown, or two entries contradict each other.
    """
    tables = [t for t in tables if t.size]
    if not tables:
        return NO_TABLE, ()
    layout = _layout_of(image, tables)
    raw = [_decode(layout, table, i) for table in tables for i in range(table.size // layout.size)]
    reader = _Reader(image, layout)
    entries = tuple(reader.entry(index, entry) for index, entry in enumerate(raw))
    _refuse_contradictions(image, entries)
    return layout.name, entries


@cache
def layouts() -> tuple[Layout, ...]:
    """The layouts of the model."""
    model = X86_64.model("extable.toml")["layouts"]
    return tuple(Layout(name, entry["kernels"], tuple(entry["fields"])) for name, entry in model.items())


def kernels_of_layout(layout: str) -> str:
    """The kernels of the layout of that name, "" for none."""
    return next((known.kernels for known in layouts() if known.name == layout), "")


def entry_bytes(layout: str) -> int:
    """Bytes of one entry in the layout of that name, 0 for none."""
    return next((known.size for known in layouts() if known.name == layout), 0)


# -- which layout


def _layout_of(image: Image, tables: Sequence[Table]) -> Layout:
    found = {_table_layout(image, table).name for table in tables}
    if len(found) > 1:
        raise InputError(
            f"its exception-table sections have different layouts: {', '.join(sorted(found))}",
            where=str(image.path),
            hint="assemble all parts for one kernel version",
        )
    return next(layout for layout in layouts() if layout.name in found)


def _table_layout(image: Image, table: Table) -> Layout:
    """The one layout that the size, the relocations and, if need be, the contents allow."""
    sized = [layout for layout in layouts() if table.size % layout.size == 0]
    if not sized:
        sizes = ", ".join(str(s) for s in sorted({layout.size for layout in layouts()}))
        raise _table_error(
            image, table, f"its size of {table.size} bytes is no multiple of an entry ({sizes} bytes)"
        )
    if not table.relocations and not image.linked:
        raise _table_error(
            image,
            table,
            "it has no relocations, as in a file that was stripped",
            hint="give the file before it was stripped (strip -g keeps what is needed)",
        )
    fitting = [layout for layout in sized if _relocations_fit(layout, table)] if table.relocations else sized
    if not fitting:
        odd = next(
            (r.name for r in table.relocations.values() if not r.form.relative and r.form.width < 8), None
        )
        about = f" ({odd} stands there as a number)" if odd else ""
        raise _table_error(image, table, f"the relocations in it are those of no known layout{about}")
    if len(fitting) > 1:
        fitting = [layout for layout in fitting if _contents_fit(image, layout, table)]
    if not fitting:
        names = _names(sized)
        raise _table_error(image, table, f"its contents are those of no layout that its size allows: {names}")
    with_handlers = [layout for layout in fitting if layout.fields[-1] == "handler"]
    if len(fitting) > 1 and not with_handlers:
        raise _table_error(image, table, f"its layout cannot be told: it may be {_names(fitting)}")
    return (with_handlers or fitting)[0]  # names of handlers do not come about by chance


def _relocations_fit(layout: Layout, table: Table) -> bool:
    """Whether exactly the address fields are relocated, each by a relocation of its sort."""
    expected = {
        base + offset: (_WIDTHS[sort], sort != "absolute")
        for base in range(0, table.size, layout.size)
        for offset, sort in layout.places
        if sort != "data"
    }
    found = {offset: (r.form.width, r.form.relative) for offset, r in table.relocations.items()}
    return found == expected


def _names(choice: Sequence[Layout]) -> str:
    return " or ".join(f"{layout.name} ({layout.kernels})" for layout in choice)


def _contents_fit(image: Image, layout: Layout, table: Table) -> bool:
    """Whether every entry could be of this layout: code addresses, and a third word of its sort."""
    entries = (_decode(layout, table, i) for i in range(table.size // layout.size))
    return all(
        _could_be_faulting_code(image, e.insn)
        and _could_be_faulting_code(image, e.fixup)
        and _third_fits(image, layout, e.third)
        for e in entries
    )


def _could_be_faulting_code(image: Image, address: int) -> bool:
    """Code, and no handler: read as pairs, a table with handlers has those among its addresses."""
    return _may_be_entered(image, address) and not any(n in _by_symbol() for n in image.names_at(address))


def _third_fits(image: Image, layout: Layout, third: int | None) -> bool:
    if third is None:
        return True
    if layout.fields[-1] == "data":
        return isinstance(_handler_of_data(third), Handler)
    names = _names_at(image, third)
    return any(n in _by_symbol() for n in names) or third in image.externals


def _decode(layout: Layout, table: Table, index: int) -> _Raw:
    base = index * layout.size
    values = [table.field(base + offset, sort) for offset, sort in layout.places]
    return _Raw(values[0], values[1], values[2] if len(values) > 2 else None)


def _is_code(image: Image, address: int) -> bool:
    return bool(image.code_at(address, 1))


def _may_be_entered(image: Image, address: int) -> bool:
    """Whether an entry may be for `address`: code, or the replacement of an alternative. The latter is of no
    use, for the code runs elsewhere, but it is for those who look at the routine to say so."""
    section = image.section_at(address)
    return section is not None and (section.executable or section.name == REPLACEMENTS)


# -- entries


class _Reader:
    """Turns decoded entries into table entries, refusing what cannot be one."""

    def __init__(self, image: Image, layout: Layout) -> None:
        self._image = image
        by_sort: dict[str, Callable[[int], Handler | str]] = {
            "data": _handler_of_data,
            "handler": self._handler_at,
        }
        self._third = by_sort.get(layout.fields[-1], _no_handler)

    def entry(self, index: int, raw: _Raw) -> TableEntry:
        """The entry with position `index` in the file."""
        for what, address in (("instruction", raw.insn), ("fixup", raw.fixup)):
            label = self._image.externals.get(address, "")
            if _LABEL.fullmatch(label):
                raise self._undefined(index, raw, what, label)
            if label or not _may_be_entered(self._image, address):
                raise self._error(
                    index, raw, f"its {what} {self._place(address)} is in no executable section"
                )
        handler = self._third(raw.third or 0)
        if isinstance(handler, str):
            raise self._error(index, raw, handler)
        return TableEntry(raw.insn, raw.fixup, handler, index)

    def _handler_at(self, address: int) -> Handler | str:
        names = _names_at(self._image, address)
        known = next((n for n in names if n in _by_symbol()), None)
        if known is None:
            return f"its handler {names[0] if names else hex(address)} is unknown"
        return _handler(_by_symbol()[known])

    def _undefined(self, index: int, raw: _Raw, what: str, label: str) -> InputError:
        """That a label of the entry is not there, at the line of the source that has it."""
        message = (
            f"exception-table entry {index}: its {what} is the label {label}, which the file does not define"
        )
        line = line_with(self._image.path, label) if self._image.path.suffix in (".S", ".s") else None
        if line is None:
            return self._error(index, raw, message.partition(": ")[2])
        return InputError(message, where=f"{self._image.path}:{line}")

    def _place(self, address: int) -> str:
        names = _names_at(self._image, address)
        return f"{names[0]} ({address:#x})" if names else f"{address:#x}"

    def _error(self, index: int, raw: _Raw, message: str) -> InputError:
        where = self._image.where(raw.insn) if _is_code(self._image, raw.insn) else str(self._image.path)
        return InputError(f"exception-table entry {index}: {message}", where=where)


def _no_handler(_: int) -> Handler:
    return _handler(str(_handlers()["default"]))


@lru_cache(maxsize=4096)
def _handler_of_data(word: int) -> Handler | str:
    """The handler of a data word, with its operands; or why there is none."""
    model = X86_64.model("extable.toml")["data"]
    number = _bits(word, model["type"])
    name = _by_type().get(number)
    if name is None:
        return f"its type {number} is unknown (data word {word:#010x})"
    imm = _bits(word, model["imm"])
    signed = imm - (1 << model["imm"]["bits"]) if imm >> (model["imm"]["bits"] - 1) else imm
    flags = _bits(word, model["flags"])
    unknown = flags & ~sum(1 << f["bit"] for f in model["flag"])
    if unknown:
        return f"its flags {flags:#x} are unknown (data word {word:#010x})"
    cleared = tuple(f["effect"] for f in model["flag"] if flags >> f["bit"] & 1)
    return _handler(name, cleared, model["registers"][_bits(word, model["register"])], signed)


def _handler(
    name: str, more_effects: tuple[str, ...] = (), register: str | None = None, imm: int = 0
) -> Handler:
    """The handler `name` of the model; operands only where its effects use them."""
    model = _handlers()["named"][name]
    effects = (*model["effects"], *more_effects)
    uses_register = any("reg" in e for e in effects)
    uses_imm = any("imm" in e for e in effects)
    return Handler(
        name=name,
        effects=effects,
        register=model.get("register", register) if uses_register else None,
        imm=model.get("imm", imm) if uses_imm else 0,
    )


def _bits(word: int, place: Mapping[str, int]) -> int:
    return word >> place["shift"] & (1 << place["bits"]) - 1


def _handlers() -> dict[str, Any]:
    model: dict[str, Any] = X86_64.model("extable.toml")["handlers"]
    return model


@cache
def _by_type() -> dict[int, str]:
    return {number: name for name, model in _handlers()["named"].items() for number in model["types"]}


@cache
def _by_symbol() -> dict[str, str]:
    return {symbol: name for name, model in _handlers()["named"].items() for symbol in model["symbols"]}


def _names_at(image: Image, address: int) -> list[str]:
    external = image.externals.get(address)
    if external is not None:
        return [external]
    return image.names_at(address)


def _refuse_contradictions(image: Image, entries: Iterable[TableEntry]) -> None:
    """The kernel's sorted search takes either of two entries: they must say the same."""
    first: dict[int, TableEntry] = {}
    for entry in entries:
        before = first.setdefault(entry.insn, entry)
        if (before.fixup, before.handler) != (entry.fixup, entry.handler):
            raise InputError(
                f"exception-table entries {before.index} and {entry.index} are for one instruction "
                f"but differ: {_words(image, before)} and {_words(image, entry)}",
                where=image.where(entry.insn),
            )


def _words(image: Image, entry: TableEntry) -> str:
    fixup = image.label_at(entry.fixup) or hex(entry.fixup)
    return f"fixup {fixup} after handler {entry.handler.name}"


def _table_error(image: Image, table: Table, message: str, *, hint: str | None = None) -> InputError:
    return InputError(
        f"the exception table {table.section.name}: {message}", where=str(image.path), hint=hint
    )
