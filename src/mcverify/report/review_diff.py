"""The text of two revisions side by side, and which exits each changed line concerns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mcverify.proof.result import RoutineResult
from mcverify.report.place import parse
from mcverify.review.result import Cell, Change, Review, RoutineReview, Step

_CONTEXT = 3
"""Lines shown around what changed."""
_WORD = re.compile(r"[.\w$]+")
_SOURCES = (".S", ".s")


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of both texts; a number of 0 for a side that has no such line. `exits` are the rows that
    changed in this step and that a changed line concerns."""

    old: int
    before: str
    new: int
    after: str
    changed: bool
    exits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """The text that one revision of a routine is shown by: its source, or of an object its instructions.
    `places` has the `file:line` of each line."""

    name: str
    lines: tuple[str, ...]
    places: tuple[str, ...]

    def numbered(self, place: str) -> int:
        """The number of the line at a place, from 1 on; 0 if it is not there."""
        return self.places.index(place) + 1 if place in self.places else 0


def sheet(review: Review, routine: RoutineReview, number: int) -> Sheet:
    """What revision `number` of a routine is shown by."""
    result = routine.results[number]
    assert result is not None
    text = review.revisions[number].text(result.file) if result.file.endswith(_SOURCES) else None
    if text is None:
        return _instructions(result)
    lines = tuple(text.expandtabs(8).splitlines())
    return Sheet(result.file, lines, tuple(f"{result.file}:{n}" for n in range(1, len(lines) + 1)))


def _instructions(result: RoutineResult) -> Sheet:
    lines = tuple(
        f"{line.label + ':' if line.label else '':<12} {line.text}".rstrip() for line in result.listing
    )
    return Sheet(result.file, lines, tuple(line.where for line in result.listing))


def hunks(review: Review, routine: RoutineReview, step: Step) -> list[list[DiffLine]]:
    """What changed between the two revisions of a step, hunk by hunk; empty where the texts are the same."""
    old, new = sheet(review, routine, step.old), sheet(review, routine, step.new)
    concerned = [
        _concerning(routine, step, number, own) for number, own in ((step.old, old), (step.new, new))
    ]
    matcher = SequenceMatcher(None, old.lines, new.lines, autojunk=False)
    found = []
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        lines: list[DiffLine] = []
        for kind, first, end, other, other_end in group:
            pairs = _side_by_side(range(first, end), range(other, other_end))
            lines += [_line(old, new, i, j, kind != "equal", concerned) for i, j in pairs]
        found.append(lines)
    return found


def _side_by_side(olds: range, news: range) -> Iterator[tuple[int | None, int | None]]:
    for k in range(max(len(olds), len(news))):
        yield (olds[k] if k < len(olds) else None), (news[k] if k < len(news) else None)


def _line(
    old: Sheet,
    new: Sheet,
    i: int | None,
    j: int | None,
    changed: bool,
    concerned: Sequence[Mapping[int, Sequence[str]]],
) -> DiffLine:
    exits: dict[str, None] = {}
    if changed:
        exits |= dict.fromkeys(concerned[0].get(i, ()) if i is not None else ())
        exits |= dict.fromkeys(concerned[1].get(j, ()) if j is not None else ())
    return DiffLine(
        0 if i is None else i + 1,
        "" if i is None else old.lines[i],
        0 if j is None else j + 1,
        "" if j is None else new.lines[j],
        changed,
        tuple(exits),
    )


def changed_rows(step: Step) -> list[str]:
    """The rows of which a verdict or the count changed, or at which a run differs."""
    rows = [o.row for o in step.obligations if o.change is not Change.SAME]
    rows += [c.row for c in step.counts] + [d.row for d in step.behaviour.differences]
    return list(dict.fromkeys(rows))


def _concerning(routine: RoutineReview, step: Step, number: int, own: Sheet) -> dict[int, list[str]]:
    """By line, from 0 on, the changed rows whose access or way out lies there, or whose labels stand
    there."""
    changed = changed_rows(step)
    at = {place: n for n, place in enumerate(own.places)}
    labelled = [set(_WORD.findall(line)) if names_labels(line) else set[str]() for line in own.lines]
    found: dict[int, list[str]] = {}
    for row in routine.rows:
        cell = row.cells[number]
        if cell is None or row.name not in changed:
            continue
        lines = {at[place] for place in cell.lines if place in at}
        lines |= {n for n, words in enumerate(labelled) if words & _labels(cell)}
        for n in lines:
            found.setdefault(n, []).append(row.name)
    return found


def names_labels(line: str) -> bool:
    """Whether it is a line of a table: an entry has the labels of an access and of a fixup, and no code."""
    return "EXTABLE" in line or "ex_table" in line or ".long" in line


def _labels(cell: Cell) -> set[str]:
    return {label for label in (cell.label, cell.exit) if label and parse(label) is None}
