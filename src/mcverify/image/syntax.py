"""The syntax of an assembly source: AT&T's, or Intel's as the Rust kernels and litebox write it."""

from __future__ import annotations

import re
from typing import Literal

Syntax = Literal["att", "intel"]

HEADER = "mcverify/intel.h"
"""The stand-in that is read before a source in Intel syntax."""

_LEGACY = "[re]?(?:[abcd]x|[sd]i|[sb]p)|[abcd][lh]|[sd]il|[sb]pl"
_REGISTER = rf"(?:{_LEGACY}|r(?:8|9|1[0-5])[dwb]?|[xyz]mm\d+|[cdefgs]s)\b"
_PREFIXED = re.compile(rf"%{_REGISTER}", re.I)
_BARE = re.compile(rf"(?<![\w%.$\\]){_REGISTER}", re.I)
_DIRECTIVE = re.compile(r"^\s*\.(?:intel|att)_syntax\b", re.M)


def is_register(name: str) -> bool:
    """Whether it is the name of a register."""
    return re.fullmatch(_REGISTER, name) is not None


def may_be_intel(code: str) -> bool:
    """Whether a source, without its comments, names registers without a %, and none with one; what says
    itself in which syntax it is does not count."""
    if _DIRECTIVE.search(code):
        return False
    return _PREFIXED.search(code) is None and _BARE.search(code) is not None
