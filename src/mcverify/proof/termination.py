"""Termination: every cycle of locations has a measure that falls.

A measure is an unsigned 64-bit term over a location's symbols. Within a strongly connected part of the
graph of locations one is sought that no segment raises and some segment lowers; the segments that lower it
are taken away, and what is left is treated in the same way (a lexicographic order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import networkx
import z3

from mcverify.arch.known import X86_64
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Answer
from mcverify.logic.standpoint import Standpoint
from mcverify.machine.terms import symbols_of
from mcverify.paths.segment import Location, Paths, Segment

StandpointAt = Callable[[Location], Standpoint]


@dataclass(frozen=True)
class Falling:
    """A measure of a strongly connected part: the segments that lower it, and those that do not raise it."""

    measure: z3.BitVecRef
    falls: tuple[Segment, ...]
    stays: tuple[Segment, ...]


@dataclass(frozen=True)
class Termination:
    """The measures that were found, in their order, and the locations on cycles for which none was; every run
    ends if there are none of these."""

    falling: tuple[Falling, ...]
    endless: tuple[Location, ...]


def termination(paths: Paths, assumptions: Assumptions, standpoint: StandpointAt) -> Termination:
    """Look for measures of all cycles."""
    falling: list[Falling] = []
    endless: list[Location] = []
    waiting = [[s for s in paths.segments if isinstance(s.target, Location)]]
    while waiting:
        for part in _cycles(waiting.pop(0)):
            found = _falling(paths, part, assumptions, standpoint)
            if found is None:
                endless += [segment.source for segment in part]
            else:
                falling.append(found)
                waiting.append(list(found.stays))
    return Termination(tuple(falling), tuple(dict.fromkeys(endless)))


def _cycles(edges: Sequence[Segment]) -> Iterator[list[Segment]]:
    """The segments of each strongly connected part."""
    graph = networkx.DiGraph((segment.source, segment.target) for segment in edges)
    for component in networkx.strongly_connected_components(graph):
        part = [s for s in edges if s.source in component and s.target in component]
        if part:
            yield part


def _falling(
    paths: Paths, part: Sequence[Segment], assumptions: Assumptions, standpoint: StandpointAt
) -> Falling | None:
    """The first useful measure of `part`, None if there is none."""
    for measure in _measures(paths, part, assumptions):
        lowered = {id(s) for s in part if _compares(standpoint(s.source), s, measure, z3.ULT)}
        if lowered and all(
            id(s) in lowered or _compares(standpoint(s.source), s, measure, z3.ULE) for s in part
        ):
            falls = tuple(s for s in part if id(s) in lowered)
            return Falling(measure, falls, tuple(s for s in part if id(s) not in lowered))
    return None


def _compares(
    standpoint: Standpoint, segment: Segment, measure: z3.BitVecRef, relation: Callable[..., z3.BoolRef]
) -> bool:
    after, before = standpoint.at_end(segment, measure), standpoint.here(measure)
    return standpoint.ask_at_end(segment, relation(after, before)).answer is Answer.PROVED


def _measures(paths: Paths, part: Sequence[Segment], assumptions: Assumptions) -> Iterator[z3.BitVecRef]:
    """Counters, what is left of a buffer behind a pointer, and counters that count up to zero."""
    changing = [n for n in X86_64.general if n != X86_64.stack_pointer and any(_changes(s, n) for s in part)]
    changing = [n for n in changing if all(n in paths.live.get(s.source.address, ()) for s in part)]
    registers = [z3.BitVec(name, 64) for name in changing]
    yield from registers
    yield from (z3.ZeroExt(32, z3.Extract(31, 0, register)) for register in registers)
    for _, base in assumptions.buffers:
        yield from (assumptions.length - (register - base) for register in registers)
    yield from (-register for register in registers)
    yield from (~register for register in registers)


def _changes(segment: Segment, name: str) -> bool:
    final = segment.final.registers[name]
    return symbols_of(final) != {name} or not final.eq(z3.BitVec(name, 64))
