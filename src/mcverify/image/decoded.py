"""Where instructions begin, for what a file says of ranges of code."""

from __future__ import annotations

from collections.abc import Iterator

from mcverify.image.image import Image


def starts_of(image: Image, first: int, end: int) -> Iterator[int]:
    """Where the instructions from `first` to `end` begin, one behind the other; what is none is passed over
    byte by byte."""
    at = first
    while at < end:
        yield at
        found = image.architecture.decode(image.code_at(at), at)
        at = found.end if found is not None else at + 1
