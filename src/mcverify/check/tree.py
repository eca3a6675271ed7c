"""The paths of one location as a tree: at each instruction the ways that are listed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mcverify.check.manifest import End, Path, Step

Goal = int | End
"""Where a way leads: to an address, or out of the tree."""

IMPOSSIBLE: frozenset[str] = frozenset(("uncovered", "trap", "outside", "lost", "endless", "pruned"))
"""Ends that no run may come to: it is proved of each path that ends so."""


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


@dataclass(eq=False)
class Node:
    """An instruction as it is reached in one way: by `way` from its `parent`, both None for the first; and
    the ways on from it, each with the node that it leads to, None where it leaves the tree. `ended` are the
    paths that end by each; a way leads on, or ends one path."""

    parent: Node | None = None
    way: Way | None = None
    ways: list[Way] = field(default_factory=list)
    following: list[Node | None] = field(default_factory=list)
    ended: list[list[Path]] = field(default_factory=list)

    @property
    def before(self) -> tuple[Way, ...]:
        """The ways that lead to it, the first one first."""
        found = []
        node: Node | None = self
        while node is not None and node.way is not None:
            found.append(node.way)
            node = node.parent
        return tuple(reversed(found))

    @property
    def conditions(self) -> list[str]:
        """What holds when it is reached."""
        return [c for way in self.before for c in way.step.conditions]


def branches(paths: Iterable[Path]) -> list[Node]:
    """The nodes of the paths of one location, the root first. The root has no ways if there are no paths."""
    nodes = [Node()]
    known: dict[tuple[int, Step, Goal], tuple[Node, int]] = {}
    for path in paths:
        node = nodes[0]
        for number, way in enumerate(ways_of(path)):
            key = id(node), way.step, way.to
            if key not in known:
                known[key] = node, len(node.ways)
                node.ways.append(way)
                node.following.append(None)
                node.ended.append([])
            at = known[key][1]
            if number + 1 == len(path.steps):
                node.ended[at].append(path)
                break
            child = node.following[at]
            if child is None:
                child = node.following[at] = Node(node, node.ways[at])
                nodes.append(child)
            node = child
    return nodes


def ways_of(path: Path) -> list[Way]:
    """The ways that a path takes, one for each of its steps."""
    return [Way(step, _leads_to(path, number), path) for number, step in enumerate(path.steps)]


def _leads_to(path: Path, number: int) -> Goal:
    if number + 1 < len(path.steps):
        return path.steps[number + 1].at
    if path.end in ("location", "pruned") and path.to is not None:
        return path.to
    return path.end
