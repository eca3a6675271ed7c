"""A concrete run: what goes in, what comes out. Values only, no way of running.

The two runners (`runs.cpu`, `runs.emulator`) take a :class:`Case` and give an
:class:`Outcome`; `runs.judge` says which obligations the outcome breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

PAGE = 4096
RED_ZONE = 64
"""Bytes before and behind dst that are watched for stray stores."""


class Place(Enum):
    """Where a buffer lies among mapped and unmapped pages; `Placement.at` is its parameter.

    FREE    in readable memory, address = `at` modulo the page size
    HOLE    the first bad byte is at offset `at` >= 0 of the buffer: a page boundary lies there; behind
            the bad page the memory can be read again
    INSIDE  the first byte is bad: the buffer starts `at` bytes (0..4095) into the bad page
    END     the buffer ends where the mapping ends (the next byte cannot be accessed); `at` is unused
    FRONT   the buffer starts where the mapping starts (the byte before cannot be accessed); `at` is unused
    """

    FREE = "free"
    HOLE = "hole"
    INSIDE = "inside"
    END = "end"
    FRONT = "front"


@dataclass(frozen=True, slots=True)
class Placement:
    """Place of one buffer; `at` in bytes, see :class:`Place`."""

    place: Place
    at: int = 0

    @property
    def first_bad(self) -> int | None:
        """Offset of the buffer's first inaccessible byte that a hole makes, None without a hole."""
        if self.place is Place.HOLE:
            return self.at
        return 0 if self.place is Place.INSIDE else None


@dataclass(frozen=True, slots=True)
class Case:
    """One concrete input of a copy routine. `len` in bytes; `trap` is the number (14 or 18)
    that the handler reports for a fault on a load (a fault on a store is always 14).

    `seed` chooses the contents of src and of the registers that are no arguments.
    """

    len: int
    src: Placement
    dst: Placement
    trap: int = 14
    seed: int = 1

    @property
    def good_bytes(self) -> int:
        """How many bytes come before the first one that is bad in src or in dst."""
        bad = (placement.first_bad for placement in (self.src, self.dst))
        return min([self.len, *(offset for offset in bad if offset is not None)])


class Ending(Enum):
    """How a run ended.

    RETURNED  through the routine's own return address
    OOPS      a fault on an instruction without a table entry (in kernel mode: an oops)
    WILD      the routine left its code other than by its return address (a `ret` to elsewhere)
    ILLEGAL   illegal or privileged instruction, divide error, ...
    TIMEOUT   did not end within the step or time limit
    ESCAPED   the routine jumped to an external symbol
    DIED      the process that ran it was killed
    REFUSED   not run: the runner cannot place such buffers
    """

    RETURNED = "returned"
    OOPS = "oops"
    WILD = "wild"
    ILLEGAL = "illegal"
    TIMEOUT = "timeout"
    ESCAPED = "escaped"
    DIED = "died"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was taken: the instruction, the first inaccessible byte, and which buffer.

    `offset` is the byte's offset from the start of `buffer` ("src" or "dst"; "" for elsewhere: then it is
    the absolute address) and may lie outside 0..len-1: the routine reached beyond its buffer.
    """

    insn: int
    buffer: str
    offset: int
    is_store: bool


@dataclass(frozen=True, slots=True)
class Access:
    """A memory access that was carried out. `offset` is that of its first byte from the start of `buffer`
    ("src", "dst", "stack": at or below the return address; "" for elsewhere: then the absolute address);
    `size` in bytes.
    """

    insn: int
    buffer: str
    offset: int
    size: int
    is_store: bool

    def is_allowed(self, length: int) -> bool:
        """Whether it is a load of the `length` bytes of src, a store to those of dst, or in the stack."""
        if self.buffer == "stack":
            return True
        expected = "dst" if self.is_store else "src"
        return self.buffer == expected and self.offset >= 0 and self.offset + self.size <= length


Run = tuple[int, int]
"""Offsets of dst from the first to before the second."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run did. `registers` at the end (16 general registers and "rflags", by name; unsigned 64-bit),
    `initial` at the start; both are empty after DIED and REFUSED. `rip` is the address of the instruction at
    which it ended: the faulting one, or where control went (WILD, ESCAPED); 0 after RETURNED, where
    the CPU does not tell.

    `written` and `correct` cover dst[-RED_ZONE : len+RED_ZONE], cut to what the mapping holds, `base` is the
    offset of their first byte (usually -RED_ZONE): written[i] tells that byte base+i of dst
    changed, correct[i] that it now equals the byte of the same offset of src (of zero, for a clear).
    Every byte of dst starts out different from every byte of src and from zero, so a byte that was copied
    or cleared is seen as written. `ac` is the alignment-check flag as the routine left it (stac/clac are
    tracked, not executed); `frame_intact` tells that the return address and the caller's frame above
    it were not overwritten.

    Where the buffer is too long for a map, `written` and `correct` are empty, and `stored` and
    `wrong` are the runs [first, end) of offsets that changed, and that changed to a wrong value; of very many
    of them the last one holds all that follow (`runs.wire.MOST_RUNS`).
    `schedule` is the order (models/rep.toml) in which the elements of a REP were done where the run does
    not rest on the CPU's promise of one.
    """

    ending: Ending
    rip: int
    registers: Mapping[str, int]
    initial: Mapping[str, int]
    faults: tuple[Fault, ...]
    written: bytes
    correct: bytes
    base: int
    ac: bool = False
    on: str = "cpu"
    frame_intact: bool = True
    stored: tuple[Run, ...] | None = None
    wrong: tuple[Run, ...] | None = None
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """State of a run at a watched instruction, before it executes.

    `top` is one more than the highest offset of dst stored so far (0 if none); `faulted` tells that a
    fault has been taken before. `stack` holds the 8-byte slots from rsp up to the return address (not
    included), by their offset from the latter's address: -8 is the slot right below it.
    """

    address: int
    faulted: bool
    registers: Mapping[str, int]
    stack: Mapping[int, int]
    top: int
    case: int
    """Index of the case in the list that was run."""
