"""Processes that tests watch end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar


def is_alive(pid: int) -> bool:
    """Whether a process runs. One that has ended may wait for its parent to notice, if only for init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


T = TypeVar("T")


def until(get: Callable[[], T], seconds: float = 60.0) -> T:
    """Wait for the first true answer; fail if there is none."""
    end = time.monotonic() + seconds
    while not (answer := get()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return answer


def until_gone(*pids: int) -> None:
    """Wait until none of the processes runs: one that was killed needs a moment."""
    until(lambda: not any(map(is_alive, pids)), 10)
