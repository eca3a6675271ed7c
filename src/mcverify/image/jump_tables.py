"""Jump tables: words of an object's read-only data that lead to code of the same file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcverify.image.image import Image

_MOST = 256
"""Words of a table that are looked at."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One word of a table: `offset` from its begin and `width`, in bytes; whether it is a distance from the
    begin of the table (else an address); and the address in the image that it leads to."""

    offset: int
    width: int
    relative: bool
    target: int


def slots(image: Image, base: int) -> Sequence[Slot]:
    """The words of the table that begins at `base`, up to the next label; none where there is no table."""
    return tuple(_slots(image, base))


def _slots(image: Image, base: int) -> Iterator[Slot]:
    first = image.code_words.get(base)
    at = base
    while first is not None and (at - base) < _MOST * first.width:
        word = image.code_words.get(at)
        if word is None or (word.width, word.relative) != (first.width, first.relative):
            return
        if at != base and image.names_at(at):
            return
        number = int.from_bytes(image.bytes_at(at, word.width), "little", signed=word.relative)
        target = base + number if word.relative else number
        if not word.first <= target < word.end or not image.code_at(target, 1):
            return
        yield Slot(at - base, word.width, word.relative, target)
        at += word.width


def targets(image: Image, base: int) -> list[int]:
    """Where the table that begins at `base` leads to, each place once."""
    return list(dict.fromkeys(slot.target for slot in slots(image, base)))
