"""What Z3 is asked, and how long."""

from __future__ import annotations

import pytest
import z3

from mcverify.deadline import Deadline
from mcverify.logic import solver
from mcverify.logic.normal import Normalizer
from mcverify.logic.solver import Answer, Solver


def brief_answer() -> Answer:
    """What the first try says of a claim that takes Z3 some hundredths of a second."""
    x, y = z3.BitVecs("x y", 64)
    claim = (x ^ y) + 2 * (x & y) == x + y
    return Solver(20, Deadline(None)).ask((), claim, Normalizer({}), briefly=True).answer


@pytest.mark.parametrize(("units", "answer"), [(10_000_000, Answer.PROVED), (1000, Answer.TIMEOUT)])
def test_the_first_try_ends_after_some_work_whatever_the_clock_says(
    units: int, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to is told in reports, which must be those of a machine that is not busy."""
    monkeypatch.setattr(solver, "_QUICK_SECONDS", 0.002)
    monkeypatch.setattr(solver, "_MOST_PATIENCE", 30_000)
    monkeypatch.setattr(solver, "_QUICK_UNITS", units)
    assert brief_answer() is answer
