"""A counterexample as a few labelled lines: what was called, what came back, what should have, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

from mcverify.contract import Contract
from mcverify.proof.result import (
    Counterexample,
    Explanation,
    ListingLine,
    Prediction,
    Relevance,
    Repair,
    RoutineResult,
)
from mcverify.report.bytemap import LINE, phase, stored_prefix, stored_runs, wrong_runs
from mcverify.report.obligations import OBLIGATIONS
from mcverify.report.words import counted, number, short, spans, trap_name, trap_names
from mcverify.runs.case import Case, Ending, Fault, Outcome, Placement

Lines = list[tuple[str, str]]
"""Pairs of a label of at most eight characters and a text, which may have several lines."""

_ENDINGS = {
    Ending.OOPS: "did not return: a fault on an instruction without a table entry (an oops)",
    Ending.WILD: "did not return to its caller: it left by another address",
    Ending.TRAPPED: "did not return: an access that is not aligned, without a table entry (an oops)",
    Ending.ILLEGAL: "did not return: an illegal instruction or a divide error",
    Ending.TIMEOUT: "did not return within the limit of steps",
    Ending.OVERFLOW: "did not return: the stack ran out",
    Ending.ESCAPED: "did not return: it jumped to an external symbol",
    Ending.DIED: "did not return: the process that ran it was killed",
}


def smallest_first(counterexamples: Sequence[Counterexample]) -> list[Counterexample]:
    """The shortest copy first; among equals by the offset of the fault, then by the alignment of src and of
    dst: as they were shrunk."""

    def size(found: Counterexample) -> tuple[int, ...]:
        case = found.case
        faults = (p.first_bad for p in (case.src, case.dst))
        aligned = (alignment(p, case.len) for p in (case.src, case.dst))
        return case.len, *(-1 if at is None else at for at in faults), *aligned

    return sorted(counterexamples, key=size)


def alignment(placement: Placement, length: int) -> int:
    """Address of a buffer of `length` bytes, placed like this, modulo a cache line (64 bytes)."""
    return phase(placement, length) % LINE


def describe(found: Counterexample, result: RoutineResult) -> Lines:
    """What happened: the call, the faults taken, what came back, what was stored, what should have been."""
    contract = result.contract
    lines = [("called", _call(found.case, contract)), ("fault", _faults(found, result))]
    if found.case.flicker:
        lines.append(("transient", flicker_words(found.case.flicker)))
    lines += [("returned", _returned(found, contract)), ("stored", _stored(found.case, found.outcome))]
    return lines + _expected(found, contract)


def claim(found: Counterexample) -> Lines:
    """The obligation in one sentence, and how the run breaks it."""
    known = [OBLIGATIONS[o] for o in found.obligations if o in OBLIGATIONS]
    rules = [known[0].holds] if len(known) == 1 else [obligation.sentence for obligation in known]
    if found.explanation is not None and found.explanation.rule:
        rules = [found.explanation.rule]
    return [*(("rule", text) for text in rules), *([("broken", found.sentence)] if found.sentence else [])]


def explain(found: Counterexample) -> Lines:
    """Why it happened and what repairs it, as far as that was found out."""
    why = found.explanation
    if why is None:
        return []
    lines = [("why", _why(why))] if why.formula else []
    if why.parted:
        lines.append(("mistake", "\n".join(filter(None, (f"begins at {_short_line(why.parted)}", why.how)))))
    if why.repair is not None:
        change = "\n".join(_changed(why.repair))
        said = why.repair.sentence or "with this change the routine is proved"
        lines.append(("repair", f"{short(why.repair.where)}\n{change}\n{said}"))
    return lines


def _changed(repair: Repair) -> Iterator[str]:
    """The lines of a repair, those that go and those that come."""
    yield from (f"- {line}" for line in repair.before.splitlines())
    yield from (f"+ {line}" for line in repair.after.splitlines())


def reach(found: Counterexample) -> Lines:
    """For which other inputs it happens, how many more runs failed alike, and who confirms it."""
    lines = []
    if found.relevance:
        values = "; ".join(f"{r.input}: {for_which(r)}" for r in found.relevance)
        runs = sum(r.runs for r in found.relevance)
        lines.append(("also for", f"{values} ({counted(runs, 'run')} made to find out)"))
    if found.others:
        more = "1 more case fails" if found.others == 1 else f"{found.others} more cases fail"
        lines.append(("others", f"{more} for the same reason"))
    if found.prediction is not None:
        same = (
            f"{counted(found.prediction.registers, 'register')} and {counted(found.prediction.bytes, 'byte')}"
        )
        lines.append(("checked", f"confirmed on {found.outcome.on}; {_second(found.prediction, same)}"))
    return lines


def _second(prediction: Prediction, same: str) -> str:
    if prediction.by == "model":
        return f"the proof's model predicts the same {same}"
    return f"the emulator has the same {same} (the proof's model cannot follow: {prediction.why})"


def for_which(relevance: Relevance) -> str:
    """For which other values of one input the run breaks the same."""
    return trap_names(relevance.values) if relevance.input == "trap" else relevance.values


def line_at(result: RoutineResult, address: int | None) -> ListingLine | None:
    """The instruction of the routine at `address`, None where the listing has none."""
    return next((line for line in result.listing if line.address == address), None)


def fault_words(fault: Fault) -> str:
    """`load of src+16`."""
    place = f"{fault.buffer}{fault.offset:+d}" if fault.buffer else f"{fault.offset:#x}"
    return f"{'store to' if fault.is_store else 'load of'} {place}"


def flicker_words(flicker: str) -> str:
    """How a page comes and goes (`Case.flicker`), in words."""
    first, _, cycle = flicker.removesuffix(")").partition("(")
    named = {"0": "goes through", "1": "faults"}
    words = [f"{ordinal} {named[bit]}" for ordinal, bit in zip(_ordinals(), first, strict=False)]
    if len(set(cycle)) == 1:
        words.append(f"{'each that follows' if first else 'each'} {named[cycle[0]]}")
    else:
        words.append(f"{'then' if first else 'they'} by turns: {', '.join(named[bit] for bit in cycle)}")
    return f"of the accesses to the page that comes and goes {', '.join(words)}"


def _ordinals() -> Iterator[str]:
    yield from ("the 1st", "the 2nd", "the 3rd")
    yield from (f"the {n}th" for n in count(4))


def _call(case: Case, contract: Contract | None) -> str:
    places = []
    if contract is None or contract.dst is not None:
        places.append(f"dst at {alignment(case.dst, case.len)} mod {LINE}")
    if contract is None or contract.src is not None:
        places.append(f"src at {alignment(case.src, case.len)} mod {LINE}")
    return ", ".join([f"len {number(case.len)}", *places])


def _faults(found: Counterexample, result: RoutineResult) -> str:
    faults = found.outcome.faults
    if not faults:
        return "none"
    traps = [found.case.trap_after(faults[: n + 1]) for n in range(2)]
    shown = [
        f"{fault_words(f)} ({trap_name(trap)}){_place(f, result)}"
        for f, trap in zip(faults, traps, strict=False)
    ]
    more = len(faults) - len(shown)
    return ", then ".join(shown) + (f", and {more} more" if more else "")


def _place(fault: Fault, result: RoutineResult) -> str:
    """Where the fault was taken and where the kernel continues, as far as the listing knows."""
    at = line_at(result, fault.insn)
    if at is None:
        return ""
    fixup = line_at(result, at.fixup) if at.fixup is not None else None
    goes_on = f", continues at {fixup.label} ({short(fixup.where)})" if fixup and fixup.label else ""
    return f" at {short(at.where)}" + goes_on


def _returned(found: Counterexample, contract: Contract | None) -> str:
    outcome = found.outcome
    if outcome.ending is not Ending.RETURNED:
        return _ENDINGS.get(outcome.ending, f"did not return: {outcome.ending.value}")
    if contract is None:
        return f"rax {number(outcome.registers['rax'])}"
    roles = [role for role in ("left", "status", "string_length", "trap") if contract.named(role) is not None]
    words = {
        "string_length": "length",
        "left": {"left": "left", "done": "done", "address": "address"}[contract.told],
    }
    named = [
        (words.get(role, role), contract.result(role, outcome.registers), contract.named(role))
        for role in roles
    ]
    if contract.loaded_value is not None:
        named.append(("value", outcome.registers[contract.loaded_value], contract.loaded_value))
    return ", ".join(f"{name} {number(value)} ({register})" for name, value, register in named)


def _stored(case: Case, outcome: Outcome) -> str:
    text = spans("dst", stored_runs(outcome)) or "nothing"
    clipped = ((max(first, 0), min(end, case.len)) for first, end in wrong_runs(outcome))
    if wrong := [(first, end) for first, end in clipped if first < end]:
        text += "; wrong data in " + spans("dst", wrong)
    return text


def _expected(found: Counterexample, contract: Contract | None) -> Lines:
    if contract is None or contract.left is None or found.outcome.ending is not Ending.RETURNED:
        return []
    length, outcome = found.case.len, found.outcome
    left = contract.left_of(outcome.registers, outcome.initial, length)
    prefix = stored_prefix(found.outcome, length)
    if left == length - prefix:
        return []
    stored = f"the first {_bytes(prefix)} stored" if prefix else "nothing is stored"
    said = f"; left {number(left)} claims {_claimed(length - left)}" if left <= length else ""
    return [("expected", f"left {number(length - prefix)}: {stored}{said}")]


def _why(why: Explanation) -> str:
    """The count, in the routine's terms and in this run's numbers, beside what is right; then where."""
    value = number(why.value) if why.value is not None else ""
    count = " = ".join(dict.fromkeys(part for part in (why.formula, why.numbers, value) if part))
    right = f"; right is {number(why.expected)}" if why.expected is not None else ""
    at = f"{why.label} ({short(why.fixup)})" if why.label and why.fixup else short(why.fixup) or why.label
    return count + right + (f"\ncomputed at {at}" if at else "")


def _short_line(parted: str) -> str:
    """`file:line: text` with the file's name alone; `.text+0x40: text` where there are no lines."""
    where, colon, text = parted.partition(": ")
    return text if re.match(r"\S+\+0x[0-9a-f]+: ", text) else short(where) + colon + text


def _claimed(count: int) -> str:
    return f"the first {counted(count, 'byte')}" if count else "nothing"


def _bytes(count: int) -> str:
    return "byte is" if count == 1 else f"{number(count)} bytes are"
