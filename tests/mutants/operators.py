"""The mutants of a source: one small change each, all that there are of a kind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from mcverify.arch.decoded import Decoded
from mcverify.runs.code import decode
from mutants import registers
from mutants.source import CodeLine, EntryLine, Source


class Operator(StrEnum):
    """What is changed; the texts are those of the report."""

    CONSTANT = "constant"
    COUNT = "count"
    REGISTER = "register"
    WIDTH = "width"
    INSTRUCTION = "instruction"
    JUMP = "jump"
    ENTRY = "entry"
    TARGET = "target"
    SWAP = "swap"
    HANDLER = "handler"


MEANING = {
    Operator.CONSTANT: "an immediate, a displacement or a shift count of a fixup one more or less, a scale"
    " doubled or halved",
    Operator.COUNT: "a fixup returns one byte more or less",
    Operator.REGISTER: "a fixup takes another register that the routine uses",
    Operator.WIDTH: "a fixup computes in 32 bits",
    Operator.INSTRUCTION: "an instruction of a fixup is left out",
    Operator.JUMP: "a fixup jumps to the label before or behind its target",
    Operator.ENTRY: "a table entry is left out",
    Operator.TARGET: "a table entry names the fixup before or behind its own",
    Operator.SWAP: "two neighbouring table entries exchange their fixups",
    Operator.HANDLER: "a table entry's handler sets rax to the trap number, or no longer does",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. `line` counts from 1; `before` and `after` are lines without indentation
    (`after` is empty where the line is left out), `text` the whole mutated file."""

    file: str
    operator: Operator
    line: int
    before: str
    after: str
    text: str = field(repr=False)

    @property
    def name(self) -> str:
        """The place and the change, on one line."""
        return f"{self.file}.S:{self.line}: {self.before} -> {self.after or 'left out'}"


Change = tuple[Operator, dict[int, str | None]]


def mutants(source: Source) -> list[Mutant]:
    """Every mutant of the source, in its order; no two have the same text."""
    changes = [
        *(change for line in source.fixup_code for change in _of_code(source, line)),
        *(change for entry in source.entries for change in _of_entry(source, entry)),
        *_swaps(source),
    ]
    found: dict[tuple[int, str], Mutant] = {}
    for operator, lines in changes:
        mutant = _mutant(source, operator, lines)
        if mutant.before != mutant.after:
            found.setdefault((mutant.line, mutant.after), mutant)
    return list(found.values())


def _mutant(source: Source, operator: Operator, lines: dict[int, str | None]) -> Mutant:
    before = [_said(source.lines[number]) for number in lines]
    after = [_said(text or "") for text in lines.values()]
    number = min(lines) + 1
    return Mutant(
        source.path.stem,
        operator,
        number,
        "; ".join(before),
        "; ".join(filter(None, after)),
        source.changed(lines),
    )


def _said(text: str) -> str:
    """Lines of the source as words of a report: comments and indentation are dropped."""
    lines = (re.sub(r"/\*.*?\*/", "", line) for line in text.splitlines())
    return "; ".join(" ".join(line.split()) for line in lines if line.strip())


# -- code ---------------------------------------------------------------------------------------------


def _of_code(source: Source, line: CodeLine) -> Iterator[Change]:
    for operator, texts in (
        (Operator.CONSTANT, _constants(line)),
        (Operator.REGISTER, _registers(source, line)),
        (Operator.WIDTH, _narrowed(line)),
        (Operator.JUMP, _jumps(source, line)),
        (Operator.COUNT, _counts(source, line)),
    ):
        for text in texts:
            yield operator, {line.number: text}
    if _may_be_left_out(source, line):
        yield Operator.INSTRUCTION, {line.number: None}


_MEMORY = re.compile(r"(?P<shift>-?\w*)\((?P<registers>[%\w,]+?)(?:,(?P<scale>[1248]))?\)")


def _constants(line: CodeLine) -> Iterator[str]:
    for place, operand in enumerate(line.operands):
        for other in _other_constants(operand):
            yield line.of(*_with(line.operands, place, other))


def _other_constants(operand: str) -> Iterator[str]:
    if operand.startswith("$"):
        yield from (f"${int(operand[1:], 0) + by}" for by in (1, -1))
    elif memory := _MEMORY.fullmatch(operand):
        shift, registers, scale = memory["shift"], memory["registers"], memory["scale"]
        scaled = f",{scale}" if scale else ""
        yield from (f"{int(shift or '0', 0) + by}({registers}{scaled})" for by in (1, -1))
        if "," in registers:
            step = int(scale or "1")
            yield from (f"{shift}({registers},{s})" for s in (step // 2, step * 2) if s in (1, 2, 4, 8))


def _registers(source: Source, line: CodeLine) -> Iterator[str]:
    used = sorted(registers.mentioned("\n".join(source.lines)) - {"rsp"})
    for place, operand in enumerate(line.operands):
        for match in registers.NAME.finditer(operand):
            for other in _others(match["name"], used):
                changed = f"{operand[: match.start()]}%{other}{operand[match.end() :]}"
                yield line.of(*_with(line.operands, place, changed))


def _others(name: str, used: Sequence[str]) -> list[str]:
    """The registers `used`, in the width of `name`."""
    known = registers.whole_and_width(name)
    return [registers.part(whole, known[1]) for whole in used] if known else []


def _narrowed(line: CodeLine) -> Iterator[str]:
    if line.mnemonic not in ("push", "pop") and registers.mentioned(" ".join(line.operands)):
        yield line.of(*(registers.NAME.sub(_narrow, operand) for operand in line.operands))


def _narrow(match: re.Match[str]) -> str:
    known = registers.whole_and_width(match["name"])
    return f"%{registers.part(known[0], 32)}" if known else match.group()


def _jumps(source: Source, line: CodeLine) -> Iterator[str]:
    if line.mnemonic == "jmp":
        yield from (line.of(label) for label in _neighbours(source.labels, line.operands[0]))


def _counts(source: Source, line: CodeLine) -> Iterator[str]:
    """One byte more or less, right before a fixup returns or jumps to a return."""
    if source.left is not None and _goes_out(source, line):
        original = source.lines[line.number]
        yield from (f"\t{step}\t%{source.left}\n{original}" for step in ("inc", "dec"))


def _goes_out(source: Source, line: CodeLine) -> bool:
    behind = [decode(source.image, target) for target in line.instruction.targets]
    return _returns(line.instruction) or (
        line.mnemonic == "jmp" and all(i is not None and _returns(i) for i in behind)
    )


def _returns(instruction: Decoded) -> bool:
    return instruction.mnemonic == "ret"


def _may_be_left_out(source: Source, line: CodeLine) -> bool:
    """Whether other code follows: control must not run out of the section."""
    return bool(source.image.code_at(line.instruction.end, 1))


def _with(operands: tuple[str, ...], place: int, operand: str) -> tuple[str, ...]:
    return (*operands[:place], operand, *operands[place + 1 :])


# -- table --------------------------------------------------------------------------------------------


def _of_entry(source: Source, entry: EntryLine) -> Iterator[Change]:
    yield Operator.ENTRY, {entry.number: None}
    for fixup in _neighbours(source.fixups, entry.fixup):
        yield Operator.TARGET, {entry.number: entry.at(fixup)}
    plain = entry.macro == "_ASM_EXTABLE_FAULT"
    yield Operator.HANDLER, {entry.number: entry.by("_ASM_EXTABLE_UA" if plain else "_ASM_EXTABLE_FAULT")}


def _swaps(source: Source) -> Iterator[Change]:
    for one, two in pairwise(source.entries):
        yield Operator.SWAP, {one.number: one.at(two.fixup), two.number: two.at(one.fixup)}


def _neighbours(labels: tuple[str, ...], label: str) -> tuple[str, ...]:
    if label not in labels:
        return ()  # of a routine outside the file
    at = labels.index(label)
    return labels[max(0, at - 1) : at] + labels[at + 1 : at + 2]
