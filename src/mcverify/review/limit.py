"""A limit of time, shared by all that is to be done within it."""

from __future__ import annotations

from mcverify.deadline import Deadline

_LEAST = 0.01
"""Seconds that each piece of work has, however late it is."""


class Shares:
    """A limit for so many pieces of work. Each has an equal part of what is left when it is begun: one that
    needs less leaves more to those behind it, and none takes the time of all."""

    def __init__(self, seconds: float | None, pieces: int) -> None:
        self._all = Deadline(seconds)
        self._left = pieces

    def next(self) -> Deadline:
        """The deadline of the next piece."""
        left, self._left = max(1, self._left), self._left - 1
        remaining = self._all.remaining()
        return Deadline(None if remaining is None else max(_LEAST, remaining / left))
