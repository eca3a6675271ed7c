"""What rests on copies of one byte: routines in C that call the routine for each byte (`image/callees.py`).

The transition of such a routine follows from what is proved of a length of 1. Where something of that is not
proved, nothing is known of the ways that pass the transition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from mcverify.paths.segment import Ending, Paths, Segment
from mcverify.proof.discharge import Finding
from mcverify.proof.exits import EVERYWHERE


def without_doubted(
    findings: Sequence[Finding],
    paths: Paths,
    recursive: Collection[int],
    of_one_byte: Callable[[], Iterable[Finding]],
) -> list[Finding]:
    """The findings; where not all is proved `of_one_byte` (asked only if something is open), those of ways
    that pass one of the addresses `recursive` are not proved either."""
    passing = [number for number, s in enumerate(paths.segments) if _passes(s, recursive)]
    if not passing or all(finding.proved for finding in findings):
        return list(findings)
    failing = next((f for f in of_one_byte() if not f.proved), None)
    if failing is None:
        return list(findings)
    # Behind one that is called, and does not stand at the end, everything is doubtful.
    at_end = all(_returns_there(paths.segments[number], recursive) for number in passing)
    doubted = passing if at_end else None
    what = f"{failing.id} at {failing.exit}" if failing.id and failing.exit != EVERYWHERE else failing.id
    reason = f"it rests on copies of one byte, of which {what or failing.reason} is not proved"
    return [_doubtful(finding, doubted, reason) for finding in findings]


def _passes(segment: Segment, recursive: Collection[int]) -> bool:
    """Whether the segment goes on behind a routine in C."""
    is_over = segment.target in (Ending.ENDLESS, Ending.LOST)
    return any(step.at in recursive for step in (segment.steps[:-1] if is_over else segment.steps))


def _returns_there(segment: Segment, recursive: Collection[int]) -> bool:
    return segment.target is Ending.RETURN and segment.steps[-1].at in recursive


def _doubtful(finding: Finding, doubted: Collection[int] | None, reason: str) -> Finding:
    """The finding, not proved if it is of one of the segments `doubted` (None: whatever it is of)."""
    of_one = doubted is None or any(scope == "exit" and n in doubted for _, scope, n in finding.answers)
    return replace(finding, proved=False, reason=reason) if finding.proved and of_one else finding
