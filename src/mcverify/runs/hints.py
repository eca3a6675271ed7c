"""Hints about a cache line (clwb, clflushopt) on CPUs that do not have them, where they would raise #UD."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from mcverify.arch.decoded import Decoded
from mcverify.image.image import Image
from mcverify.runs.code import effects

_NOP = b"\x90"


def missing_hints(image: Image, code: Mapping[int, Decoded]) -> dict[int, bytes]:
    """What stands in the code for hints that this CPU lacks, by address: as many bytes that do nothing. One
    that would fault does not fault there; a proof asks that none does."""
    found = {}
    for address, instruction in code.items():
        done = effects(image, address)
        if done is not None and done.hint_needs and done.hint_needs not in cpu_flags():
            found[address] = _NOP * len(instruction.code)
    return found


@cache
def cpu_flags() -> frozenset[str]:
    """The features that Linux says this CPU has; none where it does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags"))
    return frozenset(next(flags, ()))
