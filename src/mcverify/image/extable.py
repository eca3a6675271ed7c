"""Exception-table sections -> entries. Layouts and handlers are data: models/x86_64/extable.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.image.decoded import starts_of
from mcverify.image.image import Handler, Image, Section, TableEntry
from mcverify.image.relocate import REPLACEMENTS, Relocated
from mcverify.image.source import line_with
from mcverify.layouts import Layout, Word, layouts

NO_TABLE = "none"
SECTION_NAMES = tuple(dict.fromkeys(name for layout in layouts(X86_64) for name in layout.sections))
"""The sections that are looked at for a table."""

_LABEL = re.compile(r"[A-Za-z_.$][\w.$]*")
"""A symbol by its name; a place beside one, or a bare address, is none."""

_OWN = "own"
"""The name of a handler whose effects are those of the layout."""

_LONGEST_RANGE = 1 << 16
"""Bytes of code that one entry may be for."""


@dataclass(frozen=True)
class Table:
    """One table section, or the part of one between two symbols; `relocations` by offset, empty in a linked
    file."""

    section: Section
    relocations: Mapping[int, Relocated]

    @property
    def size(self) -> int:
        """Bytes of the section."""
        return len(self.section.data)

    def number(self, offset: int, layout: Layout, width: int, *, signed: bool = False) -> int:
        """The number in the word at `offset`."""
        word = self.section.data[offset : offset + width]
        return int.from_bytes(word, layout.byte_order, signed=signed)


@dataclass(frozen=True)
class Read:
    """What was read of a file's tables: the layouts' names, "none" without one, the entries, the bytes of the
    tables and of an entry; and the layout in words, where it is not one of Linux."""

    layout: str
    entries: tuple[TableEntry, ...]
    entry_bytes: int = 0
    table_bytes: int = 0
    shown: str = ""


@dataclass(frozen=True)
class _Raw:
    """One entry before its handler is looked up: `insn` is the first instruction, `end` the end of a range or
    None; `third` is an address, a data word or None."""

    insn: int
    fixup: int
    end: int | None
    third: int | None


def read_tables(image: Image, tables: Sequence[Table], allowed: Sequence[Layout] = ()) -> Read:
    """What the `tables` say, whose code and symbols are in `image`; by one of the layouts that are `allowed`,
    if any are.

    Raises InputError where the layout cannot be told, an entry points outside code, a handler is unknown, or
    two entries contradict each other.
    """
    tables = [t for t in tables if t.size]
    if not tables:
        return Read(NO_TABLE, ())
    layout = _layout_of(image, tables, allowed)
    raw = [_decode(image, layout, table, i) for table in tables for i in range(table.size // layout.size)]
    reader = _Reader(image, layout)
    entries = tuple(each for index, entry in enumerate(raw) for each in reader.entries(index, entry))
    _refuse_contradictions(image, entries)
    shown = "" if layout.is_of_linux else _shown(image, layout, tables, given=bool(allowed))
    return Read(layout.name or "own", entries, layout.size, sum(table.size for table in tables), shown)


def kernels_of_layout(layout: str) -> str:
    """The kernels of the layout of that name, "" for none."""
    return next((known.kernels for known in layouts(X86_64) if known.name == layout), "")


def is_of_linux(layout: str) -> bool:
    """Whether the layout of that name is one of Linux; there may be none."""
    return layout == NO_TABLE or bool(kernels_of_layout(layout))


# -- which layout


def _shown(image: Image, layout: Layout, tables: Sequence[Table], *, given: bool) -> str:
    """A sentence on a table that is not one of Linux."""
    names = ", ".join(dict.fromkeys(table.section.name for table in tables))
    why = "as was asked" if given else "the one known layout that it fits"
    return f"{names} is read as an exception table of layout {layout.shown}, {why}"


def _layout_of(image: Image, tables: Sequence[Table], allowed: Sequence[Layout]) -> Layout:
    found = {layout.name: layout for layout in (_table_layout(image, table, allowed) for table in tables)}
    if len(found) > 1:
        raise InputError(
            f"its exception-table sections have different layouts: {', '.join(sorted(found))}",
            where=str(image.path),
            hint="assemble all parts for one kernel version",
        )
    return next(iter(found.values()))


def _known(table: Table) -> list[Layout]:
    """The layouts that are looked for in a section of that name."""
    return [each for each in layouts(X86_64) if each.automatic and table.section.name in each.sections]


def _table_layout(image: Image, table: Table, allowed: Sequence[Layout]) -> Layout:
    """The one layout that the size, the relocations and, if need be, the contents allow."""
    known = list(allowed) or _known(table)
    sized = [layout for layout in known if table.size % layout.size == 0]
    if not sized:
        sizes = ", ".join(str(s) for s in sorted({layout.size for layout in known}))
        raise _table_error(
            image, table, f"its size of {table.size} bytes is no multiple of an entry ({sizes} bytes)"
        )
    if not table.relocations and not image.linked and not any(map(_without_relocations, sized)):
        raise _table_error(
            image,
            table,
            "it has no relocations, as in a file that was stripped",
            hint="give the file before it was stripped (strip -g keeps what is needed)",
        )
    fitting = sized if image.linked else [layout for layout in sized if _relocations_fit(layout, table)]
    if not fitting:
        odd = next(
            (r.name for r in table.relocations.values() if not r.form.relative and r.form.width < 8), None
        )
        about = f" ({odd} stands there as a number)" if odd else ""
        raise _table_error(image, table, f"the relocations in it are those of no known layout{about}")
    return _by_contents(image, table, fitting, sized)


def _by_contents(image: Image, table: Table, fitting: list[Layout], sized: list[Layout]) -> Layout:
    """The one of the `fitting` layouts that the code allows; `sized` are all that the size does."""
    if len(fitting) > 1:
        fitting = [layout for layout in fitting if _contents_fit(image, layout, table)]
    if len(fitting) > 1 and image.object_code:
        at_labels = [layout for layout in fitting if _all_at_labels(image, layout, table)]
        fitting = at_labels if len(at_labels) == 1 else fitting
    if not fitting:
        names = _names(sized)
        raise _table_error(image, table, f"its contents are those of no layout that its size allows: {names}")
    with_handlers = [layout for layout in fitting if layout.third == "handler"]
    if len(fitting) > 1 and not with_handlers:
        hint = f"say which it is: --table {fitting[0].name}, or --table {fitting[1].name}"
        raise _table_error(image, table, f"its layout cannot be told: it may be {_names(fitting)}", hint=hint)
    return (with_handlers or fitting)[0]  # names of handlers do not come about by chance


def _without_relocations(layout: Layout) -> bool:
    """Whether the assembler itself knows what stands in the words of such a table."""
    return not any(word.is_relocated for word in layout.words)


def _relocations_fit(layout: Layout, table: Table) -> bool:
    """Whether exactly the address fields are relocated, each by a relocation of its sort."""
    expected = {
        base + offset: (word.width, word.origin != "absolute")
        for base in range(0, table.size, layout.size)
        for offset, word in layout.places
        if word.is_relocated
    }
    found = {offset: (r.form.width, r.form.relative) for offset, r in table.relocations.items()}
    return found == expected


def _names(choice: Sequence[Layout]) -> str:
    return " or ".join(layout.shown for layout in choice)


def _contents_fit(image: Image, layout: Layout, table: Table) -> bool:
    """Whether every entry could be of this layout: code addresses, and a third word of its sort."""
    entries = (_decode(image, layout, table, i) for i in range(table.size // layout.size))
    return all(
        _could_be_faulting_code(image, e.insn)
        and _could_be_faulting_code(image, e.fixup)
        and (e.end is None or e.insn < e.end)
        and _third_fits(image, layout, e.third)
        for e in entries
    )


def _all_at_labels(image: Image, layout: Layout, table: Table) -> bool:
    """Whether every address of the table has a name: an author writes labels, and the object has them."""
    entries = (_decode(image, layout, table, i) for i in range(table.size // layout.size))
    return all(image.names_at(address) for e in entries for address in (e.insn, e.fixup))


def _could_be_faulting_code(image: Image, address: int) -> bool:
    """Code, and no handler: read as pairs, a table with handlers has those among its addresses."""
    return _may_be_entered(image, address) and not any(n in _by_symbol() for n in image.names_at(address))


def _third_fits(image: Image, layout: Layout, third: int | None) -> bool:
    if third is None:
        return True
    if layout.third == "data":
        return isinstance(_handler_of_data(third), Handler)
    names = _names_at(image, third)
    return any(n in _by_symbol() for n in names) or third in image.externals


def _decode(image: Image, layout: Layout, table: Table, index: int) -> _Raw:
    base = index * layout.size
    found = {word.role: _value(image, layout, table, base, offset) for offset, word in layout.places}
    third = found.get(layout.third) if layout.third is not None else None
    first = found["insn"] if "insn" in found else found["first"]
    return _Raw(first, found["fixup"], found.get("end"), third)


def _value(image: Image, layout: Layout, table: Table, base: int, offset: int) -> int:
    """What the word at `offset` of the entry at `base` says: an address, or a number as it stands there."""
    word = dict(layout.places)[offset]
    at = base + offset
    if not word.origin:
        return table.number(at, layout, word.width)
    number = table.number(at, layout, word.width, signed=True)
    return (_origin(image, word, table, base, offset) + number) % (1 << 64)


def _origin(image: Image, word: Word, table: Table, base: int, offset: int) -> int:
    """The address that the number in a word counts from."""
    if word.symbol:
        address = image.address_of(word.symbol)
        if address is None:
            raise _table_error(image, table, f"it counts from {word.symbol}, which the file does not define")
        return address
    start = table.section.address
    return {"absolute": 0, "table": start, "entry": start + base, "field": start + base + offset}[word.origin]


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
        by_sort: dict[str | None, Callable[[int], Handler | str]] = {
            "data": _handler_of_data,
            "handler": self._handler_at,
        }
        own = Handler(_OWN, layout.effects, layout.register, layout.imm) if layout.effects else None
        self._third = by_sort.get(layout.third, (lambda _: own) if own is not None else _no_handler)

    def entries(self, index: int, raw: _Raw) -> Iterator[TableEntry]:
        """The entry with position `index` in the file; of a range one for each instruction in it."""
        ends = () if raw.end is None else (("end", raw.end - 1),)
        for what, address in (("instruction", raw.insn), ("fixup", raw.fixup), *ends):
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
        if raw.end is None:
            yield TableEntry(raw.insn, raw.fixup, handler, index)
            return
        for address in self._instructions(index, raw, raw.end):
            yield TableEntry(address, raw.fixup, handler, index, ranged=True)

    def _instructions(self, index: int, raw: _Raw, end: int) -> Iterator[int]:
        """Where the instructions of a range begin."""
        section = self._image.section_at(raw.insn)
        if section is None or not raw.insn < end <= section.end:
            raise self._error(index, raw, f"its range ends at {self._place(end)}, not behind its begin")
        if end - raw.insn > _LONGEST_RANGE:
            raise self._error(index, raw, f"its range of {end - raw.insn} bytes is too long")
        yield from starts_of(self._image, raw.insn, end)

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
