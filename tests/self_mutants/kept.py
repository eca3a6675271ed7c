"""Findings kept from one run to the next: a mutant that a test noticed is not tried again while both it and
the file of that test are the same.
"""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from self_mutants.operators import Mutant

ROOT = Path(__file__).parents[2]


class Kept:
    """A file of findings, one a line as JSON; None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, str]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    known = json.loads(line)
                except json.JSONDecodeError:  # it was cut off
                    continue
                self._known[known["key"]] = known

    def killer(self, mutant: Mutant) -> str:
        """The test that noticed the mutant; "" if that is not known, or the test is another now."""
        known = self._known.get(_key(mutant), {"noticed": ""})
        killer = known["noticed"]
        return killer if killer and known["test"] == _digest(killer) else ""

    def add(self, module: str, mutant: Mutant, noticed: str) -> None:
        """Write down which test noticed; that none did is written for people, and asked again."""
        if self._path is None:
            return
        data = {"key": _key(mutant), "module": module, "mutant": mutant.name}
        data |= {"noticed": noticed, "test": _digest(noticed)}
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data) + "\n")


def _key(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.text.encode()).hexdigest()


def _digest(killer: str) -> str:
    """Of the file of a test; of what is no test, of its words."""
    file = ROOT / killer.partition("::")[0]
    return hashlib.sha256(file.read_bytes() if file.is_file() else killer.encode()).hexdigest()
