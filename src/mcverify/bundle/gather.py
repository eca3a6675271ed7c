"""From a finished proof to its record: paths, final invariants and measures, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import z3

from mcverify.arch.known import X86_64
from mcverify.bundle.balance import balanced
from mcverify.bundle.terms import infix, smt2
from mcverify.check.manifest import (
    End,
    Fact,
    Frame,
    KindName,
    Measure,
    Moved,
    Path,
    Routine,
    Step,
    Stray,
)
from mcverify.check.manifest import Location as Recorded
from mcverify.image.callees import calls_of
from mcverify.image.image import Image
from mcverify.invariants.houdini import Houdini
from mcverify.logic.assumptions import Assumptions
from mcverify.logic.solver import Answer
from mcverify.machine.terms import symbols_of, variable
from mcverify.paths.segment import Ending, Fault, Location, Paths, Pruned, Segment, Taken, Transfer
from mcverify.proof.exits import exit_of_segment
from mcverify.proof.select import Task
from mcverify.proof.termination import Falling

_ENDS: Mapping[Ending, End] = {
    Ending.RETURN: "return",
    Ending.UNCOVERED: "uncovered",
    Ending.TRAP: "trap",
    Ending.OUTSIDE: "outside",
    Ending.LOST: "lost",
    Ending.ENDLESS: "endless",
}
_SLOT = "stack"
_DONE = "done"


@dataclass
class Gatherer:
    """Writes down one proof. `falling` are the measures of its loops, `notes` what is known of the code
    beside it, `slack` is the bound on it, if one was proved. `staying` has what holds at the locations if bad
    addresses stay bad, on which `resting` rests (`Routine.resting`)."""

    image: Image
    task: Task
    paths: Paths
    houdini: Houdini
    assumptions: Assumptions
    falling: Iterable[Falling]
    rep_model: str
    notes: Iterable[str]
    slack: int | None = None
    staying: Houdini | None = None
    resting: tuple[str, ...] = ()
    _names: dict[Location, str] = field(default_factory=dict)
    _invariants: dict[Location, tuple[z3.BoolRef, ...]] = field(default_factory=dict)
    _stay: dict[Location, tuple[z3.BoolRef, ...]] = field(default_factory=dict)
    _measured: set[str] = field(default_factory=set)

    def routine(self) -> Routine:
        """The record. Raises NotStandard."""
        assert self.task.contract is not None
        falling = list(self.falling)
        self._names = {location: f"L{n}" for n, location in enumerate(self.paths.locations)}
        self._invariants = {at: self._invariant(self.houdini, at) for at in self.paths.locations}
        if self.staying is not None and self.resting:
            self._stay = {at: self._invariant(self.staying, at) for at in self.paths.locations}
        self._measured = {name for each in falling for name in symbols_of(each.measure)}
        paths = {id(s): self._path(f"P{n}", s) for n, s in enumerate(self.paths.segments, 1)}
        return Routine(
            name=self.task.name,
            features={},
            alternatives=(),
            entry=self.task.entry,
            contract=self.task.contract.name,
            faults=self.task.faults,
            traps=self.task.contract.traps,
            rep_model="ordered" if self.rep_model == "ordered" else "unordered",
            len_max=self.assumptions.len_max,
            notes=tuple(self.notes),
            locations=tuple(self._location(location) for location in self.paths.locations),
            paths=(*paths.values(), *self._pruned()),
            measures=tuple(self._measure(each, paths) for each in falling),
            strays=tuple(self._strays()),
            slack=self.slack,
            recursive=calls_of(self.image, self.task.entry),
            resting=self.resting,
        )

    @staticmethod
    def _text(term: z3.ExprRef) -> str:
        return smt2(term)

    # -- locations

    def _location(self, location: Location) -> Recorded:
        always = self._facts(self._invariants[location])
        stay = self._facts(self._stay.get(location, ()))
        return Recorded(
            name=self._names[location],
            address=location.address,
            where=self.image.where(location.address),
            entry=location.is_entry,
            faulted=location.faulted,
            stack=location.stack,
            df=dict(location.modes).get("df", 0),
            ac=dict(location.modes).get("ac", 0),
            unfenced=location.unfenced,
            invariant=always,
            calls=tuple(sorted(location.frames, reverse=True)),
            staying=tuple(fact for fact in stay if fact not in always),
        )

    def _facts(self, terms: Iterable[z3.BoolRef]) -> tuple[Fact, ...]:
        facts = {self._text(fact): infix(fact) for fact in terms if not z3.is_true(fact)}
        return tuple(Fact(facts[t], t) for t in sorted(facts, key=lambda t: (len(t), t)))

    def _invariant(self, houdini: Houdini, location: Location) -> tuple[z3.BoolRef, ...]:
        return tuple(map(self._in_plain_symbols, houdini.invariant(location)))

    def _in_plain_symbols(self, term: z3.BoolRef) -> z3.BoolRef:
        """The term without symbols that are short for something: distances of pointers, remainders."""
        short = self.assumptions.remainders()
        meant = {n: short[n] for n in symbols_of(term) if n in short}
        for name in symbols_of(term):
            pointer, tilde, base = name.partition("~")
            if tilde:
                meant[name] = variable(pointer) - variable(base)
        return balanced(z3.substitute(term, *((variable(n), meant[n]) for n in sorted(meant))))

    # -- paths

    def _path(self, name: str, segment: Segment) -> Path:
        target = segment.target
        to = target.address if isinstance(target, Location) else None
        returned = segment.returned_to
        return Path(
            name=name,
            source=self._names[segment.source],
            end="location" if isinstance(target, Location) else _ENDS[target],
            where=self.image.where(segment.at if to is None else to),
            exit=exit_of_segment(self.image, segment) if target is Ending.RETURN else "",
            to=to,
            target=self._names[target] if isinstance(target, Location) else None,
            steps=tuple(self._steps(segment)),
            final={n: self._text(t) for n, t in sorted(self._finals(segment).items())},
            returned_to=None if returned is None else self._text(returned),
            by_address=isinstance(target, Ending) and self._needs_addresses(segment),
            unfenced=segment.unfenced,
            reason=segment.reason,
        )

    def _needs_addresses(self, segment: Segment) -> bool:
        """Whether a path that must be impossible is so only if bad addresses stay bad."""
        if segment.target is Ending.RETURN:
            return False
        reply = self.houdini.standpoint(segment.source).ask_at_end(segment, z3.BoolVal(False))
        return reply.answer is not Answer.PROVED

    def _finals(self, segment: Segment) -> dict[str, z3.ExprRef]:
        names = {X86_64.stack_pointer, "df", "ac"}
        if isinstance(segment.target, Location):
            facts = (*self._invariants[segment.target], *self._stay.get(segment.target, ()))
            names |= {n for fact in facts for n in symbols_of(fact)}
            names |= self._measured
        elif segment.target is Ending.RETURN:
            contract = self.assumptions.contract
            names |= {*contract.results, *contract.kept}
        else:
            return {}
        registers = {n: segment.final.registers[n] for n in names if n in X86_64.widths}
        slots = {n: n.removeprefix(_SLOT) for n in names if n.startswith(f"{_SLOT}-")}
        return registers | {n: segment.final.read(int(offset), 8) for n, offset in slots.items()}

    def _steps(self, segment: Segment | Pruned) -> Iterator[Step]:
        conditions = transfers = faults = 0
        for taken in segment.steps:
            struck = segment.faults[faults : taken.faults]
            yield self._step(
                taken,
                segment.conditions[conditions : taken.conditions],
                segment.transfers[transfers : taken.transfers],
                struck[0] if struck else None,
            )
            conditions, transfers, faults = taken.conditions, taken.transfers, taken.faults

    def _step(
        self, taken: Taken, conditions: Iterable[z3.BoolRef], moved: Iterable[Transfer], fault: Fault | None
    ) -> Step:
        return Step(
            at=taken.at,
            conditions=tuple(map(self._text, conditions)),
            moved=tuple(map(self._moved, moved)),
            frame=tuple(Frame(_kind(f.kind.value), f.offset, f.size) for f in taken.frame),
            fault=None if fault is None else self._moved(fault.access, with_value=False),
            trap="" if fault is None else self._text(fault.trap),
            done="" if fault is None else self._done(conditions),
            hint=None if taken.hint is None else self._text(taken.hint),
            undefined=taken.undefined,
        )

    @staticmethod
    def _done(conditions: Iterable[z3.BoolRef]) -> str:
        """The symbol of the elements that a REP, or a routine in C, has moved when it faults."""
        found = {n for c in conditions for n in symbols_of(c) if n.startswith(_DONE)}
        return max(found, key=lambda name: int(name.removeprefix(_DONE)), default="")

    def _moved(self, transfer: Transfer, *, with_value: bool = True) -> Moved:
        def text(term: z3.ExprRef | None) -> str | None:
            return None if term is None else self._text(term)

        return Moved(
            kind=_kind(transfer.kind.value),
            address=self._text(transfer.address),
            size=transfer.size,
            value=text(transfer.value) if with_value else None,
            elements=text(transfer.elements),
            source=text(transfer.source),
            partial=transfer.partial,
        )

    def _pruned(self) -> Iterator[Path]:
        for number, pruned in enumerate(self.paths.pruned, 1):
            steps = tuple(self._steps(pruned))
            at = pruned.steps[-1].at
            source = self._names[pruned.source]
            yield Path(
                name=f"X{number}", source=source, end="pruned", where=self.image.where(at), exit="",
                to=pruned.target, target=None, steps=steps, final={},
                reason="its last condition is false",
            )  # fmt: skip

    # -- the rest

    def _measure(self, falling: Falling, paths: Mapping[int, Path]) -> Measure:
        return Measure(
            says=infix(falling.measure),
            term=self._text(falling.measure),
            falls=tuple(paths[id(s)].name for s in falling.falls),
            stays=tuple(paths[id(s)].name for s in falling.stays),
        )

    def _strays(self) -> Iterator[Stray]:
        for stray in self.paths.strays:
            conditions = tuple(map(self._text, stray.conditions))
            yield Stray(self._names[stray.source], stray.at, stray.offset, conditions)


def _kind(name: str) -> KindName:
    return "load" if name == "load" else "store"
