"""Where the sections of the image and the buffers of a case lie in the memory of a runner.

Buffers are arranged as in harness.c: readable pages, one page that is not (the hole), readable
pages again, and unreadable ones around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from mcverify.image.image import Image, Section
from mcverify.runs.case import PAGE, RED_ZONE, Place, Placement, Run

_SMALL_IMAGE = 16 << 20
_USER_END = 1 << 46


def needed(image: Image, code: Collection[int]) -> list[Section]:
    """The sections to be laid out, in address order: all of a small image, of a large one (a vmlinux) those
    that hold one of the instructions at the addresses `code`.
    """
    sections = sorted((s for s in image.sections if s.data), key=lambda s: s.address)
    if sum(len(s.data) for s in sections) <= _SMALL_IMAGE:
        return sections
    return [s for s in sections if any(s.address <= address < s.end for address in code)]


def bias_of(sections: Sequence[Section]) -> int:
    """What to take off the image's addresses: a linked kernel's are not a user's, and are moved down."""
    if not sections or sections[-1].end < _USER_END:
        return 0
    return (sections[0].address & -PAGE) - (1 << 32)


def by_page(sections: Iterable[Section]) -> list[list[Section]]:
    """Sections that share a page, together; `sections` are in address order."""
    groups: list[list[Section]] = []
    for section in sections:
        if groups and section.address & -PAGE < page_end(groups[-1]):
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def page_end(group: Iterable[Section]) -> int:
    """The end of the last page that a group of sections touches."""
    return max(-(-section.end // PAGE) * PAGE for section in group)


@dataclass(frozen=True, slots=True)
class Buffer:
    """A buffer of `length` bytes at `at`; accessible are `start` to `hole`, and `back` to `end`. Where it
    `flickers`, the page of the hole comes and goes, and its bytes count as memory."""

    at: int
    length: int
    start: int
    hole: int
    back: int
    end: int
    flickers: bool = False

    @property
    def pages(self) -> tuple[Run, ...]:
        """The address ranges in which there is memory."""
        return ((self.start, self.end),) if self.flickers else self.mapped

    @property
    def mapped(self) -> tuple[Run, Run]:
        """The address ranges that can always be accessed."""
        return (self.start, self.hole), (self.back, self.end)

    @property
    def spans(self) -> list[Run]:
        """The memory of the buffer and its red zones, as offsets."""
        low, high = self.at - RED_ZONE, self.at + self.length + RED_ZONE
        clipped = ((max(a, low) - self.at, min(b, high) - self.at) for a, b in self.pages)
        return [(a, b) for a, b in clipped if a < b]

    @property
    def extent(self) -> Run:
        """The offsets that a map of the buffer covers."""
        return extent(self.spans, self.length)

    def holds(self, address: int) -> bool:
        """Whether the address belongs to this buffer's pages, accessible or not."""
        return self.start - PAGE <= address < self.end + PAGE

    def first_bad(self, address: int, size: int) -> int | None:
        """First address of an access that cannot be accessed, None if all can."""
        return next((a for a in _page_starts(address, size) if not self._accessible(a)), None)

    def _accessible(self, address: int) -> bool:
        return any(a <= address < b for a, b in self.mapped)


def extent(spans: Iterable[Run], length: int) -> Run:
    """First offset, and one more than the last, of a map: dst with its red zones, cut to what is mapped."""
    held = list(spans)
    return min([0, *(a for a, _ in held)]), max([length, *(b for _, b in held)])


def lay_out(placement: Placement, length: int, base: int, *, flickers: bool = False) -> Buffer:
    """The buffer at its placement, in pages from the address `base` on; `flickers`: a bad page of it comes
    and goes."""
    reach = max(length, placement.at if placement.place is Place.HOLE else 0)
    size = -(-reach // PAGE) * PAGE + 4 * PAGE
    start = base + PAGE
    hole = start + size
    back = hole + PAGE
    at = {
        Place.FREE: start + PAGE + placement.at % PAGE,
        Place.HOLE: hole - placement.at,
        Place.INSIDE: hole + placement.at,
        Place.END: hole - length,
        Place.FRONT: back,
    }[placement.place]
    comes_and_goes = flickers and placement.first_bad is not None
    return Buffer(at, length, start, hole, back, back + size, comes_and_goes)


def _page_starts(address: int, size: int) -> Iterable[int]:
    yield address
    yield from range((address // PAGE + 1) * PAGE, address + size, PAGE)
