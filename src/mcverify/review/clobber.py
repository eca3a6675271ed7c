"""The scratch registers that a routine may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mcverify.review.prove import Proved
from mcverify.runs.code import decode, effects, reachable


def scratch(proved: Proved) -> frozenset[str]:
    """Whole registers that some reachable instruction writes, but for those that the contract gives a meaning
    at the end: results, and what must be kept."""
    return _written(proved, (line.address for line in proved.result.listing)) - _meaning(proved)


def scratch_by_exit(proved: Proved) -> dict[int | None, frozenset[str]]:
    """The same for the ways that end at an exit, by the address of the access with a table entry that it
    serves; None is the success. A way goes to the access, then from its fixup on without another fault."""
    graph = _Graph.of(proved)
    meant = _meaning(proved)
    ways: dict[int | None, Iterable[int]] = {None: reachable(proved.image, proved.result.entry, faults=False)}
    for at, fixup in graph.fixups.items():
        ways[at] = graph.behind(at).union(reachable(proved.image, fixup, faults=False))
    return {at: _written(proved, way) - meant for at, way in ways.items()}


def _meaning(proved: Proved) -> frozenset[str]:
    contract = proved.task.contract
    kept = () if contract is None else (*contract.kept, *contract.results)
    return frozenset({proved.image.architecture.stack_pointer, *kept})


@dataclass(frozen=True)
class _Graph:
    """Where each instruction of a routine goes, and the fixups of those that have a table entry."""

    targets: Mapping[int, tuple[int, ...]]
    fixups: Mapping[int, int]

    @classmethod
    def of(cls, proved: Proved) -> _Graph:
        lines = proved.result.listing
        decoded = ((line.address, decode(proved.image, line.address)) for line in lines)
        targets = {address: tuple(insn.targets) for address, insn in decoded if insn is not None}
        return cls(targets, {line.address: line.fixup for line in lines if line.fixup is not None})

    def behind(self, end: int) -> set[int]:
        """The instructions from which a way leads to `end`, also by faults, but for itself as the last."""
        sources = self._sources
        steps = (
            _closure(source, lambda address: sources.get(address, ())) for source in sources.get(end, ())
        )
        return set().union(*steps)

    @cached_property
    def _sources(self) -> Mapping[int, Sequence[int]]:
        """From where one comes to each instruction, also by faults."""
        sources: dict[int, list[int]] = {}
        for address, targets in self.targets.items():
            for target in (*targets, *([self.fixups[address]] if address in self.fixups else [])):
                sources.setdefault(target, []).append(address)
        return sources


def _closure(start: int, step: Callable[[int], Iterable[int]]) -> set[int]:
    found: set[int] = set()
    waiting = [start]
    while waiting:
        address = waiting.pop()
        if address not in found:
            found.add(address)
            waiting += step(address)
    return found


def _written(proved: Proved, addresses: Iterable[int]) -> frozenset[str]:
    found: set[str] = set()
    for address in addresses:
        done = effects(proved.image, address)
        if done is not None:
            found |= done.writes.keys() | done.vectors_written
    return frozenset(found)
