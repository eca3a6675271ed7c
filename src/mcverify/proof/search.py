"""The search for runs that break the contract: on the CPU first, and where a proof failed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from mcverify.contract import Contract, Faults, can_fault
from mcverify.deadline import Deadline, OutOfTime
from mcverify.image.image import Image
from mcverify.proof.exits import EVERYWHERE
from mcverify.proof.result import Counterexample
from mcverify.proof.trials import STALE, STORED_SOMEWHERE, Failure, Key, Runner, Trials
from mcverify.runs.case import PAGE, Case, Ending, Outcome, Place, Placement, Preset
from mcverify.runs.cases import far_cases, flickering_cases
from mcverify.runs.grid import GridViolation, quick_grid

_MOST_STOPPED = 3
_MOST_EMULATED = 60
_FEW = 3
_LONG = 1 << 22
"""Longer runs than this many bytes are tried where Z3 suggests them, and for lengths beyond the domain."""

_MOST_BYTES = 8 << 30
"""What these copy together at most, some seconds for each GiB."""

_TRAPS = ((14,), (18,), (14, 18), (18, 14))
"""Trap numbers of faults on loads that are tried."""

Values = Callable[[str], int | None]
"""What a model of Z3 says of a call, by name (`proof.hints.Hint`)."""


class Witnesses:
    """Runs one routine and keeps, for each obligation and exit, the smallest run that breaks it.

    Runs of more than `len_max` bytes refute nothing.
    """

    def __init__(
        self,
        image: Image,
        entry: int,
        contract: Contract,
        faults: Faults,
        rep_model: str,
        len_max: int,
        deadline: Deadline | None = None,
    ) -> None:
        self._len_max = len_max
        self._contract = contract
        self._faults = faults
        self._trials = Trials(image, entry, contract, faults, rep_model, deadline)
        self.found: dict[Key, Counterexample] = {}
        self._stopped: list[Case] = []
        self._long_bytes = _MOST_BYTES
        self._flickers: Iterable[list[Case]] = flickering_cases(contract, faults)
        self._broken_again = lru_cache(maxsize=8)(self._trials.still_broken)

    @property
    def runner(self) -> Runner:
        """What runs the cases."""
        return self._trials.runner

    def search(self) -> None:
        """Run a grid of tens of thousands of cases; what the CPU does not run, a part of it on the
        emulator."""
        grid = quick_grid(self._contract, self._faults, self._trials.presets)
        if self._trials.in_order is not None:
            result = self._trials.in_order.grid(grid)
            self.try_cases([case for violation in result.violations for case in violation.cases[:2]])
            self.unfenced([v.cases[0] for v in result.violations if v.obligation == "O10"])
            self._count(result.violations)
        if self._trials.cpu is None:
            self.try_cases([grid.case(i) for i in range(0, len(grid), max(1, len(grid) // 400))])

    def _count(self, violations: Sequence[GridViolation]) -> None:
        """Tell with each counterexample how many other cases of the grid break the same obligation at the
        same exit."""
        seen: Counter[Key] = Counter()
        smallest = [violation.cases[0] for violation in violations]
        outcomes = self._trials.runner.run(smallest)
        for violation, case, outcome in zip(violations, smallest, outcomes, strict=True):
            key = violation.obligation, self._trials.exit(case, outcome, violation.obligation)
            seen[key] += violation.count
        for key, counterexample in self.found.items():
            self.found[key] = replace(counterexample, others=max(0, seen[key] - 1))

    def try_cases(self, cases: Sequence[Case]) -> None:
        """Run `cases` and keep what breaks the contract. Where some do not return, longer ones are left out:
        the limit of steps grows with the length."""
        cases = [case for case in cases if case.len <= self._len_max and self._trials.may_happen(case)]
        self._try([case for case in cases if case.len <= PAGE])
        if len(self._stopped) < _MOST_STOPPED:
            self._try([case for case in cases if case.len > PAGE])

    def _try(self, cases: Sequence[Case]) -> None:
        for case, outcome in self._trials.outcomes(cases):
            if not self._trials.is_faithful:
                continue
            if outcome.ending is Ending.TIMEOUT:
                self._stopped.append(case)
            for failure in self._trials.failures(case, outcome):
                self._keep(case, outcome, failure)

    def try_long(self, suggested: Callable[[], Suggestion]) -> None:
        """Run the long call that a model of Z3 suggests, in some ways, until something new is found."""
        known = set(self.found)
        hint = suggested()
        if (hint("len") or 0) <= _LONG:
            self.try_cases(quick_cases(hint))
        for case in long_cases(hint) if set(self.found) == known else ():
            self._long_bytes -= case.good_bytes
            if min(self._long_bytes, _free_memory() - case.good_bytes) < 0:
                return
            self.try_cases([case])
            if set(self.found) != known:
                return

    def slack_seen(self, cases: Sequence[Case]) -> int:
        """The most good bytes before a bad one that the runs of `cases` left uncopied."""
        worst = 0
        for case, outcome in zip(cases, self.runner.run(cases), strict=True):
            if outcome.faults and outcome.ending is Ending.RETURNED and self._contract.left:
                done = case.len - self._contract.left_of(outcome.registers, outcome.initial, case.len)
                worst = max(worst, min(fault.offset for fault in outcome.faults) - done)
        return worst

    def beyond(self, len_max: int) -> tuple[int, str] | None:
        """A length of 2^32 or more, beyond `len_max`, for which a run breaks the contract, and how. None is
        looked for where a routine may zero what it leaves: that would be 4 GiB."""
        if not self._trials.is_faithful:
            return None
        if self._trials.cpu is None or self._stopped:
            return None  # it does not return from short ones
        if self._contract.rest_zeroed:
            return None
        far = far_cases(self._contract, faults=self._faults)[:1]
        cases = [c for c in far if c.len > len_max and self._trials.may_happen(c)]
        try:
            outcomes = self.runner.run(cases)
        except OutOfTime:
            return None
        for case, outcome in zip(cases, outcomes, strict=True):
            for violation in self._trials.violations(case, outcome)[:1]:
                return case.len, f"{violation.obligation}: {violation.sentence}"
        return None

    def _keep(self, case: Case, outcome: Outcome, failure: Failure) -> None:
        if case.len > self._len_max or (failure.key == STORED_SOMEWHERE and self._places_stores()):
            return
        known = self.found.get(failure.key)
        smaller = known is None or _size(case) < _size(known.case)
        if smaller and self._is_confirmed(case, failure.obligation):
            others = known.others if known is not None else 0
            self.found[failure.key] = Counterexample(
                (failure.obligation,), failure.exit, case, outcome, failure.sentence, others
            )
        if self._places_stores():
            self.found.pop(STORED_SOMEWHERE, None)

    def _places_stores(self) -> bool:
        """Whether it is known where an access leaves its buffer."""
        return any(o == "O8" and e != EVERYWHERE for o, e in self.found)

    def _is_confirmed(self, case: Case, obligation: str) -> bool:
        """Whether other contents of dst show a missing byte too. Where what is stored hangs on what stood
        there, chosen contents of src, such as zeros, show nothing."""
        chosen = case.preset is not None and (case.preset.every or case.preset.pieces)
        if obligation in STALE and chosen and self._trials.modifies:
            return False
        if obligation not in STALE or not self._trials.is_ordered:
            return True
        return obligation in self._broken_again(case)

    def flickering(self, is_enough: Callable[[], bool]) -> None:
        """Try cases in which pages come and go, once: the smallest of those that break something, until it
        is enough."""
        ways, self._flickers = self._flickers, []
        for cases in ways:
            allowed = [case for case in cases if case.len <= self._len_max]
            if self._trials.cpu is None:
                self.try_cases(allowed[:: max(1, len(allowed) // _MOST_EMULATED)])
            else:
                broken = self._trials.breaking(allowed)
                self.try_cases([c for group in broken.values() for c in sorted(group, key=_size)[:_FEW]])
            if is_enough():
                return

    def endless(self, hides: Callable[[int], bool]) -> None:
        """Look at the runs that were stopped: whether one of them never ends (`Trials.endless`)."""
        for case in self._stopped[:_MOST_STOPPED]:
            failure = self._trials.endless(case, hides)
            if failure is not None:
                (outcome,) = self.runner.run([case])
                self.found[failure.key] = Counterexample(
                    (failure.obligation,), failure.exit, case, outcome, failure.sentence
                )
                return

    def unfenced(self, cases: Sequence[Case]) -> None:
        """Single-step `cases` and look for a non-temporal store that no fence follows before the return."""
        for case, outcome in zip(cases, self.runner.run(cases), strict=True):
            failure = self._trials.unfenced(case, outcome)
            if failure is not None:
                self._keep(case, outcome, failure)

    def footprints(self, cases: Sequence[Case]) -> None:
        """Run `cases` on the emulator with every access recorded: what lies outside the buffers without a
        fault."""
        for case in cases:
            outcome, failures = self._trials.footprint(case)
            for failure in failures:
                self._keep(case, outcome, failure)


def _size(case: Case) -> tuple[int, ...]:
    bad = [p.first_bad for p in (case.src, case.dst)]
    return (case.len, sum(b is not None for b in bad), *(b or 0 for b in bad), case.src.at, case.dst.at)


def probes(contract: Contract, faults: Faults, len_max: int) -> list[Case]:
    """Cases near powers of two, where counters wrap around, with faults near both ends."""
    near = [((1 << bits) + extra, (0, 1, 8, 63, 64)) for bits in (8, 12, 15, 16) for extra in (-1, 0, 1, 7)]
    far = [((1 << bits) + extra, (0, 8, 17)) for bits in (17, 19, 20) for extra in (0, 13)]
    found: list[Case] = []
    if contract.size is not None:
        return found
    for length, starts in near + far:
        if length > len_max:
            continue
        for at in (*starts, length - 8, length - 3, length - 1):
            found += faulting(contract, faults, length, at)
        found.append(Case(length, Placement(Place.FREE, 5), Placement(Place.FREE, 3)))
    return found


def faulting(contract: Contract, faults: Faults, length: int, at: int) -> list[Case]:
    """A fault at offset `at` of src, and one of dst, as far as such accesses may fault."""
    hole, free = Placement(Place.HOLE, at), Placement(Place.FREE, 1)
    found = []
    if can_fault(faults, "load") and contract.src is not None:
        found += [Case(length, hole, free, trap) for trap in contract.load_traps]
    if can_fault(faults, "store"):
        found.append(Case(length, free, hole))
    return found


def hinted(values: Values, presets: Sequence[Preset] = ()) -> list[Case]:
    """Cases that a model of Z3 suggests: the call, with bad bytes where it has them, and where it faults; and
    with each of `presets`, what the model has at entry."""
    length = values("len") or 0
    free = {b: Placement(Place.FREE, (values(b) or 0) % PAGE) for b in ("src", "dst")}
    bad = {b: [free[b], *_bad_places(values, b, length)] for b in free}
    return [
        Case(length, src, dst, traps[0], later_traps=traps[1:], preset=preset)
        for src in bad["src"]
        for dst in bad["dst"]
        for traps in _TRAPS
        for preset in (None, *presets)
    ]


def _bad_places(values: Values, buffer: str, length: int) -> list[Placement]:
    offsets = dict.fromkeys((values(f"fault_{buffer}"), values(f"bad_{buffer}")))
    inside = Placement(Place.INSIDE, (values(buffer) or 0) % PAGE)
    return [Placement(Place.HOLE, at) if at else inside for at in offsets if at is not None and at < length]


class Suggestion(Protocol):
    """A call that a model suggests, by name, and what the model has at entry (`proof.hints.Hint`)."""

    @property
    def presets(self) -> Sequence[Preset]:
        """Registers, flags and bytes of src."""
        ...

    def within(self, length: int) -> Suggestion | None:
        """A call of at most so many bytes, if there is one."""
        ...

    def __call__(self, name: str) -> int | None:
        """A value of the call."""
        ...


def quick_cases(hint: Suggestion) -> list[Case]:
    """Of those of a hint the ones that take no time to run; of a long call those of a shorter one, if there
    is one."""
    found: Suggestion | None = hint
    if (hint("len") or 0) > _LONG:
        found = hint.within(PAGE)
    return hinted(found, found.presets) if found is not None else []


def long_cases(values: Values) -> list[Case]:
    """Of those the ones of a long call that have its faults, the quickest to run first."""
    faulting = [b for b in ("src", "dst") if values(f"fault_{b}") is not None]
    cases = [
        c
        for c in hinted(values)
        if not c.later_traps and all(getattr(c, b).first_bad is not None for b in faulting)
    ]
    return sorted(cases, key=lambda case: case.good_bytes)


def _free_memory() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
