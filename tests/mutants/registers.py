"""Names of the general registers in AT&T syntax, and of their parts."""

from __future__ import annotations

import re

NAME = re.compile(r"%(?P<name>[a-z][a-z0-9]*)")
_LEGACY = {
    "rax": "eax ax al", "rbx": "ebx bx bl", "rcx": "ecx cx cl", "rdx": "edx dx dl",
    "rsi": "esi si sil", "rdi": "edi di dil", "rbp": "ebp bp bpl", "rsp": "esp sp spl",
}  # fmt: skip
_PARTS = {
    **{
        whole: dict(zip((64, 32, 16, 8), (whole, *parts.split()), strict=True))
        for whole, parts in _LEGACY.items()
    },
    **{f"r{n}": {64: f"r{n}", 32: f"r{n}d", 16: f"r{n}w", 8: f"r{n}b"} for n in range(8, 16)},
}
_WHOLE = {part: (whole, width) for whole, parts in _PARTS.items() for width, part in parts.items()}
_SECOND_BYTE = {f"{letter}h": f"r{letter}x" for letter in "abcd"}

ALL_BYTES = 0xFF
"""The mask of a whole register; bit n stands for its byte n."""


def whole_and_width(name: str) -> tuple[str, int] | None:
    """`edx` -> (`rdx`, 32); None for what is no general register, nor the low part of one."""
    return _WHOLE.get(name)


def part(whole: str, width: int) -> str:
    """`rdx`, 32 -> `edx`."""
    return _PARTS[whole][width]


def mentioned(text: str) -> set[str]:
    """The general registers that a text names, as wholes."""
    return {_WHOLE[m["name"]][0] for m in NAME.finditer(text) if m["name"] in _WHOLE}


def read_bytes(name: str) -> tuple[str, int] | None:
    """`edx` -> `rdx` and the mask of its low four bytes; None for what is no general register."""
    if name in _SECOND_BYTE:
        return _SECOND_BYTE[name], 0b10
    known = _WHOLE.get(name)
    return (known[0], (1 << known[1] // 8) - 1) if known else None


def written_bytes(name: str) -> tuple[str, int] | None:
    """As `read_bytes`; a write of 32 bits clears the upper half (SDM volume 1, 3.4.1.1)."""
    found = read_bytes(name)
    return (found[0], ALL_BYTES) if found and found[1] == 0b1111 else found


WHOLE = tuple(_PARTS)
"""The general registers by their 64-bit names."""
