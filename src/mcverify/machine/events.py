"""angr's memory, replaced: every access is recorded as an event and none is resolved.

angr's own memory model concretizes symbolic addresses, which would restrict a proof to one
address without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import claripy

from mcverify.machine.vex import MemoryMixin, SimStatePlugin


@dataclass(frozen=True, slots=True)
class Event:
    """One access as angr's engine asked for it; `size` in bytes, `condition` None if unconditional."""

    is_store: bool
    address: claripy.ast.BV
    size: int
    value: claripy.ast.BV
    condition: Any


class EventMemory(MemoryMixin):  # type: ignore[misc]
    """A memory plugin without contents: loads give fresh symbols ``ld0``, ``ld1``, ... in order."""

    def __init__(self) -> None:
        super().__init__(memory_id="mem", endness="Iend_LE")
        self.events: tuple[Event, ...] = ()

    @SimStatePlugin.memo  # type: ignore[untyped-decorator]
    def copy(self, memo: Any) -> EventMemory:
        """A copy that shares nothing that changes."""
        other: EventMemory = super().copy(memo)
        other.events = self.events
        return other

    def load(self, addr: Any, size: Any = None, *, condition: Any = None, **_: Any) -> claripy.ast.BV:
        """Record a load of `size` bytes and return its value, a fresh symbol."""
        loads = sum(not event.is_store for event in self.events)
        value = claripy.BVS(f"ld{loads}", size * 8, explicit_name=True)
        self.events += (Event(False, addr, size, value, condition),)
        return value

    def store(self, addr: Any, data: Any, size: Any = None, *, condition: Any = None, **_: Any) -> None:
        """Record a store of `data`."""
        self.events += (Event(True, addr, data.length // 8 if size is None else size, data, condition),)
