"""Pieces of work for a crew, and a program that has some done."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mcverify.errors import Disagreement, InputError


def where(number: int, seconds: float, _: object) -> tuple[int, int]:
    """The number, and the process that was given it."""
    time.sleep(seconds)
    return number, os.getpid()


def refuse(_: object) -> None:
    raise InputError("it is wrong", where="a.S:3", hint="do better")


def disagree(_: object) -> None:
    raise Disagreement("the two differ", {"rax": 1})


def divide(_: object) -> float:
    return 1 / int("0")


def unsendable(_: object) -> Any:
    return lambda: None


def vanish(_: object) -> None:
    os.kill(os.getpid(), 9)


def vanish_at(number: int, last: int) -> int:
    if number == last:
        os.kill(os.getpid(), 9)
    return number


def last_words(text: str, progress: Any) -> None:
    progress(text)
    os._exit(7)


def endless(folder: str, _: object) -> None:
    """Start a child, keep a folder, tell both processes, and never end."""
    with tempfile.TemporaryDirectory(dir=folder):
        child = subprocess.Popen(["sleep", "600"])
        (Path(folder) / f"{os.getpid()}.pids").write_text(f"{os.getpid()} {child.pid}")
        while True:
            time.sleep(0.05)


def solve(folder: str, _: object) -> None:
    """The same in the solver, which does not listen."""
    import z3

    child = subprocess.Popen(["sleep", "600"])
    (Path(folder) / f"{os.getpid()}.pids").write_text(f"{os.getpid()} {child.pid}")
    x, y = z3.BitVecs("x y", 128)
    solver = z3.Solver()
    solver.add(x * y == 0xC0FFEE_DEAD_BEEF_1234_5678_9ABC_DEF1, z3.UGT(x, 1), z3.UGT(y, 1), z3.ULT(x, y))
    while True:
        solver.check()


def main(folder: str, what: str) -> None:
    from mcverify.crew import crew

    with crew(2, 2, lambda _: None) as hands:
        for pending in [hands.submit(globals()[what], folder) for _ in range(2)]:
            pending.result()


if __name__ == "__main__":
    from mcverify.interrupt import INTERRUPTED, leave_on_interrupt

    leave_on_interrupt()
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        print("mcverify: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
