"""Processes that tests watch end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process runs. One that has ended may wait for its parent to notice, if only for init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until it holds; fail if it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def until_gone(*pids: int) -> None:
    """Wait until none of the processes runs: one that was killed needs a moment."""
    until(lambda: not any(map(is_alive, pids)), 10)
