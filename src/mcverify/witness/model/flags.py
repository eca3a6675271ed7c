"""Which arithmetic flags have a value that the manual promises, after a run of instructions."""

from __future__ import annotations

from collections.abc import Iterable

from mcverify.image.image import Image
from mcverify.runs.code import effects


def defined_flags(image: Image, executed: Iterable[int]) -> frozenset[str]:
    """The flags that the instructions at these addresses, in order, leave with a promised value; none of
    those before one that cannot be decoded."""
    defined: frozenset[str] = frozenset()
    for address in executed:
        done = effects(image, address)
        defined = (defined | done.flags_written) - done.flags_undefined if done is not None else frozenset()
    return defined
