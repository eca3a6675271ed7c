"""The steps of a counterexample, one line each: where, what, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mcverify.proof.result import Counterexample, RoutineResult, TraceStep
from mcverify.report.counterexample import fault_words
from mcverify.report.words import counted, number, span
from mcverify.runs.case import PAGE, RED_ZONE, Access

_NOT_SHOWN = ("rflags", "rip")
_TAIL = 8


@dataclass(frozen=True, slots=True)
class TraceLine:
    """A step in words; `place` is `:24` for line 24 of the routine's own file. `step` has the rest.
    `parts` tells that the mistake begins with this instruction."""

    place: str
    label: str
    text: str
    effects: tuple[str, ...]
    step: TraceStep
    parts: bool = False

    @property
    def instructions(self) -> int:
        """How many executed instructions it stands for."""
        return self.step.times

    @property
    def counts(self) -> bool:
        """Whether a reader must see it."""
        return self.parts or self.step.fault is not None


@dataclass(frozen=True, slots=True)
class Gap:
    """So many executed instructions that are not shown."""

    instructions: int


def trace_lines(found: Counterexample, result: RoutineResult) -> list[TraceLine | Gap]:
    """All steps of the counterexample, folded iterations as one; a gap where the trace has one itself."""
    bases = _bases(found, result)
    own = PurePath(result.file).name
    parts = _parting(found)
    return [
        _line(step, found, bases, own, parts=step is parts) if step.address else Gap(step.times)
        for step in found.trace
    ]


def last_steps(lines: Sequence[TraceLine | Gap], count: int = _TAIL) -> list[TraceLine | Gap]:
    """The last `count` steps, and those that faulted or with which the mistake begins; what is left out
    before and between is counted."""
    first = max(0, len(lines) - count)
    kept = [i for i, line in enumerate(lines) if i >= first or (isinstance(line, TraceLine) and line.counts)]
    return list(_with_gaps(lines, kept))


def _with_gaps(lines: Sequence[TraceLine | Gap], kept: Sequence[int]) -> Iterator[TraceLine | Gap]:
    before = -1
    for index in kept:
        left_out = lines[before + 1 : index]
        if left_out:
            yield Gap(sum(line.instructions for line in left_out))
        yield lines[index]
        before = index


def _parting(found: Counterexample) -> TraceStep | None:
    """The step with which the mistake begins: of those at the instruction that the explanation names, the
    one that faulted, else the first."""
    parted = found.explanation.parted if found.explanation else ""
    steps = [step for step in found.trace if step.where and parted == f"{step.where}: {step.text}"]
    return next((step for step in steps if step.fault is not None), next(iter(steps), None))


def _line(
    step: TraceStep, found: Counterexample, bases: dict[str, int], own: str, *, parts: bool
) -> TraceLine:
    effects = tuple(_effects(step, found, bases))
    return TraceLine(_place(step.where, own), step.label, step.text, effects, step, parts)


def _effects(step: TraceStep, found: Counterexample, bases: dict[str, int]) -> Iterator[str]:
    for access in step.accesses:
        yield _access(access)
    if step.fault is not None:
        yield f"FAULT {fault_words(step.fault)}"
    for register, value in step.registers.items():
        if register not in _NOT_SHOWN:
            yield f"{register} = {_value(value, bases, found.case.len)}"


def _access(access: Access) -> str:
    verb = "store" if access.is_store else "load"
    if not access.buffer:
        return f"{verb} {access.offset:#x}, {counted(access.size, 'byte')}"
    return f"{verb} {span(access.buffer, access.offset, access.offset + access.size)}"


def _bases(found: Counterexample, result: RoutineResult) -> dict[str, int]:
    """The addresses of the buffers and of the return address in this run, by name."""
    contract, initial = result.contract, found.outcome.initial
    if contract is None:
        return {}
    named = {"dst": contract.dst, "src": contract.src, "stack": "rsp"}
    return {name: initial[r] for name, r in named.items() if r is not None and initial.get(r)}


def _value(value: int, bases: dict[str, int], length: int) -> str:
    """A number, or a pointer as an offset from the buffer into which (or close to which) it points."""
    for name, base in bases.items():
        low, high = (-PAGE, PAGE) if name == "stack" else (-RED_ZONE, length + RED_ZONE)
        if low <= value - base <= high and value >= 1 << 16:
            return f"{name}{value - base:+d}"
    return number(value)


def _place(where: str, own: str) -> str:
    """`:24` in the routine's own file, `other.S:24` elsewhere, `.text+0x24` where there are no lines."""
    if ": " in where:
        return where.partition(": ")[2]
    name = PurePath(where).name
    return name.removeprefix(own) if name.startswith(own + ":") else name
