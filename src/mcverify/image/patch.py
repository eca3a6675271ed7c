"""The door to what the boot code of an architecture's kernels writes over the sites of alternatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

from mcverify.image.image import Alternative, Image


class _Boot(Protocol):
    """The module `boot` of an architecture's folder."""

    def patched(self, image: Image, chosen: Iterable[Alternative]) -> Image: ...

    def merged_nops(self, image: Image) -> frozenset[int]: ...

    def written(self, image: Image, alternative: Alternative) -> bytes: ...


def _boot(image: Image) -> _Boot:
    return cast("_Boot", image.architecture.code("boot"))


def patched(image: Image, chosen: Iterable[Alternative]) -> Image:
    """The image after the boot code has written the `chosen` alternatives, in the order of their table.

    Raises InputError where a corrected target does not fit its instruction.
    """
    return _boot(image).patched(image, chosen)


def merged_nops(image: Image) -> frozenset[int]:
    """The addresses behind the first of the nops that follow each other in a site: the boot code makes fewer
    and longer ones of them, written or not."""
    return _boot(image).merged_nops(image)


def written(image: Image, alternative: Alternative) -> bytes:
    """The `length` bytes that `alternative` puts at its site: its replacement, moved there, and nops."""
    return _boot(image).written(image, alternative)
