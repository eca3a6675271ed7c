"""Changes of exception-table entries: another fixup, another instruction, one more entry."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mcverify.image.image import Image
from mcverify.witness.edits import Edit, Size
from mcverify.witness.source import SourceText

# A macro; two words as 2.6 has them by hand; two relative words.
_FORMS = (
    r"(?P<head>_ASM_EXTABLE\w*\s*\(\s*){insn}(?P<comma>\s*,\s*){fixup}(?P<tail>.*)",
    r"(?P<head>\.(?:quad|8byte)\s+){insn}(?P<comma>\s*,\s*){fixup}(?P<tail>\s*)",
    r"(?P<head>\.(?:long|4byte)\s+\(?){insn}(?P<comma>\)?\s*-\s*\.\s*,\s*\(?){fixup}(?P<tail>\)?\s*-\s*\..*)",
)
_ENTRIES = tuple(
    re.compile(form.format(insn=r"(?P<insn>[\w.$]+)", fixup=r"(?P<fixup>[\w.$]+)")) for form in _FORMS
)
_LOCAL = re.compile(r"\d+[bf]")


@dataclass(frozen=True)
class Entry:
    """One entry, written in line `line`: by a macro, or word for word."""

    line: int
    head: str
    insn: str
    comma: str
    fixup: str
    tail: str

    def text(self, *, insn: str = "", fixup: str = "") -> str:
        """The line with another instruction or fixup."""
        return f"{self.head}{insn or self.insn}{self.comma}{fixup or self.fixup}{self.tail}"


def entries(source: SourceText) -> list[Entry]:
    """The entries that the source writes on a line of their own."""
    found = []
    for number in range(1, len(source.lines) + 1):
        statement = source.statement(number)
        matches = (form.fullmatch(statement.text) for form in _ENTRIES) if statement is not None else ()
        if match := next(filter(None, matches), None):
            found.append(Entry(number, *match.group("head", "insn", "comma", "fixup", "tail")))
    return found


def by_address(source: SourceText, image: Image) -> dict[int, list[Entry]]:
    """The entries by the address of their instruction: that of their label, or, since local labels are no
    symbols, of the entry of the table that has the same number, if the source writes them all."""
    written = entries(source)
    in_order = sorted(image.entries, key=lambda entry: entry.index)
    found: dict[int, list[Entry]] = {}
    for number, entry in enumerate(written):
        address = next((s.address for s in image.symbols if s.name == entry.insn), None)
        if address is None and len(written) == len(in_order) and _LOCAL.fullmatch(entry.insn):
            address = in_order[number].insn
        if address is not None:
            found.setdefault(address, []).append(entry)
    return found


def other_fixups(
    source: SourceText,
    image: Image,
    insn: int,
    code: Collection[int],
    orphans: Sequence[str],
) -> Iterator[Edit]:
    """Another fixup for the instruction at `insn`, and for all that share its: one that nothing leads to
    (`orphans`) or one of the table. `code` are the addresses of the routine's instructions."""
    at = by_address(source, image)
    table = [entry for address in sorted(at) if address in code for entry in at[address]]
    fixups = dict.fromkeys([*orphans, *(entry.fixup for entry in table)])
    for entry in at.get(insn, []) if insn in code else ():
        alike = [e for e in table if e.fixup == entry.fixup]
        for fixup in fixups:
            if fixup == entry.fixup:
                continue
            words = f"the fixup of {entry.insn} should be {fixup}"
            yield Edit(Size.TABLE, words, {entry.line: entry.text(fixup=fixup)})
            if len(alike) > 1:
                words = f"the fixup of {', '.join(e.insn for e in alike)} should be {fixup}"
                yield Edit(Size.SEVERAL, words, {e.line: e.text(fixup=fixup) for e in alike})


def for_uncovered(source: SourceText, insn: str, misplaced: set[str]) -> Iterator[Edit]:
    """An entry for the instruction labelled `insn`: one that stands twice or is for an instruction out of
    `misplaced` may have been meant for it; else one like its neighbours' is missing."""
    table = entries(source)
    insns = [entry.insn for entry in table]
    for entry in reversed(table):
        if insns.count(entry.insn) > 1 or entry.insn in misplaced:
            words = f"the entry for {entry.insn} should be for {insn}"
            yield Edit(Size.TABLE, words, {entry.line: entry.text(insn=insn)})
    last = max((entry.line for entry in table), default=0)
    for entry in {entry.fixup: entry for entry in table}.values():
        words = f"{insn} should have an entry, with the fixup {entry.fixup}"
        yield Edit(Size.INSERTED, words, inserted={last: entry.text(insn=insn)})
