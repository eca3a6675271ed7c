"""The lifter against the CPU: one form of instruction after the other, from random states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mcverify.arch.known import X86_64
from mcverify.arch.x86_64.decoder import decoder
from mcverify.arch.x86_64.forms import form_of
from mcverify.arch.x86_64.lift import Lifter
from mcverify.crew import Progress, crew
from mcverify.image.image import Image, Section
from mcverify.machine.instruction import Instruction, Leave, Refused
from mcverify.silicon.cpu import CODE, WINDOW, Result, Test, contents, execute
from mcverify.silicon.predict import OutOfReach, Predicted, Predictor
from mcverify.silicon.states import States

_RIP = CODE + 0x800
_BATCH = 1000
_TRIES = 20
"""States that are made for one that is of use, at most."""
MOST_ENCODINGS = 12
_PIECE = 20
"""So many forms are one piece of work."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A state from which the CPU does other things than the lifted instruction: what, and from where."""

    text: str
    code: str
    sentences: tuple[str, ...]
    before: Mapping[str, int]


@dataclass
class FormResult:
    """How one form fared. `cases` were run, `faults` of them ended in a fault; `encodings` differ in bytes.

    `why` says why nothing could be run, or why an encoding was left out.
    """

    form: str
    encodings: int = 0
    cases: int = 0
    faults: int = 0
    why: str = ""
    differences: list[Difference] = field(default_factory=list)

    @property
    def result(self) -> str:
        """`agrees`, `differs`, or why it was not compared."""
        if self.differences:
            return "differs"
        return "agrees" if self.cases else f"not compared: {self.why}"


def encodings(images: Iterable[Image]) -> dict[str, list[bytes]]:
    """The instructions in the code of `images` by form: each encoding once, in the order of their bytes.

    Code is decoded as it lies there; bytes that are no instruction are passed over.
    """
    found: dict[str, set[bytes]] = {}
    for image in images:
        for section in (s for s in image.sections if s.executable):
            for decoded in _instructions(section.data):
                found.setdefault(form_of(decoded), set()).add(bytes(decoded.bytes))
    return {form: sorted(codes) for form, codes in sorted(found.items())}


def _instructions(code: bytes) -> Iterator[Any]:
    """All of `code`, decoded: the decoder ends where it finds no instruction, this goes on a byte later."""
    at = 0
    while at < len(code):
        for decoded in decoder().disasm(code[at:], at):
            yield decoded
            at = decoded.address + decoded.size
        at += 1


def compare(
    forms: Mapping[str, Sequence[bytes]],
    cases: int,
    seed: int,
    progress: Progress,
    *,
    most: int = MOST_ENCODINGS,
    jobs: int = 1,
) -> list[FormResult]:
    """Each form from `cases` random states or a few more, spread over at most `most` of its encodings.

    `jobs` processes share the work. Equal arguments give equal states. Raises InputError where this machine
    cannot run them.
    """
    chosen = [
        _Work(f"{number} of {len(forms)}: {form}", form, _spread(codes, most))
        for number, (form, codes) in enumerate(forms.items(), 1)
    ]
    pieces = [chosen[i : i + _PIECE] for i in range(0, len(chosen), _PIECE)]
    with crew(jobs, len(pieces), progress) as hands:
        begun = [hands.submit(_several, piece, cases, seed) for piece in pieces]
        return [result for pending in begun for result in pending.result()]


class _Work(NamedTuple):
    """A form to be compared, by some of its encodings."""

    says: str
    form: str
    codes: Sequence[bytes]


def _several(forms: Sequence[_Work], cases: int, seed: int, progress: Progress) -> list[FormResult]:
    results = []
    for work in forms:
        progress(work.says)
        results.append(_form(work, cases, seed))
    return results


def _spread(codes: Sequence[bytes], most: int) -> list[bytes]:
    step = -(-len(codes) // most)
    return list(codes[::step])


def _form(work: _Work, cases: int, seed: int) -> FormResult:
    result = FormResult(work.form, len(work.codes))
    lifted = []
    for code in work.codes:
        try:
            lifted.append(_Encoding(code, seed))
        except Refused as refused:
            result.why = f"no proof uses it: {refused.reason}"
    for one in lifted:
        one.run(-(-cases // len(lifted)), result)
    return result


class _Encoding:
    """One instruction in bytes: lifted, decoded, executed."""

    def __init__(self, code: bytes, seed: int) -> None:
        section = Section(".text", _RIP, code, executable=True)
        # Linked: it stands where it is executed, so that a branch may go anywhere.
        image = Image(Path("instruction"), X86_64, (section,), (), (), {}, {}, "", built=True)
        self._code = code
        self._decoded = next(decoder().disasm(code, _RIP, 1))
        self._instruction: Instruction = Lifter(image).instruction(_RIP)
        self._states = States(self._decoded, f"{seed} {code.hex()}")
        self._contents = contents()

    def run(self, cases: int, result: FormResult) -> None:
        """Compare `cases` states, and count them in `result`."""
        if any(step.target is Leave.INDIRECT for step in self._instruction.steps):
            result.why = "no proof uses it: it goes to a computed address"
            return
        wanted, made = cases, self._cases(cases)
        while wanted > 0:
            batch = [case for case, _ in zip(made, range(min(wanted, _BATCH)), strict=False)]
            if not batch:
                result.why = result.why or "no state is within reach of the test"
                return
            wanted -= len(batch)
            outcomes = execute([test for test, _ in batch])
            for (test, predicted), outcome in zip(batch, outcomes, strict=True):
                if self._is_illegal(outcome):
                    result.why = "this CPU does not execute it in user mode"
                    return
                result.cases += 1
                result.faults += outcome.kind == "fault"
                self._judge(test, predicted, outcome, result)

    def _cases(self, count: int) -> Iterator[tuple[Test, Predicted]]:
        predictor = Predictor(self._instruction)
        rep = self._instruction.rep is not None
        for number in range(_TRIES * count):
            before = self._states.registers()
            at, data = self._states.poke(before)
            memory = bytearray(self._contents)
            memory[at - WINDOW : at - WINDOW + len(data)] = data
            try:
                predicted = predictor.predict(before, bytes(memory))
            except OutOfReach:
                continue
            if _is_canonical(predicted.rip):
                yield Test(self._code, _RIP, before, at, data, stepped=not rep or number % 2 == 0), predicted

    @staticmethod
    def _is_illegal(outcome: Result) -> bool:
        return outcome.signal == 4  # SIGILL

    def _judge(self, test: Test, predicted: Predicted, outcome: Result, result: FormResult) -> None:
        sentences = tuple(differences(predicted, outcome))
        if sentences:
            text = f"{self._decoded.mnemonic} {self._decoded.op_str}".strip()
            result.differences.append(Difference(text, self._code.hex(), sentences, test.before))


def differences(predicted: Predicted, outcome: Result) -> Iterator[str]:
    """What the CPU did otherwise, in words."""
    if predicted.kind != outcome.kind:
        yield f"lifted: {predicted.kind}; CPU: {outcome.kind} (signal {outcome.signal})"
        return
    if predicted.kind == "trap":
        return  # of the state at an exception that ends a proof nothing is said
    if predicted.rip != outcome.rip:
        yield f"goes on at {predicted.rip:#x}; CPU: {outcome.rip:#x}"
    for name in X86_64.widths:
        mask = ~predicted.free.get(name, 0)
        if (predicted.after[name] ^ outcome.after[name]) & mask:
            yield f"{name} = {predicted.after[name]:#x}; CPU: {outcome.after[name]:#x}"
    if predicted.changed != outcome.changed:
        yield f"stores {_bytes(predicted.changed)}; CPU: {_bytes(outcome.changed)}"
    if predicted.touched and not predicted.touched[0] <= outcome.address < predicted.touched[1]:
        low, high = predicted.touched
        yield f"faults in {low:#x} to {high - 1:#x}; CPU: at {outcome.address:#x}"


def _bytes(changed: Mapping[int, int]) -> str:
    shown = [f"{address:#x}: {value:02x}" for address, value in sorted(changed.items())[:8]]
    return ", ".join(shown) + (f" and {len(changed) - 8} more" if len(changed) > 8 else "") or "nothing"


def _is_canonical(address: int) -> bool:
    return address < 1 << 47 or address >= (1 << 64) - (1 << 47)
