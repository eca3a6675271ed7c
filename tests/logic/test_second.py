"""What Z3 proves is proved only if a second solver that is asked proves it too."""

from __future__ import annotations

import pytest
import z3

from mcverify.check.solvers import SOLVERS, Reply, Said
from mcverify.deadline import Deadline
from mcverify.errors import Disagreement
from mcverify.logic import second
from mcverify.logic.normal import Normalizer
from mcverify.logic.second import SecondSolver, script
from mcverify.logic.solver import Answer, Solver

P, N = z3.BitVecs("p n", 64)
BOUNDS = {"n": (0, 0x7FFFF000)}
TRUE = z3.URem(N, z3.BitVecVal(8, 64)) * 8 < 64
FALSE = z3.URem(N, z3.BitVecVal(8, 64)) * 8 < 56


@pytest.fixture(params=sorted(SOLVERS))
def other(request: pytest.FixtureRequest) -> SecondSolver:
    """A second solver."""
    pytest.importorskip(request.param)
    return SecondSolver(request.param)


def answer(goal: z3.BoolRef, other: SecondSolver, seconds: float = 20.0) -> Answer:
    return Solver(seconds, Deadline(None), other).ask([z3.ULT(P, N)], goal, Normalizer(BOUNDS)).answer


def test_it_confirms_what_is_true(other: SecondSolver) -> None:
    assert answer(TRUE, other) is Answer.PROVED
    assert (other.agreed, other.undecided) == (1, 0)
    assert other.seconds > 0


def test_what_z3_refutes_is_not_asked(other: SecondSolver) -> None:
    assert answer(FALSE, other) is Answer.FAILED
    assert (other.agreed, other.undecided) == (0, 0)


def test_it_reads_the_question_that_z3_was_asked(other: SecondSolver) -> None:
    """Symbols that were narrowed have names which SMT-LIB must quote."""
    narrow = z3.BitVec("n:31", 31)
    assert "|n:31|" in script([narrow == 1])
    assert other.confirms([z3.ULT(narrow, 3), z3.UGT(narrow, 3)], 20.0)


def test_a_contradiction_is_loud(other: SecondSolver) -> None:
    with pytest.raises(Disagreement, match=f"Z3 and {other.name} contradict each other") as caught:
        other.confirms([z3.ULT(N, 3)], 20.0)
    assert "(check-sat)" in caught.value.states["question"]
    assert caught.value.states[other.name] == "sat"


@pytest.mark.parametrize("said", [Said.TIMEOUT, Said.ERROR])
def test_without_its_answer_nothing_is_proved(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second, "ask", lambda *_: Reply(said, 0.5))
    other = SecondSolver("bitwuzla")
    assert answer(TRUE, other) is Answer.UNCONFIRMED
    assert (other.agreed, other.undecided) == (0, 1)


def test_a_limit_below_a_millisecond_is_one(other: SecondSolver) -> None:
    """For the solvers a limit of 0 is none: that 2**61 - 1 is a prime would take them for ever."""
    a, b = z3.BitVecs("a b", 64)
    factors = [z3.And(z3.UGT(x, 1), z3.ULT(x, 1 << 32)) for x in (a, b)]
    hard = [a * b == (1 << 61) - 1, *factors]
    assert not other.confirms(hard, 0.0001)
