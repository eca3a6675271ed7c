"""A review as SARIF 2.1.0: what is refuted or unknown in the newest revision, and whether that is new against
the one before (`baselineState`, 3.27.24); what is no longer refuted is listed as absent."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from mcverify.proof.result import RoutineResult
from mcverify.report import sarif
from mcverify.report.invocation import Invocation
from mcverify.review.result import Review, RoutineReview
from mcverify.review.revision import Revision

is_ours = sarif.is_ours
_Object = dict[str, Any]
_FINGERPRINTS = "partialFingerprints"


def to_sarif(review: Review, exit_code: int, arguments: tuple[str, ...]) -> str:
    """The review as one SARIF log with one run, indented, with a newline at its end. `arguments` are those of
    the command line, without those that name reports."""
    return json.dumps(log(review, exit_code, arguments), indent=2) + "\n"


def log(review: Review, exit_code: int, arguments: tuple[str, ...] = ("review",)) -> _Object:
    """The SARIF log as plain dicts, lists, strings and numbers."""
    invocation = Invocation(arguments, int(exit_code))
    now = [r for routine in review.routines if (r := routine.results[-1]) is not None]
    found = sarif.log(now, invocation, by_exit=True)
    (run,) = found["runs"]
    known = list(_of_the_last(review, invocation))
    there = {_at(result) for result in run["results"]}
    for result in run["results"]:
        before = _taken(result, known, there)
        result["baselineState"] = "new" if before is None else "unchanged"
    run["results"] += [{**result, "baselineState": "absent"} for result in known]
    run["invocations"][0]["toolExecutionNotifications"] += [*_unread(review), *_contracts(review)]
    run["invocations"][0]["executionSuccessful"] = not (review.failures or review.cut)
    with_text = _Snippets(review.revisions[-1])
    with_text.put_into(run)
    return found


def _unread(review: Review) -> Iterator[_Object]:
    """A notification for each file that was not assembled: that there is no result about it is no pass."""
    for level, found in (("error", review.failures), ("warning", review.cut)):
        for number, sentences in found.items():
            for said in sentences:
                text = f"{review.revisions[number].name}: {said}"
                yield {
                    "descriptor": {"id": sarif.NOTE, "index": 0},
                    "level": level,
                    "message": {"text": text},
                }


def _contracts(review: Review) -> Iterator[_Object]:
    """A notification for each revision that asks for another contract than the one before it: the results
    are about the old one, or about the new one if the operator accepts it."""
    for routine in review.routines:
        for step in routine.steps:
            if step.contract is not None:
                text = f"{review.revisions[step.new].name}: {routine.name}: {step.contract.sentence}"
                yield {
                    "descriptor": {"id": sarif.NOTE, "index": 0},
                    "level": "note" if step.contract.accepted else "error",
                    "message": {"text": text},
                }


def _of_the_last(review: Review, invocation: Invocation) -> Iterator[_Object]:
    """The results of the routines as they were in the revision before."""
    for routine in review.routines:
        before = _before(routine)
        if before is not None:
            yield from sarif.log([before], invocation, by_exit=True)["runs"][0]["results"]


def _before(routine: RoutineReview) -> RoutineResult | None:
    earlier = [r for r in routine.results[:-1] if r is not None]
    return earlier[-1] if earlier and routine.results[-1] is not None else None


def _at(result: _Object) -> tuple[object, ...]:
    """What a result is, and in which file: several may define one name."""
    places = (place["physicalLocation"]["artifactLocation"]["uri"] for place in result.get("locations", ()))
    return _identity(result), next(places, "")


def _taken(result: _Object, known: list[_Object], there: Container[tuple[object, ...]]) -> _Object | None:
    """What a result was before, taken out of the `known` ones: in the same file, else in one where it is not
    any more; None where it was not."""
    same = (n for n, was in enumerate(known) if _at(was) == _at(result))
    moved = (
        n for n, was in enumerate(known) if _identity(was) == _identity(result) and _at(was) not in there
    )
    found = next((n for found in (same, moved) for n in found), None)
    return None if found is None else known.pop(found)


def _identity(result: _Object) -> tuple[object, ...]:
    """What makes a result the same in two revisions: rule, kind and fingerprint."""
    return result["ruleId"], result["kind"], tuple(sorted(result[_FINGERPRINTS].items()))


class _Snippets:
    """Puts the lines of a revision in place of those that the files of the same names have here: what was
    reviewed is in a patch or a commit, and not in the work tree."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._lines: dict[str, list[str]] = {}

    def put_into(self, value: Any) -> None:
        """Correct every physical location in `value`, in place."""
        if isinstance(value, list):
            for item in value:
                self.put_into(item)
        elif isinstance(value, dict):
            if "artifactLocation" in value and "region" in value:
                self._correct(value["artifactLocation"]["uri"], value["region"])
            for item in value.values():
                self.put_into(item)

    def _correct(self, uri: str, region: _Object) -> None:
        path = unquote(uri)
        if path not in self._revision.files:
            return
        lines = self._lines.setdefault(path, _split(self._revision.files, path))
        number = region.get("startLine", 0)
        region.pop("snippet", None)
        if 1 <= number <= len(lines):
            region["snippet"] = {"text": lines[number - 1]}


def _split(files: Mapping[str, bytes], path: str) -> list[str]:
    return files[path].decode("utf-8", "replace").split("\n")
