"""A counterexample made as simple as it gets: the length first, then the fault, then the alignments.

Candidates are tried in the order of their simplicity, many at a time, so that the first one which still
breaks the same obligations at the same exit is the simplest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Counterexample, RoutineResult
from mcverify.runs.case import Case, Place, Placement, Preset
from mcverify.witness.again import Again, Pace, again_for, shown_again, trials_of

LINE = 64
"""Alignments are tried up to this many bytes."""

_PLACES = (Place.FREE, Place.HOLE, Place.INSIDE, Place.FRONT, Place.END)
"""The plainest first."""

_FREE = Placement(Place.FREE)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: `cases` in all, `chunk` at once, each one of `lens` bytes or fewer, and at
    `alignments`."""

    cases: int
    chunk: int
    lens: tuple[int, ...]
    alignments: tuple[int, ...]


CHEAP = Effort(60_000, 8192, tuple(range(301)), tuple(range(LINE)))
DEAR = Effort(
    160,
    16,
    (*range(10), 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 72, 127, 128, 129, 256),
    (0, 1, 2, 4, 7, 8, 16, 32),
)

STEPPED = Effort(
    1200,
    128,
    (*range(10), 15, 16, 17, 24, 31, 32, 33, 40, 48, 63, 64, 65, 72, 128, 136),
    (0, 1, 2, 4, 8, 16, 32),
)
EFFORTS = {Pace.FAST: CHEAP, Pace.STEPPED: STEPPED, Pace.DEAR: DEAR}


def shrink(image: Image, result: RoutineResult, options: ProveOptions, deadline: Deadline) -> RoutineResult:
    """`result` with each counterexample as simple as could be found before the deadline.

    What a counterexample is said to break it breaks afterwards too, at the same exit.
    """
    if result.contract is None or not result.counterexamples:
        return result
    trials = trials_of(image, result, options, deadline)
    found = []
    for counterexample in result.counterexamples:
        try:
            again = again_for(image, trials, counterexample, result.domain.len_max)
            found.append(shrunk(counterexample, again) if again is not None else counterexample)
        except OutOfTime:
            found.append(counterexample)
    return replace(result, counterexamples=tuple(found))


def shrunk(counterexample: Counterexample, again: Again) -> Counterexample:
    """The counterexample with the simplest case of all that were tried."""
    case = _Shrinking(again).simplest(counterexample.case)
    if case == counterexample.case:
        return counterexample
    return shown_again(counterexample, again, case) or counterexample


def simplicity(case: Case) -> tuple[int, ...]:
    """A key that is smaller for a simpler case: shorter; with fewer bad buffers, src before dst; with earlier
    bad bytes; with less that is preset; with plainer placements."""
    bad = [p.first_bad for p in (case.src, case.dst)]
    return (
        case.len,
        sum(b is not None for b in bad),
        bad[1] is not None,
        *(b or 0 for b in bad),
        _presets(case),
        *_plainness(case.src),
        *_plainness(case.dst),
        len(case.later_traps),
        *case.traps,
        case.seed,
    )


def _presets(case: Case) -> int:
    """How much a case finds at entry that no seed chose: registers and pieces of src."""
    preset = case.preset
    return 0 if preset is None else 1 + len(preset.registers) + bool(preset.every) + len(preset.pieces)


def _plainness(placement: Placement) -> tuple[int, int]:
    at = 0 if placement.place is Place.HOLE else placement.at
    return _PLACES.index(placement.place), at


class Asked(Protocol):
    """Says of cases whether they show what a case is to go on showing."""

    @property
    def pace(self) -> Pace:
        """What a case takes."""
        ...

    def all_of(self, cases: Sequence[Case]) -> list[bool]:
        """Whether each of them does."""
        ...


def simplest(case: Case, asked: Asked, effort: Effort) -> Case:
    """The simplest case, of those that are tried, that shows the same as `case`."""
    return _Shrinking(asked, effort).simplest(case)


class _Shrinking:
    """One case on its way."""

    def __init__(self, again: Asked, effort: Effort | None = None) -> None:
        self._again = again
        self._effort = effort or EFFORTS[again.pace]
        self._left = self._effort.cases

    def simplest(self, case: Case) -> Case:
        """The simplest case found that breaks the same as `case`."""
        case = self._first(plainer(case), case)
        case = self._first(self._shorter(case), case)
        while case.len > self._effort.lens[-1]:
            shorter = self._first(_much_shorter(case), case)
            if shorter == case:
                break
            case = shorter
        for candidates in (self._with_earlier_fault, self._aligned):
            for buffer in ("src", "dst"):
                case = self._first(candidates(case, buffer), case)
        return self._less_preset(self._first(plainer(case), case))

    def _less_preset(self, case: Case) -> Case:
        """The case without what it finds at entry, one by one, as far as that does not matter."""
        while (less := self._first(_without_one(case), case)) != case:
            case = less
        return case

    def _first(self, candidates: Iterable[Case], case: Case) -> Case:
        """The first of `candidates`, which come simplest first, that breaks the same; `case` if none does."""
        waiting = iter(candidates)
        size = min(64, self._effort.chunk)
        while self._left > 0 and (chunk := list(islice(waiting, min(size, self._left)))):
            self._left -= len(chunk)
            size = min(4 * size, self._effort.chunk)
            for candidate, holds in zip(chunk, self._again.all_of(chunk), strict=True):
                if holds:
                    return candidate
        return case

    def _shorter(self, case: Case) -> Iterator[Case]:
        for length in self._effort.lens:
            if length >= case.len:
                return
            yield from _ordered(_of_length(case, length))

    def _with_earlier_fault(self, case: Case, buffer: str) -> list[Case]:
        """Each earlier place of a buffer's fault; the other buffer may then lie otherwise, if it is good."""
        now, other = (case.src, case.dst) if buffer == "src" else (case.dst, case.src)
        if now.first_bad is None:
            return []
        earlier = [_placed(case, buffer, place) for place in _earlier(now, case.len)]
        others = [other, *self._good()] if other.first_bad is None else [other]
        return _ordered(_placed(c, "dst" if buffer == "src" else "src", p) for c in earlier for p in others)

    def _aligned(self, case: Case, buffer: str) -> list[Case]:
        """Plainer placements of one buffer; of src also with other ones of dst, as long as dst is good."""
        now: Placement = getattr(case, buffer)
        if now.place is Place.HOLE:
            return []
        inside = [Placement(Place.HOLE, 0), *(Placement(Place.INSIDE, a) for a in self._effort.alignments)]
        places = inside if now.place is Place.INSIDE else self._good()
        moved = [_placed(case, buffer, place) for place in places]
        if buffer == "src" and case.dst.first_bad is None:
            moved += [replace(c, dst=p) for c in moved for p in self._good()]
        return _ordered(c for c in moved if simplicity(c) < simplicity(case))

    def _good(self) -> list[Placement]:
        free = [Placement(Place.FREE, at) for at in self._effort.alignments]
        return [*free, Placement(Place.FRONT), Placement(Place.END)]


def _placed(case: Case, buffer: str, placement: Placement) -> Case:
    return replace(case, src=placement) if buffer == "src" else replace(case, dst=placement)


def _ordered(cases: Iterable[Case]) -> list[Case]:
    return sorted(dict.fromkeys(cases), key=simplicity)


def plainer(case: Case) -> list[Case]:
    """The same length with less that is out of the ordinary: contents, trap number, faults, alignments."""
    sources = dict.fromkeys((_FREE, aligned_as(case.src), case.src))
    targets = dict.fromkeys((_FREE, aligned_as(case.dst), case.dst))
    made = (
        Case(case.len, src, dst, traps[0], seed, traps[1:], preset)
        for src in sources
        for dst in targets
        for traps in dict.fromkeys(((14,), (case.trap,), case.traps))
        for seed in {1, case.seed}
        for preset in dict.fromkeys((None, case.preset))
    )
    return [c for c in _ordered(made) if simplicity(c) < simplicity(case)]


def _without_one(case: Case) -> list[Case]:
    """The case without one of the registers or pieces that it finds at entry."""
    if case.preset is None:
        return []
    registers, pieces = case.preset.registers, case.preset.pieces
    less = [replace(case.preset, registers=registers[:n] + registers[n + 1 :]) for n in range(len(registers))]
    less += [replace(case.preset, pieces=pieces[:n] + pieces[n + 1 :]) for n in range(len(pieces))]
    if case.preset.every:
        less.append(replace(case.preset, every=b""))
    return _ordered(replace(case, preset=None if preset == Preset() else preset) for preset in less)


def aligned_as(placement: Placement) -> Placement:
    """In accessible memory, at the same alignment as far as the placement says one."""
    if placement.place is Place.HOLE:
        return Placement(Place.FREE, -placement.at % LINE)
    return Placement(Place.FREE, placement.at % LINE)


def _of_length(case: Case, length: int) -> Iterator[Case]:
    """The case cut to a length, with faults and alignments at a few places and many."""
    sources = _cut(case.src, case.len, length, few=case.dst.first_bad is not None)
    targets = _cut(case.dst, case.len, length, few=case.src.first_bad is not None)
    for src in sources:
        for dst in targets:
            yield replace(case, len=length, src=src, dst=dst)


def _cut(placement: Placement, was: int, length: int, *, few: bool) -> list[Placement]:
    """Placements of a shorter buffer like one of `was` bytes: of the bad ones `few`, or all."""
    if placement.place is Place.HOLE:
        tried = {0, 1, length - 1, placement.at, length - was + placement.at}
        if not few:
            tried.update(range(min(length, LINE)), range(max(0, length - 16), length), range(0, length, 8))
        return [Placement(Place.HOLE, at) for at in sorted(tried) if 0 <= at < length]
    if placement.place is Place.INSIDE:
        return list(dict.fromkeys((Placement(Place.HOLE, 0), placement)))
    alignments = (0,) if few else (0, 1, 4, 7)
    return list(dict.fromkeys((*(Placement(Place.FREE, at) for at in alignments), placement)))


def _much_shorter(case: Case) -> list[Case]:
    """Shorter cases of one that is too long to try all lengths below it."""
    length = case.len
    steps = [1 << bit for bit in range(length.bit_length())]
    lens = {length - step for step in steps} | {length & -step for step in steps}
    lens |= {length // step for step in steps} | {step + extra for step in steps for extra in (-1, 0, 1, 8)}
    made = (
        replace(case, len=shorter, src=src, dst=dst)
        for shorter in lens
        if CHEAP.lens[-1] < shorter < length
        for src in _cut(case.src, length, shorter, few=True)
        for dst in _cut(case.dst, length, shorter, few=True)
    )
    return _ordered(made)


def _earlier(placement: Placement, length: int) -> Sequence[Placement]:
    """Holes before the one of `placement`: all, or of a long buffer some."""
    at = placement.first_bad or 0
    tried = set(range(min(at, 4 * LINE))) | {at - (1 << bit) for bit in range(at.bit_length())}
    tried |= {at & -(1 << bit) for bit in range(at.bit_length())}
    return [Placement(Place.HOLE, earlier) for earlier in sorted(tried) if 0 <= earlier < min(at, length)]
