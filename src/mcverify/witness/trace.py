"""A run as a reader follows it: one line an instruction, equal iterations of a loop folded into one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mcverify.arch.known import X86_64
from mcverify.proof.result import TraceStep
from mcverify.witness.source import Texts
from mcverify.witness.walk import Step, Walk

LONGEST = 400
"""At most so many lines; of a longer trace the middle is left out."""

_FLAGS = {"df": 10, "ac": 18}


def trace(run: Walk) -> tuple[TraceStep, ...]:
    """The lines of a run. Of a loop whose iterations went the same way all but the last stand in one, `times`
    tells how often they were run, values are those of the last of them."""
    texts = Texts(run.image, run.entry)
    folded = fold(run.head)
    lines = [_line(run, step, texts) for step in folded]
    if run.skipped:
        behind = fold(run.steps[run.gap :])
        lines += [_left_out(run.skipped), *(_line(run, step, texts) for step in behind)]
    return tuple(_shortened(lines))


@dataclass(frozen=True, slots=True)
class Folded:
    """A step that stands for `times` ones at the same place of as many iterations; `step` is the last."""

    step: Step
    times: int = 1


def fold(steps: Iterable[Step]) -> tuple[Folded, ...]:
    """The steps with iterations that follow each other and take the same way made one.

    An iteration is folded into the one before it when another begins: the last one, whole or cut short by a
    fault, keeps lines of its own.
    """
    lines: list[Folded] = []
    latest: dict[int, int] = {}
    for step in steps:
        start = latest.get(step.address)
        if start is not None:
            _fold_last(lines, start, latest)
        latest[step.address] = len(lines)
        lines.append(Folded(step))
    return tuple(lines)


def _fold_last(lines: list[Folded], start: int, latest: dict[int, int]) -> None:
    """Fold the iteration that begins at `start` and ends with `lines` into the one before, if they are
    alike."""
    size = len(lines) - start
    before, last = lines[max(0, start - size) : start], lines[start:]
    if [_way(line) for line in before] != [_way(line) for line in last]:
        return
    if any(len({line.times for line in part}) != 1 for part in (before, last)):
        return
    times = before[0].times + last[0].times
    lines[start - size :] = [replace(line, times=times) for line in last]
    for position, line in enumerate(lines[start - size :], start - size):
        latest[line.step.address] = position


def _way(line: Folded) -> tuple[int, bool]:
    return line.step.address, line.step.fault is not None


def _line(run: Walk, folded: Folded, texts: Texts) -> TraceStep:
    step = folded.step
    return TraceStep(
        address=step.address,
        where=run.image.where(step.address),
        label=run.image.label_at(step.address) or "",
        text=texts.of(step.address),
        registers=dict(_changes(step)),
        accesses=step.accesses if run.is_consistent else (),
        fault=step.fault,
        stored=step.right if run.is_consistent else 0,
        times=folded.times,
    )


def _changes(step: Step) -> Iterator[tuple[str, int]]:
    """The general registers, and the direction and alignment-check flags, that the step changed."""
    if not step.after:
        return
    for name in X86_64.general:
        if step.changed(name):
            yield name, step.after[name]
    for name, bit in _FLAGS.items():
        before, after = (registers["rflags"] >> bit & 1 for registers in (step.before, step.after))
        if before != after:
            yield name, after


def _left_out(count: int) -> TraceStep:
    """A line without an address that stands for `count` instructions."""
    return TraceStep(0, "", "", f"{count} more instructions", {}, times=count)


def _shortened(lines: Sequence[TraceStep]) -> list[TraceStep]:
    if len(lines) <= LONGEST:
        return list(lines)
    half = LONGEST // 2
    count = sum(line.times for line in lines[half:-half])
    return [*lines[:half], _left_out(count), *lines[-half:]]
