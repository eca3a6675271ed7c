"""A concrete run: what goes in, what comes out. Values only, no way of running.

The two runners (`runs.cpu`, `runs.emulator`) take a :class:`Case` and give an
:class:`Outcome`; `runs.judge` says which obligations the outcome breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

PAGE = 4096
RED_ZONE = 64
"""Bytes before and behind dst that are watched for stray stores."""

PAGE_FAULT = 14
"""What a fault on a store is always: no machine check is recoverable there (models/x86_64/cpu.toml)."""


FLICKER = re.compile(r"[01]{0,24}\([01]{1,8}\)")
"""What `Case.flicker` may be, besides empty."""


def touches(flicker: str) -> Iterator[bool]:
    """Whether each access to a page that comes and goes faults, one after the other; none for ""."""
    first, _, cycle = flicker.removesuffix(")").partition("(")
    yield from (bit == "1" for bit in first)
    while cycle:
        yield from (bit == "1" for bit in cycle)


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
class Preset:
    """What a case finds at entry in place of what its seed would choose.

    `registers` are pairs of a name and a value: of a general register (64 bits) that is neither an argument
    nor rsp, of "rflags" (its arithmetic flags count), of "ymm0" to "ymm15" (256 bits). `every` are 8 bytes
    that stand in each word of src, from its first byte on, or none; `pieces` are pairs of an offset in src
    and the bytes there, and come after `every`.
    """

    registers: tuple[tuple[str, int], ...] = ()
    every: bytes = b""
    pieces: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One concrete input of a copy routine. `len` in bytes; `trap` is the number (14 or 18) that the handler
    reports for the first fault on a load (a fault on a store is always 14), `later_traps` those for the
    second one and so on; the last number holds for all that follow.

    `seed` chooses the contents of src and of the registers that are no arguments, as far as `preset` does
    not. Where `flicker` is empty a bad page (of the places HOLE and INSIDE) stays bad; else it comes and
    goes, as in "01(0)": of the accesses to such pages the first goes through, the second faults, and those in
    the brackets repeat for ever. An iteration of a REP is an access of its own.
    """

    len: int
    src: Placement
    dst: Placement
    trap: int = PAGE_FAULT
    seed: int = 1
    later_traps: tuple[int, ...] = ()
    preset: Preset | None = None
    flicker: str = ""

    @property
    def traps(self) -> tuple[int, ...]:
        """The numbers for faults on loads, in order."""
        return (self.trap, *self.later_traps)

    def trap_of_load(self, number: int) -> int:
        """The trap number of the fault on a load before which there were `number` others."""
        return self.traps[min(number, len(self.later_traps))]

    def trap_after(self, faults: Sequence[Fault]) -> int | None:
        """The trap number of the last of the `faults` of a run, None without one."""
        if not faults:
            return None
        if faults[-1].is_store:
            return PAGE_FAULT
        return self.trap_of_load(sum(not fault.is_store for fault in faults) - 1)

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
    OVERFLOW  the stack ran out
    ESCAPED   the routine jumped to an external symbol
    DIED      the process that ran it was killed
    TRAPPED   at an access without a table entry that must be aligned, and raised a general protection fault
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
    OVERFLOW = "overflow"
    TRAPPED = "trapped"


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
    `schedule` is the order (rep.toml) in which the elements of a REP were done where the run does
    not rest on the CPU's promise of one. `unzeroed` is the offset of the first byte reported left that
    could be zeroed and is not, where the contract asks for zeros there.
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
    unzeroed: int | None = None


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
