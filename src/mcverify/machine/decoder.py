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
