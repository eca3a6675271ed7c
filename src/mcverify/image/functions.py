"""Where the routines of an image begin and end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from mcverify.image.image import Image, Symbol


class Functions:
    """The routines of one image: its functions, and global labels outside.

    (Old files do not mark functions.)
    """

    def __init__(self, image: Image) -> None:
        self._image = image
        self.starts: Sequence[Symbol] = tuple(_starts(image))

    def end(self, symbol: Symbol) -> int:
        """The first address behind a routine: by its size, the next one, or the end of its section."""
        if symbol.size:
            return symbol.address + symbol.size
        section = self._image.section_at(symbol.address)
        end = section.end if section else symbol.address
        following = bisect_right(self._addresses, symbol.address)
        return min(end, self._addresses[following]) if following < len(self._addresses) else end

    def holding(self, address: int) -> Symbol | None:
        """The routine in which `address` lies, None if it lies in none."""
        last = bisect_right(self._addresses, address) - 1
        for symbol in reversed(self.starts[max(0, last - 8) : last + 1]):
            if address < self.end(symbol):
                return symbol
        return None

    @cached_property
    def _addresses(self) -> list[int]:
        return [symbol.address for symbol in self.starts]


def _starts(image: Image) -> list[Symbol]:
    found = []
    end = 0
    for symbol in sorted(image.symbols, key=lambda s: (s.address, not s.is_function)):
        if symbol.is_function:
            end = max(end, symbol.address + max(1, symbol.size))
        elif not symbol.is_global or symbol.address < end or not image.code_at(symbol.address, 1):
            continue
        found.append(symbol)
    return found
