"""Findings kept from one run to the next: a mutant that a test noticed is not tried again while both it and
the file of that test are the same.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from self_mutants.operators import Mutant

ROOT = Path(__file__).parents[2]


class Kept:
    """A file of findings, one a line as JSON; None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, str]] = {}
        self._seconds: dict[tuple[str, str], dict[str, float]] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    known = json.loads(line)
                except json.JSONDecodeError:  # it was cut off
                    continue
                if "seconds" in known:
                    self._seconds[known["tests"], known.get("digest", "")] = known["seconds"]
                else:
                    self._known[known["key"]] = known

    def killer(self, mutant: Mutant) -> str:
        """The test that noticed the mutant; "" if that is not known, or the test is another now."""
        known = self._known.get(_key(mutant), {"noticed": ""})
        killer = known["noticed"]
        return killer if killer and known["test"] == _digest(killer) else ""

    def killers(self) -> list[str]:
        """The tests that have noticed mutants, those that noticed most of them first."""
        counted = Counter(known["noticed"] for known in self._known.values() if "::" in known["noticed"])
        return [test for test, _ in counted.most_common()]

    def seconds(self, tests: str) -> Mapping[str, float] | None:
        """The CPU seconds of each of `tests`, a file, a folder or one test; None if they are not known, or
        the tests are others now."""
        return self._seconds.get((tests, _digest(tests)))

    def add_seconds(self, tests: str, seconds: Mapping[str, float]) -> None:
        """Write down the CPU seconds of tests."""
        self._write({"tests": tests, "digest": _digest(tests), "seconds": dict(seconds)})

    def add(self, module: str, mutant: Mutant, noticed: str) -> None:
        """Write down which test noticed; that none did is written for people, and asked again."""
        data = {"key": _key(mutant), "module": module, "mutant": mutant.name}
        data |= {"noticed": noticed, "test": _digest(noticed)}
        self._write(data)

    def _write(self, data: Mapping[str, object]) -> None:
        if self._path is None:
            return
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data) + "\n")


def _key(mutant: Mutant) -> str:
    return hashlib.sha256(mutant.text.encode()).hexdigest()


def _digest(killer: str) -> str:
    """Of the file of a test, or all files of a folder; of what is no test, of its words."""
    place = ROOT / killer.partition("::")[0]
    files = sorted(place.glob("**/*.py")) if place.is_dir() else [place] if place.is_file() else []
    text = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(text or killer.encode()).hexdigest()
