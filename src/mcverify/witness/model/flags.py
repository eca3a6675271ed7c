"""Which arithmetic flags have a value that the manual promises, after a run of instructions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import capstone
from capstone import x86_const

from mcverify.arch.known import X86_64
from mcverify.image.image import Image

_SHIFTS = ("sh", "sa", "ro", "rc")
_MORE_UNDEFINED = {
    **{name: {"of", "af"} for name in _SHIFTS},  # of is defined for a count of one only
    "mul": {"sf", "zf", "af", "pf"},
    "imul": {"sf", "zf", "af", "pf"},
}
"""What capstone does not tell of the manual's tables (Intel SDM vol. 2), by the beginning of the mnemonic."""


def defined_flags(image: Image, executed: Iterable[int]) -> frozenset[str]:
    """The flags that the instructions at these addresses, in order, leave with a promised value."""
    defined: frozenset[str] = frozenset()
    for address in executed:
        written, undefined = _effect(image.code_at(address))
        defined = (defined | written) - undefined
    return defined


@cache
def _effect(code: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """The flags that an instruction writes, and those that it leaves undefined."""
    insn = next(_decoder().disasm(code, 0, 1), None)
    if insn is None:
        return frozenset(), frozenset(X86_64.flags)
    verbs = {"MODIFY": set[str](), "RESET": set[str](), "SET": set[str](), "UNDEFINED": set[str]()}
    for verb, names in verbs.items():
        for flag in X86_64.flags:
            bit = getattr(x86_const, f"X86_EFLAGS_{verb}_{flag.upper()}", 0)
            if insn.eflags & bit:
                names.add(flag)
    undefined = frozenset(verbs.pop("UNDEFINED") | _more_undefined(insn.mnemonic))
    return frozenset().union(*verbs.values()) - undefined, undefined


def _more_undefined(mnemonic: str) -> set[str]:
    return next((flags for name, flags in _MORE_UNDEFINED.items() if mnemonic.startswith(name)), set())


@cache
def _decoder() -> Any:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    return decoder
