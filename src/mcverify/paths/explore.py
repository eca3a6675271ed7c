"""Exploration: every acyclic way from every location, with a fault at any access that may fault.

Branches are dropped only when z3's simplifier, without a solver, makes their condition false. What cannot be
followed ends in a segment of kind LOST that names it; nothing else ends a path but a location or an exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from itertools import count
from types import MappingProxyType

import z3

from mcverify.arch.architecture import Architecture
from mcverify.bytewise import lacks
from mcverify.contract import MACHINE_CHECK, Contract, can_fault, faults_by_entry
from mcverify.deadline import Deadline
from mcverify.image.callees import StandIn, callees, calling
from mcverify.image.image import Image, TableEntry
from mcverify.image.jump_tables import Slot, slots
from mcverify.image.patch import merged_nops
from mcverify.image.recovery import fatal_entries, handler_of
from mcverify.machine.handlers import apply_handler
from mcverify.machine.instruction import UNDEFINED, Access, Instruction, Kind, Leave, Refused, Step
from mcverify.machine.lifter import Lifts
from mcverify.machine.state import RETURN_ADDRESS, STACK_BASE, Registers, State
from mcverify.machine.symbols import code_of, code_symbol, data_of, data_symbol, per_cpu_symbol, slot_of
from mcverify.machine.symbols import slot_symbol as slot_symbol_of
from mcverify.machine.terms import constant, distance, symbols_of, variable, word
from mcverify.paths.faults import FIRST_BAD, is_harmless, of_string, strikes, survives, trap_numbers
from mcverify.paths.graph import Graph, build_graph
from mcverify.paths.segment import (
    AccessPoint,
    Ending,
    Fault,
    FrameAccess,
    Location,
    Paths,
    Pruned,
    Segment,
    StrayStack,
    Taken,
    Transfer,
)
from mcverify.paths.window import Windows

_MAX_LOCATIONS = 200
_MAX_NODES = 40_000
_MOST_SYMBOLS = 1_000_000
"""Symbols for what is loaded and the like on the ways from one location, which are numbered."""
_FATAL = "a machine check at this entry is fatal: the kernel does not recover there"


class TooManyPaths(Exception):
    """There are more locations or paths than a proof can take on."""


@dataclass(frozen=True)
class Options:
    """What may fault, with which trap numbers, and whether REP promises the order of its bytes. Of the kind
    `by_entry` only those accesses may fault that have an entry."""

    loads_fault: bool
    stores_fault: bool
    load_traps: tuple[int, ...]
    store_traps: tuple[int, ...]
    rep_ordered: bool = True
    by_entry: Kind | None = None

    @classmethod
    def of(cls, contract: Contract, faults: str, rep_model: str) -> Options:
        """What a proof of `contract` explores, where `faults` (`contract.Faults`) may fault."""
        by_entry = faults_by_entry(faults)
        return cls(
            loads_fault=can_fault(faults, "load"),
            stores_fault=can_fault(faults, "store"),
            by_entry=None if by_entry is None else Kind(by_entry),
            load_traps=contract.load_traps,
            store_traps=contract.store_traps,
            rep_ordered=rep_model == "ordered",
        )

    def may_fault(self, kind: Kind) -> bool:
        """Whether accesses of that kind may fault: some of them, so that there are bad bytes for them."""
        return self.loads_fault if kind is Kind.LOAD else self.stores_fault


def may_strike(options: Options, image: Image, at: int, kind: Kind) -> bool:
    """Whether the access of that kind by the instruction at `at` may fault."""
    return options.may_fault(kind) and (kind is not options.by_entry or image.entry_at(at) is not None)


@dataclass(frozen=True)
class _Node:
    """A point on a path: the state before the instruction at `address`, and what happened so far. `window` is
    where a fault continues while a handler is set."""

    address: int
    state: State
    faulted: bool
    unfenced: bool
    conditions: tuple[z3.BoolRef, ...] = ()
    fault_facts: tuple[z3.BoolRef, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    faults: tuple[Fault, ...] = ()
    trail: tuple[int, ...] = ()
    steps: tuple[Taken, ...] = ()
    frame: tuple[FrameAccess, ...] = ()
    hint: z3.BitVecRef | None = None
    window: int | None = None

    def over(self, at: int, fault: Kind | None = None, undefined: tuple[str, ...] = ()) -> _Node:
        """The node once the instruction at `at` is over, or has faulted."""
        counts = len(self.conditions), len(self.transfers), len(self.faults)
        taken = Taken(at, fault, *counts, self.frame, self.hint, undefined)
        return changed(self, steps=(*self.steps, taken), frame=(), hint=None)

    def assuming(self, *conditions: z3.BoolRef) -> _Node:
        """The node with more branch conditions; what is plainly true is left out."""
        new = tuple(c for c in conditions if not z3.is_true(c))
        return changed(self, conditions=self.conditions + new) if new else self

    def knowing(self, fact: z3.BoolRef) -> _Node:
        """The node with one more fact about bad addresses."""
        return changed(self, fault_facts=(*self.fault_facts, z3.simplify(fact)))


def entry_symbol(register: str, bits: int = 64) -> z3.BitVecRef:
    """The value that `register`, of that width, has when the routine is entered."""
    return variable(f"{register}@0", bits)


def address_of(register: str | None) -> z3.BitVecRef:
    """Where the buffer lies whose address `register` holds at entry; 0 for one that there is not."""
    return entry_symbol(register) if register else word(0)


@dataclass(frozen=True)
class _Own:
    """An access to the kernel's own memory: the node past it, what is assumed, or why it is not
    understood."""

    after: _Node
    conditions: tuple[z3.BoolRef, ...] = ()
    lost: str = ""


@dataclass
class Explorer:
    """Explores one routine of an image."""

    image: Image
    entry: int
    contract: Contract
    options: Options
    deadline: Deadline
    progress: Callable[[str], None]
    lifter: Lifts
    _cuts: set[int] = field(default_factory=set)
    _slots: dict[Location, frozenset[int]] = field(default_factory=dict)
    _accesses: list[AccessPoint] = field(default_factory=list)
    _strays: list[StrayStack] = field(default_factory=list)
    _pruned: list[Pruned] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _seen: set[int] = field(default_factory=set)
    _assumed: set[str] = field(default_factory=set)
    _limits: set[str] = field(default_factory=set)
    _callees: Mapping[int, StandIn] = field(default_factory=dict)
    _merged: frozenset[int] = frozenset()
    _fatal: frozenset[int] = frozenset()
    _windows: Windows = field(init=False)
    _architecture: Architecture = field(init=False)
    _eager: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._callees = callees(self.image)
        self._fatal = fatal_entries(self.image, self.contract)
        self._merged = merged_nops(self.image)
        self._windows = Windows(self.image, self.contract, self._limits)
        self._architecture = self.image.architecture
        # Computed at once: a long chain of pending terms would recurse deeply.
        self._eager = frozenset(self._architecture.general)

    def explore(self) -> Paths:
        """All paths of the routine. Raises OutOfTime and TooManyPaths."""
        graph = build_graph(self.image, self.lifter, self.entry, self.deadline, self.progress)
        # One that calls itself with less to do can be followed through its entry; a loop to there turns up.
        self._cuts = set(graph.cut_points()) - {self.entry} if graph.instructions else set()
        while True:
            segments = self._explore_all()
            if segments is not None:
                return self._paths(graph, segments)

    def fixup_segments(self, instruction: int) -> list[Segment]:
        """The ways from a fault at `instruction` on, over the registers as they are there; for display
        only."""
        location = Location(instruction, False, 0)
        entry = self.image.entry_at(instruction)
        if entry is None:
            return []
        scratch = changed(self, _accesses=[], _strays=[], _pruned=[], _numbers=count(), _seen=set())
        scratch._cuts, scratch._slots = set(self._cuts), {location: frozenset(), **self._slots}
        state = scratch._cut_state(location)
        node = _Node(instruction, state, True, False, trail=(instruction,))
        told = z3.BitVec("trap", 64), z3.BitVec("address", 64)
        _, following = scratch._handle(location, node, entry, *told)
        return (following and scratch._follow(location, following)) or []

    def _explore_all(self) -> list[Segment] | None:
        """The segments of all locations; None if a loop without a cut point turned up (it has one now)."""
        start = self._start
        self._slots, self._accesses, self._strays = {start: frozenset()}, [], []
        self._pruned = []
        waiting, segments, done = [start], [], 0
        while waiting:
            location = waiting.pop(0)
            # What comes before does not change the names of symbols: routines that go on in the same code ask
            # the same questions of it.
            self._numbers, done = count(_MOST_SYMBOLS * done), done + 1
            known = len(self._slots)
            found = self._from_location(location)
            if found is None:
                return None
            segments += found
            waiting += list(self._slots)[known:]
            self.progress(f"paths: {len(segments)} segments from {len(self._slots)} locations")
        return segments

    def _paths(self, graph: Graph, segments: list[Segment]) -> Paths:
        fixed = (self._architecture.stack_pointer, *self._architecture.modes)
        at_return = frozenset({*self.contract.kept, *fixed, *self.contract.results})
        return Paths(
            entry=self._start,
            locations=tuple(self._slots),
            segments=tuple(segments),
            accesses=tuple(self._accesses),
            strays=tuple(self._strays),
            slots=dict(self._slots),
            live=graph.live(self._architecture, at_return),
            instructions={a: i.text for a, i in graph.instructions.items()},
            visited=frozenset(self._seen),
            assumed=tuple(sorted(self._assumed)),
            limits=tuple(sorted(self._limits)),
            pruned=tuple(self._pruned),
        )

    @property
    def _start(self) -> Location:
        return Location(self.entry, False, 0, is_entry=True)

    # -- one location ---------------------------------------------------------------------------

    def _from_location(self, location: Location) -> list[Segment] | None:
        state = self._entry_state() if location.is_entry else self._cut_state(location)
        node = _Node(location.address, state, location.faulted, location.unfenced, window=location.window)
        return self._follow(location, [node])

    def _follow(self, location: Location, stack: list[_Node]) -> list[Segment] | None:
        """All ways on from the nodes of `stack`; None if a loop without a cut point turned up."""
        segments: list[Segment] = []
        nodes = 0
        while stack:
            self.deadline.check("paths")
            node = stack.pop()
            nodes += 1
            if nodes > _MAX_NODES:
                raise TooManyPaths(f"more than {_MAX_NODES} steps from {self.image.where(location.address)}")
            if node.trail and node.address in self._cuts:
                segments.append(self._arrive(location, node))
                continue
            if node.address in node.trail:
                self._cuts.add(node.address)
                return None
            ended, following = self._execute(location, node)
            segments += ended
            stack.extend(reversed(following))
        return segments

    def _entry_state(self) -> State:
        architecture = self._architecture
        values = {name: entry_symbol(name, bits) for name, bits in architecture.widths.items()}
        values[architecture.stack_pointer] = STACK_BASE
        values |= self._modes({})
        if architecture.link:
            values[architecture.link] = RETURN_ADDRESS
        return self._framed(values)

    def _modes(self, changed: Mapping[str, int]) -> dict[str, z3.BitVecRef]:
        """The modes, those that are `changed` and the others as at entry."""
        modes = {**self._architecture.modes, **changed}
        return {name: z3.BitVecVal(value, self._architecture.widths[name]) for name, value in modes.items()}

    def _framed(self, values: Mapping[str, z3.BitVecRef]) -> State:
        """A state with what the caller's call has left on the stack."""
        state = State(Registers(values, self._architecture), {})
        return state if self._architecture.link else state.pushed(0, RETURN_ADDRESS)

    def _cut_state(self, location: Location) -> State:
        values = {name: variable(name, bits) for name, bits in self._architecture.widths.items()}
        values[self._architecture.stack_pointer] = z3.simplify(STACK_BASE + location.stack)
        values |= self._modes(dict(location.modes))
        state = self._framed(values)
        for offset in self._slots[location]:
            state = state.pushed(offset, slot_symbol(offset))
        for offset, address in location.frames:
            state = state.pushed(offset, code_symbol(address))
        return state

    def _arrive(self, source: Location, node: _Node) -> Segment:
        offset = node.state.stack_offset
        now = {name: constant(node.state.registers[name]) for name in self._architecture.modes}
        if offset is None or None in now.values():
            names = " or ".join(self._architecture.mode_names.values())
            lost = self._architecture.stack_pointer if offset is None else f"the {names}"
            reason = f"{lost} is not a constant at a loop head"
            return self._end(source, node.over(node.address), Ending.LOST, reason=reason)
        at_entry = self._architecture.modes
        modes = tuple((n, value) for n, value in now.items() if value is not None and value != at_entry[n])
        words = {offset: code_of(node.state.read(offset, 8)) for offset in _words(node.state.stack)}
        frames = tuple((offset, to) for offset, to in words.items() if to is not None)
        target = Location(
            node.address, node.faulted, offset, modes, node.unfenced, frames=frames, window=node.window
        )
        if target not in self._slots:
            if len(self._slots) >= _MAX_LOCATIONS:
                raise TooManyPaths(f"more than {_MAX_LOCATIONS} loop heads and stack depths (recursion?)")
            self._slots[target] = frozenset(offset for offset, to in words.items() if to is None)
        return self._end(source, node, target)

    def _end(
        self,
        source: Location,
        node: _Node,
        target: Location | Ending,
        *,
        returned_to: z3.BitVecRef | None = None,
        reason: str = "",
    ) -> Segment:
        return Segment(
            source=source,
            target=target,
            at=node.address,
            conditions=node.conditions,
            fault_facts=node.fault_facts,
            transfers=node.transfers,
            faults=node.faults,
            final=node.state,
            trail=(*node.trail, node.address),
            returned_to=returned_to,
            faulted=node.faulted,
            unfenced=node.unfenced,
            reason=reason,
            steps=node.steps,
        )

    # -- one instruction ------------------------------------------------------------------------

    def _execute(self, source: Location, node: _Node) -> tuple[list[Segment], list[_Node]]:
        """The segments that end at the node's instruction, and the nodes that follow it."""
        name = self.image.externals.get(node.address)
        if name is not None:
            return self._outside(source, node, name)
        try:
            instruction = self.lifter.instruction(node.address)
        except Refused as refused:
            if node.trail and not self.image.code_at(node.address, 1):
                reason = "the code ends behind this instruction"
                at_last = changed(node.over(node.address), address=node.trail[-1])
                return [self._end(source, at_last, Ending.LOST, reason=reason)], []
            return [self._end(source, node.over(node.address), Ending.LOST, reason=str(refused))], []
        self._seen.add(node.address)
        if instruction.rep is not None:
            return self._rep(source, node, instruction)
        ended: list[Segment] = []
        following: list[_Node] = []
        if instruction.hint is not None:
            node = self._hint(source, node, instruction, ended)
        for step in instruction.steps:
            guard = node.state.registers.evaluate(step.guard)
            if z3.is_false(guard):
                self._prune(source, node, step)
            else:
                self._take(source, node.assuming(guard), instruction, step, ended, following)
        return ended, following

    def _hint(self, source: Location, node: _Node, instruction: Instruction, ended: list[Segment]) -> _Node:
        """The node at a hint that does not fault. That it may is a segment that must be impossible: no fixup
        is followed."""
        assert instruction.hint is not None
        address = node.state.registers.evaluate(instruction.hint)
        if State.stack_position(address) is not None:
            return node  # the stack does not fault
        harmless = z3.simplify(z3.Or([self._is_harmless(address, kind) for kind in Kind]))
        reason = f"{instruction.text} may fault, which is not followed"
        at_hint = node.assuming(z3.Not(harmless)).over(node.address)
        if not z3.is_true(harmless):
            ended.append(self._end(source, at_hint, Ending.LOST, reason=reason))
        return changed(node.assuming(harmless), hint=address)

    def _is_harmless(self, address: z3.BitVecRef, kind: Kind) -> z3.BoolRef:
        """That a hint about `address` cannot fault, since its line holds a good byte of a buffer."""
        contract = self.contract
        register = contract.src if kind is Kind.LOAD else contract.dst
        if register is None:
            return z3.BoolVal(False)
        length = entry_symbol(contract.len) if contract.len else word(contract.size or 0)
        bad = FIRST_BAD[kind] if self.options.may_fault(kind) else None
        line = self._architecture.granularity
        return is_harmless(address, entry_symbol(register), length, bad, line)

    def _prune(self, source: Location, node: _Node, step: Step) -> None:
        """Note that nothing goes on by `step`."""
        guard = node.state.registers.put_into(step.guard)
        target = step.target if isinstance(step.target, int) else None
        ended = node.assuming(guard).over(node.address)
        known = ended.conditions, ended.steps, target, ended.faults, ended.transfers
        self._pruned.append(Pruned(source, *known))

    def _take(
        self,
        source: Location,
        node: _Node,
        instruction: Instruction,
        step: Step,
        ended: list[Segment],
        following: list[_Node],
        slots: Mapping[str, z3.BitVecRef] = MappingProxyType({}),
    ) -> None:
        """One way through an instruction; `slots` are its loads that are words of a jump table, which are
        known."""
        if step.target is Leave.TRAP:
            reason = f"{instruction.text} may raise an exception"
            ended.append(self._end(source, node.over(node.address), Ending.TRAP, reason=reason))
            return
        loads: dict[str, z3.BitVecRef] = dict(slots)
        after, here = node, node
        stored: list[Transfer] = []
        for access in step.accesses:
            if access.value.decl().name() in slots:
                continue
            address = node.state.registers.evaluate(access.address, loads)
            offset = State.stack_position(address)
            if offset is not None:
                after = self._stack_access(source, here, after, step, access, offset, loads)
                continue
            own = self._kernels_own(node, after, instruction, access, address, loads)
            if own is not None and own.lost:
                ended.append(self._end(source, node.over(node.address), Ending.LOST, reason=own.lost))
                return
            if own is not None:
                here, after = here.assuming(*own.conditions), own.after
                continue
            table = self._table_at(address, access)
            if table is not None:
                words = self._words_of(address, *table)
                name = access.value.decl().name()
                ways = [(node.assuming(condition), {**slots, name: there}) for condition, there in words]
                for way, known in ways:
                    self._take(source, way, instruction, step, ended, following, known)
                ended.append(self._beside_table(source, node, instruction, address, *table))
                return
            transfer = self._transfer(node, access, address, loads, is_locked=instruction.is_locked)
            self._accesses.append(AccessPoint(source, here.conditions, transfer))
            if self._strikes(here, transfer):
                if self._may_spill(after):
                    ended.append(self._spilt(source, node, instruction))
                    return
                self._fork(source, self._before_fault(here, stored), transfer, ended, following)
            if self._may_fault(transfer):
                fact = survives(transfer, self._base(transfer))
                here, after = here.knowing(fact), after.knowing(fact)
            after = self._passed(after, transfer)
            stored = list(after.transfers[len(node.transfers) :])
        self._go_on(source, after, instruction, step, loads, ended, following)

    def _kernels_own(
        self,
        node: _Node,
        after: _Node,
        instruction: Instruction,
        access: Access,
        address: z3.BitVecRef,
        loads: dict[str, z3.BitVecRef],
    ) -> _Own | None:
        """What an access to the kernel's own memory does, which does not fault: to the slot of a handler, or
        a load of what is known there. None for any other access."""
        is_load, name = access.kind is Kind.LOAD, access.value.decl().name()
        value = None if is_load else node.state.registers.evaluate(access.value, loads)
        touch = self._windows.touch(access, address, value, node.window is not None)
        if touch is not None:
            if touch.lost:
                return _Own(after, lost=f"{instruction.text}: {touch.lost}")
            if touch.value is None:
                return _Own(changed(after, window=touch.handler))
            loads[name] = touch.value
            return _Own(after)
        read = self._kernel_load(instruction, address, access.size) if is_load else None
        if read is None:
            return None
        loads[name], condition = read
        return _Own(after.assuming(condition), (condition,))

    def _fork(
        self,
        source: Location,
        befores: Iterator[_Node],
        transfer: Transfer,
        ended: list[Segment],
        following: list[_Node],
    ) -> None:
        """The branches on which `transfer` faults in the states of these nodes."""
        for before in befores:
            ended_here, at_fixup = self._fault(source, before, transfer)
            ended += ended_here
            following += at_fixup

    def _may_spill(self, after: _Node) -> bool:
        """Whether an access of an instruction may fault with a store to the own frame done or not."""
        is_kept = self._architecture.stores_before_fault == "none"
        return not is_kept and any(touch.kind is Kind.STORE for touch in after.frame)

    def _spilt(self, source: Location, node: _Node, instruction: Instruction) -> Segment:
        reason = f"{instruction.text} may fault with a store to the stack done, which is not followed"
        return self._end(source, node.over(node.address), Ending.LOST, reason=reason)

    def _before_fault(self, here: _Node, done: list[Transfer]) -> Iterator[_Node]:
        """The nodes in which an access may fault after the instruction has `done` others: as before the
        instruction; and where the architecture says so, with its first store done, its first two, and so
        on."""
        yield here
        if self._architecture.stores_before_fault == "none":
            return
        for end, transfer in enumerate(done, 1):
            if transfer.kind is Kind.STORE:
                yield changed(here, transfers=(*here.transfers, *done[:end]))

    # -- jump tables ----------------------------------------------------------------------------

    def _table_at(self, address: z3.BitVecRef, access: Access) -> tuple[int, Sequence[Slot]] | None:
        """The jump table, by its begin, if an access is a load whose `address` counts from one; else None."""
        base = data_of(symbols_of(address)) if access.kind is Kind.LOAD else None
        if base is None:
            return None
        found = slots(self.image, base)
        return (base, found) if found and found[0].width == access.size else None

    @staticmethod
    def _words_of(
        address: z3.BitVecRef, base: int, table: Sequence[Slot]
    ) -> Iterator[tuple[z3.BoolRef, z3.BitVecRef]]:
        """The words of a table, each with the condition that it is the one at `address`."""
        offset = z3.simplify(address - data_symbol(base))
        for slot in table:
            condition = z3.simplify(offset == slot.offset)
            if not z3.is_false(condition):
                is_distance = slot.relative
                value = slot_symbol_of(base, slot.offset) if is_distance else code_symbol(slot.target)
                yield condition, value

    def _beside_table(
        self,
        source: Location,
        node: _Node,
        instruction: Instruction,
        address: z3.BitVecRef,
        base: int,
        table: Sequence[Slot],
    ) -> Segment:
        """The end at a load that goes beside the words of a jump table, which must be impossible."""
        beside = [z3.Not(condition) for condition, _ in self._words_of(address, base, table)]
        reason = f"{instruction.text}: beside the {len(table)} words of the jump table that are known"
        return self._end(source, node.assuming(*beside).over(node.address), Ending.LOST, reason=reason)

    def _led_to(self, term: z3.BitVecRef) -> int | None:
        """The address in the image that an indirect jump to `term` leads to, by a jump table; None where that
        is not known."""
        known = code_of(term)
        if known is not None:
            return known
        names = symbols_of(term)
        slot, base = slot_of(names), data_of(names)
        if slot is None or base != slot[0] or len(names) != 2:
            return None
        expected = data_symbol(base) + z3.SignExt(32, slot_symbol_of(*slot))
        if not z3.is_true(z3.simplify(term == expected)) and constant(z3.simplify(term - expected)) != 0:
            return None
        return next(found.target for found in slots(self.image, base) if found.offset == slot[1])

    def _passed(self, node: _Node, transfer: Transfer) -> _Node:
        """The node after a transfer that did not fault: what was loaded of a string tells where it ends."""
        node = changed(node, transfers=(*node.transfers, transfer))
        contract, value = self.contract, transfer.value
        if contract.string_length is None or transfer.kind is Kind.STORE or value is None:
            return node
        length = entry_symbol(contract.len or "")
        return node.assuming(*of_string(transfer.address, value, self._base(transfer), length))

    def _stack_access(
        self,
        source: Location,
        node: _Node,
        after: _Node,
        step: Step,
        access: Access,
        offset: int,
        loads: dict[str, z3.BitVecRef],
    ) -> _Node:
        lowest = self._lowest(node.state, step, access.kind, loads)
        highest = 0 if access.kind is Kind.STORE else self._architecture.return_bytes
        if lowest is None or offset < lowest or offset + access.size > highest:
            self._strays.append(StrayStack(source, node.address, offset, node.conditions))
        after = changed(after, frame=(*after.frame, FrameAccess(access.kind, offset, access.size)))
        if access.kind is Kind.LOAD:
            loads[access.value.decl().name()] = after.state.read(offset, access.size)
            return after
        value = node.state.registers.evaluate(access.value, loads)
        if step.is_call and (to := constant(value)) is not None:
            value = code_symbol(to)
        return changed(after, state=after.state.pushed(offset, value))

    def _lowest(self, state: State, step: Step, kind: Kind, loads: dict[str, z3.BitVecRef]) -> int | None:
        """Offset below which the stack must not be touched: the end of the red zone below the stack pointer,
        and for a store below what the instruction makes of it."""
        now, pointer = state.stack_offset, self._architecture.stack_pointer
        if now is None:
            return None
        if kind is Kind.STORE and pointer in step.writes:
            moved = State.stack_position(state.registers.evaluate(step.writes[pointer], loads))
            now = now if moved is None else min(now, moved)
        return now - self._architecture.red_zone

    def _kernel_load(
        self, instruction: Instruction, address: z3.BitVecRef, size: int
    ) -> tuple[z3.BitVecRef, z3.BoolRef] | None:
        """What a load of the kernel's own memory gives, which does not fault, and what is assumed of it: of
        data of the image that are never written their value, of what a per-CPU pointer leads to any. None for
        any other address."""
        at = constant(address)
        if at is not None:
            known = self.image.constant_at(instruction.address, instruction.size, at, size)
            if known is None:
                return None
            return z3.BitVecVal(int.from_bytes(known, self._architecture.byte_order), 8 * size), z3.BoolVal(
                True
            )
        for name, model in self._architecture.model("percpu.toml").items():
            pointer = per_cpu_symbol(name)
            if pointer.decl().name() not in symbols_of(address):
                continue
            offset = distance(address, pointer)
            if offset is None or not 0 <= offset <= model["object"] - size:
                return None
            value = variable(f"{name}_{offset:x}_{size}@0", 8 * size)
            if size != 8 or not (model["limit"] and self.contract.user):
                self._limits.add(
                    f"what lies at {name}+{offset:#x} is the kernel's own: to read it does not fault"
                )
                return value, z3.BoolVal(True)
            self._limits.add(f"{model['summary']} (the word at {name}+{offset:#x})")
            return value, z3.UGE(value, word(self._architecture.limits.user_end))
        return None

    def _transfer(
        self,
        node: _Node,
        access: Access,
        address: z3.BitVecRef,
        loads: dict[str, z3.BitVecRef],
        *,
        is_locked: bool,
    ) -> Transfer:
        if access.kind is Kind.STORE:
            value = node.state.registers.evaluate(access.value, loads)
        else:
            value = z3.BitVec(f"load{next(self._numbers)}", 8 * access.size)
            loads[access.value.decl().name()] = value
        locked = next(iter(loads.values())) if is_locked else None
        return Transfer(access.kind, node.address, address, access.size, value, locked=locked)

    def _go_on(
        self,
        source: Location,
        node: _Node,
        instruction: Instruction,
        step: Step,
        loads: dict[str, z3.BitVecRef],
        ended: list[Segment],
        following: list[_Node],
    ) -> None:
        undefined = {n for term in step.writes.values() for n in symbols_of(term) if n.startswith(UNDEFINED)}
        led_to = step.target if isinstance(step.target, int) else None
        if step.target is Leave.INDIRECT and step.goes_to is not None and not step.is_call:
            led_to = self._led_to(node.state.registers.evaluate(step.goes_to, loads))
        chosen = {n: z3.BitVec(f"{n}{next(self._numbers)}", 1) for n in sorted(undefined)}
        before = node.state
        registers = before.registers.written(step.writes, loads | chosen)
        for name in self._eager & step.writes.keys():
            registers[name]
        registers = self._with_link(registers, step)
        state = changed(node.state, registers=registers)
        if self._architecture.stack_pointer in step.writes:
            state = _released(node.state, state)
        node = changed(
            node,
            state=state,
            unfenced=(node.unfenced or instruction.is_nontemporal) and not instruction.is_fence,
            trail=(*node.trail, instruction.address),
        ).over(instruction.address, undefined=tuple(str(flag) for flag in chosen.values()))
        if step.target is not Leave.RETURN:
            self._note_exposed(source, changed(node, address=instruction.address))
        if step.target is Leave.RETURN:
            assert step.goes_to is not None
            to = before.registers.evaluate(step.goes_to, loads)
            self._return(source, node, to, ended, following)
        elif state.stack_offset is None or state.stack_offset < -self._architecture.limits.own_frame:
            ended.append(self._stack_lost(source, changed(node, address=instruction.address)))
        elif led_to is None:
            reason = f"{instruction.text}: an indirect jump"
            ended.append(
                self._end(source, changed(node, address=instruction.address), Ending.LOST, reason=reason)
            )
        else:
            goes = led_to != instruction.address + instruction.size
            if goes and led_to in self._merged:
                ended.append(self._into_nops(source, changed(node, address=instruction.address)))
            else:
                following.append(changed(node, address=led_to))

    def _with_link(self, registers: Registers, step: Step) -> Registers:
        """The registers after a step; the address that a call has put into the link register is no
        constant."""
        link = self._architecture.link
        if not step.is_call or link is None or (to := constant(registers[link])) is None:
            return registers
        return registers.assigned({link: code_symbol(to)})

    def _into_nops(self, source: Location, node: _Node) -> Segment:
        """The end at a way into the middle of nops of which the boot code makes longer ones."""
        reason = (
            "goes into the middle of an alternative's nops, of which the kernel makes fewer and longer ones"
        )
        return self._end(source, node, Ending.LOST, reason=reason)

    def _stack_lost(self, source: Location, node: _Node) -> Segment:
        """The end at an instruction after which nobody knows what lies below rsp: interrupts store there."""
        offset = node.state.stack_offset
        pointer = self._architecture.stack_pointer
        reason = (
            f"{pointer} is no longer at a known distance from its value at entry"
            if offset is None
            else f"{pointer} is {-offset} bytes below its value at entry, where the stack may have ended"
        )
        return self._end(source, node, Ending.LOST, reason=reason)

    def _note_exposed(self, source: Location, node: _Node) -> None:
        """Note where rsp has risen above the caller's frame, in which an interrupt would now store."""
        offset = node.state.stack_offset
        frame = self._architecture.return_bytes
        if offset is not None and offset > frame:
            self._strays.append(StrayStack(source, node.address, frame, node.conditions))

    def _return(
        self, source: Location, node: _Node, to: z3.BitVecRef, ended: list[Segment], following: list[_Node]
    ) -> None:
        known = code_of(to)
        if known is not None and self.image.code_at(known):
            self._note_exposed(source, node)  # `ret N` pops more than its call pushed
            following.append(changed(node, address=known))
        elif node.window is not None:
            reason = f"returns while the handler at {self.image.where(node.window)} is still set"
            ended.append(self._end(source, node, Ending.LOST, reason=reason))
        else:
            ended.append(self._end(source, node, Ending.RETURN, returned_to=to))

    def _outside(self, source: Location, node: _Node, name: str) -> tuple[list[Segment], list[_Node]]:
        """A jump to the undefined symbol `name`: a return if it is a return thunk, what is assumed if
        `models/x86_64/callees.toml` says something of it, else the end of what is known."""
        callee = self._callees.get(node.address)
        if callee is not None:
            return self._callee(source, node, callee)
        if name not in self._architecture.model("externals.toml")["return_thunks"]["names"]:
            at_jump = changed(node.over(node.address), address=node.trail[-1])
            return [
                self._end(
                    source, at_jump, Ending.OUTSIDE, reason=f"goes to {name}, which is outside the file"
                )
            ], []
        return self._return_by_stack(source, node)

    def _return_by_stack(self, source: Location, node: _Node) -> tuple[list[Segment], list[_Node]]:
        """A return from outside the file: to the address on top of the stack, or in the link register."""
        offset, architecture = node.state.stack_offset, self._architecture
        if offset is None:
            reason = f"{architecture.stack_pointer} is not known at a return"
            return [self._end(source, node, Ending.LOST, reason=reason)], []
        registers, size = node.state.registers, architecture.return_bytes
        to = registers[architecture.link] if architecture.link else node.state.read(offset, size)
        popped = registers.assigned({architecture.stack_pointer: z3.simplify(STACK_BASE + offset + size)})
        ended: list[Segment] = []
        following: list[_Node] = []
        state = _released(node.state, changed(node.state, registers=popped))
        back = changed(node, state=state, address=node.trail[-1])
        self._return(source, back, to, ended, following)
        return ended, following

    # -- routines outside, of which something is assumed ------------------------------------------

    def _callee(self, source: Location, node: _Node, callee: StandIn) -> tuple[list[Segment], list[_Node]]:
        """The assumption as one transition: all bytes copied, or a fault at byte k with those before it
        copied; then a return with the rest in rax, and nothing known of what the ABI lets a callee change."""
        self._assumed.add(callee.name)
        registers = node.state.registers
        at_jump = changed(node.over(node.address), address=node.trail[-1])
        if lost := self._callee_refused(node, callee):
            reason = f"goes to {callee.name}{lost}"
            return [self._end(source, at_jump, Ending.LOST, reason=reason)], []
        wanted = registers[self._architecture.arguments[2]]
        ended: list[Segment] = []
        following: list[_Node] = []
        for ending, fails, reason in self._callee_demands(callee, wanted):
            if not z3.is_false(fails):
                at_jump = changed(node.assuming(fails).over(node.address), address=node.trail[-1])
                ended.append(self._end(source, at_jump, ending, reason=reason))
            node = node.assuming(z3.simplify(z3.Not(fails)))
        whole = self._callee_transfers(node, callee, wanted)
        self._accesses += [AccessPoint(source, node.conditions, transfer) for transfer in whole]
        passed = self._passing(node, whole).over(node.address)
        ways = [self._callee_leaves(passed, callee, word(0))]
        for kind in (Kind.LOAD, Kind.STORE):
            if self.options.may_fault(kind):
                ways += self._callee_fault(source, node, callee, wanted, kind)
        for way in ways:
            more_ended, more_following = self._return_by_stack(source, way)
            ended += more_ended
            following += more_following
        return ended, following

    def _callee_refused(self, node: _Node, callee: StandIn) -> str:
        """Why nothing is known of the callee where the node is; "" where something is."""
        registers, architecture = node.state.registers, self._architecture
        for mode, value in architecture.modes.items():
            if mode != architecture.user_access and constant(registers[mode]) != value:
                return f" with the {architecture.mode_names[mode]} set"
        if any(State.stack_position(registers[name]) is not None for name in architecture.arguments[:2]):
            return " on the stack"
        if callee.calls is None:
            return ""
        calls = f"which calls {callee.callee.calls}() for each byte"
        if calling(self.image) is None:
            return f" beside another routine in C, {calls}"
        if callee.calls != self.entry:
            return f", {calls}: that is another routine of this file, whose proof is none of this one"
        if architecture.user_access and constant(registers[architecture.user_access]) != 0:
            return f" with user access open, {calls}"
        if missing := lacks(self.contract):
            return f", {calls}, and the contract {self.contract.name} {missing}"
        return ""

    def _callee_demands(
        self, callee: StandIn, wanted: z3.BitVecRef
    ) -> Iterator[tuple[Ending, z3.BoolRef, str]]:
        """What must not be where the callee is entered: the end to which it leads, the condition, in words.

        One that calls the routine itself does what is assumed of it as far as the routine keeps its contract
        for a single byte. The proof of that must not rest on the callee, so a copy of one byte must not come
        to it.
        """
        long = z3.simplify(z3.UGT(wanted, word((1 << 32) - 1)))
        yield Ending.LOST, long, f"goes to {callee.name} with a count of more than 32 bits"
        if callee.calls is None:
            return
        assert self.contract.len is not None
        again = z3.And(entry_symbol(self.contract.len) == 1, wanted != 0)
        reason = (
            f"a copy of one byte goes to {callee.name}, which calls {callee.callee.calls}() to copy it: that"
            " has no end"
        )
        yield Ending.ENDLESS, z3.simplify(again), reason

    def _callee_transfers(self, node: _Node, callee: StandIn, count: z3.BitVecRef) -> list[Transfer]:
        to, start = (node.state.registers[name] for name in self._architecture.arguments[:2])
        return [
            Transfer(Kind.LOAD, callee.load_at, start, 1, None, count),
            Transfer(Kind.STORE, callee.store_at, to, 1, None, count, start),
        ]

    def _passing(self, node: _Node, transfers: list[Transfer]) -> _Node:
        """The node after `transfers`, none of which faults."""
        for transfer in transfers:
            if self._may_fault(transfer):
                node = node.knowing(survives(transfer, self._base(transfer)))
        return changed(node, transfers=(*node.transfers, *transfers))

    def _callee_fault(
        self, source: Location, node: _Node, callee: StandIn, wanted: z3.BitVecRef, kind: Kind
    ) -> list[_Node]:
        """The returns after a fault at byte number `done`, of which the load or the store faults."""
        done = z3.BitVec(f"done{next(self._numbers)}", 64)
        trap = z3.BitVec(f"trap{next(self._numbers)}", 64)
        is_load = kind is Kind.LOAD
        before = self._callee_transfers(node, callee, done)
        at = callee.load_at if is_load else callee.store_at
        start = z3.simplify(node.state.registers[self._architecture.arguments[is_load]] + done)
        access = Transfer(kind, at, start, 1)
        fault = Fault(access, callee.fixup_at, trap, node.state)
        numbers = self.options.load_traps if is_load else self.options.store_traps
        struck = self._passing(node.assuming(z3.ULT(done, wanted)), before)
        struck = struck.assuming(trap_numbers(trap, numbers)).knowing(strikes(access, self._base(access)))
        struck = changed(struck, faults=(*node.faults, fault), faulted=True).over(node.address, kind)
        over = [struck] if callee.zero_at is None else self._zeroing(source, struck, callee, done, wanted)
        return [self._callee_leaves(way, callee, z3.simplify(wanted - done)) for way in over]

    def _zeroing(
        self, source: Location, node: _Node, callee: StandIn, done: z3.BitVecRef, wanted: z3.BitVecRef
    ) -> list[_Node]:
        """The ways on from a fault at byte number `done`: what is left is zeroed if ecx is not 0, all of it
        or up to a byte whose store faults."""
        at = callee.zero_at
        assert at is not None
        registers = node.state.registers
        asked = z3.simplify(z3.Extract(31, 0, registers[self._architecture.arguments[3]]) != 0)
        node = changed(node, address=at, trail=(*node.trail, node.address))
        ways = [node.assuming(z3.simplify(z3.Not(asked))).over(at)]
        node = node.assuming(asked)
        to, zero = z3.simplify(registers[self._architecture.arguments[0]] + done), z3.BitVecVal(0, 8)
        whole = Transfer(Kind.STORE, at, to, 1, zero, z3.simplify(wanted - done))
        self._accesses.append(AccessPoint(source, node.conditions, whole))
        ways.append(self._passing(node, [whole]).over(at))
        if self.options.may_fault(Kind.STORE):
            reached = z3.BitVec(f"done{next(self._numbers)}", 64)
            trap = z3.BitVec(f"trap{next(self._numbers)}", 64)
            access = Transfer(Kind.STORE, at, z3.simplify(to + reached), 1)
            part = Transfer(Kind.STORE, at, to, 1, zero, reached)
            node = self._passing(node.assuming(z3.ULT(reached, z3.simplify(wanted - done))), [part])
            node = node.assuming(trap_numbers(trap, self.options.store_traps))
            node = node.knowing(strikes(access, self._base(access)))
            fault = Fault(access, callee.entries[at], trap, node.state)
            ways.append(changed(node, faults=(*node.faults, fault)).over(at, Kind.STORE))
        return [way for way in ways if not any(z3.is_false(c) for c in way.conditions)]

    def _callee_leaves(self, node: _Node, callee: StandIn, left: z3.BitVecRef) -> _Node:
        """The node at the callee's return, where `left` is its result."""
        number = next(self._numbers)
        architecture = self._architecture
        widths = {name: architecture.widths[name] for name in architecture.clobbered}
        values = {name: variable(f"clobbered{number}.{name}", bits) for name, bits in widths.items()}
        values[architecture.result] = left
        if callee.clears_ac and architecture.user_access:
            values[architecture.user_access] = z3.BitVecVal(0, 1)
        return changed(node, state=changed(node.state, registers=node.state.registers.assigned(values)))

    # -- faults ---------------------------------------------------------------------------------

    def _may_fault(self, transfer: Transfer) -> bool:
        """Whether there may be bad bytes where it goes: that it does not fault tells something."""
        return self.options.may_fault(transfer.kind)

    def _strikes(self, node: _Node, transfer: Transfer) -> bool:
        """Whether it may fault itself: where a handler is set, as where there is an entry."""
        if node.window is not None and self._may_fault(transfer):
            return True
        return may_strike(self.options, self.image, transfer.at, transfer.kind)

    def _base(self, transfer: Transfer) -> z3.BitVecRef:
        return address_of(self.contract.src if transfer.kind is Kind.LOAD else self.contract.dst)

    def _fault(self, source: Location, node: _Node, transfer: Transfer) -> tuple[list[Segment], list[_Node]]:
        """The branch on which `transfer` faults in the node's state: to its fixup, or to an oops."""
        trap = z3.BitVec(f"trap{next(self._numbers)}", 64)
        numbers = self.options.load_traps if transfer.kind is Kind.LOAD else self.options.store_traps
        entry = self._entry_at(node)
        struck = node.knowing(strikes(transfer, self._base(transfer)))
        struck, told = self._telling_address(struck, transfer)

        def faulted(fixup: int | None, numbers: tuple[int, ...]) -> _Node:
            fault = Fault(transfer, fixup, trap, node.state, told)
            at_fault = changed(struck, state=_without_red_zone(node.state))
            at_fault = at_fault.assuming(trap_numbers(trap, numbers))
            return changed(at_fault, faults=(*node.faults, fault), faulted=True).over(
                node.address, transfer.kind
            )

        if entry is None:
            return [self._end(source, faulted(None, numbers), Ending.UNCOVERED)], []
        fatal = self._fatal_numbers(transfer, numbers)
        ended = [self._end(source, faulted(None, fatal), Ending.UNCOVERED, reason=_FATAL)] if fatal else []
        rest = tuple(number for number in numbers if number not in fatal)
        if not rest:
            return ended, []
        handled, following = self._handle(source, faulted(entry.fixup, rest), entry, trap, told)
        return [*ended, *handled], following

    def _entry_at(self, node: _Node) -> TableEntry | None:
        """The entry for a fault at the node's instruction: of the table, or of the handler that is set."""
        entry = self.image.entry_at(node.address)
        if entry is None and node.window is not None:
            return TableEntry(node.address, node.window, self._windows.handler(), -1)
        return entry

    def _telling_address(self, node: _Node, transfer: Transfer) -> tuple[_Node, z3.BitVecRef | None]:
        """What is known of the address that the handler is told, where the contract says that it hands it on:
        it is that of a bad byte of the access, and which one is not said where there are several."""
        if "address" not in self.contract.handed:
            return node, None
        told = z3.BitVec(f"address{next(self._numbers)}", 64)
        offset = told - self._base(transfer)
        inside = z3.ULT(told - transfer.address, word(transfer.size))
        return node.assuming(z3.simplify(inside)).knowing(z3.UGE(offset, FIRST_BAD[transfer.kind])), told

    def _fatal_numbers(self, transfer: Transfer, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """The traps of those an access may raise from which the kernel does not recover at its entry."""
        if transfer.kind is not Kind.LOAD or transfer.at not in self._fatal:
            return ()
        return tuple(number for number in numbers if number == MACHINE_CHECK)

    def _handle(
        self,
        source: Location,
        node: _Node,
        entry: TableEntry,
        trap: z3.BitVecRef,
        address: z3.BitVecRef | None,
    ) -> tuple[list[Segment], list[_Node]]:
        handler = handler_of(entry, self.contract)
        registers = apply_handler(handler, node.state.registers, trap, address)
        if registers is None:
            reason = f"the handler {handler.name} is not modelled"
            return [self._end(source, node, Ending.LOST, reason=reason)], []
        if entry.fixup in self._merged:
            return [self._into_nops(source, node)], []
        state = changed(node.state, registers=registers)
        state = _released(node.state, state)
        self._note_exposed(source, changed(node, state=state))
        return [], [changed(node, address=entry.fixup, state=state, trail=(*node.trail, node.address))]

    # -- REP ------------------------------------------------------------------------------------

    def _rep(
        self, source: Location, node: _Node, instruction: Instruction
    ) -> tuple[list[Segment], list[_Node]]:
        """The SDM's rule as one transition: all elements done, or a fault at element k with k done."""
        rep = instruction.rep
        assert rep is not None
        registers = node.state.registers
        direction = next(
            (m for m in rep.modes if constant(registers[m]) != self._architecture.modes[m]), None
        )
        if direction is not None:
            return [
                self._end(
                    source,
                    node.over(node.address),
                    Ending.LOST,
                    reason=f"{instruction.text} with the {self._architecture.mode_names[direction]} set",
                )
            ], []
        used = (rep.destination, rep.source) if rep.reads_source else (rep.destination,)
        if any(State.stack_position(registers[name]) is not None for name in used):
            ended_so = node.over(node.address)
            return [self._end(source, ended_so, Ending.LOST, reason=f"{instruction.text} on the stack")], []
        elements = registers[rep.count]
        kinds = (Kind.LOAD, Kind.STORE) if rep.reads_source else (Kind.STORE,)
        whole = self._rep_transfers(node, instruction, elements)
        self._accesses += [AccessPoint(source, node.conditions, transfer) for transfer in whole]
        ended: list[Segment] = []
        following = [self._rep_done(node, instruction, elements, whole)]
        for kind in kinds:
            if self._strikes(node, Transfer(kind, node.address, registers[rep.destination], rep.size)):
                for order_matters, condition in self._orders(elements):
                    more, at_fixup = self._rep_fault(
                        source,
                        node.assuming(condition),
                        instruction,
                        elements,
                        kind,
                        ordered=not order_matters,
                    )
                    ended += more
                    following += at_fixup
        return ended, following

    def _orders(self, elements: z3.BitVecRef) -> Iterator[tuple[bool, z3.BoolRef]]:
        """Whether it matters in which order the elements are done, with the condition under which it does:
        one alone has no other order than the promised one."""
        if self.options.rep_ordered:
            yield False, z3.BoolVal(True)
            return
        several = z3.simplify(z3.UGT(elements, word(1)))
        if not z3.is_true(several):
            yield False, z3.simplify(z3.Not(several))
        if not z3.is_false(several) and constant(z3.simplify(z3.Extract(63, 1, elements))) != 0:
            yield True, several

    def _rep_transfers(
        self, node: _Node, instruction: Instruction, elements: z3.BitVecRef, *, partial: bool = False
    ) -> list[Transfer]:
        rep = instruction.rep
        assert rep is not None
        registers = node.state.registers
        if not rep.reads_source:
            value = z3.simplify(z3.Extract(8 * rep.size - 1, 0, registers[rep.value]))
            return [
                Transfer(
                    Kind.STORE,
                    node.address,
                    registers[rep.destination],
                    rep.size,
                    value,
                    elements,
                    None,
                    partial,
                )
            ]
        to, start = registers[rep.destination], registers[rep.source]
        load = Transfer(Kind.LOAD, node.address, start, rep.size, None, elements)
        store = Transfer(Kind.STORE, node.address, to, rep.size, None, elements, start, partial)
        return [load, store]

    def _rep_done(
        self, node: _Node, instruction: Instruction, elements: z3.BitVecRef, whole: list[Transfer]
    ) -> _Node:
        assert instruction.rep is not None
        for transfer in whole:
            if self._may_fault(transfer):
                node = node.knowing(survives(transfer, self._base(transfer)))
        return changed(
            node,
            address=instruction.rep.next,
            state=self._rep_advanced(node.state, instruction, elements),
            transfers=(*node.transfers, *whole),
            trail=(*node.trail, instruction.address),
        ).over(instruction.address)

    def _rep_fault(
        self,
        source: Location,
        node: _Node,
        instruction: Instruction,
        elements: z3.BitVecRef,
        kind: Kind,
        *,
        ordered: bool,
    ) -> tuple[list[Segment], list[_Node]]:
        rep = instruction.rep
        assert rep is not None
        done = z3.BitVec(f"done{next(self._numbers)}", 64)
        state = self._rep_advanced(node.state, instruction, done)
        before = self._rep_transfers(node, instruction, done)
        stored = before if ordered else self._rep_transfers(node, instruction, elements, partial=True)
        at_fault = node.assuming(z3.ULT(done, elements))
        if ordered:
            for transfer in before:
                if self._may_fault(transfer):
                    at_fault = at_fault.knowing(survives(transfer, self._base(transfer)))
        at_fault = changed(at_fault, state=state, transfers=(*node.transfers, *stored))
        address = state.registers[rep.source if kind is Kind.LOAD else rep.destination]
        return self._fault(source, at_fault, Transfer(kind, node.address, address, rep.size))

    @staticmethod
    def _rep_advanced(state: State, instruction: Instruction, elements: z3.BitVecRef) -> State:
        rep = instruction.rep
        assert rep is not None
        registers, moved = state.registers, elements * rep.size
        values = {
            rep.count: z3.simplify(registers[rep.count] - elements),
            rep.destination: z3.simplify(registers[rep.destination] + moved),
        }
        if rep.reads_source:
            values[rep.source] = z3.simplify(registers[rep.source] + moved)
        return changed(state, registers=registers.assigned(values))


def _lowest_kept(state: State) -> int | None:
    """Offset of the lowest byte of the stack that an interrupt leaves alone."""
    offset = state.stack_offset
    return None if offset is None else offset - state.registers.architecture.red_zone


def _without_red_zone(state: State) -> State:
    """The state without what lies below the stack pointer and its red zone, which the frame of an exception
    overwrites."""
    offset = _lowest_kept(state)
    spilt = offset is not None and any(place < offset for place in state.stack)
    return state.released(offset) if offset is not None and spilt else state


def _released(before: State, after: State) -> State:
    """`after`, without what lay below the stack pointer and its red zone if that has risen."""
    old, new = _lowest_kept(before), _lowest_kept(after)
    return after.released(new) if new is not None and (old is None or new > old) else after


def slot_symbol(offset: int) -> z3.BitVecRef:
    """The 8-byte stack word at `offset` bytes from the entry's rsp, at a location."""
    return z3.BitVec(f"stack{offset}", 64)


def _words(stack: Mapping[int, z3.BitVecRef]) -> Iterator[int]:
    """Offsets of the whole, aligned 8-byte words below the return address that have been written."""
    offsets = set(stack)
    return (o for o in sorted(offsets) if o < 0 and o % 8 == 0 and all(o + i in offsets for i in range(8)))
