"""The closed form of REP follows from what is lifted, for every form of it, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import z3

from mcverify.machine.instruction import Instruction, Step
from mcverify.machine.rep import closed_form_claims
from mcverify.machine.x86_64 import symbol

from .conftest import Lift

FORMS = [f"rep {name}{width}" for name in ("movs", "stos") for width in "bwlq"]


def broken_claims(instruction: Instruction) -> list[str]:
    """The claims that are not valid."""
    broken = []
    for claim, term in closed_form_claims(instruction):
        solver = z3.Solver()
        solver.add(z3.Not(term))
        answer = solver.check()
        assert answer != z3.unknown
        if answer == z3.sat:
            broken.append(claim)
    return broken


@pytest.mark.parametrize("form", FORMS)
def test_every_claim_is_valid(lift: Lift, form: str) -> None:
    (rep,) = lift(form)
    claims = [claim for claim, _ in closed_form_claims(rep)]
    assert len(claims) >= 6
    assert broken_claims(rep) == []


def written(step: Step, **values: z3.BitVecRef) -> Step:
    return replace(step, writes={**step.writes, **values})


def shifted(step: Step, number: int) -> Step:
    """The step with its access `number` one byte further on."""
    changed = [replace(a, address=a.address + (i == number)) for i, a in enumerate(step.accesses)]
    return replace(step, accesses=tuple(changed))


def wrong_value(step: Step) -> Step:
    *before, store = step.accesses
    return replace(step, accesses=(*before, replace(store, value=store.value + 1)))


ITERATIONS: dict[str, Callable[[Step], Step]] = {
    "counts two": lambda s: written(s, rcx=symbol("rcx") - 2),
    "does not count": lambda s: written(s, rcx=symbol("rcx")),
    "moves dst too far": lambda s: written(s, rdi=s.writes["rdi"] + 1),
    "moves src too far": lambda s: written(s, rsi=symbol("rsi") + 16),
    "writes another register": lambda s: written(s, rax=z3.BitVecVal(0, 64)),
    "stores beside": lambda s: shifted(s, -1 % len(s.accesses)),
    "loads beside": lambda s: shifted(s, 0),
    "stores something else": wrong_value,
    "stores before it loads": lambda s: replace(s, accesses=s.accesses[::-1]),
    "does not store": lambda s: replace(s, accesses=s.accesses[:-1]),
    "ends one early": lambda s: replace(s, guard=z3.UGT(symbol("rcx"), 1)),
    "goes on elsewhere": lambda s: replace(s, target=s.target + 1),
}


@pytest.mark.parametrize("form", ["rep movsb", "rep movsq"])
@pytest.mark.parametrize("mistake", ITERATIONS)
def test_an_iteration_that_does_something_else_breaks_a_claim(lift: Lift, form: str, mistake: str) -> None:
    (rep,) = lift(form)
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    mutant = replace(rep, steps=(done, ITERATIONS[mistake](iteration)))
    assert broken_claims(mutant)


@pytest.mark.parametrize(
    "mistake", ["moves dst too far", "stores beside", "stores something else", "counts two"]
)
def test_the_same_holds_of_rep_stos(lift: Lift, mistake: str) -> None:
    (rep,) = lift("rep stosl")
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    mutant = replace(rep, steps=(done, ITERATIONS[mistake](iteration)))
    assert broken_claims(mutant)


def test_an_end_that_changes_something_breaks_a_claim(lift: Lift) -> None:
    (rep,) = lift("rep movsb")
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    for mutant in (
        written(done, rcx=z3.BitVecVal(1, 64)),
        replace(done, guard=symbol("rcx") == 1),
    ):
        assert broken_claims(replace(rep, steps=(mutant, iteration)))


def test_another_width_than_the_closed_form_breaks_a_claim(lift: Lift) -> None:
    (rep,) = lift("rep movsq")
    assert rep.rep is not None
    assert broken_claims(replace(rep, rep=replace(rep.rep, size=4)))
