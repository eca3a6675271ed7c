"""The native harness, and whether this host lets it run."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from functools import cache
from pathlib import Path

from mcverify.errors import InputError
from mcverify.programs import executable
from mcverify.runner_choice import chosen
from mcverify.runs.jailed import Limits, Said, converse, start

SOURCE = Path(__file__).with_name("harness.c")
JAIL = Path(__file__).with_name("jail.h")
NO_RIGHTS = "this host does not let a program make memory executable"
NO_FILTER = "this host does not let a program give up its system calls (seccomp)"

_CODES = {3: "there is not enough memory", 6: NO_RIGHTS, 7: NO_FILTER}
_SPACES = ("user", "network", "mount", "IPC", "process")
_SECONDS = 20.0
_UNCHOSEN = {
    "cpu": None,
    "emulator": "the emulator was asked for (--on emulator)",
    "nowhere": "nothing is to be run (--no-run)",
}


def unavailable() -> str | None:
    """Why routines cannot be run on this host's CPU, or are not to be; None if they can."""
    return _UNCHOSEN[chosen()] or forbidden()


def forbidden() -> str | None:
    """Why this host cannot run routines on its CPU; None if it can."""
    if platform.system() != "Linux":
        return f"the host runs {platform.system()}, not Linux"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the host's CPU is {platform.machine()}, not x86-64"
    try:
        return _obstacle()
    except InputError as error:
        return str(error)


def missing_spaces() -> tuple[str, ...]:
    """The name spaces of its own that this host does not give to the process that runs a routine: what is
    left of its confinement then is that it has no system call to use them with."""
    if forbidden() is not None:
        return ()
    bits = int.from_bytes(_probed().output[:8], "little")
    return tuple(name for number, name in enumerate(_SPACES) if bits >> number & 1)


def remarks() -> tuple[str, ...]:
    """What a report says of where routines ran, unless that is the CPU and nothing was missing."""
    if chosen() == "nowhere":
        return ("nothing was run (--no-run): counterexamples were not looked for, and loops are unknown",)
    why = unavailable()
    if why is not None:
        return (f"routines ran in the emulator: {why}",)
    missing = missing_spaces()
    if missing:
        return (f"routines ran on the CPU without these name spaces of their own: {', '.join(missing)}",)
    return ()


@cache
def _probed() -> Said:
    process = start(harness(), "probe")
    try:
        return converse(process, b"", Limits(_SECONDS, 8))
    finally:
        process.kill()
        process.wait()


@cache
def _obstacle() -> str | None:
    """What a run needs and this host forbids: memory shared with a child, a child, memory mapped where it
    is wanted, and executed; and that a call which the filter does not allow ends the child."""
    try:
        os.close(os.memfd_create("mcverify"))
        code = _probed().code
    except (OSError, subprocess.SubprocessError) as error:
        return f"this host does not let a program share memory with a child of its own: {error}"
    if code == -signal.SIGSYS:
        return None
    return _CODES.get(code, NO_FILTER)


def harness() -> Path:
    """The executable harness. Raises InputError where it cannot be compiled."""
    return executable(SOURCE, JAIL)
