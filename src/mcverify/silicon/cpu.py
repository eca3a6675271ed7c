"""Single instructions on this machine's CPU: the face of step.c, whose structs these are."""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcverify.arch.known import X86_64
from mcverify.errors import InputError
from mcverify.programs import executable
from mcverify.runs.jailed import Limits, Said, converse, start
from mcverify.runs.native import JAIL, NO_FILTER, NO_RIGHTS

CODE = 0x1000_0000_0000
"""The page that holds the instruction."""
WINDOW = 0x2000_0000
WINDOW_SIZE = 2 * 4096
"""The bytes that may be accessed; a page on each side may not."""

_SOURCE = Path(__file__).with_name("step.c")
_FLAGS = {**X86_64.flags, **X86_64.control}
_STATE = struct.Struct(f"<{len(X86_64.general)}QQQ{32 * len(X86_64.vectors)}s")
_TEST_TAIL = struct.Struct("<16sQQQQ32s")
_RESULT_TAIL = struct.Struct("<QQQQ1024s512s")
_CHANGES = 512
_SECONDS = 120.0
_WHY = {5: "the addresses of the test are taken", 6: "the CPU has no AVX", 7: NO_FILTER}

Registers = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Test:
    """One execution: the code at `rip`, all registers before it, and bytes put into the window first.

    `stepped`: by the trap flag, a REP element by element; otherwise up to an int3 behind the instruction.
    """

    code: bytes
    rip: int
    before: Registers
    poke_at: int = WINDOW
    poke: bytes = b""
    stepped: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What the CPU did: the signal that ended it, the registers, and the bytes of the window that changed.

    `kind` is "done", "fault" (an access to a page that may not be accessed) or "trap" (anything else).
    """

    kind: str
    signal: int
    address: int
    rip: int
    after: Registers
    changed: Mapping[int, int]


def contents() -> bytes:
    """What the window holds before each test, but for its poke."""
    return bytes(((i * 0x9E3779B1 & 0xFFFFFFFF) >> 11 ^ i >> 3) & 0xFF for i in range(WINDOW_SIZE))


def execute(tests: Sequence[Test]) -> list[Result]:
    """The result of each test. Raises InputError where this machine cannot run them."""
    head = struct.pack("<QQQ", CODE, WINDOW, len(tests))
    job = head + b"".join(map(_written, tests))
    size = _STATE.size + _RESULT_TAIL.size
    process = start(executable(_SOURCE, JAIL))
    try:
        said = converse(process, job, Limits(_SECONDS, size * len(tests)))
    finally:
        process.kill()
        process.wait()
    if said.code or said.flooded or len(said.output) != size * len(tests):
        raise InputError(f"single instructions cannot be run here: {_why(said)}")
    return list(_read(said.output, tests))


def _why(said: Said) -> str:
    """Why a process did not come to its end."""
    if said.expired:
        return f"they took more than {_SECONDS:.0f} seconds"
    if said.code in _WHY:
        return _WHY[said.code]
    if said.code == -signal.SIGSYS:
        return "one of them made a system call"
    return NO_RIGHTS


def _written(test: Test) -> bytes:
    before = test.before
    flags = sum(before[name] << bit for name, bit in _FLAGS.items())
    vectors = b"".join(before[name].to_bytes(32, "little") for name in X86_64.vectors)
    state = _STATE.pack(*(before[name] for name in X86_64.general), test.rip, flags, vectors)
    return state + _TEST_TAIL.pack(
        test.code, len(test.code), test.stepped, test.poke_at, len(test.poke), test.poke
    )


def _read(output: bytes, tests: Sequence[Test]) -> Iterator[Result]:
    at = 0
    for test in tests:
        *general, rip, flags, vectors = _STATE.unpack_from(output, at)
        at += _STATE.size
        number, code, address, count, places, values = _RESULT_TAIL.unpack_from(output, at)
        at += _RESULT_TAIL.size
        after = dict(zip(X86_64.general, general, strict=True))
        after |= {name: flags >> bit & 1 for name, bit in _FLAGS.items()}
        after |= {
            name: int.from_bytes(vectors[32 * i : 32 * i + 32], "little")
            for i, name in enumerate(X86_64.vectors)
        }
        offsets = struct.unpack(f"<{_CHANGES}H", places)[: min(count, _CHANGES)]
        changed = {WINDOW + offset: values[i] for i, offset in enumerate(offsets)}
        if count > _CHANGES:
            changed[-1] = count  # more than can be told: equal to no prediction
        if not test.stepped and number == signal.SIGTRAP:
            rip -= 1  # the int3 itself
        yield Result(_kind(number, code), number, address, rip, after, changed)


def _kind(number: int, code: int) -> str:
    if number == signal.SIGTRAP:
        return "done"
    # Positive codes name an address that is not mapped or not allowed; the kernel's own are a #GP.
    return "fault" if number == signal.SIGSEGV and code in (1, 2) else "trap"
