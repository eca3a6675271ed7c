"""Small changes of an assembly source, line by line, and how a statement of AT&T syntax can be varied."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations

from mcverify.arch.known import X86_64
from mcverify.witness.source import SourceText, Statement

_WHOLE = r"%r(?!sp)\w+(?<![bwd])"
_SPLIT = re.compile(r",(?![^()]*\))")
_REGISTER = re.compile(r"%(\w+)")
_NUMBER = r"-?(?:0[xX][0-9a-fA-F]+|\d+)"
_CONSTANT = re.compile(rf"(?<=\$){_NUMBER}$|^{_NUMBER}(?=\()")
_MEMORY = re.compile(
    rf"^(?P<shift>{_NUMBER})?\((?P<base>%\w+)?(?:,\s*(?P<index>%\w+)(?:,\s*(?P<scale>[1248]))?)?\)$"
)
_OPERATION = re.compile(r"(?P<mnemonic>[a-z]\w*)(?P<gap>\s+)?(?P<rest>.*)")
_SCALES = {"$1": 2, "$2": 4, "$3": 8}
_SHIFTS = range(1, 64)
_SHIFTING = ("shl", "shr", "sar", "sal", "rol", "ror")
_OPPOSITES = {"add": "sub", "sub": "add", "inc": "dec", "dec": "inc"}
_CONDITIONS = {
    "ja": "jae", "jae": "ja", "jb": "jbe", "jbe": "jb", "jg": "jge", "jge": "jg", "jl": "jle", "jle": "jl",
}  # fmt: skip


class Size(IntEnum):
    """How much a change changes, the least first."""

    CONSTANT = 0
    OPERAND = 1
    TABLE = 2
    INSTRUCTION = 3
    REMOVED = 4
    INSERTED = 5
    SEVERAL = 6


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """A change of the source. `replaced` maps line numbers to new statements ("": none is left), `inserted`
    line numbers to the statement that is put before them. `words` says what should be ("-8 should be 0").
    `is_suggested` tells that the numbers of a run point to it."""

    size: Size
    words: str
    replaced: Mapping[int, str] = field(default_factory=dict)
    inserted: Mapping[int, str] = field(default_factory=dict)
    is_suggested: bool = False

    @property
    def lines(self) -> frozenset[int]:
        """The lines that it changes, or before which it inserts one."""
        return frozenset(self.replaced) | frozenset(self.inserted)


def applied(source: SourceText, edits: Collection[Edit]) -> str:
    """The source with all `edits`, which change different lines."""
    lines = list(source.lines)
    for edit in edits:
        for number, text in edit.replaced.items():
            statement = source.statement(number)
            if statement is not None:
                line = lines[number - 1]
                lines[number - 1] = line[: statement.start] + text + line[statement.end :]
        for number, text in edit.inserted.items():
            lines[number - 1] = f"\t{text}\n{lines[number - 1]}"
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Operation:
    """A statement taken apart: `mnemonic`, `gap` (the white space behind it) and `operands`."""

    statement: Statement
    mnemonic: str
    gap: str
    operands: tuple[str, ...]

    def text(self, operands: Sequence[str] | None = None, mnemonic: str = "") -> str:
        """The statement with other operands, or another mnemonic."""
        shown = ", ".join(self.operands if operands is None else operands)
        return f"{mnemonic or self.mnemonic}{self.gap}{shown}".rstrip()

    def changed(self, size: Size, words: str, text: str, *, is_suggested: bool = False) -> Edit:
        """The edit that makes `text` of the statement."""
        return Edit(size, words, {self.statement.line: text}, is_suggested=is_suggested)

    def with_operand(self, position: int, operand: str) -> str:
        """The statement with one operand replaced."""
        operands = list(self.operands)
        operands[position] = operand
        return self.text(operands)


def operation(statement: Statement | None) -> Operation | None:
    """A statement taken apart; None for macros, directives, prefixed instructions and labels alone."""
    found = _OPERATION.fullmatch(statement.text) if statement is not None else None
    if statement is None or found is None or found["mnemonic"].startswith("rep"):
        return None
    operands = tuple(part.strip() for part in _SPLIT.split(found["rest"])) if found["rest"] else ()
    return Operation(statement, found["mnemonic"], found["gap"] or "", operands)


# ---- Variations of one statement -------------------------------------------------------


@dataclass(frozen=True)
class Palette:
    """What a variation may use: 64-bit `registers`, `constants` that occur nearby, `deltas` by which a
    constant may be off, and among them the one that a run's numbers suggest."""

    registers: tuple[str, ...]
    constants: tuple[int, ...]
    deltas: tuple[int, ...]
    suggested: int | None = None


def variations(what: Operation, palette: Palette) -> Iterator[Edit]:
    """The statement with one constant, scale, register or name of instruction changed, or removed."""
    yield from _constants(what, palette)
    yield from _scales(what)
    yield from _registers(what, palette)
    yield from _bases(what, palette)
    yield from _exchanges(what)
    yield from _mnemonics(what, palette)
    yield removal(what.statement)


def removal(statement: Statement) -> Edit:
    """The line without its statement."""
    return Edit(Size.REMOVED, f"{statement.plain} should go", {statement.line: ""})


def _constants(what: Operation, palette: Palette) -> Iterator[Edit]:
    shifts = what.mnemonic.startswith(_SHIFTING)
    for position, operand in enumerate(what.operands):
        found = _CONSTANT.search(operand)
        if found is None and not (_MEMORY.match(operand) and what.mnemonic.startswith("lea")):
            continue
        old, (start, end) = (int(found.group(), 0), found.span()) if found else (0, (0, 0))
        for new in dict.fromkeys([*(old + d for d in palette.deltas), 0, *palette.constants]):
            if new == old or (shifts and new not in _SHIFTS):
                continue
            number = str(new) if new or operand.startswith("$") else ""
            text = what.with_operand(position, operand[:start] + number + operand[end:])
            is_suggested = not shifts and new - old == palette.suggested
            yield what.changed(Size.CONSTANT, f"{old} should be {new}", text, is_suggested=is_suggested)


def _scales(what: Operation) -> Iterator[Edit]:
    for position, operand in enumerate(what.operands):
        memory = _MEMORY.match(operand)
        if memory is None or memory["index"] is None:
            continue
        for scale in (8, 4, 2, 1):
            if scale != int(memory["scale"] or 1):
                inner = f"{memory['base'] or ''},{memory['index']}" + (f",{scale}" if scale > 1 else "")
                text = what.with_operand(position, f"{memory['shift'] or ''}({inner})")
                words = f"{memory['index'][1:]} should be scaled by {scale}, not {memory['scale'] or 1}"
                yield what.changed(Size.OPERAND, words, text)


def _registers(what: Operation, palette: Palette) -> Iterator[Edit]:
    for position, operand in enumerate(what.operands):
        for found in _REGISTER.finditer(operand):
            for new in _others(found.group(1), palette.registers):
                changed = operand[: found.start(1)] + new + operand[found.end(1) :]
                words = f"{found.group(1)} should be {new}"
                yield what.changed(Size.OPERAND, words, what.with_operand(position, changed))


def _others(name: str, registers: Collection[str]) -> Iterator[str]:
    """The parts of other registers that are as wide as `name`."""
    full = X86_64.whole(name)
    if full is None or full == "rsp" or name == f"{full[1]}h":
        return
    width = X86_64.names_of(full).index(name)
    yield from (X86_64.names_of(register)[width] for register in registers if register != full)


def _bases(what: Operation, palette: Palette) -> Iterator[Edit]:
    """A missing base register: (,%r8,8) becomes (%rcx,%r8,8)."""
    for position, operand in enumerate(what.operands):
        memory = _MEMORY.match(operand)
        if memory is None or memory["base"] is not None or memory["index"] is None:
            continue
        for base in palette.registers:
            text = what.with_operand(position, operand.replace("(", f"(%{base}", 1))
            yield what.changed(Size.OPERAND, f"{base} should be added", text)


def _exchanges(what: Operation) -> Iterator[Edit]:
    """Two registers of the statement in each other's place."""
    for one, other in combinations(dict.fromkeys(_REGISTER.findall(" ".join(what.operands))), 2):
        swapped, words = {one: other, other: one}, f"{one} and {other} should change places"
        for position, operand in enumerate(what.operands):
            text = what.with_operand(position, renamed(operand, swapped))
            yield what.changed(Size.OPERAND, words, text)
        text = what.text([renamed(operand, swapped) for operand in what.operands])
        yield what.changed(Size.OPERAND, words, text)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """`text` with registers named otherwise."""
    return _REGISTER.sub(lambda found: "%" + names.get(found[1], found[1]), text)


def is_control(what: Operation) -> bool:
    """Whether the statement decides where the routine goes on, or on what grounds."""
    return what.mnemonic.startswith(("j", "call", "ret", "cmp", "test", "loop"))


def conditions(what: Operation) -> Iterator[Edit]:
    """A conditional jump that takes, or leaves, the case of equality."""
    other = _CONDITIONS.get(what.mnemonic)
    if other is not None:
        words = f"{what.mnemonic} should be {other}"
        yield what.changed(Size.CONSTANT, words, what.text(mnemonic=other), is_suggested=True)


def _mnemonics(what: Operation, palette: Palette) -> Iterator[Edit]:
    other = _OPPOSITES.get(what.mnemonic)
    if other is not None:
        text = what.text(mnemonic=other)
        yield what.changed(Size.INSTRUCTION, f"{what.mnemonic} should be {other}", text)
    if what.mnemonic == "shl" and len(what.operands) == 2 and what.operands[0] in _SCALES:
        # What a shift scales is often only one part of a sum.
        target = what.operands[1]
        for base in palette.registers:
            text = what.text([f"(%{base},{target},{_SCALES[what.operands[0]]})", target], mnemonic="lea")
            yield what.changed(Size.INSTRUCTION, f"{base} should be added", text)
    if what.mnemonic == "mov" and all(re.fullmatch(_WHOLE, operand) for operand in what.operands):
        source, target = what.operands
        for base in palette.registers:
            text = what.text([f"(%{base},{source})", target], mnemonic="lea")
            yield what.changed(Size.INSTRUCTION, f"{base} should be added", text)
        for delta in palette.deltas:
            words = f"{abs(delta)} should be {'added' if delta > 0 else 'subtracted'}"
            text = what.text([f"{delta}({source})", target], mnemonic="lea")
            yield what.changed(Size.INSTRUCTION, words, text)
