"""Whether a routine can be resumed: after a fault whose cause was repaired, it ends as without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import z3

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.machine.instruction import Refused
from mcverify.machine.lifter import lifter_of
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import EVERYWHERE, SUCCESS, ResumeResult, RoutineResult, Verdict
from mcverify.resume.claims import ResumeClaim, resume_claims
from mcverify.resume.runs import resumed
from mcverify.runs.code import reachable, text_at

_MILLISECONDS = 20_000
_OF_SUCCESS = ("O2", "O3", "O4", "O6", "O7", "O9")
_OF_ALL = ("O7", "O8", "O9")


def with_resumption(
    image: Image,
    result: RoutineResult,
    options: ProveOptions,
    deadline: Deadline,
    progress: Callable[[str], None],
) -> RoutineResult:
    """`result` with whether the routine can be resumed."""
    progress(f"{result.name}: resuming at each access")
    return replace(result, resume=_judged(image, result, options, deadline))


def _judged(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> ResumeResult:
    if result.contract is None:
        return ResumeResult(Verdict.UNKNOWN, "nobody says what the routine promises")
    runs = resumed(image, result, options, deadline)
    accesses, failed = _claims(image, result, ordered=options.rep_model == "ordered")
    found = ResumeResult(Verdict.PROVED, "", accesses, runs.cases, runs.faults)
    if runs.broken:
        said = f"a resumed run of {runs.case.len if runs.case else 0} bytes breaks {runs.broken}"
        return replace(found, verdict=Verdict.REFUTED, sentence=said, case=runs.case)
    if why := failed or _base(result):
        return replace(found, verdict=Verdict.UNKNOWN, sentence=why)
    return found


def _claims(image: Image, result: RoutineResult, *, ordered: bool) -> tuple[int, str]:
    """How many accesses are resumable, and the first that is not, in words ("": all are)."""
    lifter = lifter_of(image)
    proved: set[tuple[int, int]] = set()
    for address in sorted(reachable(image, result.entry, faults=False)):
        try:
            claims = list(resume_claims(lifter.instruction(address), ordered=ordered))
        except Refused as refused:
            return len(proved), f"{image.where(address)}: {refused}"
        for claim in claims:
            if not _is_valid(claim.term):
                return len(proved), f"{image.where(address)}: {text_at(image, address)}: {_not(claim)}"
            proved.add((claim.address, claim.number))
    return len(proved), ""


def _not(claim: ResumeClaim) -> str:
    return claim.words if claim.words.startswith("without") else f"not proved: {claim.words}"


def _is_valid(term: z3.BoolRef) -> bool:
    solver = z3.Solver()
    solver.set("timeout", _MILLISECONDS)
    solver.add(z3.Not(term))
    return bool(solver.check() == z3.unsat)


def _base(result: RoutineResult) -> str:
    """Why it is not proved that a run without a fault copies everything; "" where it is."""
    if result.unknowns:
        return f"not everything was understood: {result.unknowns[0]}"
    missing = sorted(set(_missing(result)))
    return f"{' and '.join(missing)} is not proved of a run without a fault" if missing else ""


def _missing(result: RoutineResult) -> Iterator[str]:
    assert result.contract is not None
    rows = {(row.id, row.exit): row.verdict for row in result.obligations}
    for id in result.contract.obligations:
        at_success = rows.get((id, SUCCESS), Verdict.PROVED)
        everywhere = rows.get((id, EVERYWHERE), Verdict.PROVED)
        if id in _OF_SUCCESS and at_success is not Verdict.PROVED:
            yield id
        if id in _OF_ALL and everywhere is not Verdict.PROVED:
            yield id
    if rows.get(("O9", SUCCESS)) is not Verdict.PROVED:
        yield "O9"
