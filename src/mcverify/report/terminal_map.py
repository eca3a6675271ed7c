"""The byte map as lines of characters: one for each byte, told apart by shape first and colour second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.text import Text

from mcverify.report.bytemap import ByteClass, ByteMap, Row
from mcverify.report.fold import Stretch, fold
from mcverify.report.words import counted, number
from mcverify.runs.case import PAGE

GLUE = "\ue000"
"""Keeps words on one line, as rich breaks lines at any space there is; printed as a space."""

GUTTER = 5
"""Columns before the bytes: the name of the buffer."""

_WIDTHS = (64, 32, 16, 8)
_RULER = 8

STYLES: Mapping[ByteClass, str] = {
    ByteClass.COPIED: "#0072b2",
    ByteClass.CLAIMED: "bold #000000 on #d55e00",
    ByteClass.UNCLAIMED: "bold #000000 on #e69f00",
    ByteClass.WRONG: "bold #000000 on #cc79a7",
    ByteClass.STRAY: "bold #000000 on #f0e442",
    ByteClass.OVERREAD: "bold #000000 on #56b4e9",
    ByteClass.BAD: "bold",
    ByteClass.UNTOUCHED: "dim",
    ByteClass.GUARD: "",
    ByteClass.OUTSIDE: "",
}
"""Okabe and Ito's colours, which people with any kind of colour vision tell apart; what is wrong is
filled, so that it stands out on a light and on a dark terminal."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of a map: one for each class, the marks, the ends and the middle of the claim."""

    kinds: Mapping[ByteClass, str]
    fault: str
    page: str
    line: str
    left: str
    middle: str
    right: str
    both: str
    folded: str

    def __str__(self) -> str:
        marks = (self.fault, self.page, self.line, self.left, self.middle, self.right, self.both, self.folded)
        return "".join((*self.kinds.values(), *marks))


_LETTERS = {
    ByteClass.COPIED: "#",
    ByteClass.CLAIMED: "!",
    ByteClass.UNCLAIMED: "+",
    ByteClass.WRONG: "?",
    ByteClass.STRAY: "*",
    ByteClass.OVERREAD: "<",
    ByteClass.BAD: "x",
    ByteClass.UNTOUCHED: ".",
    ByteClass.GUARD: "/",
    ByteClass.OUTSIDE: " ",
}

ASCII = Glyphs(
    _LETTERS, fault="^", page="|", line=":", left="[", middle="-", right="]", both="^", folded="..."
)

UNICODE = Glyphs(
    _LETTERS
    | {
        ByteClass.COPIED: "\N{FULL BLOCK}",
        ByteClass.WRONG: "\N{NOT EQUAL TO}",
        ByteClass.BAD: "\N{MULTIPLICATION SIGN}",
        ByteClass.UNTOUCHED: "\N{MIDDLE DOT}",
    },
    fault="\N{BLACK UP-POINTING TRIANGLE}",
    page="\N{BOX DRAWINGS DOUBLE VERTICAL}",
    line="\N{BOX DRAWINGS LIGHT VERTICAL}",
    left="\N{BOX DRAWINGS LIGHT UP AND RIGHT}",
    middle="\N{BOX DRAWINGS LIGHT HORIZONTAL}",
    right="\N{BOX DRAWINGS LIGHT UP AND LEFT}",
    both="\N{BOX DRAWINGS LIGHT UP}",
    folded="\N{VERTICAL ELLIPSIS}",
)


def glyphs_for(encoding: str) -> Glyphs:
    """The characters that a stream of this encoding can write."""
    try:
        str(UNICODE).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def draw(drawn: ByteMap, glyphs: Glyphs = UNICODE, width: int = 80) -> list[Text]:
    """The map as lines of at most `width` columns, and a legend of what occurs in it."""
    if drawn.start == drawn.end:
        return [Text("no bytes: len is 0", "dim")]
    per_line = next((w for w in _WIDTHS if w + GUTTER <= width), _WIDTHS[-1])
    lines: list[Text] = []
    used: set[str] = set()
    for stretch in fold(drawn, per_line):
        if stretch.folded:
            lines.append(_folded(drawn, stretch, glyphs))
            continue
        lines.append(_ruler(stretch))
        for row in drawn.rows:
            lines.append(_cells(row, stretch, glyphs))
            below = [_marks(row, stretch, glyphs, used, per_line)]
            below += [_claim(drawn, stretch, glyphs, per_line)] if row.buffer == "dst" else []
            lines += [Text(" " * GUTTER + line) for line in _overlaid(below)]
    return [*lines, legend(drawn, glyphs, used)]


def legend(drawn: ByteMap, glyphs: Glyphs, marks: set[str]) -> Text:
    """What each character of the map means, of those that occur; the items do not break over lines."""
    items = [Text.assemble((glyphs.kinds[k], STYLES[k]), GLUE, _glued(k)) for k in drawn.kinds]
    named = {glyphs.page: "a page begins", glyphs.line: "a 64-byte line begins"}
    items += [Text(f"{mark}{GLUE}{_glued(what)}") for mark, what in named.items() if mark in marks]
    return Text(f"{GLUE} ").join(items)


def _glued(words: str) -> str:
    return words.replace(" ", GLUE)


def _ruler(stretch: Stretch) -> Text:
    """The offset of each eighth byte, as far as there is room."""
    line = ""
    for offset in range(stretch.start, stretch.end, _RULER):
        column = offset - stretch.start
        if not line or len(line) < column:
            line = line.ljust(column) + number(offset)
    return Text(" " * GUTTER + line, "dim")


def _cells(row: Row, stretch: Stretch, glyphs: Glyphs) -> Text:
    text = Text(row.buffer.ljust(GUTTER))
    for span in row.within(stretch.start, stretch.end):
        text.append(glyphs.kinds[span.kind] * (span.end - span.start), STYLES[span.kind])
    return text


def _marks(row: Row, stretch: Stretch, glyphs: Glyphs, used: set[str], width: int) -> str:
    """The line below a buffer: where a page or a cache line begins, and the faults; `used` gets the marks."""
    line = [" "] * (stretch.end - stretch.start)
    boundaries = dict(row.boundaries(stretch.start, stretch.end))
    for offset, kind in boundaries.items():
        if offset != 0:  # how the buffer itself is aligned is said in words
            line[offset - stretch.start] = glyphs.page if kind == PAGE else glyphs.line
    faults = [offset for offset in row.faults if stretch.start <= offset < stretch.end]
    for offset in faults:
        line[offset - stretch.start] = glyphs.fault
    used |= set(line) & {glyphs.page, glyphs.line}
    text = "".join(line).rstrip()
    if not faults:
        return text
    is_page = boundaries.get(faults[0]) == PAGE
    label = "fault, a page begins" if is_page else "fault"
    return _labelled(text, faults[0] - stretch.start, label, width)


def _labelled(line: str, column: int, label: str, width: int) -> str:
    """`line` with `label` behind the mark in `column` if there is room, else before it, else at the end."""
    behind, before = column + 2, column - 1 - len(label)
    if behind + len(label) <= width and not line[behind - 1 : behind + len(label) + 1].strip():
        return _overlaid([line, " " * behind + label])[0]
    if before >= 0 and not line[max(0, before - 1) : column].strip():
        return _overlaid([line, " " * before + label])[0]
    return f"{line} {label}"


def _overlaid(lines: Sequence[str]) -> list[str]:
    """The lines that are not empty; in one line where nothing of them falls on the same column."""
    shown = [line for line in lines if line.strip()]
    columns = list(zip_longest(*shown, fillvalue=" "))
    if any(sum(c != " " for c in column) > 1 for column in columns):
        return shown
    joined = "".join(max(column) for column in columns)
    return [joined] if joined else []


def _claim(drawn: ByteMap, stretch: Stretch, glyphs: Glyphs, width: int) -> str:
    """The bracket below the bytes that the routine says it copied, with their number where it ends."""
    if drawn.claim == 0 and stretch.start <= 0 < stretch.end:
        return " " * -stretch.start + "claims nothing"
    first, end = max(0, stretch.start), min(drawn.claim or 0, stretch.end)
    if drawn.claim is None or first >= end:
        return ""
    starts, ends = first == 0, end == drawn.claim
    bar = (glyphs.left if starts else glyphs.middle) + glyphs.middle * (end - first - 2)
    bar += glyphs.right if ends else glyphs.middle
    if end - first == 1:
        bar = glyphs.both
    label = f" claimed: {counted(drawn.claim, 'byte')} "
    line = " " * (first - stretch.start) + bar
    if not ends:
        return line
    if len(line) + len(label) <= max(width, 32):
        return line + label.rstrip()
    if len(label) + 4 > len(bar):
        return line
    at = len(line) - len(bar) + (len(bar) - len(label)) // 2
    return line[:at] + label + line[at + len(label) :]


def _folded(drawn: ByteMap, stretch: Stretch, glyphs: Glyphs) -> Text:
    said = []
    for row in drawn.rows:
        kinds = dict.fromkeys(str(span.kind) for span in row.within(stretch.start, stretch.end))
        said.append(f"{row.buffer} {' and '.join(kinds)}")
    text = f"{counted(stretch.end - stretch.start, 'byte')} folded: {'; '.join(said)}"
    return Text(f"{glyphs.folded.ljust(GUTTER)}{text}", "dim")
