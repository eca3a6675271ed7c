"""The result as SARIF 2.1.0 (OASIS, errata 01): what was refuted and what is unknown.

What is proved gives no result: viewers, GitHub's code scanning among them, take any result for an alert
whatever its kind. The verdicts of all routines are in the run's property bag. The unknown
has the kind that the standard made for provers, "open", whose level must be "none" (3.27.10).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from mcverify import __version__
from mcverify.proof.result import EVERYWHERE, Counterexample, Exit, RoutineResult
from mcverify.report.finding import Finding, Gap, at, gaps, placed, refutations, undecided
from mcverify.report.invocation import Invocation
from mcverify.report.mistake import Mistake, mistakes
from mcverify.report.obligations import OBLIGATIONS, title
from mcverify.report.place import Place, parse, shared, source_line
from mcverify.report.sarif_fix import fix
from mcverify.report.trace import Gap as LeftOut
from mcverify.report.trace import TraceLine, trace_lines
from mcverify.report.words import counted

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "SRCROOT"
"""The base of relative URIs: the root of the work tree, which the consumer knows."""

NOT_UNDERSTOOD = "not-understood"
NOTE = "note"
FINGERPRINT = "obligationAtExit/v1"
"""Name of our fingerprint: of the rule, the routine and the exit's label, not of any line."""

_MARK = re.compile(r'\{\s*"\$schema": "[^"]*sarif[^"]*",[^\]]*?"driver": \{\s*"name": "mcverify"')
_Object = dict[str, Any]


def to_sarif(results: Sequence[RoutineResult], invocation: Invocation) -> str:
    """All results as one SARIF log with one run, indented, with a newline at its end."""
    return json.dumps(log(results, invocation), indent=2) + "\n"


def is_ours(text: str) -> bool:
    """Whether `text` begins like a document of :func:`to_sarif`."""
    return _MARK.match(text) is not None


def log(results: Sequence[RoutineResult], invocation: Invocation, *, by_exit: bool = False) -> _Object:
    """The SARIF log as plain dicts, lists, strings and numbers. `by_exit`: what is refuted has a result for
    each exit, also where one mistake breaks several."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(results, invocation, by_exit=by_exit)]}


def _run(results: Sequence[RoutineResult], invocation: Invocation, *, by_exit: bool) -> _Object:
    rules = list(_rules())
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    found = [_with_index(r, index) for result in results for r in _results(result, by_exit=by_exit)]
    return {
        "tool": {"driver": _driver(rules)},
        "automationDetails": {"id": _category(results)},
        "invocations": [_invocation(results, invocation)],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the work tree."}}},
        "artifacts": _artifacts(results),
        "columnKind": "unicodeCodePoints",
        "results": found,
        "properties": {"routines": [_summary(result) for result in results]},
    }


def _with_index(result: _Object, index: dict[str, int]) -> _Object:
    return {"ruleId": result["ruleId"], "ruleIndex": index[result["ruleId"]], **result}


def _category(results: Sequence[RoutineResult]) -> str:
    """What tells this run from that on another file, where several are uploaded for one commit."""
    files = dict.fromkeys(shared(result.file) for result in results)
    named = (file.path if file.is_relative else PurePath(file.path).name for file in files)
    return "/".join(["mcverify", *named, ""])


# -- the tool and how it ran ------------------------------------------------------------------------------


def _driver(rules: Sequence[_Object]) -> _Object:
    return {
        "name": "mcverify",
        "version": __version__,
        "semanticVersion": __version__,
        "shortDescription": {
            "text": "Proves exception-table fixups of copy routines right, or shows a run that breaks them."
        },
        "rules": rules,
        "notifications": [
            {
                "id": NOTE,
                "name": "Remark",
                "shortDescription": {"text": "A remark on the input or on the domain of a proof."},
                "fullDescription": {
                    "text": "It breaks no obligation, but a reader of the verdict should know it."
                },
                "help": {
                    "text": "A table entry that never serves, a CONFIG that was assumed, a length too far."
                },
            }
        ],
    }


def _rules() -> Iterator[_Object]:
    for o in OBLIGATIONS.values():
        cost = f"Where it is broken: {o.cost}."
        yield {
            "id": o.id,
            "name": "".join(word.capitalize() for word in re.split(r"\W+", o.name)),
            "shortDescription": {"text": f"{title(o.id)}: {o.holds}."},
            "fullDescription": {"text": f"{o.holds[0].upper()}{o.holds[1:]}. {cost}"},
            "help": {
                "text": f"{o.sentence}.\n\n{cost}",
                "markdown": f"**{o.id} {o.name}**: {o.holds}.\n\n{cost}",
            },
            "defaultConfiguration": {"level": "error"},
            "properties": {"precision": "very-high", "tags": ["correctness", "exception-table"]},
        }
    yield {
        "id": NOT_UNDERSTOOD,
        "name": "NotUnderstood",
        "shortDescription": {"text": "Something in the routine was not understood, so it is not proved."},
        "fullDescription": {
            "text": "What is not understood is never taken for right: the verdict is unknown."
        },
        "help": {"text": "An unknown verdict is no bug that was found, and no proof either."},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["unknown"]},
    }


def _invocation(results: Sequence[RoutineResult], invocation: Invocation) -> _Object:
    return {
        "executionSuccessful": True,
        "commandLine": invocation.command,
        "arguments": list(invocation.arguments),
        "exitCode": invocation.exit_code,
        "toolExecutionNotifications": [n for result in results for n in _notifications(result)],
    }


def _notifications(result: RoutineResult) -> Iterator[_Object]:
    remarks = list(result.notes)
    if result.domain.breaks_at is not None:
        beyond = f"{result.title} breaks at len {result.domain.breaks_at:#x}, beyond the domain"
        remarks.append(f"{beyond}: {result.domain.breaks_how}")
    for sentence in remarks:
        place, text = placed(sentence, result)
        yield {
            "descriptor": {"id": NOTE, "index": 0},
            "level": "note",
            "message": {"text": text},
            "locations": [_location(place, result)],
        }


def _artifacts(results: Sequence[RoutineResult]) -> list[_Object]:
    digests: dict[str, str] = {}
    for result in results:
        digests[result.file] = digests.get(result.file) or result.sha256
    return [
        {
            "location": _artifact(file),
            "roles": ["analysisTarget"],
            **({"hashes": {"sha-256": digest}} if digest else {}),
        }
        for file, digest in digests.items()
    ]


def _summary(result: RoutineResult) -> _Object:
    return {
        "name": result.name,
        "variant": result.variant,
        "contract": result.contract.name if result.contract else None,
        "verdict": str(result.verdict),
        "lenMin": result.domain.len_min,
        "lenMax": result.domain.len_max,
        "assumptions": list(result.assumptions),
    }


# -- results ----------------------------------------------------------------------------------------------


def _results(result: RoutineResult, *, by_exit: bool) -> Iterator[_Object]:
    found = [Mistake((f,)) for f in refutations(result)] if by_exit else mistakes(result)
    yield from (_refuted(mistake) for mistake in found)
    yield from (_not_understood(gap) for gap in gaps(result))
    yield from (_undecided(finding) for finding in undecided(result))


def _refuted(mistake: Mistake) -> _Object:
    """One result for a mistake: where each of its places must be changed, it has all of them (3.27.12)."""
    finding = mistake.first
    found = {
        "ruleId": _rule(finding),
        "kind": "fail",
        "level": "error",
        "message": {"text": "\n".join([_sentence(finding.headline), *mistake.lines])},
        **_where(finding.place, finding.routine, _related(finding)),
        "partialFingerprints": _fingerprint(finding.routine, finding.id, _stable_exit(finding)),
    }
    found["locations"] = [_location(place, finding.routine) for place in mistake.places]
    runs = [f.run for f in mistake.findings if f.run is not None]
    if not runs:
        return found
    if flows := [_code_flow(run, finding.routine) for run in runs if run.trace]:
        found["codeFlows"] = flows
    repairs = dict.fromkeys(r.explanation.repair for r in runs if r.explanation and r.explanation.repair)
    if replacements := [made for repair in repairs if (made := fix(repair, _artifact))]:
        found["fixes"] = replacements
    found["occurrenceCount"] = mistake.runs
    return found


def _undecided(finding: Finding) -> _Object:
    return {
        "ruleId": _rule(finding),
        "kind": "open",
        "level": "none",
        "message": {"text": _sentence(finding.headline)},
        **_where(finding.place, finding.routine, []),
        "partialFingerprints": _fingerprint(finding.routine, finding.id, _stable_exit(finding)),
    }


def _not_understood(gap: Gap) -> _Object:
    open_ones = ", ".join(f"{o.id} {at(o.exit)}" for o in gap.undecided)
    text = f"{gap.routine.title}: not understood: {gap.sentence}"
    return {
        "ruleId": NOT_UNDERSTOOD,
        "kind": "open",
        "level": "none",
        "message": {
            "text": _sentence(text) + (f" Not proved because of it: {open_ones}." if open_ones else "")
        },
        **_where(gap.place, gap.routine, []),
        "partialFingerprints": _fingerprint(gap.routine, NOT_UNDERSTOOD, gap.sentence),
    }


def _rule(finding: Finding) -> str:
    return finding.id if finding.id in OBLIGATIONS else NOT_UNDERSTOOD


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _related(finding: Finding) -> list[tuple[Place, str]]:
    """The access that faulted and the point at which accounting and memory part, beside the fixup itself."""
    row = _exit(finding)
    places = [(where, "the access that faults") for where in (row.access.split(", ") if row else [])]
    why = finding.run.explanation if finding.run else None
    if why is not None:
        places += [(why.fixup, "the fixup")]
        places.append((_front(why.parted), "the mistake begins here"))
    said: dict[Place, list[str]] = {}
    for where, text in places:
        place = parse(where)
        if place is not None and place != finding.place:
            said.setdefault(place, []).append(text)
    return [(place, "; ".join(texts)) for place, texts in said.items()]


def _front(where_and_text: str) -> str:
    """`a.S:12` of `a.S:12: mov %rax, (%rdi)`."""
    return where_and_text.split(": ")[0]


def _exit(finding: Finding) -> Exit | None:
    return next((row for row in finding.routine.exits if row.id == finding.obligation.exit), None)


def _fingerprint(result: RoutineResult, rule: str, what: str) -> dict[str, str]:
    parts = (rule, shared(result.file).path, result.title, what)
    return {FINGERPRINT: hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()}


def _stable_exit(finding: Finding) -> str:
    """The exit's label; where it is named by its line, for want of a label, its number among the exits."""
    exit_id = finding.obligation.exit
    if parse(exit_id) is None or exit_id == EVERYWHERE:
        return exit_id
    ids = [row.id for row in finding.routine.exits]
    return f"exit {ids.index(exit_id)}" if exit_id in ids else "an instruction without a label"


# -- places -----------------------------------------------------------------------------------------------


def _where(place: Place, result: RoutineResult, related: Sequence[tuple[Place, str]]) -> _Object:
    found: _Object = {"locations": [_location(place, result)]}
    if related:
        found["relatedLocations"] = [
            {"id": number, **_location(other, result), "message": {"text": text}}
            for number, (other, text) in enumerate(related)
        ]
    return found


def _location(place: Place, result: RoutineResult) -> _Object:
    physical: _Object = {"artifactLocation": _artifact(place.file)}
    if place.line is not None:
        snippet = source_line(place, result.file)
        physical["region"] = {"startLine": place.line} | ({"snippet": {"text": snippet}} if snippet else {})
    return {
        "physicalLocation": physical,
        "logicalLocations": [{"name": result.name, "kind": "function"}],
    }


def _artifact(file: str) -> _Object:
    found = shared(file)
    return {"uri": found.uri, "uriBaseId": ROOT} if found.is_relative else {"uri": found.uri}


# -- the trace --------------------------------------------------------------------------------------------


def _code_flow(run: Counterexample, result: RoutineResult) -> _Object:
    return {
        "message": {"text": f"The run with len {run.case.len}, instruction by instruction."},
        "threadFlows": [{"locations": list(_steps(run, result))}],
    }


def _steps(run: Counterexample, result: RoutineResult) -> Iterator[_Object]:
    """The steps in order; what the trace leaves out is counted in the step behind it."""
    executed, left_out = 0, 0
    for line in trace_lines(run, result):
        if isinstance(line, LeftOut):
            left_out += line.instructions
        else:
            yield _step(line, result, executed + left_out + 1, left_out)
            executed, left_out = executed + left_out + line.instructions, 0


def _step(line: TraceLine, result: RoutineResult, order: int, left_out: int) -> _Object:
    place = parse(line.step.where) or Place(result.file)
    text = f"after {counted(left_out, 'more instruction')}: " if left_out else ""
    text += f"{line.label}: {line.text}" if line.label else line.text
    times = [f"{line.step.times} times"] if line.step.times > 1 else []
    begins = ["the mistake begins here"] if line.parts else []
    return {
        "location": {
            **_location(place, result),
            "message": {"text": "; ".join([text, *times, *line.effects, *begins])},
        },
        "executionOrder": order,
        "importance": "essential" if line.counts else "unimportant",
        "state": {name: {"text": f"{value:#x}"} for name, value in line.step.registers.items()},
    }
