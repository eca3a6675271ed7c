"""The paths of one location as a tree: at each instruction the ways that are listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mcverify.check.manifest import End, Path, Step

Goal = int | End
"""Where a way leads: to an address, or out of the tree."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way on from a node; `path` is one of the paths that take it."""

    step: Step
    to: Goal
    path: Path

    @property
    def fault(self) -> str:
        """The kind of the access that faults, "" where none does."""
        return self.step.fault.kind if self.step.fault is not None else ""


@dataclass
class Node:
    """An instruction as it is reached in one way: the ways before it, and those on from it."""

    before: tuple[Way, ...]
    ways: list[Way] = field(default_factory=list)

    @property
    def conditions(self) -> list[str]:
        """What holds when it is reached."""
        return [c for way in self.before for c in way.step.conditions]


def branches(paths: Iterable[Path]) -> list[Node]:
    """The nodes of the paths of one location, the root first. The root has no ways if there are no paths."""
    nodes: dict[tuple[object, ...], Node] = {(): Node(())}
    for path in paths:
        key: tuple[object, ...] = ()
        for number, way in enumerate(ways_of(path)):
            node = nodes[key]
            known = next((w for w in node.ways if _same(w, way)), None)
            if known is None:
                node.ways.append(way)
            key = (*key, _identity(way))
            if number + 1 < len(path.steps):
                nodes.setdefault(key, Node((*node.before, known or way)))
    return list(nodes.values())


def ways_of(path: Path) -> list[Way]:
    """The ways that a path takes, one for each of its steps."""
    return [Way(step, _leads_to(path, number), path) for number, step in enumerate(path.steps)]


def _identity(way: Way) -> tuple[object, ...]:
    return way.step.at, way.fault, way.step.conditions, way.to


def _same(one: Way, other: Way) -> bool:
    return _identity(one) == _identity(other)


def _leads_to(path: Path, number: int) -> Goal:
    if number + 1 < len(path.steps):
        return path.steps[number + 1].at
    if path.end in ("location", "pruned") and path.to is not None:
        return path.to
    return path.end
