"""Numbers, offsets and places as reports write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from mcverify.arch.known import X86_64
from mcverify.runs.case import Run
from mcverify.shown import printable_text


def number(value: int) -> str:
    """Decimal below a million, hexadecimal above."""
    return str(value) if abs(value) < 1 << 20 else f"{value:#x}"


def trap_name(trap: int | None) -> str:
    """`#PF` for 14, as the Intel SDM and kernel developers call it; None is no trap."""
    known = X86_64.traps.names
    return f"trap {trap}" if trap is None else known.get(trap, f"trap {trap}")


def trap_names(text: str) -> str:
    """`14 or 18` as `#PF or #MC`: words about trap numbers, with the names in their place."""
    return re.sub(r"\b\d+\b", lambda found: trap_name(int(found[0])), text)


def register_value(register: str, value: int) -> str:
    """The value of a register; of rflags the flags that stand, by name."""
    if register != "rflags":
        return number(value)
    return " ".join(name for name, bit in X86_64.flag_names.items() if value >> bit & 1) or "no flag"


def counted(count: int, noun: str) -> str:
    """`1 byte`, `2 bytes`, `2 entries`."""
    many = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number(count)} {noun if count == 1 else many}"


def span(buffer: str, first: int, end: int) -> str:
    """`dst[3]` for one byte, `dst[3..7]` for those from 3 to before 8."""
    return f"{buffer}[{first}]" if end == first + 1 else f"{buffer}[{first}..{end - 1}]"


def spans(buffer: str, runs: Sequence[Run], limit: int = 3) -> str:
    """The first `limit` runs of offsets, and how many more there are; "" for none."""
    more = len(runs) - limit
    shown = ", ".join(span(buffer, *run) for run in runs[:limit])
    return shown + (f" and {counted(more, 'more range')}" if more > 0 else "")


def harmless(text: str) -> str:
    """`text` with control characters as escapes, but for the ends of lines and tabs: a symbol of an object
    file may hold some, and a terminal obeys them."""
    return printable_text(text)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters: what is too long has two dots for its middle."""
    if len(text) <= width:
        return text
    behind = (width - 2) // 2
    return f"{text[: width - 2 - behind]}..{text[len(text) - behind :]}"


def in_file(text: str, file: str) -> str:
    """A sentence with the places in `file` as :func:`short` writes them."""
    return text.replace(f"{file}: ", "").replace(f"{file}:", f"{PurePath(file).name}:")


def local(where: str, file: str) -> str:
    """A place for a reader of `file`: `line 12` or `.text+0x40` for one in it, `other.S:12` for others."""
    if where.startswith(f"{file}: "):
        return where.removeprefix(f"{file}: ")
    if where.startswith(f"{file}:"):
        return f"line {where.removeprefix(f'{file}:')}"
    return short(where)


def short(where: str) -> str:
    """`memcpy_64.S:12` for `asm/memcpy_64.S:12`, `.text+0x40` for `memcpy_64.o: .text+0x40`: the heading has
    the whole path."""
    return where.partition(": ")[2] if ": " in where else PurePath(where).name
