"""The byte map as SVG, to stand in an HTML page: the page's style colours it by class."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from mcverify.report.bytemap import LINE, ByteClass, ByteMap, Row, Span, in_words
from mcverify.report.fold import Stretch, fold
from mcverify.report.terminal_map import UNICODE
from mcverify.report.words import counted, number, span
from mcverify.runs.case import PAGE

CELL, HEIGHT = 20, 24
"""Width and height of a byte."""

GUTTER = 40
_RULER = 18
_MARK = 20
_SPACE = 12
_EACH = 8
_LETTER = 7.3
"""About the width of a letter in a label."""

_GLYPHS = {kind: "" if kind is ByteClass.COPIED else UNICODE.kinds[kind].strip() for kind in ByteClass}
"""Letters in the cells, so that the classes differ without colour; copied is bare."""


def svg(drawn: ByteMap, ident: str, per_line: int = 32) -> str:
    """The map as an SVG element with `per_line` bytes to a line; `ident` begins the ids in it."""
    picture = _Picture(drawn, per_line)
    root = Element("svg", {"class": "bytemap", "role": "img", "aria-labelledby": f"{ident}-t {ident}-d"})
    SubElement(root, "title", id=f"{ident}-t").text = "Byte map: " + " and ".join(
        r.buffer for r in drawn.rows
    )
    SubElement(root, "desc", id=f"{ident}-d").text = in_words(drawn)
    root.extend(picture.elements)
    width, height = picture.width, picture.bottom
    root.attrib |= {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    return tostring(root, encoding="unicode")


def class_of(kind: ByteClass) -> str:
    """The style's class of a class of bytes: `copied`, `claimed`, ..."""
    return kind.name.lower()


def glyph_of(kind: ByteClass) -> str:
    """The letter in the cells of a class, "" for none."""
    return _GLYPHS[kind]


def edges(drawn: ByteMap, per_line: int = 32) -> list[str]:
    """The style's classes of the boundaries that are drawn: `line`, `page`."""
    shown = [stretch for stretch in fold(drawn, per_line) if not stretch.folded]
    kinds = {kind for row in drawn.rows for s in shown for _, kind in row.boundaries(s.start, s.end)}
    return [name for name, kind in (("line", LINE), ("page", PAGE)) if kind in kinds]


class _Picture:
    """Draws from top to bottom; `bottom` is how far it got."""

    def __init__(self, drawn: ByteMap, per_line: int) -> None:
        self.drawn = drawn
        self.elements: list[Element] = []
        self.bottom = 0
        stretches = fold(drawn, per_line)
        folded = any(stretch.folded for stretch in stretches)
        longest = max((s.end - s.start for s in stretches if not s.folded), default=0)
        # A short map leaves room for the labels beside its marks, and for what is folded.
        self.cells = per_line if folded else max(longest, min(per_line, 16))
        self.width = GUTTER + self.cells * CELL + 4
        if not stretches:
            self._text(0, "len 0: no bytes", "label")
        for stretch in stretches:
            self._stretch(stretch)

    def _stretch(self, stretch: Stretch) -> None:
        if self.bottom:
            self.bottom += _SPACE
        if stretch.folded:
            self._text(0, f"{UNICODE.folded}  {counted(stretch.end - stretch.start, 'byte')} folded", "label")
            for row in self.drawn.rows:
                kinds = dict.fromkeys(str(s.kind) for s in row.within(stretch.start, stretch.end))
                self._text(GUTTER, f"{row.buffer}: {', '.join(kinds)}", "label")
            return
        offsets = range(stretch.start, stretch.end, _EACH)
        for offset in offsets:
            self._put("text", number(offset), "label", x=self._x(offset, stretch), y=self.bottom + 12)
        self.bottom += _RULER
        for row in self.drawn.rows:
            self._row(row, stretch)

    def _row(self, row: Row, stretch: Stretch) -> None:
        self._put("text", row.buffer, "buffer", x=0, y=self.bottom + 17)
        for part in row.within(stretch.start, stretch.end):
            if part.kind is not ByteClass.OUTSIDE:
                self._cells(row, part, stretch)
        boundaries = dict(row.boundaries(stretch.start, stretch.end))
        for offset, kind in boundaries.items():
            x = self._x(offset, stretch)
            style = "page" if kind == PAGE else "line"
            self._put("path", "", style, d=f"M{x} {self.bottom - 4}V{self.bottom + HEIGHT + 4}")
        self.bottom += HEIGHT
        below = list(self._faults(row, stretch, boundaries))
        if row.buffer == "dst":
            below += self._claim(stretch)
        self.bottom += max(below, default=0) or 6

    def _cells(self, row: Row, part: Span, stretch: Stretch) -> None:
        """A run of equal bytes: a box, the lines between its bytes, and a letter in each."""
        x, count = self._x(part.start, stretch), part.end - part.start
        group = self._put("g", "", class_of(part.kind))
        SubElement(group, "title").text = f"{span(row.buffer, part.start, part.end)}: {part.kind}"
        box = {"x": x, "y": self.bottom, "width": count * CELL, "height": HEIGHT}
        SubElement(group, "rect", {name: str(value) for name, value in box.items()})
        if count > 1:
            lines = "".join(f"M{x + i * CELL} {self.bottom}v{HEIGHT}" for i in range(1, count))
            SubElement(group, "path", d=lines)
        if glyph := _GLYPHS[part.kind]:
            middles = " ".join(str(x + i * CELL + CELL // 2) for i in range(count))
            SubElement(group, "text", x=middles, y=str(self.bottom + 17)).text = glyph * count

    def _faults(self, row: Row, stretch: Stretch, boundaries: dict[int, int]) -> Iterator[int]:
        """An arrow from below to each byte that faulted, the first with a label; gives the height used."""
        offsets = [offset for offset in row.faults if stretch.start <= offset < stretch.end]
        for offset in offsets:
            x = self._x(offset, stretch)
            self._put("rect", "", "faulted", x=x, y=self.bottom - HEIGHT, width=CELL, height=HEIGHT)
            middle = x + CELL // 2
            self._put("path", "", "arrow", d=f"M{middle} {self.bottom + 4}l6 10h-12z")
        if offsets:
            page = ", a page begins" if boundaries.get(offsets[0]) == PAGE else ""
            self._label(self._x(offsets[0], stretch), CELL, f"fault{page}", "fault")
            yield _MARK

    def _claim(self, stretch: Stretch) -> Iterator[int]:
        """The bracket below the bytes that the routine says it copied; gives the height used."""
        claim = self.drawn.claim
        first, end = max(0, stretch.start), min(claim or 0, stretch.end)
        top = self.bottom + (_MARK if self._is_marked(stretch) else 0)
        if claim == 0 and stretch.start <= 0 < stretch.end:
            self._label(self._x(0, stretch) - 6, 0, "claims nothing", "claim", top)
        elif claim and first < end:
            self._bracket(first, end, stretch, top)
        else:
            return
        yield top - self.bottom + _MARK

    def _bracket(self, first: int, end: int, stretch: Stretch, top: int) -> None:
        """The part of the bracket below `first` to before `end`; where the claim ends, with its label."""
        claim, x, right = self.drawn.claim, self._x(first, stretch) + 1, self._x(end, stretch) - 1
        down, up = "v6" if first == 0 else "m0 6", "v-6" if end == claim else ""
        text = f"claimed: {counted(end, 'byte')}" if end == claim else ""
        gap = len(text) * _LETTER + 12
        if text and gap + 2 * CELL <= right - x:
            middle = (x + right) / 2
            line = f"H{middle - gap / 2:.0f}M{middle + gap / 2:.0f} {top + 9}H{right}"
            self._put("text", text, "claim middle", x=f"{middle:.0f}", y=top + 14)
        else:
            line = f"H{right}"
            self._label(x, right - x, text, "claim", top)
        self._put("path", "", "bracket", d=f"M{x} {top + 3}{down}{line}{up}")

    def _is_marked(self, stretch: Stretch) -> bool:
        """Whether a fault's mark stands below dst already."""
        return any(
            stretch.start <= o < stretch.end for r in self.drawn.rows if r.buffer == "dst" for o in r.faults
        )

    def _label(self, x: int, width: int, text: str, style: str, top: int | None = None) -> None:
        """A label behind what is `width` wide at `x`; before it where there is no room behind."""
        y, needed = (self.bottom if top is None else top) + 14, len(text) * _LETTER + 6
        if x + width + needed <= self.width or x < needed:
            self._put("text", text, style, x=x + width + 6, y=y)
        elif text:
            self._put("text", text, f"{style} before", x=x - 6, y=y)

    def _x(self, offset: int, stretch: Stretch) -> int:
        return GUTTER + (offset - stretch.start) * CELL

    def _text(self, x: int, text: str, style: str) -> None:
        self._put("text", text, style, x=x, y=self.bottom + 14)
        self.bottom += _RULER

    def _put(self, tag: str, text: str, style: str, **attributes: int | str) -> Element:
        element = Element(tag, {"class": style} | {name: str(value) for name, value in attributes.items()})
        element.text = text or None
        self.elements.append(element)
        return element
