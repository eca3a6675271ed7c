"""What the trial of a routine's terms works with: one machine, the values of symbols, and what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from mcverify.arch.known import X86_64
from mcverify.check.emulated import Emulated, Snapshot
from mcverify.check.manifest import Location, Routine
from mcverify.check.question import Question
from mcverify.check.shape import sorts
from mcverify.check.shown import Shown, show
from mcverify.check.term import Program, read
from mcverify.check.tree import Node, Way
from mcverify.image.callees import StandIn, callees
from mcverify.image.image import Handler, Image

MASK = (1 << 64) - 1
NEAR = 1 << 16
"""What lies nearer than this to rsp at entry is the stack."""

_BELOW = 128
_LONGEST = 15
"""Bytes of an instruction."""
_CLOBBERED = re.compile(r"clobbered[0-9]+\.")
_STALE = re.compile(r"\|stack\[(-?[0-9]+)\]\.[0-9]+\|")


class Differs(Exception):
    """The terms of a bundle are not what its code does; the message is a sentence."""


class Env(dict[str, int]):
    """The values of symbols. That of ``code#ADDRESS`` is where the code lies here; what a routine in C has
    left in a register is the same for all of them."""

    def __missing__(self, name: str) -> int:
        if name.startswith("|code#"):
            return Emulated.code_place(int(name.strip("|").removeprefix("code#"), 16))
        if _CLOBBERED.match(name):
            return self[_CLOBBERED.sub("clobbered.", name)]
        raise KeyError(name)


@dataclass(frozen=True)
class At:
    """A state at a node of a tree. `drops` is how often what lies below rsp has been given up, `lowest` how
    low rsp has been, in bytes from rsp at entry."""

    location: Location
    node: Node
    address: int
    snapshot: Snapshot
    env: Env
    drops: int
    lowest: int


@dataclass
class Bench:
    """The machine with the code of one routine in it. `rsp` is the stack pointer at entry, `wishes` are
    values that some symbols should have in the state that is tried, `offsets` where rsp lies at each node,
    `ended` the paths that were followed to their end."""

    routine: Routine
    question: Question
    image: Image
    random: Random
    rsp: int = 0
    wishes: Mapping[str, int] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.machine = Emulated(self.random)
        visited = {step.at for path in self.routine.paths for step in path.steps}
        self.machine.load_code((at, self.image.code_at(at, _LONGEST)) for at in sorted(visited))
        self.machine.load_code((s.address, s.data) for s in self.image.sections if s.is_constant)
        self.widths = sorts(self.routine, self.question.contract)
        self.callees: Mapping[int, StandIn] = callees(self.image)
        self._thunks = frozenset(X86_64.model("externals.toml")["return_thunks"]["names"])
        self._programs: dict[str, Program] = {}
        self._shown: dict[int, Shown | None] = {}

    def program(self, text: str) -> Program:
        """A term, ready to be evaluated."""
        if text not in self._programs:
            self._programs[text] = Program(read(text, self.widths.get))
        return self._programs[text]

    def value(self, text: str, env: Env) -> int:
        """The value of a term."""
        return self.program(text).value(env)

    def final(self, text: str, env: Env) -> int:
        """The value of a term at the end of a path: what it says of a byte of the stack that nobody has read
        yet is what lies there."""
        missing = {
            name: self.machine.read(self.rsp + int(match[1]), 1)[0]
            for name in self.program(text).names
            if name not in env and (match := _STALE.fullmatch(name)) is not None
        }
        return self.value(text, Env(env | missing) if missing else env)

    def holds(self, way: Way, env: Env) -> bool:
        """Whether the conditions of a way are true."""
        return all(self.value(condition, env) for condition in way.step.conditions)

    def shown(self, address: int) -> Shown | None:
        """The instruction at an address."""
        if address not in self._shown:
            self._shown[address] = show(self.image.code_at(address), address)
        return self._shown[address]

    def is_thunk(self, address: int) -> bool:
        """Whether a return thunk lies there."""
        return self.image.externals.get(address) in self._thunks and address not in self.callees

    def offset(self, address: int) -> int:
        """The distance of an address from rsp at entry."""
        return (address - self.rsp + (1 << 63)) % (1 << 64) - (1 << 63)

    def spoil(self, lowest: int) -> None:
        """Overwrite what lies below rsp: it is anyone's."""
        rsp = self.offset(self.machine.get("rsp"))
        if lowest - _BELOW < rsp < NEAR:
            start = (self.rsp + lowest - _BELOW) & MASK
            self.machine.write(start, self.random.randbytes(rsp - lowest + _BELOW))

    def differs(self, at: At, what: str) -> Differs:
        """What is wrong at a state."""
        shown = self.shown(at.address)
        path = at.node.ways[0].path.name if at.node.ways else "no path"
        text = shown.text if shown is not None else "a routine outside"
        where = self.image.where(at.address)
        return Differs(f"{where}: {text}, on {path} of {self.routine.title}, {what}")


def handled(machine: Emulated, handler: Handler, trap: int) -> bool:
    """Do what a handler of the exception table does (`extable.toml`); False if that is not known."""
    register, imm = handler.register or "rax", handler.imm & MASK
    for effect in handler.effects:
        match effect:
            case "ax = trap":
                machine.set("rax", trap)
            case "ax = 0" | "dx = 0":
                machine.set(f"r{effect[:2]}", 0)
            case "reg = imm":
                machine.set(register, imm)
            case "sp += 8":
                machine.set("rsp", (machine.get("rsp") + 8) & MASK)
            case "cx = imm*cx + reg":
                machine.set("rcx", (imm * machine.get("rcx") + machine.get(register)) & MASK)
            case _:
                return False
    return True


def one_of(numbers: Sequence[int], wish: int | None, random: Random) -> int:
    """One of the numbers: the one that was wished for, if it is among them; else an end, or any."""
    if wish is not None and wish in numbers:
        return wish
    return random.choice((numbers[0], numbers[-1], numbers[random.randrange(len(numbers))]))


def place_of(to: object) -> int:
    """Where the code of an address lies in the machine; -1 for an end of another kind."""
    return Emulated.code_place(to) if isinstance(to, int) else -1


def number_of(data: bytes) -> int:
    """The number that bytes are."""
    return int.from_bytes(data, "little")


def bytes_of(value: int, size: int) -> bytes:
    """The low bytes of a number."""
    return (value % (1 << 8 * size)).to_bytes(size, "little")
