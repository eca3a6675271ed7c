"""An engine that gives back what it is told, in place of the one that takes seconds to import.

As a script it runs the command line with a fake engine that does what its first argument says.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mcverify.proof.options import ProveOptions


def module(prove_file: Callable[..., Any]) -> ModuleType:
    """A module to stand in for mcverify.proof.prove; of several files the first one is asked for."""
    fake = ModuleType("mcverify.proof.prove")
    vars(fake).update(ProveOptions=ProveOptions, prove_files=lambda files, *rest: prove_file(files[0], *rest))
    return fake


def many(file: Path, options: ProveOptions, progress: Callable[[str], None], _: object) -> list[Any]:
    from support.results import PROVED, REFUTED

    return [PROVED] * 400 + [REFUTED]


def one(file: Path, options: ProveOptions, progress: Callable[[str], None], _: object) -> list[Any]:
    from support.results import PROVED

    progress("a step that is shown")
    return [PROVED]


def waiting(file: Path, options: ProveOptions, progress: Callable[[str], None], _: object) -> list[Any]:
    """Start a child, say its number, wait for it."""
    with subprocess.Popen(["sleep", "600"]) as child:
        print(child.pid, flush=True)
        child.wait()
    return []


def solving(file: Path, options: ProveOptions, progress: Callable[[str], None], _: object) -> list[Any]:
    """Sit in Z3, which handles SIGINT its own way, with a query that takes long; start a child first."""
    import z3

    child = subprocess.Popen(["sleep", "600"])
    print(child.pid, flush=True)
    x, y = z3.BitVecs("x y", 128)
    solver = z3.Solver()
    solver.add(x * y == 0xC0FFEE_DEAD_BEEF_1234_5678_9ABC_DEF1, z3.UGT(x, 1), z3.UGT(y, 1), z3.ULT(x, y))
    while True:
        solver.check()
        time.sleep(0.01)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.modules["mcverify.proof.prove"] = module(globals()[sys.argv[1]])
    sys.argv = ["mcverify", *sys.argv[2:]]
    from mcverify.__main__ import main

    main()
