"""Where instructions begin, for what a file says of ranges of code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import capstone

from mcverify.image.image import Image


def starts_of(image: Image, first: int, end: int) -> Iterator[int]:
    """Where the instructions from `first` to `end` begin, one behind the other; what is none is passed over
    byte by byte."""
    at = first
    while at < end:
        yield at
        at += _length(image.code_at(at), at)


def _length(code: bytes, address: int) -> int:
    found = next(_decoder().disasm_lite(code, address, 1), None)
    return int(found[1]) if found is not None else 1


@cache
def _decoder() -> Any:
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
