"""Sizes and durations as a user writes them."""

from __future__ import annotations

import math
import re

from mcverify.errors import InputError

LARGEST = 2**63 - 1
"""Beyond this a length is no count of bytes in any address space."""

_SIZE = re.compile(r"(?P<number>0x[0-9a-f]+|[0-9][0-9_]*)(?P<suffix>[kmg]?)", re.IGNORECASE)
_FACTOR = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def parse_size(text: str, option: str) -> int:
    """Bytes from ``4096``, ``0x7ffff000``, ``64k``, ``1M`` or ``2G`` (powers of 1024).

    Raises InputError, which names `option`, for anything else, for 0, and for 2**63 or more.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{option} {text!r} is no number of bytes", hint="write it like 4096, 0x7ffff000, 64k, 1M or 2G"
        )
    size = int(match["number"].replace("_", ""), 16 if match["number"][:2].lower() == "0x" else 10)
    size *= _FACTOR[match["suffix"].lower()]
    if not 1 <= size <= LARGEST:
        raise InputError(f"{option} {text} is out of range", hint="from 1 to 2**63 - 1 bytes")
    return size


def parse_seconds(text: str, option: str) -> float:
    """Seconds, more than 0, from ``30`` or ``2.5``. Raises InputError, which names `option`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf):
        raise InputError(f"{option} {text!r} is no number of seconds above 0", hint="write it like 30 or 2.5")
    return seconds
