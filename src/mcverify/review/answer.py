"""What a proof over two revisions at once has to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Hint = Callable[[str], int]
"""Inputs on which the two may differ, as a model of the solver has them, by name."""


@dataclass(frozen=True)
class Answer:
    """At which exits two revisions are proved to do the same: at all but those in `open` (None: at none), by
    their rows; why (a sentence), or why not; and `hints` where to look for a difference."""

    why: str
    open: frozenset[str] | None = None
    hints: tuple[Hint, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether they do the same on all inputs."""
        return self.open is not None and not self.open

    def holds_at(self, row: str) -> bool:
        """Whether they do the same on all inputs with which one of the two takes an exit."""
        return self.open is not None and row not in self.open
