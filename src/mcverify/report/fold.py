"""Which parts of a byte map are worth a line: those at which something changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcverify.report.bytemap import LINE, ByteMap


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the map: one line of it, or several lines left out (`folded`)."""

    start: int
    end: int
    folded: bool = False


def fold(drawn: ByteMap, width: int = LINE, most: int = 12) -> list[Stretch]:
    """The map as lines of `width` bytes, at most `most` of them: those at which something changes.

    What lies between is folded. The first and the last line are there, then those with a fault and
    the end of the claim, then the other changes in their order.
    """
    count = -(-(drawn.end - drawn.start) // width)
    whole = count <= most // 2
    kept = list(range(count)) if whole else sorted(_interesting(drawn, width, count)[:most])
    return list(_stretches(kept, drawn, width))


def _interesting(drawn: ByteMap, width: int, count: int) -> list[int]:
    """Indexes of the lines that are worth drawing, the most important first, each once."""
    faults = [offset for row in drawn.rows for offset in row.faults]
    claim = [] if drawn.claim is None else [max(drawn.claim - 1, 0), drawn.claim]
    edges = [edge for row in drawn.rows for span in row.spans for edge in (span.start - 1, span.start)]
    offsets = [drawn.start, drawn.end - 1, *faults, *claim, *sorted(edges)]
    lines = [(offset - drawn.start) // width for offset in offsets]
    return list(dict.fromkeys(line for line in lines if 0 <= line < count))


def _stretches(kept: Sequence[int], drawn: ByteMap, width: int) -> Iterator[Stretch]:
    """The kept lines, and what lies between them: one line alone is drawn rather than folded."""
    before = -1
    for line in kept:
        start, here = drawn.start + (before + 1) * width, drawn.start + line * width
        if start < here:
            yield Stretch(start, here, folded=here - start > width)
        yield Stretch(here, min(here + width, drawn.end))
        before = line
