"""Whether the terms of a bundle are what the code does, on random states: instruction by instruction.

From each location the tree of paths is followed with values: registers and memory at random, at edges, equal
to each other, near numbers that the terms speak of, and as a solver proposes them for what no random state
showed. At each instruction one of the listed ways must be open and lead to where the emulator goes; it must
move just the bytes that the emulator touches; and at the end of a path its final values must be those of the
registers and of the stack. A branch is also followed the other way, since what it does to the state does not
hang on where it goes: so each path is followed to its end in some state, or its terms count as not compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from mcverify.check.aim import models_of
from mcverify.check.bench import MASK, At, Bench, Env, bytes_of, number_of, place_of
from mcverify.check.emulated import NotRunError
from mcverify.check.manifest import Location, Routine, Step
from mcverify.check.question import Question
from mcverify.check.shape import DEEPEST, STATE, slot_of
from mcverify.check.stepped import ARITHMETIC, SCRATCH, Stepped, outside, zeroing
from mcverify.check.term import Term, parts
from mcverify.check.tree import IMPOSSIBLE, branches
from mcverify.contract import REGISTERS
from mcverify.image.image import Image

ROUNDS = 24
"""Random states at each location."""

_FEWEST = 6
"""States at each location, however many instructions its paths have."""
_MUCH = 40_000
"""Instructions that are tried at a location in random states, if that is not too few states."""
_AIMING = 60.0
"""Seconds in which a solver may propose values, in all."""
_EDGES = (0, 1, 2, 7, 8, 9, 63, 64, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, (1 << 31) - 1, 1 << 31,
          (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip


@dataclass
class Tried:
    """What was tried: how many states, how many instructions in them, and what was not compared, by place,
    with why not."""

    states: int = 0
    instructions: int = 0
    not_compared: dict[str, str] = field(default_factory=dict)


def trial(routine: Routine, question: Question, image: Image, seed: str, rounds: int = ROUNDS) -> Tried:
    """Hold the terms of a routine against its code. The same seed tries the same states.

    Raises Differs where they are not what it does. The record is in order (`shape.py`, `walk.py`).
    """
    return _Trial(Bench(routine, question, image, Random(seed))).tried(rounds)


class _Trial:
    def __init__(self, bench: Bench) -> None:
        self._bench, self._routine, self._random = bench, bench.routine, bench.random
        self._trees = {
            location.name: branches(p for p in self._routine.paths if p.source == location.name)
            for location in self._routine.locations
        }
        self._constants = sorted(self._numbers())
        self._tried = Tried()
        self._visited: set[int] = set()
        self._run: set[int] = set()
        self._failed: dict[int, str] = {}

    def tried(self, rounds: int) -> Tried:
        """Try all locations."""
        aiming = time.monotonic() + _AIMING
        for location in self._routine.locations:
            for _ in range(max(_FEWEST, min(rounds, _MUCH // len(self._trees[location.name])))):
                self._from(location, {})
            for wishes in models_of(self._unseen(location), aiming):
                self._from(location, wishes)
        for address in self._failed.keys() - self._run:
            shown = self._bench.shown(address)
            text = shown.text if shown is not None else "a routine outside"
            why = f"{text} could not be run: {self._failed[address]}"
            self._tried.not_compared[self._bench.image.where(address)] = why
        for path in self._routine.paths:
            if path.end not in IMPOSSIBLE and path.name not in self._bench.ended:
                self._tried.not_compared.setdefault(path.name, "no state was found that takes it")
        for node in (node for tree in self._trees.values() for node in tree):
            if id(node) not in self._visited:
                name = node.ways[0].path.name
                self._tried.not_compared.setdefault(name, "no state was found that goes so far on it")
        return self._tried

    # -- terms

    def _texts(self, location: Location) -> Iterator[str]:
        """The terms of the paths of a location."""
        for node in self._trees[location.name]:
            for way in node.ways:
                yield from _terms(way.step)
        for path in self._routine.paths:
            if path.source == location.name:
                yield from path.final.values()

    def _numbers(self) -> set[int]:
        """The constants that the terms speak of."""
        texts = {text for location in self._routine.locations for text in self._texts(location)}
        nodes = (node for text in texts for node in parts(self._bench.program(text).term))
        return {0} | {n.value for n in nodes if not n.operands and not n.is_symbol and n.width > 1}

    def _unseen(self, location: Location) -> Iterator[tuple[Term, bool]]:
        """The truth values in the terms at a location that have not been both."""
        for text in sorted(set(self._texts(location))):
            yield from self._bench.program(text).unseen()

    # -- states

    def _from(self, location: Location, wishes: Mapping[str, int]) -> None:
        """Follow the tree of a location from one state."""
        bench = self._bench
        bench.wishes = wishes
        self._tried.states += 1
        try:
            waiting = [self._start(location)]
        except NotRunError:
            return
        while waiting:
            at = waiting.pop()
            bench.machine.restore(at.snapshot)
            self._visited.add(id(at.node))
            self._tried.instructions += 1
            try:
                waiting += self._following(at)
                self._run.add(at.address)
            except NotRunError as error:
                self._failed[at.address] = str(error)
            except KeyError as error:
                raise bench.differs(at, f"is told by {error} before anyone knows that") from error

    def _following(self, at: At) -> list[At]:
        bench = self._bench
        rsp = bench.offset(bench.machine.get("rsp"))
        if bench.offsets.setdefault(id(at.node), rsp) != rsp:
            raise bench.differs(
                at, "is reached with a stack pointer at several distances from where it began"
            )
        if at.address in bench.image.externals:
            return list(outside(bench, at))
        zeroes = next((s for s in bench.callees.values() if s.zero_at == at.address), None)
        if zeroes is not None:
            return list(zeroing(bench, at, zeroes))
        shown = bench.shown(at.address)
        return [] if shown is None else list(Stepped(bench, at, shown).following())

    def _start(self, location: Location) -> At:
        bench, random = self._bench, self._random
        bench.rsp = (0x7F00_0000_0000 + random.randrange(1 << 36)) & -8
        values = self._registers(location)
        machine = bench.machine
        machine.start(values)
        machine.write(bench.rsp + DEEPEST - 128, random.randbytes(128 - DEEPEST + 64))
        env = Env({f"{n}@0": v for n, v in values.items()} if location.entry else values)
        for name in (*(n for n in bench.widths if n.endswith("@0")), "bad_src", "bad_dst"):
            if name not in env:
                env[name] = bench.wishes.get(name, self._number(0))
        for name in (n for n in bench.widths if slot_of(n) is not None):
            place = bench.rsp + (slot_of(name) or 0)
            if name in bench.wishes:
                machine.write(place, bytes_of(bench.wishes[name], 8))
        for offset, address in location.calls:
            machine.write(bench.rsp + offset, bytes_of(place_of(address), 8))
        for name in (n for n in bench.widths if slot_of(n) is not None):
            env[name] = number_of(machine.read(bench.rsp + (slot_of(name) or 0), 8))
        env |= {"rsp@0": bench.rsp, "return@0": number_of(machine.read(bench.rsp, 8))}
        env |= {f"clobbered.{name}": random.getrandbits(STATE[name]) for name in (*SCRATCH, *ARITHMETIC)}
        root = self._trees[location.name][0]
        return At(location, root, location.address, machine.save(), env, 0, location.stack)

    def _registers(self, location: Location) -> dict[str, int]:
        """Values of all registers at a location."""
        random, wishes = self._random, self._bench.wishes
        mode = random.randrange(4)
        found = {name: self._number(mode) for name in REGISTERS}
        if not random.randrange(3):  # some are equal, or near each other
            one, other = random.sample([r for r in REGISTERS if r != "rsp"], 2)
            found[one] = (found[other] + random.choice((0, 0, 1, -1, 8, -8))) & MASK
        found |= {name: random.getrandbits(width) for name, width in STATE.items() if name not in found}
        for name, value in wishes.items():
            plain = name.removesuffix("@0") if location.entry else name
            if plain in STATE:
                found[plain] = value
        rsp = (self._bench.rsp + location.stack) & MASK
        return found | {"rsp": rsp, "df": location.df, "ac": location.ac}

    def _number(self, mode: int) -> int:
        """A number of 64 bits: any; mostly small, for `mode` 1 and 2; or near a constant of the terms."""
        random = self._random
        kind = random.randrange(6)
        if mode in (1, 2) and kind:
            return random.randrange(20 if mode == 1 else 300)
        if kind == 0:
            return random.choice(_EDGES)
        if kind == 1:
            return (random.choice(self._constants) + random.choice((0, 0, 1, -1))) & MASK
        if kind == 2:
            return -random.randrange(300) & MASK
        return random.getrandbits(random.choice((8, 16, 32, 48, 64, 64)))


def _terms(step: Step) -> Iterator[str]:
    """The terms of a step."""
    yield from step.conditions
    for moved in (*step.moved, *((step.fault,) if step.fault else ())):
        yield from (t for t in (moved.address, moved.value, moved.elements, moved.source) if t is not None)


__all__ = ["ROUNDS", "Tried", "trial"]
