"""Which statements of a routine may be wrong, given one run that breaks an obligation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mcverify.proof.result import Counterexample, Explanation
from mcverify.runs.case import Ending
from mcverify.runs.code import reachable
from mcverify.runs.operands import Operands
from mcverify.witness.edits import Operation, Palette, operation
from mcverify.witness.source import SourceText, Statement
from mcverify.witness.walk import Step, Walk

_UNITS = (1, -1, 2, -2, 4, -4, 8, -8)
_MOST_CONSTANTS = 12
_MOST_ORPHANS = 4
_CONSTANT = re.compile(r"(?<=\$)-?\d+\b|-?\b\d+(?=\()")


@dataclass(frozen=True)
class Suspects:
    """Looks through the run of `found`, whose explanation is `told`. `shared` are lines of the source that
    other routines run too: a change there would change those."""

    run: Walk
    found: Counterexample
    told: Explanation
    source: SourceText
    shared: frozenset[int]

    @property
    def obligation(self) -> str:
        """The obligation that is to hold in the end."""
        return self.found.obligations[0]

    @cached_property
    def stub(self) -> tuple[Statement, ...]:
        """The statements of the last fixup: what ran behind the last fault and not before it."""
        fault = self.run.last_fault
        if fault is None:
            return ()
        before = {step.address for step in self.run.steps if step.number <= fault.number}
        return self.statements_of(s for s in self.run.behind_fault if s.address not in before)

    @cached_property
    def elsewhere(self) -> tuple[Statement, ...]:
        """The statements of the routine's main way that may be wrong."""
        known = {statement.line for statement in self.stub}
        return tuple(s for s in self.statements_of(self._elsewhere()) if s.line not in known)

    def _elsewhere(self) -> Iterator[Step]:
        returned = self.run.outcome.ending is Ending.RETURNED
        if self.obligation in ("O2", "O3", "O4", "O5", "O9") and self.run.contract.left is not None:
            yield from (step for step in self.parted if not step.touched)
        if self.obligation == "O6":
            yield from self._data_path()
        if self.obligation == "O8":
            yield from self.parted
        if self.obligation == "O9" and returned:
            yield from self.parted
        if self.obligation == "O9" and not returned:
            yield from self.run.cycle

    @cached_property
    def parted(self) -> tuple[Step, ...]:
        """The step at which the explanation says that it begins to go wrong; none if it names none."""
        where = self.told.parted.partition(": ")[0]
        found = (s for s in self.run.steps if where and self.run.image.where(s.address) == where)
        return tuple(found)[:1]

    def _data_path(self) -> Iterator[Step]:
        """The store of wrong data, the load before it, and what changed the data in between."""
        for store in self.parted:
            loads = [
                s for s in self.run.steps[: store.number + 1] if any(a.buffer == "src" for a in s.accesses)
            ]
            for load in loads[-1:]:
                moved = self.operands.written(load.address)
                between = self.run.steps[load.number + 1 : store.number]
                yield from (s for s in between if moved & self.operands.written(s.address))
                yield from (load, store)

    def statements_of(self, steps: Iterable[Step]) -> tuple[Statement, ...]:
        """The statements that steps came from, those of returns and of other routines excepted."""
        numbers = dict.fromkeys(self.source.line_of(step.address) for step in steps)
        found = (self.source.statement(n) for n in numbers if n is not None and n not in self.shared)
        return tuple(s for s in found if s is not None and not s.text.lower().startswith("ret"))

    # -- what a change may use ------------------------------------------------------------------

    @cached_property
    def operands(self) -> Operands:
        """The operands of the routine's instructions."""
        return Operands(self.run.image)

    @cached_property
    def code(self) -> tuple[int, ...]:
        """The addresses of the routine's instructions."""
        return tuple(sorted(reachable(self.run.image, self.run.entry)))

    @cached_property
    def labels(self) -> frozenset[str]:
        """The labels on the routine's instructions."""
        return frozenset(name for address in self.code for name in self.run.image.names_at(address))

    @cached_property
    def orphans(self) -> tuple[str, ...]:
        """Labels of code that no routine of the file reaches, in the order of their addresses."""
        image = self.run.image
        reached = {a for symbol in image.functions for a in reachable(image, symbol.address)}
        labels = (s for s in image.symbols if not s.is_function and image.code_at(s.address, 1))
        found = sorted((s.address, s.name) for s in labels if s.address not in reached)
        return tuple(name for _, name in found)[:_MOST_ORPHANS]

    @cached_property
    def delta(self) -> int | None:
        """What the count is short of, as a signed number; None where it is not the count that is wrong."""
        if self.told.value is None or self.told.expected is None:
            return None
        delta = (self.told.expected - self.told.value) & (1 << 64) - 1
        return delta - (1 << 64) if delta >> 63 else delta

    @cached_property
    def palette(self) -> Palette:
        """Registers that the routine writes, constants of like statements, sums that may be missing."""
        registers = dict.fromkeys(r for a in self.code for r in sorted(self.operands.written(a)))
        deltas = (*([] if self.delta is None else [self.delta]), *_UNITS)
        return Palette(
            registers=tuple(r for r in registers if r != "rsp"),
            constants=tuple(self._constants())[:_MOST_CONSTANTS],
            deltas=deltas,
            suggested=self.delta,
        )

    def _constants(self) -> Iterator[int]:
        looked_at = map(operation, (*self.stub, *self.elsewhere))
        known = {what.mnemonic for what in looked_at if what is not None}
        for what in self.all_operations():
            if what.mnemonic in known:
                yield from map(int, _CONSTANT.findall(" ".join(what.operands)))

    def all_operations(self) -> Iterator[Operation]:
        """Every statement of the source that can be taken apart."""
        for number in range(1, len(self.source.lines) + 1):
            what = operation(self.source.statement(number))
            if what is not None:
                yield what
