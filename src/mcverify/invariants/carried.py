"""What reaches a location whichever way a run came: values of registers, and conditions on the inputs.

A register's value is a constant, or a term over the values at entry, that every segment into the location
leaves there (constant propagation over the graph of locations); a condition is one on values at entry alone
that every way has passed. Runs are not needed, so what no run shows is included: vector registers, flags, and
modes of a loop head that look alike from outside. What comes out are guesses like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import z3

from mcverify.arch.known import X86_64
from mcverify.machine.terms import replace, symbols_of
from mcverify.paths.segment import Location, Paths, Segment

_UNCUT = frozenset((X86_64.stack_pointer, *X86_64.control))
"""Registers that a location fixes by itself, or that no invariant speaks of."""


@dataclass(frozen=True)
class Carried:
    """What all ways to a location agree on: `values` of registers by name, and `conditions`, both over the
    entry's symbols (``...@0``)."""

    values: Mapping[str, z3.BitVecRef] = field(default_factory=dict)
    conditions: tuple[z3.BoolRef, ...] = ()


def carried(paths: Paths) -> dict[Location, Carried]:
    """What is carried to each location that a run may reach."""
    arrivals: dict[Location, list[Segment]] = {}
    for segment in paths.segments:
        if isinstance(segment.target, Location):
            arrivals.setdefault(segment.source, []).append(segment)
    known = {paths.entry: Carried()}
    waiting = [paths.entry]
    while waiting:
        source = waiting.pop()
        for segment in arrivals.get(source, ()):
            target = segment.target
            assert isinstance(target, Location)
            brought = _brought(paths, segment, known[source])
            before = known.get(target)
            merged = brought if before is None else _both(before, brought)
            if before is None or _size(merged) < _size(before):
                known[target] = merged
                waiting.append(target)
    return known


def _brought(paths: Paths, segment: Segment, here: Carried) -> Carried:
    """What `segment` brings to its target: the registers that still matter there, and its conditions."""
    assert isinstance(segment.target, Location)
    names = (paths.live.get(segment.target.address, frozenset(X86_64.widths)) & X86_64.widths.keys()) - _UNCUT
    values = {name: replace(segment.final.registers[name], here.values) for name in sorted(names)}
    conditions = (replace(condition, here.values) for condition in segment.conditions)
    passed = {c.get_id(): c for c in (*here.conditions, *conditions) if _is_of_entry(c)}
    return Carried(
        {name: z3.simplify(value) for name, value in values.items() if _is_of_entry(value)},
        tuple(passed.values()),
    )


def _is_of_entry(term: z3.ExprRef) -> bool:
    return all(symbol.endswith("@0") for symbol in symbols_of(term))


def _both(one: Carried, other: Carried) -> Carried:
    """What two ways agree on."""
    values = {
        name: value
        for name, value in one.values.items()
        if name in other.values and value.eq(other.values[name])
    }
    ids = {condition.get_id() for condition in other.conditions}
    return Carried(values, tuple(c for c in one.conditions if c.get_id() in ids))


def _size(found: Carried) -> int:
    return len(found.values) + len(found.conditions)
