"""Numbers, offsets and places as reports write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from mcverify.runs.case import Run

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def number(value: int) -> str:
    """Decimal below a million, hexadecimal above."""
    return str(value) if abs(value) < 1 << 20 else f"{value:#x}"


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
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def short(where: str) -> str:
    """`memcpy_64.S:12` for `asm/memcpy_64.S:12`: the heading has the whole path."""
    return PurePath(where).name if ": " not in where else where
