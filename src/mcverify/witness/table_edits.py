"""Changes of exception-table entries: another fixup, another instruction, one more entry."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from mcverify.witness.edits import Edit, Size
from mcverify.witness.source import SourceText

_ENTRY = re.compile(
    r"(?P<head>_ASM_EXTABLE\w*\s*\(\s*)(?P<insn>[\w.$]+)(?P<comma>\s*,\s*)(?P<fixup>[\w.$]+)(?P<tail>.*)"
)


@dataclass(frozen=True)
class Entry:
    """The macro of one entry in line `line`."""

    line: int
    head: str
    insn: str
    comma: str
    fixup: str
    tail: str

    def text(self, *, insn: str = "", fixup: str = "") -> str:
        """The macro with another instruction or fixup."""
        return f"{self.head}{insn or self.insn}{self.comma}{fixup or self.fixup}{self.tail}"


def entries(source: SourceText) -> list[Entry]:
    """The entries that the source writes with a macro of its own line."""
    found = []
    for number in range(1, len(source.lines) + 1):
        statement = source.statement(number)
        match = _ENTRY.fullmatch(statement.text) if statement is not None else None
        if match is not None:
            found.append(Entry(number, *match.groups()))
    return found


def other_fixups(
    source: SourceText, insn: str, own: Collection[str], orphans: Sequence[str]
) -> Iterator[Edit]:
    """Another fixup for the instruction labelled `insn`, and for all that share its fixup: one that nothing
    leads to (`orphans`) or one of the table. `own` are the labels of the routine."""
    table = [entry for entry in entries(source) if entry.insn in own]
    fixups = dict.fromkeys([*orphans, *(entry.fixup for entry in table)])
    for entry in table:
        if entry.insn != insn:
            continue
        alike = [e for e in table if e.fixup == entry.fixup]
        for fixup in fixups:
            if fixup == entry.fixup:
                continue
            words = f"the fixup of {insn} should be {fixup}"
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
