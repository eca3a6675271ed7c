"""The steps of a counterexample, one line each: where, what, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from mcverify.proof.result import Counterexample, RoutineResult, TraceStep
from mcverify.report.counterexample import fault_words
from mcverify.report.words import counted, number, span
from mcverify.runs.case import RED_ZONE, Access

_NOT_SHOWN = ("rflags", "rip")
_TAIL = 8


@dataclass(frozen=True, slots=True)
class TraceLine:
    """A step in words; `place` is `:24` for line 24 of the routine's own file. `step` has the rest."""

    place: str
    label: str
    text: str
    effects: tuple[str, ...]
    step: TraceStep


@dataclass(frozen=True, slots=True)
class Gap:
    """So many executed instructions that are not shown."""

    instructions: int


def trace_lines(found: Counterexample, result: RoutineResult) -> list[TraceLine]:
    """All steps of the counterexample, folded iterations as one."""
    bases = _bases(found, result)
    own = PurePath(result.file).name
    return [_line(step, found, bases, own) for step in found.trace]


def last_steps(lines: Sequence[TraceLine], count: int = _TAIL) -> list[TraceLine | Gap]:
    """The last `count` steps and those that faulted; what is left out before and between is counted."""
    first = max(0, len(lines) - count)
    kept = [i for i, line in enumerate(lines) if i >= first or line.step.fault is not None]
    return list(_with_gaps(lines, kept))


def _with_gaps(lines: Sequence[TraceLine], kept: Sequence[int]) -> Iterator[TraceLine | Gap]:
    before = -1
    for index in kept:
        left_out = lines[before + 1 : index]
        if left_out:
            yield Gap(sum(line.step.times for line in left_out))
        yield lines[index]
        before = index


def _line(step: TraceStep, found: Counterexample, bases: dict[str, int], own: str) -> TraceLine:
    return TraceLine(
        _place(step.where, own), step.label, step.text, tuple(_effects(step, found, bases)), step
    )


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
    """The addresses of the buffers in this run, by name."""
    contract, initial = result.contract, found.outcome.initial
    if contract is None:
        return {}
    named = {"dst": contract.dst, "src": contract.src}
    return {name: initial[r] for name, r in named.items() if r is not None and initial.get(r)}


def _value(value: int, bases: dict[str, int], length: int) -> str:
    """A number, or a pointer as an offset from the buffer into which (or close to which) it points."""
    for name, base in bases.items():
        if -RED_ZONE <= value - base <= length + RED_ZONE and value >= 1 << 16:
            return f"{name}{value - base:+d}"
    return number(value)


def _place(where: str, own: str) -> str:
    """`:24` in the routine's own file, `other.S:24` elsewhere."""
    name = PurePath(where).name
    return name.removeprefix(own) if name.startswith(own + ":") else name
