"""Why a run breaks its obligation: the rule, the fixup, the count in numbers, where it begins to go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcverify.contract import Contract
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, Explanation, RoutineResult
from mcverify.runs.case import Ending
from mcverify.runs.judge import Judged
from mcverify.witness.formula import evaluate, with_numbers
from mcverify.witness.places import Places, returns_wrong_trap
from mcverify.witness.rules import rule
from mcverify.witness.trace import trace
from mcverify.witness.walk import Walk, walk

_COUNTED = ("O2", "O3", "O4", "O5")


def explained(image: Image, result: RoutineResult, found: Counterexample) -> Counterexample:
    """The counterexample with an explanation of its first obligation."""
    if result.contract is None:
        return found
    run = walk(image, result.entry, result.contract, found.case, found.outcome)
    return replace(found, explanation=explain(image, result, found, run))


def all_explained(
    image: Image, result: RoutineResult, _options: ProveOptions, deadline: Deadline
) -> RoutineResult:
    """The result with traces and explanations of its counterexamples, as far as there is time for them."""
    told = tuple(_told(image, result, found, deadline) for found in result.counterexamples)
    return replace(result, counterexamples=told)


def _told(image: Image, result: RoutineResult, found: Counterexample, deadline: Deadline) -> Counterexample:
    if result.contract is None:
        return found
    try:
        run = walk(image, result.entry, result.contract, found.case, found.outcome, deadline)
        explanation = explain(image, result, found, run)
    except OutOfTime:
        return found
    return replace(found, trace=trace(run) if run is not None else (), explanation=explanation)


def explain(image: Image, result: RoutineResult, found: Counterexample, run: Walk | None) -> Explanation:
    """Why `found` breaks its first obligation; `run` None: it cannot be followed step by step."""
    assert result.contract is not None
    explanation = _with_exit(Explanation(rule(image, result.contract, found)), image, found)
    if _is_about_count(result.contract, found):
        explanation = _with_count(explanation, result.contract, found)
    if run is None:
        return explanation
    counts = {row.id: row.count for row in result.exits}
    formula, numbers = _formula(counts.get(found.exit, ""), explanation.value, run)
    parted, how = Places(run, found.obligations[0], found.exit, counts).first()
    return replace(explanation, formula=formula, numbers=numbers, parted=parted, how=how)


def _formula(count: str, value: int | None, run: Walk) -> tuple[str, str]:
    """The count of the exit in the routine's terms and in numbers, if they give `value`."""
    fault = run.last_fault
    registers: Mapping[str, int] = {} if fault is None else fault.before
    computed = evaluate(count, registers)
    # A count that is worked out in 32 bits wraps around there.
    if value is None or computed is None or value not in (computed, computed & (1 << 32) - 1):
        return "", ""
    return count, with_numbers(count, registers)


def _with_exit(explanation: Explanation, image: Image, found: Counterexample) -> Explanation:
    if not found.outcome.faults:
        return explanation
    insn = found.outcome.faults[-1].insn
    entry = image.entry_at(insn)
    return replace(
        explanation,
        access=image.where(insn),
        fixup=image.where(entry.fixup) if entry else "",
        label=(image.label_at(entry.fixup) or "") if entry else "",
    )


def _is_about_count(contract: Contract, found: Counterexample) -> bool:
    """Whether what is wrong is, or shows in, the count of bytes left."""
    if contract.left is None or found.outcome.ending is not Ending.RETURNED:
        return False
    if found.obligations[0] in _COUNTED:
        return True
    return found.obligations[0] == "O9" and not returns_wrong_trap(contract, found.case, found.outcome)


def _with_count(explanation: Explanation, contract: Contract, found: Counterexample) -> Explanation:
    assert contract.left is not None
    judged = Judged(contract, found.case, found.outcome, (), hex)
    value, missing = judged.left, found.case.len - judged.missing
    return replace(explanation, value=value, expected=missing if value != missing else None)
