"""Source lines behind instructions: what a trace shows, and what a repair changes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from mcverify.foreign import SOURCE_BYTES, read_regular
from mcverify.image.image import Image, SourceLine
from mcverify.image.source import Source
from mcverify.runs.code import reachable, text_at
from mcverify.shown import printable

_LABELS = re.compile(r"\s*(?:[\w.$]+:\s*)*")
_SOURCES = (".S", ".s")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a line says between its labels and its comment: columns [`start`, `end`) of line `line`."""

    line: int
    start: int
    end: int
    text: str

    @property
    def plain(self) -> str:
        """The statement with single spaces."""
        return printable(" ".join(self.text.split()))


class SourceText:
    """The source of an image, if that was read from one and has not changed since."""

    def __init__(self, image: Image) -> None:
        self._image = image

    @cached_property
    def text(self) -> str | None:
        """The whole source; None without one."""
        if self._image.path.suffix not in _SOURCES:
            return None
        try:
            content = read_regular(self._image.path, SOURCE_BYTES)
        except OSError:
            return None
        if self._image.sha256 and hashlib.sha256(content).hexdigest() != self._image.sha256:
            return None
        return content.decode("utf-8", "replace")

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines as they are in the file, without their ends."""
        return tuple((self.text or "").splitlines())

    @cached_property
    def _code(self) -> tuple[str, ...]:
        """The same lines with comments blanked out."""
        return tuple(Source(str(self._image.path), self.text or "").code.splitlines())

    def statement(self, number: int) -> Statement | None:
        """The one statement of line `number`, counted from 1; None where there is none, or several."""
        if not 0 < number <= len(self._code):
            return None
        code = self._code[number - 1].rstrip()
        labels = _LABELS.match(code)
        start = labels.end() if labels else 0
        if start >= len(code) or ";" in code[start:] or code.lstrip().startswith("#"):
            return None
        return Statement(number, start, len(code), code[start:])

    def is_free(self, number: int) -> bool:
        """Whether no label shares line `number`: what is put before it runs before it."""
        statement = self.statement(number)
        return statement is not None and not self.lines[number - 1][: statement.start].strip()

    def entries_for(self, label: str) -> list[int]:
        """Numbers of the lines with an exception-table macro whose first operand is `label`."""
        pattern = re.compile(rf"\s*_ASM_EXTABLE\w*\s*\(\s*{re.escape(label)}\s*,")
        return [number for number, line in enumerate(self._code, start=1) if pattern.match(line)]

    def line_of(self, address: int) -> int | None:
        """The number of the line of this source that the instruction at `address` came from."""
        line = self._image.line_at(address)
        return line.line if line is not None and line.file == str(self._image.path) else None

    def where(self, number: int) -> str:
        """`file:line` of a line of this source."""
        return str(SourceLine(str(self._image.path), number))


class Texts:
    """How the instructions of a routine read: as the source has them, or disassembled."""

    def __init__(self, image: Image, entry: int) -> None:
        self._image = image
        self._source = SourceText(image)
        self._code = reachable(image, entry)
        self._shared = _shared_lines(image, self._code)

    def of(self, address: int) -> str:
        """The source line of the instruction without labels and comments; where there is none, or it stands
        for several instructions, the disassembly."""
        number = self._source.line_of(address)
        if number is not None and number not in self._shared:
            statement = self._source.statement(number)
            if statement is not None:
                return statement.plain
        return text_at(self._image, address)

    def place(self, address: int) -> str:
        """`file:line: text` of an instruction."""
        return f"{self._image.where(address)}: {self.of(address)}"


def _shared_lines(image: Image, addresses: Collection[int]) -> frozenset[int]:
    """Lines of the image's own file that more than one instruction came from: macros."""
    lines = (image.line_at(address) for address in addresses)
    counted = Counter(line.line for line in lines if line is not None and line.file == str(image.path))
    return frozenset(line for line, count in counted.items() if count > 1)
