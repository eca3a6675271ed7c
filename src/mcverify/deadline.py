"""A budget of time and memory that every long-running room looks at."""

from __future__ import annotations

import ctypes
import resource
import time
from pathlib import Path

MEMORY = 2 << 30
"""Bytes that a process may hold while it works on one routine."""

_LEAST = MEMORY // 2
"""Bytes that each routine may have at least, whatever the ones before it have left behind."""

_LOOK = 0.05
"""Seconds between two looks at the memory."""


class OutOfTime(Exception):
    """The budget is used up; `phase` is the work that was under way."""

    def __init__(self, phase: str) -> None:
        super().__init__(f"the time limit was reached in phase {phase}")
        self.phase = phase


class OutOfMemory(OutOfTime):
    """The process holds as much memory as it may; `phase` is the work that was under way."""

    def __init__(self, phase: str) -> None:
        Exception.__init__(self, f"the memory limit of {MEMORY >> 30} GiB was reached in phase {phase}")
        self.phase = phase


class Deadline:
    """The moment by which a run has to end; `seconds` None means never. `memory`: the bytes that the process
    may hold, None for as many as there are."""

    def __init__(self, seconds: float | None, memory: int | None = None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self._memory = memory
        self._looked = 0.0

    def __reduce__(self) -> tuple[type[Deadline], tuple[float | None, int | None]]:
        """For another process, whose clock may be another: what is left counts from when it gets it."""
        return type(self), (self.remaining(), self._memory)

    def with_memory(self) -> Deadline:
        """The same moment, and a limit of memory for what is begun now in this process."""
        _give_back()
        return Deadline(self.remaining(), max(MEMORY, resident() + _LEAST))

    def remaining(self) -> float | None:
        """Seconds left (0 or more), None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self, phase: str) -> None:
        """Raise :class:`OutOfTime`, or OutOfMemory, if nothing is left."""
        now = time.monotonic()
        if self._end is not None and now >= self._end:
            raise OutOfTime(phase)
        if self._memory is not None and now >= self._looked + _LOOK:
            self._looked = now
            if resident() > self._memory:
                raise OutOfMemory(phase)


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def _give_back() -> None:
    """Have the C library return what is free, so that one routine does not pay for another."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(0)
