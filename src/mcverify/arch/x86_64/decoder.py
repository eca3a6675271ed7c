"""Capstone as this room uses it: with details, and texts in AT&T syntax."""

from __future__ import annotations

from functools import cache
from typing import Any

import capstone


@cache
def decoder() -> Any:
    """The one decoder."""
    made = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    made.detail = True
    made.syntax = capstone.CS_OPT_SYNTAX_ATT
    return made


_BY_CL = ((0xD2,), (0xD3,), (0x0F, 0xA5), (0x0F, 0xAD))


def counts_in_cl(decoded: Any) -> bool:
    """Whether a shift or rotation takes its count from cl.

    By its opcode (Intel SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD): where memory is shifted,
    capstone leaves cl out of the operands.
    """
    opcode = tuple(decoded.opcode)
    return any(opcode[: len(known)] == known for known in _BY_CL)
