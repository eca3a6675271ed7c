"""A counterexample as a few labelled lines: what was called, what came back, what should have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from mcverify.contract import Contract
from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.runs.case import PAGE, Case, Ending, Outcome, Place, Placement

LINE = 64
"""Alignments are shown modulo a cache line, in bytes."""

_ENDINGS = {
    Ending.OOPS: "did not return: a fault on an instruction without a table entry (an oops)",
    Ending.WILD: "did not return to its caller: it left by another address",
    Ending.ILLEGAL: "did not return: an illegal instruction or a divide error",
    Ending.TIMEOUT: "did not return within the limit of steps",
    Ending.ESCAPED: "did not return: it jumped to an external symbol",
    Ending.DIED: "did not return: the process that ran it was killed",
}


def smallest_first(counterexamples: Sequence[Counterexample]) -> list[Counterexample]:
    """The shortest copy first; among equals the one with the fewest odd alignments."""

    def size(found: Counterexample) -> tuple[int, int, int]:
        case = found.case
        return case.len, alignment(case.dst, case.len), alignment(case.src, case.len)

    return sorted(counterexamples, key=size)


def alignment(placement: Placement, length: int) -> int:
    """Address of a buffer of `length` bytes, placed like this, modulo a cache line (64 bytes)."""
    match placement.place:
        case Place.FREE | Place.INSIDE:
            return placement.at % LINE
        case Place.HOLE:
            return (PAGE - placement.at) % LINE
        case Place.END:
            return -length % LINE
        case Place.FRONT:
            return 0


def describe(found: Counterexample, result: RoutineResult) -> list[tuple[str, str]]:
    """The counterexample as (label, text) lines, most important facts only."""
    contract = result.contract
    lines = [("called", _call(found.case)), ("fault", _fault(found.case, found.outcome))]
    lines += [("returned", _returned(found, contract)), ("stored", _stored(found.case, found.outcome))]
    lines += _expected(found, contract)
    if found.sentence:
        lines.append(("so", found.sentence))
    return lines


def _call(case: Case) -> str:
    src, dst = alignment(case.src, case.len), alignment(case.dst, case.len)
    return f"len {_number(case.len)}, dst at {dst} mod {LINE}, src at {src} mod {LINE}"


def _fault(case: Case, outcome: Outcome) -> str:
    if not outcome.faults:
        return "none"
    shown = []
    for fault in outcome.faults[:2]:
        place = f"{fault.buffer}{fault.offset:+d}" if fault.buffer else f"{fault.offset:#x}"
        trap = 14 if fault.is_store else case.trap
        shown.append(f"{'store to' if fault.is_store else 'load of'} {place} (trap {trap})")
    more = len(outcome.faults) - len(shown)
    return ", then ".join(shown) + (f", and {more} more" if more else "")


def _returned(found: Counterexample, contract: Contract | None) -> str:
    outcome = found.outcome
    if outcome.ending is not Ending.RETURNED:
        return _ENDINGS[outcome.ending]
    if contract is None:
        return f"rax {_number(outcome.registers['rax'])}"
    named = [("left", contract.left), ("status", contract.status), ("trap", contract.trap)]
    return ", ".join(f"{name} {_number(outcome.registers[r])} ({r})" for name, r in named if r is not None)


def _stored(case: Case, outcome: Outcome) -> str:
    ranges = list(_ranges(outcome.written, outcome.base))
    text = _spans(ranges) if ranges else "nothing"
    inside = range(max(0, -outcome.base), max(0, case.len - outcome.base))
    wrong = bytes(w and not c for w, c in zip(outcome.written, outcome.correct, strict=True))
    if any(wrong[i] for i in inside if i < len(wrong)):
        text += "; wrong data in " + _spans(list(_ranges(wrong, outcome.base)))
    return text


def _expected(found: Counterexample, contract: Contract | None) -> list[tuple[str, str]]:
    if contract is None or contract.left is None or found.outcome.ending is not Ending.RETURNED:
        return []
    length, left = found.case.len, found.outcome.registers[contract.left]
    prefix = stored_prefix(found.outcome, length)
    if left == length - prefix:
        return []
    claim = f"; left {left} claims the first {length - left} bytes" if left <= length else ""
    return [("expected", f"left {_number(length - prefix)}: the first {_bytes(prefix)} stored{claim}")]


def stored_prefix(outcome: Outcome, length: int) -> int:
    """How many of the first `length` bytes of dst were stored without a gap."""
    start = -outcome.base
    stored = outcome.written[start : start + length]
    return next((i for i, byte in enumerate(stored) if not byte), len(stored))


def _ranges(flags: bytes, base: int) -> Iterator[tuple[int, int]]:
    """First and last offset of each run of non-zero bytes."""
    for is_set, group in groupby(enumerate(flags, base), key=lambda item: bool(item[1])):
        if is_set:
            offsets = [offset for offset, _ in group]
            yield offsets[0], offsets[-1]


def _spans(ranges: Sequence[tuple[int, int]], limit: int = 3) -> str:
    shown = [f"dst[{a}]" if a == b else f"dst[{a}..{b}]" for a, b in ranges[:limit]]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more ranges" if more > 0 else "")


def _bytes(count: int) -> str:
    return "byte is" if count == 1 else f"{_number(count)} bytes are"


def _number(value: int) -> str:
    return str(value) if value < 1 << 20 else f"{value:#x}"
