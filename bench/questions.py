"""Prove files in one process, and print what the questions to Z3 took, in CPU seconds.

Each question counts with its normal form and all that is tried until it is decided. Prints JSON: how many
there were, what they took together, and the longest with its file. Usage: questions.py FILE...
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from mcverify.logic.solver import Reply, Solver
from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file


def main(files: list[Path]) -> None:
    """Print the questions of the proofs of `files`."""
    spent: list[tuple[float, str]] = []
    current = ""
    ask = Solver.ask

    def timed(self: Solver, *question: Any, **how: Any) -> Reply:
        start = time.thread_time()
        try:
            return ask(self, *question, **how)
        finally:
            spent.append((time.thread_time() - start, current))

    Solver.ask = timed  # type: ignore[method-assign]
    for file in files:
        current = file.name
        prove_file(file, ProveOptions(), lambda _: None)
    longest, where = max(spent)
    found = {
        "questions": len(spent),
        "seconds": sum(seconds for seconds, _ in spent),
        "longest": longest,
        "file": where,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
