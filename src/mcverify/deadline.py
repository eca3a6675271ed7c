"""A time budget that every long-running room looks at."""

from __future__ import annotations

import time


class OutOfTime(Exception):
    """The budget is used up; `phase` is the work that was under way."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"the time limit was reached in phase {phase}")
        self.phase = phase


class Deadline:
    """The moment by which a run has to end; `seconds` None means never."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def __reduce__(self) -> tuple[type[Deadline], tuple[float | None]]:
        """For another process, whose clock may be another: what is left counts from when it gets it."""
        return type(self), (self.remaining(),)

    def remaining(self) -> float | None:
        """Seconds left (0 or more), None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self, phase: str) -> None:
        """Raise :class:`OutOfTime` if nothing is left."""
        if self._end is not None and time.monotonic() >= self._end:
            raise OutOfTime(phase)
