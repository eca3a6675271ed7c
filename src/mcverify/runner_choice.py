"""Where the operator lets routines run: on the CPU, in the emulator alone, or nowhere."""

from __future__ import annotations

import os
from typing import Literal

Where = Literal["cpu", "emulator", "nowhere"]

CHOICE = "MCVERIFY_RUN"
"""The variable that says it, to this process and to those that it starts: "cpu" (the default: on the CPU,
and in the emulator what the CPU cannot show), "emulator" or "nowhere"."""

_ALL: tuple[Where, ...] = ("cpu", "emulator", "nowhere")


def choose(where: Where) -> None:
    """Let it hold in this process and in those that it starts."""
    os.environ[CHOICE] = where


def chosen() -> Where:
    """What holds. What is not understood lets nothing run."""
    said = os.environ.get(CHOICE, "cpu")
    return next((where for where in _ALL if where == said), "nowhere")
