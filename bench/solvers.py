"""Ask every obligation of a proof bundle of Z3, bitwuzla and cvc5, one at a time, and print what each took.

The statements are those of the bundle, before anything was simplified. Prints JSON: by solver the seconds of
each obligation, in the order of their names, and how many were decided. Usage: solvers.py DIR LIMIT [EVERY]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import z3

from mcverify.check.solvers import SOLVERS, Said, ask


def main(folder: Path, limit: float, every: int) -> None:
    """Print the seconds of each solver for every `every`th obligation of the bundle in `folder`."""
    found: dict[str, dict[str, list[float] | int]] = {}
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.smt2"))[::every]]
    for solver in ("z3", *SOLVERS):
        seconds: list[float] = []
        decided = 0
        for text in texts:
            took, is_decided = _z3(text, limit) if solver == "z3" else _other(solver, text, limit)
            seconds.append(took)
            decided += is_decided
        found[solver] = {"seconds": seconds, "decided": decided}
    json.dump(found, sys.stdout)


def _z3(text: str, limit: float) -> tuple[float, bool]:
    start = time.perf_counter()
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", int(limit * 1000))
    solver.from_string(text)
    is_decided = solver.check() != z3.unknown
    return time.perf_counter() - start, is_decided


def _other(solver: str, text: str, limit: float) -> tuple[float, bool]:
    reply = ask(solver, text, limit)
    return reply.seconds, reply.said in (Said.UNSAT, Said.SAT)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
