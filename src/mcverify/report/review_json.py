"""A review as JSON, schema 2: docs/review.md describes it, docs/schema/review.schema.json checks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcverify import __version__
from mcverify.proof.result import Verdict
from mcverify.report.json import case_document, outcome_document, routine_document
from mcverify.report.mark import is_document
from mcverify.review.result import (
    Behaviour,
    Cell,
    Difference,
    ExitBehaviour,
    Review,
    RoutineReview,
    Step,
)
from mcverify.review.revision import Revision

SCHEMA = 2
_Object = dict[str, Any]


def to_json(review: Review, exit_code: int) -> str:
    """The whole review as one JSON document, indented, with a newline at its end."""
    return json.dumps(document(review, exit_code), indent=2) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` begins like a document of :func:`to_json`."""
    return is_document(text, "review")


def document(review: Review, exit_code: int) -> _Object:
    """The review as plain dicts, lists, strings and numbers."""
    return {
        "schema": SCHEMA,
        "mcverify": __version__,
        "review": {"exit_code": exit_code, "interrupted": review.interrupted},
        "revisions": [
            _revision(r, review.failures.get(n, ()), review.cut.get(n, ()))
            for n, r in enumerate(review.revisions)
        ],
        "routines": [_routine(routine) for routine in review.routines],
        "notes": list(review.notes),
    }


def _revision(revision: Revision, failures: tuple[str, ...], cut: tuple[str, ...]) -> _Object:
    return {
        "name": revision.name,
        "title": revision.title,
        "files": list(revision.paths),
        "failures": list(failures),
        "cut": list(cut),
        "parents": list(revision.parents) if revision.parents is not None else None,
    }


def _routine(routine: RoutineReview) -> _Object:
    return {
        "name": routine.name,
        "names": list(routine.names),
        "verdicts": [str(result.verdict) if result else None for result in routine.results],
        "states": [{"state": str(found.state), "why": found.why} for found in routine.standings],
        "exits": [
            {"name": row.name, "revisions": [_cell(cell) for cell in row.cells]} for row in routine.rows
        ],
        "everywhere": [
            _verdicts(found) if routine.results[n] is not None else None
            for n, found in enumerate(routine.everywhere)
        ],
        "steps": [_step(step) for step in routine.steps],
        "results": [_untimed(routine_document(r)) if r is not None else None for r in routine.results],
    }


def _untimed(document: _Object) -> _Object:
    """A routine's document without what it took: two equal runs give the same."""
    obligations = [{k: v for k, v in o.items() if k != "seconds"} for o in document["obligations"]]
    kept = {key: value for key, value in document.items() if key not in ("phases", "seconds")}
    return {**kept, "obligations": obligations}


def _cell(cell: Cell | None) -> _Object | None:
    if cell is None:
        return None
    return {
        "exit": cell.exit,
        "where": cell.where,
        "access": cell.access,
        "label": cell.label,
        "instruction": cell.text,
        "has_entry": cell.has_entry,
        "count": cell.count,
        "verdicts": _verdicts(cell.verdicts),
        "lines": list(cell.lines),
    }


def _verdicts(found: Mapping[str, Verdict]) -> _Object:
    return {identifier: str(verdict) for identifier, verdict in found.items()}


def _step(step: Step) -> _Object:
    return {
        "old": step.old,
        "new": step.new,
        "code_changed": step.code_changed,
        "worse": step.is_worse,
        "contract": None
        if step.contract is None
        else {"sentence": step.contract.sentence, "accepted": step.contract.accepted},
        "obligations": [
            {
                "change": str(o.change),
                "exit": o.row,
                "id": o.obligation,
                "before": str(o.before) if o.before else None,
                "after": str(o.after) if o.after else None,
                "why": o.why,
            }
            for o in step.obligations
        ],
        "counts": [{"exit": c.row, "before": c.before, "after": c.after} for c in step.counts],
        "behaviour": _behaviour(step.behaviour),
    }


def _behaviour(found: Behaviour) -> _Object:
    return {
        "relation": str(found.relation),
        "why": found.why,
        "tried": found.tried,
        "beyond": _difference(found.beyond) if found.beyond else None,
        "clobbered": {"before": list(found.clobbered_before), "after": list(found.clobbered_after)},
        "exits": [_exit(known) for known in found.exits],
        "differences": [_difference(difference) for difference in found.differences],
    }


def _exit(found: ExitBehaviour) -> _Object:
    return {
        "exit": found.row,
        "relation": str(found.relation),
        "changed": found.changed,
        "clobbered": {"before": list(found.clobbered_before), "after": list(found.clobbered_after)},
    }


def _difference(difference: Difference) -> _Object:
    return {
        "exit": difference.row,
        "kinds": [str(kind) for kind in difference.kinds],
        "sentence": difference.sentence,
        "case": case_document(difference.case),
        "before": outcome_document(difference.before),
        "after": outcome_document(difference.after),
    }
