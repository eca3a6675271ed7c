"""The code of a routine, line by line, as reports show it."""

from __future__ import annotations

from mcverify.image.image import Image, TableEntry
from mcverify.proof.result import ListingLine
from mcverify.runs.code import reachable


def listing(image: Image, entry: int) -> tuple[ListingLine, ...]:
    """The instructions that can be reached from `entry`, by address; what cannot be decoded is left out."""
    return tuple(_line(image, i.address, i.code) for _, i in sorted(reachable(image, entry).items()))


def table(image: Image, lines: tuple[ListingLine, ...]) -> tuple[TableEntry, ...]:
    """The exception-table entries of the instructions of a listing, in its order."""
    found = (image.entry_at(line.address) for line in lines)
    return tuple(entry for entry in found if entry is not None)


def _line(image: Image, address: int, code: bytes) -> ListingLine:
    entry = image.entry_at(address)
    return ListingLine(
        address=address,
        code=code,
        text=image.architecture.text(code, address),
        label=image.label_at(address) or "",
        where=image.where(address),
        fixup=entry.fixup if entry else None,
        handler=entry.handler.name if entry else "",
    )
