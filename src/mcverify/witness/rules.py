"""The obligations in one sentence each, with the numbers of a run: what was owed, and what came instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mcverify.contract import Contract
from mcverify.image.image import Image
from mcverify.proof.exits import place
from mcverify.proof.result import Counterexample
from mcverify.runs.case import Case, Ending, Fault, Outcome, Run
from mcverify.runs.judge import Judged
from mcverify.witness.formula import shown

_FLAG_DF = 1 << 10
_FLAG_AC = 1 << 18


def rule(image: Image, contract: Contract, found: Counterexample) -> str:
    """The first obligation that the counterexample breaks, in a sentence about its run."""
    run = Judged(contract, found.case, found.outcome, (), lambda address: place(image, address))
    return _RULES[found.obligations[0]](run)


def broken_state(contract: Contract, case: Case, outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What of the caller's machine state was not kept: a register's name, "rsp", "df", "ac" or "frame",
    each with a few words."""
    if outcome.ending is Ending.WILD:
        yield "rsp", "it does not return to its caller"
        return
    moved = _signed(outcome.registers["rsp"] - outcome.initial["rsp"] - 8)
    if moved:
        yield "rsp", f"rsp comes back {abs(moved)} too {'high' if moved > 0 else 'low'}"
    for register in contract.kept:
        value, initial = outcome.registers[register], outcome.initial[register]
        if value != initial:
            yield register, f"{register} was {initial:#x} and comes back as {value:#x}"
    if outcome.registers["rflags"] & _FLAG_DF:
        yield "df", "the direction flag comes back set"
    if outcome.ac or outcome.registers["rflags"] & _FLAG_AC:
        yield "ac", "AC comes back set, so user access stays open"
    if not outcome.frame_intact:
        yield "frame", "the caller's frame, or the return address in it, was overwritten"


def spans(runs: list[Run], buffer: str = "dst") -> str:
    """`dst[0..7], dst[9]`."""
    return ", ".join(f"{buffer}[{a}]" if b == a + 1 else f"{buffer}[{a}..{b - 1}]" for a, b in runs)


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 byte`, `2 bytes`."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def fault_words(fault: Fault) -> str:
    """`the load of src[16]`."""
    what = f"{fault.buffer}[{fault.offset}]" if fault.buffer else f"address {fault.offset:#x}"
    return f"the {'store to' if fault.is_store else 'load of'} {what}"


def _covered(run: Judged) -> str:
    if run.outcome.ending is Ending.TRAPPED:
        return (
            "no access may raise an exception that nothing recovers from: the one at"
            f" {run.name(run.outcome.rip)} must be aligned and is not, so the kernel dies of it"
        )
    fault = run.outcome.faults[-1]
    return (
        "each instruction that may fault needs an exception-table entry for exactly its address:"
        f" {fault_words(fault)} at {run.name(fault.insn)} has none, so the kernel dies of the fault"
    )


def _in_range(run: Judged) -> str:
    left = _left(run)
    if run.contract.told == "address":
        told = run.result("left")
        return (
            f"what is returned must be 0 or the address of a byte of {run.contract.buffers}: it is {told:#x}"
        )
    if run.contract.told == "done":
        return (
            f"the count of bytes done must not exceed len, {run.case.len}: {run.result('left')} is returned"
        )
    if left >> 63:
        return f"left must not exceed len, {run.case.len}: {shown(left)} is returned, unsigned {left:#x}"
    return f"left must not exceed len, {run.case.len}: {shown(left)} is returned"


def _no_over_claim(run: Judged) -> str:
    return f"every byte of the claim must have been stored: {_claim(run)}, and dst[{run.missing}] was not"


def _nothing_beyond(run: Judged) -> str:
    point = run.fault_point
    if run.contract.string_length is not None and run.last > run.nul + 1:
        return f"nothing behind the string's end, {run.nul}, may have been stored: dst[{run.last - 1}] was"
    if run.contract.left is not None and (point is None or run.last <= point):
        allowed = run.contract.over_report_after(run.last_trap)
        but = f", save {counted(allowed, 'byte')}" if allowed else ""
        last = f"dst[{run.last - 1}]"
        return f"nothing behind the claim may have been stored{but}: {_claim(run)}, and {last} was"
    return f"nothing may be stored at or past the byte that faulted, {point}: dst[{run.last - 1}] was"


def _progress(run: Judged) -> str:
    if run.contract.string_length is not None:
        end = f"which ends at {run.nul}"
        return f"the error may be returned only if a byte of the string cannot be copied, {end}"
    good = "src[0] can be read and dst[0] can be written" if run.contract.src else "dst[0] can be written"
    return (
        "left may be len after a fault only if not even the first byte could be copied:"
        f" {good}, and left is {run.case.len}"
    )


def _right_data(run: Judged) -> str:
    length, loaded = run.case.len, run.contract.loaded_value
    if loaded is not None:
        what = "must be 0 after a fault" if run.outcome.faults else "must be the bytes of src, zero-extended"
        return f"the value returned {what}: {loaded} is {run.register(loaded):#x}, not {run.right_value:#x}"
    wrong = [(max(a, 0), min(b, length)) for a, b in run.wrong if a < length and b > 0]
    if run.outcome.unzeroed is not None and not wrong:
        said = f"left is {shown(run.left)} of {length}, and dst[{run.outcome.unzeroed}] is not"
        return f"each byte that is reported left must be zero after a fault: {said}"
    if run.contract.data == "zero":
        return f"every byte that is stored must be zero: {spans(wrong)} {_are(wrong)} not"
    of = run.contract.value_name or "the source"
    if run.contract.unit is not None:
        which = f"{of}'s at its offset modulo {run.contract.unit}" if run.contract.unit > 1 else of
        return f"every byte that is stored must be {which}: {spans(wrong)} {_are(wrong)} not"
    what = f"every byte that is stored must be {of}'s of the same offset"
    return f"{what}: {spans(wrong)} {_are(wrong)} not"


def _machine_state(run: Judged) -> str:
    kept = "callee-saved registers, rsp and the return address must be as at the call, DF and AC clear"
    broken = [text for _, text in broken_state(run.contract, run.case, run.outcome)]
    return f"{kept}: {', '.join(broken)}" if broken else kept


def _footprint(run: Judged) -> str:
    length = run.case.len
    where = f"loads must stay inside {spans([(0, length)], 'src')}, stores inside {spans([(0, length)])}"
    if not length:
        where = "of a length of 0 nothing may be loaded or stored"
    stray = [(a, min(b, 0)) for a, b in run.stored if a < 0]
    stray += [(max(a, length), b) for a, b in run.stored if b > length]
    if stray:
        return f"{where}: {spans(stray)} {'was' if _is_one(stray) else 'were'} stored"
    outside = next((f for f in run.outcome.faults if not run.is_within(f)), None)
    return where if outside is None else f"{where}: {fault_words(outside)} is outside"


def _outcome(run: Judged) -> str:
    if run.outcome.ending is Ending.OVERFLOW:
        return "every call must return: in this one calls go on until the stack runs out"
    if run.outcome.ending is Ending.TIMEOUT:
        return "every call must return: this one goes round for ever"
    contract = run.contract
    expected = run.last_trap or 0
    if contract.trap is not None and run.result("trap") != expected:
        of = "of the fault must be returned" if expected else "returned without a fault must be 0"
        value = shown(run.result("trap"))
        return f"the trap number {of}: {contract.named('trap')} must be {expected} and is {value}"
    if contract.string_length is not None:
        must = "the length of the string must be returned, and all of it copied"
        end = f"ends at {run.nul}" if run.nul < run.case.len else f"does not end within {run.nul} bytes"
        return f"{must}: {shown(run.result('string_length'))} is returned, and it {end}"
    if contract.status is not None:
        failed = bool(run.outcome.faults)
        must = "not be 0" if failed != contract.status_inverted else "be 0"
        if contract.status_is_bool and not failed:
            must = "be 1, as a C bool is"
        if failed and contract.error is not None:
            must = f"be {contract.error}, in {contract.error_bits} bits,"
        when = "after a fault" if failed else "without a fault"
        return f"the status {when} must {must}: {contract.named('status')} is {shown(run.result('status'))}"
    if contract.left is not None and _left(run):
        return f"without a fault nothing is left: {shown(_left(run))} is returned"
    return f"without a fault every byte must have been copied: dst[{run.missing}] of {run.case.len} was not"


def _ordered(run: Judged) -> str:
    return "a store fence must follow every non-temporal store before the return: none follows the last one"


_RULES: Mapping[str, Callable[[Judged], str]] = {
    "O1": _covered,
    "O2": _in_range,
    "O3": _no_over_claim,
    "O4": _nothing_beyond,
    "O5": _progress,
    "O6": _right_data,
    "O7": _machine_state,
    "O8": _footprint,
    "O9": _outcome,
    "O10": _ordered,
}


def _left(run: Judged) -> int:
    return run.left


def _claim(run: Judged) -> str:
    left, length = _left(run), run.case.len
    claimed = spans([(0, length - left)]) if left < length else "nothing"
    return f"left {left} of {length} claims {claimed}"


def _are(runs: list[Run]) -> str:
    return "is" if _is_one(runs) else "are"


def _is_one(runs: list[Run]) -> bool:
    return len(runs) == 1 and runs[0][1] == runs[0][0] + 1


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
