"""The lines of a patch as a reply on a list quotes them."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff

from unidiff.patch import Line

from mcverify.errors import InputError
from mcverify.review.apply import FileChange, changes

_BEFORE = 3
"""Lines of the hunk that are quoted in front of the one that is meant."""


def quoted(
    patch: str, path: str, number: int, text: str, *, removed: bool = False, behind: int = 0
) -> list[str]:
    """The line `text` of the file at `path`, its line `number`, as it stands in the patch, with some lines in
    front of it and so many `behind` it; a `removed` one by its number in the old file. Nothing where
    the patch has no such line."""
    try:
        found = [change for change in changes(patch, path) if path in (change.new, change.old)]
    except InputError:  # it was applied, so it was understood: then it is not this text that was applied
        return []
    places = [place for change in found for place in _places(change, number, text, removed=removed)]
    if not places:
        return []
    _, hunk, at = min(places, key=lambda place: place[0])
    shown = hunk[max(0, at - (1 if behind else _BEFORE)) : at + 1 + behind]
    return [f"> {line.line_type}{line.value}".rstrip() for line in shown]


def _places(
    change: FileChange, number: int, text: str, *, removed: bool
) -> list[tuple[int, Sequence[Line], int]]:
    """How far each such line is from where it should be (a hunk may have been moved), its hunk, its index."""
    found: list[tuple[int, Sequence[Line], int]] = []
    for hunk in change.hunks:
        lines = list(hunk)
        for at, line in enumerate(lines):
            there = line.source_line_no if removed else line.target_line_no
            if there is not None and not line.is_context and line.value.rstrip() == text.rstrip():
                found.append((abs(there - number), lines, at))
    return found


def patch_between(old: Sequence[str], new: Sequence[str], path: str) -> str:
    """The patch of one file, by the lines of its old and its new text."""
    return "".join(f"{line}\n" for line in unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm=""))
