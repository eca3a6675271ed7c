"""System.map: the symbols of a linked kernel, beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mcverify.errors import InputError
from mcverify.foreign import read_text
from mcverify.image.image import Section, Symbol
from mcverify.shown import printable

_LINE = re.compile(r"([0-9a-f]{8,16}) ([A-Za-z?]) (\S+)(?:\t\[\w+\])?")
_LARGEST = 64 << 20
_CODE = "tTwW"
_GLOBAL = "ABCDRTVWi"
# Where the linker script puts them: arch/x86/kernel/vmlinux.lds.S, include/asm-generic/vmlinux.lds.h.
_LANDMARKS = {"__start___ex_table": "__ex_table", "__alt_instructions": ".altinstructions", "_text": ".text"}


def read_system_map(path: Path, sections: Iterable[Section]) -> tuple[Symbol, ...]:
    """The symbols of `path`, for the kernel that has `sections`. Raises InputError where it is no such map,
    or that of another kernel."""
    rows = list(_rows(path))
    if not rows:
        raise InputError("it is no System.map: it has no symbols", where=str(path))
    kernel = list(sections)
    _refuse_other(path, {name: address for address, _, name in rows}, kernel)
    return symbols_of(rows, kernel)


def symbols_of(rows: Iterable[tuple[int, str, str]], sections: Iterable[Section]) -> tuple[Symbol, ...]:
    """Symbols from address, nm's letter and name; those in code whose letter says so are functions.

    Sizes are not said: a function reaches to the next one.
    """
    code = [(s.address, s.end) for s in sections if s.executable]

    def is_function(address: int, letter: str, name: str) -> bool:
        return letter in _CODE and name[0] != "." and any(a <= address < b for a, b in code)

    return tuple(
        Symbol(name, address, 0, is_function(address, letter, name), letter in _GLOBAL)
        for address, letter, name in rows
    )


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    try:
        text = read_text(path, _LARGEST)
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}", where=str(path)) from error
    for number, line in enumerate(text.splitlines(), 1):
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise InputError(
                "it is no line of a System.map", where=f"{path}:{number}", hint="each is: address letter name"
            )
        yield int(match[1], 16), match[2], printable(match[3])


def _refuse_other(path: Path, addresses: dict[str, int], sections: list[Section]) -> None:
    starts = {s.name: s.address for s in sections}
    for symbol, section in _LANDMARKS.items():
        if symbol in addresses and section in starts and addresses[symbol] != starts[section]:
            raise InputError(
                f"it belongs to another kernel: {symbol} is at {addresses[symbol]:#x} in it,"
                f" but {section} begins at {starts[section]:#x}",
                where=str(path),
            )
