"""The walk of a concrete case along the segments of the paths, from the entry to the end.

At each location exactly one segment must be possible; none, or two, is a mistake in the paths. What the
model does not know (what lies around the buffers, memory of the stack that was
given up) is followed as unknown: it may pass through registers, but no decision may hang on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mcverify.arch.known import X86_64
from mcverify.contract import Contract
from mcverify.deadline import Deadline
from mcverify.image.callees import StandIn
from mcverify.machine.instruction import Kind
from mcverify.paths.explore import Options
from mcverify.paths.faults import FIRST_BAD, NUL
from mcverify.paths.segment import Ending, Location, Paths, Segment
from mcverify.runs.case import Case, Fault
from mcverify.runs.pattern import first_zero, initial_vectors
from mcverify.witness.model.memory import Memory, Store, Touch, Unpredictable
from mcverify.witness.model.way import RETURNED_TO, Values, Way, compiled, entry_names

_MOST_STEPS = 2_000_000
_MOST_FAULTS = 16384
"""A run with more faults is taken for an endless one (MAX_FAULTS in harness.c)."""


class WrongPaths(Exception):
    """The paths do not tell what happens next, though they should: a mistake of ours."""

    def __init__(self, message: str, values: Mapping[str, int]) -> None:
        super().__init__(message)
        self.values = values


@dataclass(frozen=True)
class Arrival:
    """Where a walk ended: by `segment`, or (None) at the address `cycle` in a state in which it had been
    before. `values` has the registers and flags that are known there, `stray` is the first access outside its
    buffer. The caller's frame is not intact if something was stored there. `called_itself`: the way passed a
    routine in C that calls the routine for each byte."""

    segment: Segment | None
    cycle: int | None
    values: Mapping[str, int]
    faults: tuple[Fault, ...]
    memory: Memory
    stray: Touch | None
    frame_intact: bool | None
    called_itself: bool


@dataclass
class Walker:
    """Walks the cases of one routine. Segments are compiled when a walk first comes to their start.

    `recursive` are the routines in C that call the routine for each byte. `taken` counts how often each
    instruction (by address) was passed.
    """

    paths: Paths
    contract: Contract
    options: Options
    recursive: tuple[StandIn, ...] = ()
    _ways: dict[Location, tuple[Way, ...]] = field(default_factory=dict)
    _taken: Counter[int] = field(default_factory=Counter)
    _segments: dict[int, Segment] = field(default_factory=dict)

    def walk(
        self,
        case: Case,
        initial: Mapping[str, int],
        faulted_at: Sequence[int] = (),
        deadline: Deadline | None = None,
    ) -> Arrival:
        """The end of a walk from the registers `initial`. `faulted_at` are the addresses at which the run
        faulted, which only a REP without order asks for. Raises Unpredictable, WrongPaths and OutOfTime.
        """
        return _Walk(self, case, initial, faulted_at, deadline or Deadline(None)).arrival()

    def ways(self, location: Location) -> tuple[Way, ...]:
        """The compiled segments that leave `location`."""
        if location not in self._ways:
            found = (segment for segment in self.paths.segments if segment.source == location)
            self._ways[location] = tuple(compiled(segment, self.paths) for segment in found)
        return self._ways[location]

    def passed(self, segment: Segment) -> None:
        """Count a segment that was taken."""
        self._segments[id(segment)] = segment
        self._taken[id(segment)] += 1

    def instructions(self) -> Counter[int]:
        """How often each instruction was executed, or begun and stopped by a fault, on the walks so far, by
        address."""
        found: Counter[int] = Counter()
        for number, times in self._taken.items():
            segment = self._segments[number]
            is_begun = segment.target is Ending.UNCOVERED
            for address in segment.trail if is_begun else segment.trail[:-1]:
                found[address] += times
        return found


class _Try(NamedTuple):
    """A way that is possible: the values at its end, those of them that are unknown, what it did."""

    way: Way
    values: tuple[int, ...]
    blurred: frozenset[str]
    stores: Sequence[Store]
    struck: Mapping[int, int]
    stray: Touch | None
    facts: tuple[bool, ...]


class _Walk:
    """One case under way."""

    def __init__(
        self,
        walker: Walker,
        case: Case,
        initial: Mapping[str, int],
        faulted_at: Sequence[int],
        deadline: Deadline,
    ) -> None:
        self._walker, self._faulted_at, self._deadline = walker, faulted_at, deadline
        contract = walker.contract
        src = initial[contract.src] if contract.src is not None else 0
        dst = initial[contract.dst] if contract.dst is not None else 0
        self._memory = Memory(contract, case, dst, src)
        self._values = _entry_values(contract, initial, case)
        self._unknown = frozenset(name for name in entry_names() if name not in self._values)
        self._values |= dict.fromkeys(self._unknown, 0)
        self._faults: list[Fault] = []
        self._stray: Touch | None = None
        self._called_itself = False
        self._seen: tuple[Location, Values, int] | None = None

    def arrival(self) -> Arrival:
        """Walk to the end."""
        location, steps = self._walker.paths.entry, 0
        while True:
            taken = self._the_only(location)
            self._pass(taken)
            target = taken.way.segment.target
            if not isinstance(target, Location):
                return self._ended(taken)
            location, steps = target, steps + 1
            if self._was_here(location, steps):
                return self._arrival(None, self._known_at(location), location)
            self._check_limits(steps)

    def _check_limits(self, steps: int) -> None:
        if steps % 1024 == 0:
            self._deadline.check("study")
        if steps > _MOST_STEPS:
            raise Unpredictable(f"it has not ended after {_MOST_STEPS} steps of the model")
        if len(self._faults) >= _MOST_FAULTS:
            raise Unpredictable(f"it has not ended after {_MOST_FAULTS} faults")

    # -- one step ---------------------------------------------------------------------------------

    def _the_only(self, location: Location) -> _Try:
        """The one way on from `location`."""
        self._memory.met.clear()
        self._memory.told = self._faulted_at[len(self._faults) :]
        tries = [found for way in self._walker.ways(location) if (found := self._try(way)) is not None]
        if len(tries) > 1:
            tries = _first_to_fault(tries, self._walker.recursive)
        if len(tries) == 1:
            return tries[0]
        may_fault = self._walker.options.may_fault
        if not tries and not all(may_fault(_KINDS[is_store]) for is_store in self._memory.met):
            raise Unpredictable("an access faults that this proof takes not to fault")
        raise WrongPaths(
            f"the model has {len(tries) or 'no'} ways on from {location.address:#x}", self._values
        )

    def _try(self, way: Way) -> _Try | None:
        memory = self._memory
        try:
            values = way.run(self._values, memory)
        except KeyError as missing:
            name = str(missing.args[0])
            if not name.endswith("@0"):
                raise
            raise Unpredictable(f"no run tells what {name.removesuffix('@0')} holds at entry") from None
        if values is None:
            self._refuse_unknown(way, way.checks[memory.failed])
            if memory.touched:
                memory.end()
            return None
        blurred = _NOTHING
        stores: Sequence[Store] = memory.stores
        if memory.doubts or way.strange or not self._unknown.isdisjoint(way.needs):
            for check in way.checks:
                self._refuse_unknown(way, check)
            blurred, stores = _spread(way, memory, self._unknown.union(way.strange, memory.doubts))
        found = _Try(way, values, blurred, stores, memory.struck, memory.outside(), memory.facts)
        memory.end()
        return found

    def _refuse_unknown(self, way: Way, check: frozenset[str]) -> None:
        """Raise Unpredictable if what is checked is not known."""
        for unknown in (self._unknown, way.strange, self._memory.doubts):
            if unknown and not unknown.isdisjoint(check):
                names = ", ".join(sorted(check & unknown))
                raise Unpredictable(f"where it goes hangs on what is not known ({names})")

    def _pass(self, taken: _Try) -> None:
        """Go the way."""
        segment = taken.way.segment
        self._walker.passed(segment)
        recursive = self._walker.recursive
        self._called_itself |= any(step.at == s.address for step in segment.steps for s in recursive)
        self._memory.commit(taken.stores)
        for number, fault in enumerate(segment.faults):
            place = self._memory.place(taken.struck[number])
            self._faults.append(Fault(fault.access.at, *place, fault.access.kind is Kind.STORE))
            self._memory.loads += fault.access.kind is Kind.LOAD
        if taken.stray is not None:
            self._stray = self._stray or taken.stray
        elif not all(taken.facts):
            raise WrongPaths("what the model says of bad bytes does not hold of an access", self._values)
        if isinstance(segment.target, Location):
            if not taken.way.keeps_frame:
                raise Unpredictable("it stores into its caller's frame")
            self._values.update(zip(taken.way.names, taken.values, strict=True))
            if self._unknown or taken.blurred:
                self._unknown = self._unknown.difference(taken.way.names) | taken.blurred

    def _was_here(self, location: Location, steps: int) -> bool:
        """Whether the state is the one that was kept last; after each power of two of steps one is."""
        if steps & steps - 1 == 0:
            self._seen = location, dict(self._values), self._memory.version
            return False
        return self._seen == (location, self._values, self._memory.version)

    # -- the end ----------------------------------------------------------------------------------

    def _ended(self, taken: _Try) -> Arrival:
        segment = taken.way.segment
        if segment.target in (Ending.LOST, Ending.ENDLESS):
            raise Unpredictable(segment.reason)
        values = dict(zip(taken.way.names, taken.values, strict=True))
        known = {name: value for name, value in values.items() if name not in taken.blurred}
        if RETURNED_TO in taken.blurred:
            raise Unpredictable("it returns to an address that nobody knows")
        return self._arrival(taken.way, known)

    def _known_at(self, location: Location) -> Values:
        known = {name: value for name, value in self._values.items() if name not in self._unknown}
        return known | {X86_64.stack_pointer: self._values[f"{X86_64.stack_pointer}@0"] + location.stack}

    def _arrival(self, way: Way | None, values: Values, cycle: Location | None = None) -> Arrival:
        return Arrival(
            segment=way.segment if way is not None else None,
            cycle=cycle.address if cycle is not None else None,
            values=values,
            faults=tuple(self._faults),
            memory=self._memory,
            stray=self._stray,
            frame_intact=way is None or way.keeps_frame,
            called_itself=self._called_itself,
        )


_NOTHING: frozenset[str] = frozenset()
_KINDS = (Kind.LOAD, Kind.STORE)


def _entry_values(contract: Contract, initial: Mapping[str, int], case: Case) -> Values:
    """The values of the symbols at entry that are known, and of the registers at it."""
    flags = {name: initial["rflags"] >> bit & 1 for name, bit in X86_64.flags.items()} | {"df": 0, "ac": 0}
    known = {name: initial[name] for name in X86_64.general} | flags | initial_vectors(case)
    values = {f"{name}@0": value for name, value in known.items()} | known
    for kind, placement in ((Kind.LOAD, case.src), (Kind.STORE, case.dst)):
        bad = placement.first_bad
        values[FIRST_BAD[kind].decl().name()] = case.len if bad is None else min(bad, case.len)
    if contract.string_length is not None:
        values[NUL.decl().name()] = first_zero(case, contract)
    return values


def _spread(way: Way, memory: Memory, unknown: frozenset[str]) -> tuple[frozenset[str], Sequence[Store]]:
    """What of the values at the end of `way` is unknown, and its stores, where they are marked too."""
    blurred = frozenset(n for n, names in way.depends.items() if not names.isdisjoint(unknown))
    stores = [marked for store in memory.stores for marked in _marked(store, way, unknown)]
    hidden = {a for store in stores if store.blurred for a in store.addresses}
    loaded = (range(t.address, t.address + t.size) for t in memory.touched if not t.is_store)
    if hidden and not all(map(hidden.isdisjoint, loaded)):
        raise Unpredictable("it loads what it has stored, and that is not known")
    return blurred, stores


def _marked(store: Store, way: Way, unknown: frozenset[str]) -> Iterator[Store]:
    """The store, and once more what of it is unknown."""
    yield store
    words = way.stores[store.number] if store.number >= 0 else ()
    for number, names in enumerate(words):
        if not names.isdisjoint(unknown):
            yield store.word(number) if len(words) > 1 else store._replace(blurred=True)


def _first_to_fault(tries: Sequence[_Try], recursive: Sequence[StandIn]) -> list[_Try]:
    """Of ways that fault on the load and on the store of one instruction the one that a CPU takes. Which of
    the two a routine meets first that is called again for a byte is open: here the load."""
    return [t for t in tries if not any(_comes_first(other, t, recursive) for other in tries)]


def _comes_first(one: _Try, other: _Try, recursive: Sequence[StandIn]) -> bool:
    """Whether `one` faults before `other` could: a load before the store of the same instruction. Where both
    meet the same bad byte they are one access, which reads, modifies and writes, and faults as a store."""
    pairs = zip(one.way.segment.faults, other.way.segment.faults, strict=False)
    for number, (a, b) in enumerate(pairs):
        if (a.access.at, a.access.kind) != (b.access.at, b.access.kind):
            if any((a.access.at, b.access.at) == (s.load_at, s.store_at) for s in recursive):
                return True
            first = Kind.STORE if one.struck[number] == other.struck[number] else Kind.LOAD
            return a.access.at == b.access.at and a.access.kind is first
    return False
