"""What a routine means for system calls, in lines for a terminal and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from mcverify.proof.result import CallerResult, ClaimResult, ResumeResult, RoutineResult, Verdict

_MARKS = {Verdict.PROVED: "ok", Verdict.REFUTED: "FAIL", Verdict.UNKNOWN: "?"}


def caller_lines(result: RoutineResult) -> Iterator[tuple[str, str]]:
    """A head and a text for each line about callers: a claim with its mark, then what is wrong with it. Loops
    of one call of which the same is said stand together."""
    for callers in _alike(result.callers):
        first = callers[0]
        if first.apart:
            yield first.caller, f"{first.call} does not call it: {first.apart}"
            continue
        heads = [first.caller, f"in {', '.join(caller.kernels for caller in callers)}"]
        for number, claim in enumerate(first.claims):
            yield heads[number] if number < len(heads) else "", _claim(claim)


def _alike(callers: Sequence[CallerResult]) -> list[list[CallerResult]]:
    groups: dict[tuple[str, tuple[str, ...]], list[CallerResult]] = {}
    for caller in callers:
        groups.setdefault((caller.caller, tuple(map(_claim, caller.claims))), []).append(caller)
    return list(groups.values())


def assumed_of(result: RoutineResult) -> tuple[str, ...]:
    """What the models of the callers take for granted, each once."""
    return tuple(
        dict.fromkeys(
            f"{caller.call}: {assumption}" for caller in result.callers for assumption in caller.assumed
        )
    )


def _claim(claim: ClaimResult) -> str:
    said = f"{claim.id} {claim.name} {_MARKS[claim.verdict]}"
    if claim.verdict is Verdict.PROVED:
        return f"{said}, by {_together(claim.rests_on)}"
    lacks = f", without {_together(claim.lacking)}" if claim.lacking else ""
    return f"{said}{lacks}: {claim.sentence}"


def _together(names: Sequence[str]) -> str:
    """`O1-O4 O6 slack` for the names in their order."""
    parts: list[list[str]] = []
    for name in names:
        if (
            parts
            and name[1:].isdigit()
            and parts[-1][-1][1:].isdigit()
            and int(name[1:]) == int(parts[-1][-1][1:]) + 1
        ):
            parts[-1].append(name)
        else:
            parts.append([name])
    return " ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else " ".join(part) for part in parts)


def resume_words(resume: ResumeResult) -> str:
    """Whether a routine can be resumed, in a line."""
    said = f"{_MARKS[resume.verdict]}: "
    if resume.verdict is Verdict.PROVED:
        said += (
            f"after a fault at any of {resume.accesses} accesses, repaired, it ends as if there had been none"
        )
    else:
        said += resume.sentence
    return f"{said}; {resume.cases} runs resumed after {resume.faults} faults"


def caller_document(caller: CallerResult) -> dict[str, Any]:
    """One loop of a caller, for JSON."""
    return {
        "caller": caller.caller,
        "call": caller.call,
        "kernels": caller.kernels,
        "source": caller.source,
        "verdict": str(caller.verdict),
        "apart": caller.apart,
        "claims": [_claim_document(claim) for claim in caller.claims],
        "invariants": list(caller.invariants),
        "assumed": list(caller.assumed),
    }


def _claim_document(claim: ClaimResult) -> dict[str, Any]:
    return {
        "id": claim.id,
        "name": claim.name,
        "verdict": str(claim.verdict),
        "rests_on": list(claim.rests_on),
        "lacking": list(claim.lacking),
        "sentence": claim.sentence,
        "example": dict(claim.example),
        "shown": None if claim.shown is None else asdict(claim.shown),
    }


def open_claims(result: RoutineResult) -> list[str]:
    """The claims that were refuted or are open, in short: `write 6.12: W4`."""
    resume = result.resume
    not_resumed = (
        [] if resume is None or resume.verdict is Verdict.PROVED else [f"resumable: {resume.verdict}"]
    )
    return not_resumed + [
        f"{caller.caller} {caller.kernels}: {' '.join(bad)}"
        for caller in result.callers
        if (bad := [c.id for c in caller.claims if c.verdict is not Verdict.PROVED])
    ]
