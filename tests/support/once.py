"""What is made once in a test run, by one worker for all: kept in a folder of the run's own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

_Made = TypeVar("_Made")


def folder_of_run(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all workers of this test run share, and no other run."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    shared.mkdir(exist_ok=True)
    return shared


class Once:
    """Values by what they are made of. What raises is made again by the next who asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, key: bytes, made: Callable[[], _Made]) -> _Made:
        """What `made` gives, or gave another test or worker for the same key."""
        kept = self._folder / hashlib.sha256(key).hexdigest()
        with kept.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.exists():
                whole = kept.with_suffix(".new")
                whole.write_bytes(pickle.dumps(made()))
                whole.rename(kept)
        found: _Made = pickle.loads(kept.read_bytes())
        return found
