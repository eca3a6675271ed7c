"""What a way through a routine has to do with each of its exits: the faults that lie on it, before and ahead.

An exit is told by the access that it serves. A run *takes* it where that access faults, and the success where
no access does; so a run that tries again after a fault takes several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mcverify.paths.segment import Location, Paths, Segment
from mcverify.proof.result import SUCCESS

RowOf = Callable[[int], str]
"""The row of the exit that serves the access of the instruction at an address."""

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Ways:
    """The ways through one revision, its accesses by the rows that `row_of` gives."""

    paths: Paths
    row_of: RowOf
    _own: dict[int, tuple[Segment, tuple[str, ...]]] = field(default_factory=dict)

    def faults(self, segment: Segment) -> tuple[str, ...]:
        """The rows of the faults on a segment, in order."""
        known = self._own.get(id(segment))
        if known is None:
            rows = tuple(self.row_of(fault.access.at) for fault in segment.faults)
            known = self._own[id(segment)] = segment, rows
        return known[1]

    def first(self, segment: Segment, before: str) -> str:
        """The row of the first fault of a run that has come to the end of a segment; `before` is that of its
        first fault before it; "" for none."""
        return before or next(iter(self.faults(segment)), "")

    def taken(self, segment: Segment, before: str) -> frozenset[str]:
        """The exits that the runs through a segment take, if their first fault before it was `before`."""
        rows = {*self.faults(segment), *self._later[segment.source], *([before] if before else [])}
        if isinstance(segment.target, Location):
            rows |= self._ahead[segment.target]
        return frozenset(rows)

    def is_clean(self, segment: Segment) -> bool:
        """Whether a run through a segment has met no fault when it comes to its end."""
        return not segment.source.faulted and not segment.faults

    # -- fixed points over the locations -----------------------------------------------------------------

    @cached_property
    def _ahead(self) -> Mapping[Location, frozenset[str]]:
        """The rows of the faults that can lie ahead of each location."""

        def step(found: Mapping[Location, frozenset[str]], segment: Segment) -> Iterable[str]:
            behind = found[segment.target] if isinstance(segment.target, Location) else _NONE
            return behind.union(self.faults(segment))

        return self._fixed(step, lambda segment: segment.source)

    @cached_property
    def _later(self) -> Mapping[Location, frozenset[str]]:
        """The rows of faults, other than the first one, that a run may have met before each location."""

        def step(found: Mapping[Location, frozenset[str]], segment: Segment) -> Iterable[str]:
            own = self.faults(segment)
            return found[segment.source] | {*(own if segment.source.faulted else own[1:])}

        return self._fixed(step, lambda segment: segment.target)

    def _fixed(
        self,
        step: Callable[[Mapping[Location, frozenset[str]], Segment], Iterable[str]],
        at: Callable[[Segment], object],
    ) -> Mapping[Location, frozenset[str]]:
        """The least sets, by location, that hold what `step` makes of each segment for the location `at` it
        goes to (or comes from)."""
        found = dict.fromkeys([self.paths.entry, *self.paths.locations], _NONE)
        growing = True
        while growing:
            growing = False
            for segment in self.paths.segments:
                place = at(segment)
                if isinstance(place, Location):
                    more = found.get(place, _NONE).union(step(found, segment))
                    growing = growing or more != found.get(place)
                    found[place] = more
        return found


def both(old: Ways, new: Ways, pair: tuple[Segment, Segment], firsts: tuple[str, str]) -> frozenset[str]:
    """The exits that runs through a `pair` of segments may take, in the older or the newer revision: the
    success as long as neither has met a fault, also where they never end."""
    rows = old.taken(pair[0], firsts[0]) | new.taken(pair[1], firsts[1])
    return rows | {SUCCESS} if old.is_clean(pair[0]) and new.is_clean(pair[1]) else rows
