"""A proved repair as a SARIF fix: which characters of the file to replace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcverify.proof.result import Repair
from mcverify.report.place import parse, source_line


def fix(repair: Repair, artifact: Callable[[str], dict[str, Any]]) -> dict[str, Any] | None:
    """A fix object for the repair; None if the file is not here, or its line is another by now.

    `artifact` makes an artifactLocation of a file's name. Columns count characters, from 1.
    """
    place = parse(repair.where)
    text = source_line(place, place.file) if place else None
    if place is None or text is None or not repair.before or text.count(repair.before) != 1:
        return None
    column = text.index(repair.before) + 1
    region = {"startLine": place.line, "startColumn": column, "endColumn": column + len(repair.before)}
    replacement = {"deletedRegion": region, "insertedContent": {"text": repair.after}}
    change = {"artifactLocation": artifact(place.file), "replacements": [replacement]}
    return {
        "description": {"text": repair.sentence or "Proved with this change."},
        "artifactChanges": [change],
    }
