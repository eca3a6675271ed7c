"""The native harness, and whether this host lets it run."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from mcverify.errors import InputError
from mcverify.programs import executable

SOURCE = Path(__file__).with_name("harness.c")
NO_RIGHTS = "this host does not let a program make memory executable"


def unavailable() -> str | None:
    """Why routines cannot be run on this host's CPU; None if they can."""
    if platform.system() != "Linux":
        return f"the host runs {platform.system()}, not Linux"
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"the host's CPU is {platform.machine()}, not x86-64"
    try:
        return _obstacle()
    except InputError as error:
        return str(error)


@cache
def _obstacle() -> str | None:
    """What a run needs and this host forbids: memory shared with a child, a child, memory mapped where it
    is wanted, and executed."""
    program = harness()
    try:
        os.close(os.memfd_create("mcverify"))
        probe = subprocess.run([program, "probe"], capture_output=True, check=False)
    except OSError as error:
        return f"this host does not let a program share memory with a child of its own: {error.strerror}"
    return None if probe.returncode == 0 else NO_RIGHTS


def harness() -> Path:
    """The executable harness. Raises InputError where it cannot be compiled."""
    return executable(SOURCE)
