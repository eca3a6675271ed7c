"""What an exception table is about: its entries by function, handler and section. Nothing is proved here.

Neither angr nor z3 is needed: whether an instruction loads or stores is what capstone says of its operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from mcverify.image.callees import ASSUMED
from mcverify.image.functions import Functions
from mcverify.image.image import Alternative, Image, Symbol, TableEntry
from mcverify.image.lines import PLACES, lines_of
from mcverify.image.patch import written
from mcverify.proof.select import contract_in
from mcverify.runs.code import accesses_memory
from mcverify.runs.operands import directions

_Key = TypeVar("_Key", bound=str)


class Access(StrEnum):
    """What may fault at an entry: a load, a store, both in one instruction (or in different bodies of an
    alternative), no memory access (a register that there is not), or an instruction that is not known."""

    LOAD = "load"
    STORE = "store"
    BOTH = "both"
    NEITHER = "neither"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Function:
    """A function with table entries, or with a known contract. `size` is in bytes; `contract` is its name, ""
    where none is known; `elsewhere` counts entries whose fixup is in no code of this function;
    `features` are those of the alternatives in it ("ERMS", "!FSRM")."""

    name: str
    section: str
    address: int
    size: int
    contract: str
    entries: int
    handlers: Mapping[str, int]
    accesses: Mapping[Access, int]
    elsewhere: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stray:
    """An entry whose instruction lies in no function. `index` is its position in the table."""

    index: int
    insn: int
    where: str
    handler: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file's exception table holds: `entries` of `entry_bytes` each in `table_bytes`. Each is counted
    once in `handlers`, in `sections` (those of the faulting instructions), in `accesses`, and in the
    functions and strays together. `kind` is "source", "object", "module" or "kernel"; `alternatives` counts
    those of the whole file."""

    file: str
    sha256: str
    kind: str
    layout: str
    entries: int
    entry_bytes: int
    table_bytes: int
    handlers: Mapping[str, int]
    sections: Mapping[str, int]
    accesses: Mapping[Access, int]
    functions: tuple[Function, ...]
    strays: tuple[Stray, ...]
    alternatives: int
    notes: tuple[str, ...]


def scan(image: Image) -> Scan:
    """What the exception table of `image` is about, every entry accounted for.

    Raises InputError where a comment of the source names an unknown contract.
    """
    entries = _entries(image)
    functions = Functions(image)
    owned: dict[Symbol, list[TableEntry]] = {}
    outside = []
    for entry in entries:
        owner = functions.holding(entry.insn)
        if owner is None:
            outside.append(entry)
        else:
            owned.setdefault(owner, []).append(entry)
    image = _with_lines(image, [entry.insn for entry in outside])
    strays = [Stray(e.index, e.insn, image.where(e.insn), e.handler.name) for e in outside]
    for symbol in functions.starts:
        if symbol not in owned and contract_in(image, symbol.name) is not None:
            owned[symbol] = []
    accesses = {entry.index: access(image, entry) for entry in entries}
    found = [
        _function(image, symbol, functions.end(symbol), its, accesses)
        for symbol, its in sorted(owned.items(), key=lambda item: item[0].address)
    ]
    result = Scan(
        file=str(image.path),
        sha256=image.sha256,
        kind=_kind(image),
        layout=image.layout,
        entries=len(entries),
        entry_bytes=image.entry_bytes,
        table_bytes=image.table_bytes,
        handlers=_counted(entry.handler.name for entry in entries),
        sections=_counted(_section(image, entry.insn) for entry in entries),
        accesses=_counted(accesses.values()),
        functions=tuple(found),
        strays=tuple(strays),
        alternatives=len(image.alternatives),
        notes=(*image.notes, *_symbol_notes(image)),
    )
    _account_for(result)
    return result


def _entries(image: Image) -> list[TableEntry]:
    """The entries of the table; of one for a range the first instruction that accesses memory stands for
    it."""
    found: dict[int, TableEntry] = {}
    for entry in image.entries:
        before = found.get(entry.index)
        if entry.handler.name != ASSUMED and (before is None or not accesses_memory(image, before.insn)):
            found[entry.index] = entry
    return list(found.values())


def _with_lines(image: Image, addresses: Collection[int]) -> Image:
    """A linked image with the source lines of what is told by its place, of whose units alone the line
    information is read: that of a whole kernel takes minutes."""
    if image.lines or image.packed or not image.linked:
        return image
    lines = lines_of(image.path, addresses) if addresses else {}
    notes = image.notes if addresses and not lines else [n for n in image.notes if not n.endswith(PLACES)]
    return replace(image, lines=lines, notes=tuple(notes))


def _symbol_notes(image: Image) -> Iterator[str]:
    if image.entries and not image.symbols:
        how = (
            "--system-map FILE gives those of a linked kernel" if image.linked else "it was stripped of them"
        )
        yield f"it has no symbols, so that no entry is known to be in a function: {how}"


def access(image: Image, entry: TableEntry) -> Access:
    """What may fault at an entry, whichever body of an alternative is there."""
    kinds: set[bool] = set()
    known = False
    for code in _bodies(image, entry.insn):
        found = directions(image.architecture.effects(code, entry.insn))
        if found is None:
            return Access.UNKNOWN
        known = True
        kinds |= found
    if not known:
        return Access.UNKNOWN
    return {
        frozenset(): Access.NEITHER,
        frozenset({False}): Access.LOAD,
        frozenset({True}): Access.STORE,
    }.get(frozenset(kinds), Access.BOTH)


def _bodies(image: Image, address: int) -> Iterator[bytes]:
    """The code that may run at `address`: that of the file, and what alternatives write there.

    A body in which no instruction begins at `address` is left out: the entry is not for it.
    """
    sites = image.alternatives_between(address, address + 1)
    bodies: Sequence[tuple[int, bytes]] = [(address, image.bytes_at(address, 15))]
    if sites:
        start = min(a.site for a in sites)
        whole = image.bytes_at(start, max(a.end for a in sites) - start)
        bodies = [(start, whole), *((a.site, written(image, a)) for a in sites)]
    for start, code in bodies:
        behind = image.bytes_at(start + len(code), 15)
        if _begins_at(image, code, start, address):
            yield (code + behind)[address - start :]


def _begins_at(image: Image, code: bytes, start: int, address: int) -> bool:
    while start < address:
        instruction = image.architecture.decode(code, start)
        if instruction is None:
            return False
        code, start = code[len(instruction.code) :], instruction.end
    return start == address and bool(code)


def _function(
    image: Image, symbol: Symbol, end: int, entries: Sequence[TableEntry], accesses: Mapping[int, Access]
) -> Function:
    contract = contract_in(image, symbol.name)
    return Function(
        name=symbol.name,
        section=_section(image, symbol.address),
        address=symbol.address,
        size=end - symbol.address,
        contract=contract.name if contract is not None else "",
        entries=len(entries),
        handlers=_counted(entry.handler.name for entry in entries),
        accesses=_counted(accesses[entry.index] for entry in entries),
        elsewhere=sum(not symbol.address <= entry.fixup < end for entry in entries),
        features=tuple(dict.fromkeys(_features(image, image.alternatives_between(symbol.address, end)))),
    )


def _features(image: Image, alternatives: Iterable[Alternative]) -> Iterator[str]:
    """Those that choose: not the one that every CPU is said to have."""
    always = image.architecture.model("altinstructions.toml")["features"]["always"]
    for alternative in alternatives:
        if alternative.feature != always:
            yield f"{'!' if alternative.inverted else ''}{alternative.shown or alternative.feature}"


def _section(image: Image, address: int) -> str:
    section = image.section_at(address)
    return section.name if section is not None else ""


def _kind(image: Image) -> str:
    if image.linked:
        return "kernel"
    if image.built:
        return "module"
    return "source" if image.path.suffix in (".S", ".s") else "object"


def _counted(keys: Iterable[_Key]) -> dict[_Key, int]:
    return dict(Counter(keys).most_common())


def _account_for(found: Scan) -> None:
    """Every entry of the table is counted, and once: else the fault is ours."""
    of_functions = sum(function.entries for function in found.functions)
    counts = {
        found.entries,
        of_functions + len(found.strays),
        *(sum(c.values()) for c in (found.handlers, found.sections, found.accesses)),
    }
    if len(counts) > 1 or found.entries * found.entry_bytes != found.table_bytes:
        raise AssertionError(f"{found.file}: {counts} entries are counted of {found.table_bytes} bytes")
