"""The part of a linked kernel, or of a module, that a proof is about, as a file of its own: code, table
entries and alternatives; and whether it is what the whole file has there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from mcverify.arch.known import BY_NAME
from mcverify.errors import InputError
from mcverify.image.callees import ASSUMED, known
from mcverify.image.image import Alternative, Image, Section, Symbol, TableEntry

_UNSAID = "x86-64"
"""The architecture of a file that says none."""


class _Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    layout: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    entries: tuple[TableEntry, ...]
    alternatives: tuple[Alternative, ...]
    externals: dict[int, str]
    repatched: dict[int, str] = {}
    architecture: str | msgspec.UnsetType = msgspec.UNSET
    table: str = ""


def cut_out(image: Image) -> bytes:
    """What check needs of an image, as JSON; the same bytes for the same image."""
    cut = _Cut(
        image.layout,
        image.sections,
        image.symbols,
        image.entries,
        image.alternatives,
        dict(sorted(image.externals.items())),
        dict(sorted(image.repatched.items())),
        msgspec.UNSET if image.architecture.name == _UNSAID else image.architecture.name,
        image.table,
    )
    return (json.dumps(msgspec.to_builtins(cut, str_keys=True), indent=1) + "\n").encode()


def read_cut(content: bytes, path: Path) -> Image:
    """The image that :func:`cut_out` wrote. Raises InputError, with `path`, where it is none."""
    try:
        cut = msgspec.json.decode(content, type=_Cut)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        sentence = f"it is no code that was cut out: {str(error)[:1].lower()}{str(error)[1:]}"
        raise InputError(sentence, where=str(path)) from error
    name = _UNSAID if cut.architecture is msgspec.UNSET else cut.architecture
    if name not in BY_NAME:
        raise InputError(f"it is for {name!r}, which is no architecture that is known", where=str(path))
    return Image(
        path=path,
        architecture=BY_NAME[name],
        sections=cut.sections,
        symbols=cut.symbols,
        entries=cut.entries,
        lines={},
        externals=cut.externals,
        repatched=cut.repatched,
        layout=cut.layout,
        table=cut.table,
        alternatives=cut.alternatives,
        built=True,
        focused=True,
    )


def differences(cut: Image, whole: Image) -> Iterator[str]:
    """What is not in the whole file as it is in the cut, as far as it says what the code does; nothing if
    all is."""
    code = [range(s.address, s.end) for s in cut.sections if s.executable]
    for section in cut.sections:
        if whole.bytes_at(section.address, len(section.data)) != section.data:
            yield f"the bytes at {section.address:#x} are others"
    yield from _unlike("table entries", _entries(cut, code), _entries(whole, code))
    for address, what in whole.repatched.items():
        if any(address in block for block in code) and cut.repatched.get(address) != what:
            yield f"the kernel rewrites what lies at {address:#x} ({what})"
    yield from _unlike("alternatives", _alternatives(cut, code), _alternatives(whole, code))
    names = {
        *whole.architecture.model("externals.toml")["return_thunks"]["names"],
        *(c.name for c in known().values()),
    }
    for address, name in sorted(cut.externals.items()):
        if name in names and name not in (whole.externals.get(address), *whole.names_at(address)):
            yield f"{address:#x} is not {name}"
    for symbol in cut.symbols:
        if symbol.name not in whole.names_at(symbol.address):
            yield f"{symbol.name} does not lie at {symbol.address:#x}"


def _entries(image: Image, code: Iterable[range]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for e in image.entries:  # those of a range have one number
        if e.handler.name != ASSUMED and any(e.insn in block for block in code):
            found[e.index] = (*found.get(e.index, ()), e)
    return found


def _alternatives(image: Image, code: Iterable[range]) -> dict[int, Any]:
    return {a.index: a for a in image.alternatives if any(a.site in block for block in code)}


def _unlike(what: str, here: dict[int, Any], there: dict[int, Any]) -> Iterator[str]:
    if here != there:
        numbers = sorted(n for n in here.keys() | there.keys() if here.get(n) != there.get(n))
        yield f"the {what} with the numbers {', '.join(map(str, numbers[:8]))} are others"
