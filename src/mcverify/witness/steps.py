"""A run step by step, equal iterations folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mcverify.proof.result import TraceStep
from mcverify.runs.case import Fault, Outcome
from mcverify.runs.cpu import Step
from mcverify.witness.subject import Subject

SHORT = 40
"""Traces of at most so many steps are not folded."""

_LONGEST_ITERATION = 256


def trace_steps(subject: Subject, steps: Sequence[Step], outcome: Outcome) -> tuple[TraceStep, ...]:
    """What a runner traced of a run that ended in `outcome`: what each step changed, which ones faulted.

    In a long trace all but the last of successive equal iterations become one, `times` says how many.
    """
    found = list(_steps(subject, steps, outcome))
    return tuple(found if len(found) <= SHORT else _folded(found))


def _steps(subject: Subject, steps: Sequence[Step], outcome: Outcome) -> Iterator[TraceStep]:
    lines = {line.address: line for line in subject.listing}
    waiting = list(outcome.faults)
    for number, (address, before) in enumerate(steps):
        is_last = number + 1 == len(steps)
        after = outcome.registers if is_last else steps[number + 1][1]
        following = None if is_last else steps[number + 1][0]
        fault = waiting.pop(0) if waiting and _faulted(subject, address, following, waiting[0]) else None
        line = lines.get(address)
        yield TraceStep(
            address=address,
            where=subject.image.where(address),
            label=line.label if line else "",
            text=line.text if line else "",
            registers={name: value for name, value in after.items() if before[name] != value},
            fault=fault,
        )


def _faulted(subject: Subject, address: int, following: int | None, fault: Fault) -> bool:
    """Whether the step at `address`, which `following` came after, is the one that took `fault`."""
    entry = subject.image.entry_at(address)
    return address == fault.insn and (following is None or (entry is not None and following == entry.fixup))


def _folded(steps: Sequence[TraceStep]) -> Iterator[TraceStep]:
    at = 0
    while at < len(steps):
        period, times = _iterations(steps, at)
        if times > 2:
            last = at + (times - 1) * period
            yield from (replace(step, times=times - 1) for step in steps[last - period : last])
            at = last
        yield from steps[at : at + period]
        at += period


def _iterations(steps: Sequence[TraceStep], at: int) -> tuple[int, int]:
    """Length of the iteration that begins at `at`, and how often it follows on itself; else (1, 1)."""
    for period in range(1, _LONGEST_ITERATION):
        times = 1
        while _same(steps, at, at + times * period, period):
            times += 1
        if times > 2:
            return period, times
    return 1, 1


def _same(steps: Sequence[TraceStep], one: int, other: int, count: int) -> bool:
    if other + count > len(steps) or steps[one].address != steps[other].address:
        return False
    return all(
        a.address == b.address and (a.fault is None) == (b.fault is None)
        for a, b in zip(steps[one : one + count], steps[other : other + count], strict=True)
    )
