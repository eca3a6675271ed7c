"""Termination: no loop that runs for ever has a measure, and those of the usual shapes have one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pytest
import z3

from mcverify.arch.known import X86_64
from mcverify.contract import load_contract
from mcverify.deadline import Deadline
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Solver
from mcverify.logic.standpoint import Invariant, Standpoint
from mcverify.machine.state import Registers, State
from mcverify.machine.symbols import symbol
from mcverify.machine.terms import word
from mcverify.paths.explore import entry_symbol
from mcverify.paths.segment import Location, Paths, Segment
from mcverify.proof.termination import Termination, termination

RCX, RDX, RSI = symbol("rcx"), symbol("rdx"), symbol("rsi")
HOME = Location(0x1000, False, 0)
AWAY = Location(0x2000, False, 0)
TOP = 1 << 64


@dataclass(frozen=True)
class Way:
    """From one location to the next, where `condition` holds; registers that are not `changed` are kept."""

    condition: z3.BoolRef
    changed: dict[str, z3.BitVecRef]
    source: Location = HOME
    target: Location = HOME

    def segment(self) -> Segment:
        registers = {name: symbol(name) for name in X86_64.general} | self.changed
        flags = {name: z3.BitVecVal(0, 1) for name in ("df", "ac")}
        end = State(Registers({**registers, **flags}), {})
        return Segment(self.source, self.target, self.source.address, (self.condition,), (), (), (), end, ())


def judged(
    ways: Sequence[Way],
    invariant: Invariant | None = None,
    live: Sequence[str] = X86_64.general,
    elsewhere: Sequence[str] = X86_64.general,
) -> tuple[Termination, tuple[Segment, ...]]:
    """What is found of the ways, and their segments."""
    assumptions = Assumptions(load_contract("bytes_left"), 1 << 20, 64, persistent=False)
    solver = Solver(5, Deadline(None))
    alive = {HOME.address: frozenset(live), AWAY.address: frozenset(elsewhere)}
    segments = tuple(way.segment() for way in ways)
    paths = Paths(HOME, (HOME, AWAY), segments, (), (), {}, alive)
    known = invariant or Invariant()

    def standpoint(location: Location) -> Standpoint:
        return Standpoint(location, False, known, assumptions, solver)

    return termination(paths, assumptions, standpoint), segments


DOWN, DOWN_OTHER = {"rcx": RCX - 1}, {"rdx": RDX - 1}
SOME, SOME_OTHER = RCX != 0, RDX != 0
LOW = z3.Extract(31, 0, RCX)
LEFT = z3.ULT(RSI - entry_symbol("rsi"), entry_symbol("rdx"))

ENDS = {
    "down": [Way(SOME, DOWN)],
    "down by eight": [Way(z3.UGE(RCX, 8), {"rcx": RCX - 8})],
    "half of it": [Way(LOW != 0, {"rcx": z3.ZeroExt(32, LOW - 1)})],
    "low half alone": [
        Way(LOW != 0, {"rcx": z3.Concat(z3.Extract(31, 0, RSI) + z3.Extract(63, 32, RCX), LOW - 1)})
    ],
    "what is left of src": [Way(LEFT, {"rsi": RSI + 1})],
    "up to zero": [Way(SOME, {"rcx": RCX + 1})],
    "up to minus one": [Way(word(-1) != RCX, {"rcx": RCX + 1})],
    "two counters": [Way(SOME, DOWN), Way(SOME_OTHER, DOWN_OTHER)],
    "one sets the other": [Way(SOME, DOWN), Way(SOME_OTHER, {**DOWN_OTHER, "rcx": RSI})],
    "there and back": [Way(SOME, DOWN, HOME, AWAY), Way(z3.BoolVal(True), {}, AWAY, HOME)],
    "a loop within": [
        Way(SOME, {"rcx": RCX - 1, "rdx": RSI}, HOME, AWAY),
        Way(SOME_OTHER, DOWN_OTHER, AWAY, AWAY),
        Way(z3.Not(SOME_OTHER), {}, AWAY, HOME),
    ],
    "one after the other": [
        Way(SOME, DOWN), Way(z3.Not(SOME), {}, HOME, AWAY), Way(SOME_OTHER, DOWN_OTHER, AWAY, AWAY)
    ],
    "nowhere twice": [Way(SOME, {"rcx": RCX + 5}, HOME, AWAY)],
}  # fmt: skip
GOES_ON = {
    "nothing changes": [Way(SOME, {})],
    "through zero": [Way(z3.BoolVal(True), DOWN)],
    "up and down": [Way(SOME, DOWN), Way(SOME_OTHER, {"rcx": RCX + 1})],
    "back and forth": [
        Way(SOME, {"rcx": RCX - 1, "rdx": RDX + 1}), Way(SOME_OTHER, {"rcx": RCX + 1, "rdx": RDX - 1})
    ],
    "one way stays": [Way(SOME, DOWN), Way(SOME_OTHER, {})],
    "there and back": [Way(SOME, DOWN, HOME, AWAY), Way(z3.BoolVal(True), {"rcx": RCX + 1}, AWAY, HOME)],
    "a loop within": [
        Way(SOME, DOWN, HOME, AWAY), Way(SOME_OTHER, {}, AWAY, AWAY), Way(z3.BoolVal(True), {}, AWAY, HOME)
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_what_ends_has_measures(name: str) -> None:
    found, segments = judged(ENDS[name])
    assert found.endless == ()
    falls = [id(segment) for falling in found.falling for segment in falling.falls]
    assert len(falls) == len(set(falls))
    for falling in found.falling:
        assert falling.falls
        assert not {id(s) for s in falling.falls} & {id(s) for s in falling.stays}
    cyclic = [s for s, way in zip(segments, ENDS[name], strict=True) if is_on_cycle(way, ENDS[name])]
    assert bool(found.falling) == bool(cyclic)


@pytest.mark.parametrize("name", GOES_ON)
def test_what_goes_on_has_none(name: str) -> None:
    found, _ = judged(GOES_ON[name])
    assert found.endless


def is_on_cycle(way: Way, ways: Sequence[Way]) -> bool:
    seen, waiting = set(), [way.target]
    while waiting:
        place = waiting.pop()
        if place not in seen:
            seen.add(place)
            waiting += [other.target for other in ways if other.source == place]
    return way.source in seen


def test_each_measure_takes_its_ways_from_the_next() -> None:
    found, (down, other) = judged(ENDS["one sets the other"])
    first, second = found.falling
    assert (first.measure.eq(RDX), first.falls, first.stays) == (True, (other,), (down,))
    assert (second.measure.eq(RCX), second.falls, second.stays) == (True, (down,), ())


def test_a_bound_makes_a_measure_that_cannot_wrap() -> None:
    """Down by eight from a multiple of eight until zero; from another number it goes on for ever."""
    ways = [Way(SOME, {"rcx": RCX - 8})]
    assert judged(ways)[0].endless
    known = Invariant(facts=(z3.Extract(2, 0, RCX) == 0,))
    assert not judged(ways, known)[0].endless


def test_a_register_that_is_dead_somewhere_is_no_measure() -> None:
    """Nothing is known of it there."""
    ways = ENDS["there and back"]
    assert not judged(ways)[0].endless
    assert judged(ways, live=["rdx"])[0].endless
    assert judged(ways, elsewhere=["rdx"])[0].endless
    assert judged(ENDS["two counters"], live=["rcx"])[0].endless == (HOME,)


STEPS: dict[str, dict[str, z3.BitVecRef]] = {
    "keep": {}, "down": DOWN, "down other": DOWN_OTHER, "up": {"rcx": RCX + 1}, "up other": {"rdx": RDX + 1},
    "set": {"rcx": word(3)}, "copy": {"rdx": RCX}, "both": DOWN | DOWN_OTHER,
    "swap": {"rcx": RDX, "rdx": RCX}, "trade": {"rcx": RCX - 1, "rdx": RDX + 2},
}  # fmt: skip
IFS: dict[str, tuple[z3.BoolRef, Callable[[int, int], bool]]] = {
    "rcx": (SOME, lambda c, d: c != 0),
    "rdx": (SOME_OTHER, lambda c, d: d != 0),
    "rcx > rdx": (z3.UGT(RCX, RDX), lambda c, d: c > d),
    "both": (z3.And(SOME, SOME_OTHER), lambda c, d: c != 0 and d != 0),
    "always": (z3.BoolVal(True), lambda c, d: True),
}


def random_ways(choose: random.Random) -> Iterator[tuple[Way, Callable[[int, int], bool], str]]:
    for _ in range(choose.randint(1, 3)):
        condition, holds = IFS[choose.choice(list(IFS))]
        step = choose.choice(list(STEPS))
        source, target = (choose.choice((HOME, HOME, AWAY)) for _ in range(2))
        yield Way(condition, STEPS[step], source, target), holds, step


def stepped(step: str, c: int, d: int) -> tuple[int, int]:
    values = [(RCX, word(c)), (RDX, word(d))]
    after = {"rcx": RCX, "rdx": RDX} | STEPS[step]
    return tuple(z3.simplify(z3.substitute(term, *values)).as_long() for term in after.values())  # type: ignore


def ends_from(ways: Sequence[tuple[Way, Callable[[int, int], bool], str]], start: tuple[int, int]) -> bool:
    """Whether no run with these values of rcx and rdx comes back to a state: of some hundred states that are
    looked at, none is reached from itself."""
    done, open_, most = set(), set(), 300
    stack = [((place, *start), False) for place in (HOME, AWAY)]
    while stack:
        state, over = stack.pop()
        if over:
            open_.discard(state)
            done.add(state)
            continue
        if len(done) + len(open_) > most:
            return True
        if state in done or state in open_:
            continue
        open_.add(state)
        stack.append((state, True))
        place, c, d = state
        for way, holds, step in ways:
            if way.source == place and holds(c, d):
                after = (way.target, *stepped(step, c, d))
                if after in open_:
                    return False
                stack.append((after, False))
    return True


SEEDS = 40


@cache
def random_system(seed: int) -> tuple[list[tuple[Way, Callable[[int, int], bool], str]], Termination]:
    ways = list(random_ways(random.Random(seed)))
    return ways, judged([way for way, _, _ in ways])[0]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_runs_for_ever_has_no_measure(seed: int) -> None:
    ways, found = random_system(seed)
    if not found.endless:
        for start in ((0, 0), (1, 0), (0, 1), (2, 1), (1, 3), (3, 3)):
            assert ends_from(ways, start), (start, [step for *_, step in ways])


@pytest.mark.slow
def test_some_of_them_end_and_some_do_not() -> None:
    """So that the test before is about something."""
    counted = [random_system(seed) for seed in range(SEEDS)]
    assert sum(bool(found.falling) and not found.endless for _, found in counted) > 5
    repeated = [not all(ends_from(ways, (c, d)) for c in range(3) for d in range(3)) for ways, _ in counted]
    assert sum(repeated) > 8
