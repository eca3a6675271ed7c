"""The instruction-level control-flow graph: where loops must be cut, and which registers still matter.

Nothing here is trusted for a proof: a loop without a cut point is noticed by the explorer, and
a register taken for dead is only left out of the invariants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mcverify.arch.architecture import Architecture
from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.jump_tables import targets
from mcverify.machine.instruction import Instruction, Leave, Refused
from mcverify.machine.lifter import Lifts
from mcverify.machine.symbols import code_of, data_of
from mcverify.machine.terms import symbols_of


@dataclass
class Graph:
    """Instructions by address, and their successors, fixups included."""

    entry: int
    instructions: dict[int, Instruction] = field(default_factory=dict)
    successors: dict[int, tuple[int, ...]] = field(default_factory=dict)
    has_calls: bool = False
    leaving: set[int] = field(default_factory=set)

    def cut_points(self) -> frozenset[int]:
        """Targets of the back edges of a depth-first walk: every cycle passes one."""
        state: dict[int, bool] = {}
        cuts: set[int] = set()
        stack: list[tuple[int, Iterable[int]]] = [(self.entry, iter(self.successors[self.entry]))]
        state[self.entry] = True
        while stack:
            node, rest = stack[-1]
            following = next(iter(rest), None)
            if following is None:
                state[node] = False
                stack.pop()
            elif following not in state:
                state[following] = True
                stack.append((following, iter(self.successors.get(following, ()))))
            elif state[following]:
                cuts.add(following)
        return frozenset(cuts)

    def live(self, architecture: Architecture, at_return: frozenset[str]) -> dict[int, frozenset[str]]:
        """Registers that may be read before they are written, before each instruction."""
        if self.has_calls:
            return dict.fromkeys(self.instructions, frozenset(architecture.widths))
        live: dict[int, frozenset[str]] = dict.fromkeys(self.instructions, frozenset())
        effects = {
            address: _effects(architecture, i, at_return, leaves=address in self.leaving)
            for address, i in self.instructions.items()
        }
        changed = True
        while changed:
            changed = False
            for address in reversed(self.instructions):
                reads, kills = effects[address]
                after = frozenset().union(*(live.get(s, frozenset()) for s in self.successors[address]))
                now = reads | (after - kills)
                if now != live[address]:
                    live[address], changed = now, True
        return live


_MOST_ARGUMENTS = 4
"""Of these a routine outside may look at the first (the architecture's `callees.toml`)."""


def _effects(
    architecture: Architecture, instruction: Instruction, at_return: frozenset[str], *, leaves: bool
) -> tuple[frozenset[str], frozenset[str]]:
    """Registers an instruction reads, and those it surely overwrites. One that can fault overwrites
    nothing: its fixup sees the state before it. One that `leaves` goes to a symbol outside."""
    reads: set[str] = set()
    for step in instruction.steps:
        terms = [step.guard, *step.writes.values()]
        terms += [term for access in step.accesses for term in (access.address, access.value)]
        reads.update(*(symbols_of(term) for term in terms))
        if not isinstance(step.target, int):
            reads |= at_return
    if leaves:
        reads |= at_return | {*architecture.arguments[:_MOST_ARGUMENTS]}
    if instruction.rep or any(step.accesses for step in instruction.steps):
        return frozenset(reads) & architecture.widths.keys(), frozenset()
    kills = frozenset.intersection(*(frozenset(step.writes) for step in instruction.steps))
    return frozenset(reads) & architecture.widths.keys(), kills


def build_graph(
    image: Image, lifter: Lifts, entry: int, deadline: Deadline, progress: Callable[[str], None]
) -> Graph:
    """Lift everything that can be reached from `entry`, fixups included."""
    graph = Graph(entry)
    waiting = [entry]
    while waiting:
        address = waiting.pop()
        if address in graph.successors:
            continue
        deadline.check("lift")
        try:
            instruction = lifter.instruction(address)
        except Refused:
            graph.successors[address] = ()
            continue
        if len(graph.instructions) % 64 == 0:
            progress(f"lifting: {len(graph.instructions)} instructions")
        graph.instructions[address] = instruction
        if any(step.target in image.externals for step in instruction.steps):
            graph.leaving.add(address)
        graph.has_calls |= any(step.is_call for step in instruction.steps)
        graph.successors[address] = tuple(dict.fromkeys(_following(image, instruction)))
        waiting.extend(reversed(graph.successors[address]))
    return graph


def _following(image: Image, instruction: Instruction) -> Iterable[int]:
    if instruction.rep is not None:
        yield instruction.rep.next
    for step in instruction.steps:
        for term in step.writes.values():  # a jump table, whose address it gives, is for a jump that follows
            base = data_of(symbols_of(term))
            yield from targets(image, base) if base is not None else ()
        for term in (*step.writes.values(), *(access.value for access in step.accesses)):
            handler = code_of(term)  # set for a fault that follows
            if handler is not None:
                yield handler
        if isinstance(step.target, Leave) or instruction.rep is not None:
            continue
        if step.target not in image.externals:
            yield step.target
        if step.is_call:
            yield instruction.address + instruction.size
    entry = image.entry_at(instruction.address)
    if entry is not None:
        yield entry.fixup
