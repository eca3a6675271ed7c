"""A right routine as text and as code: its fixups line by line, its table entry by entry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mcverify.arch.decoded import Decoded
from mcverify.image.callees import assumed_at
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.select import tasks
from mcverify.runs.code import reachable

ASM = Path(__file__).parents[2] / "asm"

_ENTRY = re.compile(
    r"\s*(?P<macro>_ASM_EXTABLE\w*)\((?P<insn>\.L\w+), (?P<fixup>\.L\w+)(?:, (?P<type>EX_TYPE_\w+))?\)"
)
_CODE = re.compile(r"\s+(?P<mnemonic>[A-Za-z]\w*)(?:\s+(?P<operands>[^/\s][^/]*?))?\s*(?:/\*.*)?")
_LABEL = re.compile(r"(?P<label>\.L\w+):")
_OPERAND = re.compile(r"(?:[^,(]|\([^)]*\))+")


@dataclass(frozen=True, slots=True)
class EntryLine:
    """A line of the source that makes a table entry. `number` counts the file's lines from 0."""

    number: int
    macro: str
    insn: str
    fixup: str
    type: str | None

    def at(self, fixup: str) -> str:
        """The line with another fixup."""
        return f"\t{self.macro}({self.insn}, {fixup}{f', {self.type}' if self.type else ''})"

    def by(self, macro: str) -> str:
        """The line with another macro, which takes no type."""
        return f"\t{macro}({self.insn}, {self.fixup})"


@dataclass(frozen=True, slots=True)
class CodeLine:
    """A line of the source that is one instruction. `number` counts the file's lines from 0."""

    number: int
    instruction: Decoded
    mnemonic: str
    operands: tuple[str, ...]

    def of(self, *operands: str) -> str:
        """The line with other operands."""
        return f"\t{self.mnemonic}\t{', '.join(operands)}"


@dataclass(frozen=True)
class Source:
    """One file of right routines: its lines, and the image that they assemble to."""

    path: Path
    lines: tuple[str, ...]
    image: Image

    @cached_property
    def entries(self) -> tuple[EntryLine, ...]:
        """The exception table, in the order of the source."""
        found = ((number, _ENTRY.fullmatch(line)) for number, line in enumerate(self.lines))
        return tuple(EntryLine(n, m["macro"], m["insn"], m["fixup"], m["type"]) for n, m in found if m)

    @cached_property
    def fixup_code(self) -> tuple[CodeLine, ...]:
        """The instructions that only run after a fault, in the order of the source."""
        found = map(self._code_line, fixup_instructions(self.image).values())
        by_number = {line.number: line for line in sorted(found, key=lambda line: -line.instruction.address)}
        return tuple(by_number[number] for number in sorted(by_number))

    def _code_line(self, instruction: Decoded) -> CodeLine:
        line = self.image.line_at(instruction.address)
        assert line is not None, f"{self.path}: no line for {instruction.address:#x}"
        match = _CODE.fullmatch(self.lines[line.line - 1])
        assert match, f"{line}: not one instruction: {self.lines[line.line - 1]!r}"
        return CodeLine(line.line - 1, instruction, match["mnemonic"], _split(match["operands"] or ""))

    @cached_property
    def left(self) -> str | None:
        """The register in which the routines return the bytes left."""
        contract = tasks(self.image, ProveOptions())[0].contract
        return contract.left if contract else None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """All local labels, in the order of the source."""
        return tuple(m["label"] for m in map(_LABEL.match, self.lines) if m)

    @cached_property
    def fixups(self) -> tuple[str, ...]:
        """The labels at which the kernel may continue, in the order of the source."""
        named = {entry.fixup for entry in self.entries}
        return tuple(label for label in self.labels if label in named)

    def changed(self, changes: Mapping[int, str | None]) -> str:
        """The text with the lines of `changes` replaced (by one or more lines), or removed (None)."""
        lines = (changes.get(number, line) for number, line in enumerate(self.lines))
        return "".join(f"{line}\n" for line in lines if line is not None)


def sources() -> list[Source]:
    """The files of right routines under asm/, by name."""
    return [read(path) for path in sorted(ASM.glob("*.S")) if "_wrong_" not in path.stem]


def read(path: Path) -> Source:
    """The source at `path`."""
    image = load(path)
    return Source(path, tuple(path.read_text(encoding="utf-8").splitlines()), image)


def fixup_instructions(image: Image) -> dict[int, Decoded]:
    """The instructions of the source that only run after a fault, by address."""
    usual = reached(image, (f.address for f in image.functions))
    after = reached(image, (entry.fixup for entry in image.entries))
    own = (address for address in after.keys() - usual.keys() if not assumed_at(image, address))
    return {address: after[address] for address in own}


def reached(image: Image, starts: Iterable[int]) -> dict[int, Decoded]:
    """The instructions reached from `starts` without a fault, by address."""
    return {a: i for start in starts for a, i in reachable(image, start, faults=False).items()}


def _split(operands: str) -> tuple[str, ...]:
    """`-32(%rdx,%rcx), %rdx` -> its two operands."""
    return tuple(m.group().strip() for m in _OPERAND.finditer(operands))
