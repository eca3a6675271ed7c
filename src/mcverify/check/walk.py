"""Whether the listed paths are all there are, by the bytes of the object and its exception table.

At each instruction of the tree of paths the ways that the code allows must be there: both targets of a
branch, and for each access that may fault the fixup, or the end where there is none. So each run follows
listed paths only, from location to location.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mcverify.bytewise import lacks
from mcverify.check.code import Instruction, decode
from mcverify.check.manifest import Location, Path, Routine
from mcverify.check.question import Question
from mcverify.check.tree import Goal, Node, Way, branches, ways_of
from mcverify.contract import MACHINE_CHECK, faults_by_entry
from mcverify.image.callees import callees, calling, calls_of
from mcverify.image.image import Image
from mcverify.image.patch import merged_nops
from mcverify.image.recovery import fatal_entries

Edge = tuple[str, Goal]
"""A way on: the kind of the access that faults ("" for none), and where it leads."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that the paths of a routine lack, or have too much; `says` is one sentence."""

    says: str


Back = tuple[int, ...]
"""Where the calls on the stack return to, the last one last."""


def gaps(routine: Routine, question: Question, image: Image) -> Iterator[Gap]:
    """What is wrong with the paths of a routine; nothing if they are complete."""
    entries = [location for location in routine.locations if location.entry]
    if [e.address for e in entries] != [routine.entry] or routine.entry not in _entry_points(image, routine):
        yield Gap(f"{routine.title} does not begin at the address {routine.entry:#x} of its one entry")
        return
    if routine.recursive != calls_of(image, routine.entry):
        yield Gap(f"{routine.title} is wrong about which routines in C call it for each byte")
        return
    walk = _Walk(routine, question, image)
    for location in routine.locations:
        own = [path for path in routine.paths if path.source == location.name]
        for path in own:
            yield from walk.ending(location, path)
        backs: dict[int, Back] = {}
        for node in branches(own):
            start = tuple(address for _, address in location.calls)
            if node.parent is not None and node.way is not None:
                start = walk.returns_to(backs[id(node.parent)], node.way)
            backs[id(node)] = start
            yield from walk.node(location, node, start)
    yield from _loops(routine)


def _entry_points(image: Image, routine: Routine) -> frozenset[int]:
    return frozenset(symbol.address for symbol in image.symbols if symbol.name == routine.name)


class _Walk:
    def __init__(self, routine: Routine, question: Question, image: Image) -> None:
        self._routine, self._question = routine, question
        self._image = image
        self._decoded: dict[int, Instruction | None] = {}
        self._locations = {location.name: location for location in routine.locations}
        self._callees = callees(image)
        self._fatal = fatal_entries(image, question.contract)
        self._zeroing = {s.zero_at for s in self._callees.values()}
        self._merged = merged_nops(image)
        self._thunks = image.architecture.model("externals.toml")["return_thunks"]["names"]

    # -- ends

    def ending(self, source: Location, path: Path) -> Iterator[Gap]:
        """What a path says of its end, against its steps."""
        if not path.steps or path.steps[0].at != source.address:
            yield Gap(f"{path.name} does not begin where {source.name} lies")
        unfenced = source.unfenced
        for step in path.steps:
            instruction = self._decode(step.at)
            if instruction is not None and step.fault is None:
                unfenced = (unfenced or instruction.is_nontemporal) and not instruction.is_fence
        if unfenced != path.unfenced and path.end in ("location", "return"):
            yield Gap(f"{path.name} is wrong about a non-temporal store that waits for a fence")
        if path.end != "location":
            return
        target = self._locations.get(path.target or "")
        faulted = source.faulted or path.faulted
        if target is None:
            yield Gap(f"{path.name} ends at no location of the list")
            return
        back = tuple(address for _, address in source.calls)
        for way in ways_of(path):
            back = self.returns_to(back, way)
        there = target.address, target.faulted, target.unfenced, tuple(a for _, a in target.calls)
        if there != (path.to, faulted, unfenced, back) or target.entry:
            yield Gap(f"{path.name} does not end in the mode of {target.name}")

    # -- nodes

    def node(self, location: Location, node: Node, back: Back) -> Iterator[Gap]:
        """Whether the ways on from a node are those that the code allows. `back`: where it returns to."""
        address = node.way.to if node.way is not None else location.address
        if not node.ways:
            yield Gap(f"no path leaves {location.name} at {self._image.where(location.address)}")
            return
        if not isinstance(address, int) or any(way.step.at != address for way in node.ways):
            yield Gap(f"the steps of {node.ways[0].path.name} do not follow each other")
            return
        for ended, following in zip(node.ended, node.following, strict=True):
            if len(ended) + (following is not None) > 1:
                yield Gap(f"{ended[0].name} ends where another path is")
        found = {(way.fault, way.to) for way in node.ways}
        where, name = self._image.where(address), node.ways[0].path.name
        needed, allowed = self._edges(address, back, node)
        instruction = self._decode(address)
        hints = instruction is not None and instruction.hints
        if hints and ("", "lost") not in found:
            yield Gap(f"{where}: the way on which a hint faults is missing behind {name}")
        if hints and any(way.step.hint is None for way in node.ways if way.to != "lost"):
            yield Gap(f"{where}: what the hint is about is not told behind {name}")
        if not hints and any(to in ("lost", "outside") for _, to in found):
            # What is not understood stands for the rest: the path that ends there must be impossible.
            needed = frozenset(edge for edge in needed if edge[0])
        for fault, to in sorted(needed - found, key=str):
            yield Gap(f"{where}: the way {_words(fault, to)} is missing behind {name}")
        for fault, to in sorted(found - allowed, key=str):
            yield Gap(f"{where}: the way {_words(fault, to)} of {name} is none that the code allows")

    def _decode(self, address: int) -> Instruction | None:
        if address not in self._decoded:
            self._decoded[address] = None
            if address not in self._image.externals:
                self._decoded[address] = decode(self._image.code_at(address), address)
        return self._decoded[address]

    def _is_settled(self, instruction: Instruction) -> bool:
        """Whether it is known before it runs: no address was written into it that is another one then, and
        the kernel does not rewrite it."""
        if self._image.rewritten_at(instruction.address, instruction.size) is not None:
            return False
        if self._image.holds_address(instruction.address, instruction.size):
            return False
        far = self._image.holds_distance(instruction.address, instruction.size)
        return not far or instruction.goes or instruction.is_relative

    def _edges(self, address: int, back: Back, node: Node) -> tuple[frozenset[Edge], frozenset[Edge]]:
        """The ways that must be there, and those that may be."""
        ends: frozenset[Edge] = frozenset({("", "lost"), ("", "trap"), ("", "outside")})
        returned: Goal = back[-1] if back else "return"
        if address in self._callees:
            if self._refused(address, node):
                return frozenset({("", "lost")}), ends
            behind: Goal = self._callees[address].zero_at or returned
            by_callee = ((kind, behind) for kind in ("load", "store") if self._may_fault(kind))
            needed: frozenset[Edge] = frozenset({("", returned), *by_callee})
            return needed, needed | ends | {("", "endless")}
        if address in self._zeroing:
            needed = frozenset({("", returned), *([("store", returned)] if self._may_fault("store") else [])})
            return needed, needed | ends
        instruction = self._decode(address)
        if instruction is None or not self._is_settled(instruction):
            return frozenset({("", "lost")}), ends
        onward = frozenset(self._onward(instruction, returned))
        by_table = self._image.entry_at(address)
        fixup: Goal = by_table.fixup if by_table is not None else "uncovered"
        if fixup in self._merged:
            fixup = "lost"
        faults: set[Edge] = {(kind, fixup) for kind in ("load", "store") if self._may_fault(kind)}
        if address in self._fatal and self._may_fault("load"):
            faults.add(("load", "uncovered"))
            if self._question.traps("load") == (MACHINE_CHECK,):
                faults.discard(("load", fixup))
        by_entry = None if by_table is not None else faults_by_entry(self._question.faults)
        moving = {m.kind for way in node.ways for m in way.step.moved}
        needed_faults = {
            (k, to)
            for k, to in faults
            if k != by_entry and (k in moving or (instruction.accesses(k) and not _in_frame(node, k)))
        }
        unmodelled: set[Edge] = {(kind, "lost") for kind, _ in faults}
        needed_faults = {(k, to) for k, to in needed_faults if not _ends_so(node, k, "lost")}
        return onward | needed_faults, onward | faults | unmodelled | ends

    def _refused(self, address: int, node: Node) -> bool:
        """Whether nothing may be assumed of the routine in C at `address`, which calls a routine of the file
        for each byte: that is another one, or may not be called so, or its contract says too little."""
        stand_in = self._callees[address]
        if stand_in.calls is None:
            return False
        is_own = calling(self._image) is not None and stand_in.calls == self._routine.entry
        return not is_own or bool(lacks(self._question.contract)) or self._user_access(node) != 0

    def _user_access(self, node: Node) -> int:
        """The alignment-check flag where a node is reached."""
        flag = self._locations[node.ways[0].path.source].ac
        for way in node.before:
            instruction = self._decode(way.step.at)
            name = instruction.text.split()[0] if instruction is not None else ""
            flag = {"stac": 1, "clac": 0}.get(name, flag)
        return flag

    def _onward(self, instruction: Instruction, returned: Goal) -> Iterator[Edge]:
        if instruction.returns:
            yield "", returned
        elif instruction.indirect:
            yield "", "lost"
        elif instruction.calls:
            for target in instruction.targets:
                yield "", instruction.end if self._is_thunk(target) else self._reached(target, returned)
        else:
            for target in instruction.targets:
                into_nops = target != instruction.end and target in self._merged
                yield "", "lost" if into_nops else self._reached(target, returned)

    def _reached(self, target: int, returned: Goal) -> Goal:
        name = self._image.externals.get(target)
        if name is None or target in self._callees:
            return target
        return returned if name in self._thunks else target

    def _is_thunk(self, target: int) -> bool:
        return self._image.externals.get(target) in self._thunks

    def _may_fault(self, kind: str) -> bool:
        return self._question.may_fault(kind)

    def returns_to(self, back: Back, way: Way) -> Back:
        """Where the calls on the stack will return to behind a way."""
        instruction = self._decode(way.step.at)
        if way.step.at in self._zeroing:
            return back[:-1]
        if instruction is None:  # a routine outside returns, unless it goes on to zero
            return back if way.to in self._zeroing else back[:-1]
        if way.step.fault is not None:
            return back
        if instruction.calls:
            return (*back, instruction.end)
        leaves = back and way.to == back[-1] and way.to not in instruction.targets
        return back[:-1] if instruction.returns or leaves else back


def _in_frame(node: Node, kind: str) -> bool:
    """Whether the paths say that an access of the kind, by the node's instruction, is to the own frame."""
    return any(access.kind == kind for way in node.ways for access in way.step.frame)


def _ends_so(node: Node, fault: str, end: str) -> bool:
    return any(way.fault == fault and way.to == end for way in node.ways)


def _words(fault: str, to: Goal) -> str:
    where = f"to {to:#x}" if isinstance(to, int) else f"({to})"
    return f"{where} by a fault of the {fault}" if fault else where


# -- loops


def _loops(routine: Routine) -> Iterator[Gap]:
    """Whether the measures leave no loop: those paths that one lowers are taken away, one measure after
    the other, and each must be kept or lowered by every path of the loops in which it lowers one."""
    import networkx

    edges: Mapping[str, Path] = {p.name: p for p in routine.paths if p.end == "location"}
    left = dict(edges)
    for number, measure in enumerate(routine.measures, 1):
        graph = networkx.MultiDiGraph([(p.source, p.target) for p in left.values()])
        parts = {n: i for i, part in enumerate(networkx.strongly_connected_components(graph)) for n in part}
        in_loops = {n: p for n, p in left.items() if parts[p.source] == parts[p.target]}
        lowered = [in_loops[n] for n in measure.falls if n in in_loops]
        touched = {parts[p.source] for p in lowered}
        needed = {n for n, p in in_loops.items() if parts[p.source] in touched}
        if missing := sorted(needed - {*measure.falls, *measure.stays}):
            yield Gap(f"measure {number} of {routine.title} says nothing of {', '.join(missing)}")
            return
        left = {n: p for n, p in left.items() if n not in measure.falls}
    graph = networkx.MultiDiGraph([(p.source, p.target) for p in left.values()])
    for part in networkx.strongly_connected_components(graph):
        if any(p.source in part and p.target in part for p in left.values()):
            yield Gap(f"no measure falls in the loop of {routine.title} through {', '.join(sorted(part))}")


__all__ = ["Gap", "Way", "gaps"]
