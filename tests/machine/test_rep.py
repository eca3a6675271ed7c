"""The closed form of REP follows from what is lifted, for every form of it, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import z3

from mcverify.machine.instruction import Instruction, Step
from mcverify.machine.rep import closed_form_claims
from mcverify.machine.symbols import symbol

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
    assert broken_claims(replace(rep, steps=rep.steps[::-1])) == []


def written(step: Step, **values: z3.BitVecRef) -> Step:
    return replace(step, writes={**step.writes, **values})


def shifted(step: Step, number: int) -> Step:
    """The step with its access `number` one byte further on."""
    changed = [replace(a, address=a.address + (i == number)) for i, a in enumerate(step.accesses)]
    return replace(step, accesses=tuple(changed))


def wrong_value(step: Step) -> Step:
    *before, store = step.accesses
    return replace(step, accesses=(*before, replace(store, value=store.value + 1)))


SHAPE, AT_END, NO_CHANGE, GOES_ON, REGISTERS, PLACES, BYTES = (
    "one step ends the instruction and one repeats it",
    "at k = n it ends",
    "it ends without a change",
    "below n it goes on",
    "element k leaves the registers of k + 1",
    "element k lies where the closed form says",
    "one more element is e more bytes",
)
ITERATIONS: dict[str, tuple[Callable[[Step], Step], str]] = {
    "counts two": (lambda s: written(s, rcx=symbol("rcx") - 2), REGISTERS),
    "does not count": (lambda s: written(s, rcx=symbol("rcx")), REGISTERS),
    "leaves rdi alone": (lambda s: without(s, "rdi"), REGISTERS),
    "counts in 32 bits": (lambda s: written(s, rcx=low_half(s.writes["rcx"])), REGISTERS),
    "moves dst too far": (lambda s: written(s, rdi=s.writes["rdi"] + 1), REGISTERS),
    "moves src too far": (lambda s: written(s, rsi=symbol("rsi") + 16), REGISTERS),
    "moves dst at one place": (lambda s: written(s, rdi=but_once("rdi", s.writes["rdi"])), REGISTERS),
    "writes another register": (lambda s: written(s, rax=z3.BitVecVal(0, 64)), REGISTERS),
    "keeps rsi": (lambda s: written(s, rsi=symbol("rsi")), REGISTERS),
    "stores beside": (lambda s: shifted(s, -1 % len(s.accesses)), PLACES),
    "loads beside": (lambda s: shifted(s, 0), PLACES),
    "stores something else": (wrong_value, PLACES),
    "stores before it loads": (lambda s: replace(s, accesses=s.accesses[::-1]), PLACES),
    "does not store": (lambda s: replace(s, accesses=s.accesses[:-1]), PLACES),
    "stores twice": (lambda s: replace(s, accesses=(*s.accesses, s.accesses[-1])), PLACES),
    "stores one byte of two": (lambda s: sized(s, -1), PLACES),
    "loads more": (lambda s: sized(s, 0), PLACES),
    "ends one early": (lambda s: replace(s, guard=z3.UGT(symbol("rcx"), 1)), GOES_ON),
    "goes on elsewhere": (lambda s: replace(s, target=s.target + 1), SHAPE),
}


def without(step: Step, name: str) -> Step:
    return replace(step, writes={n: term for n, term in step.writes.items() if n != name})


def low_half(term: z3.BitVecRef) -> z3.BitVecRef:
    return z3.ZeroExt(32, z3.Extract(31, 0, term))


def but_once(name: str, term: z3.BitVecRef) -> z3.BitVecRef:
    return z3.If(symbol(name) == 0x1234, symbol(name), term)


def sized(step: Step, number: int) -> Step:
    """The step with one access of another size."""
    changed = list(step.accesses)
    changed[number] = replace(changed[number], size=16)
    return replace(step, accesses=tuple(changed))


def in_order(rep: Instruction) -> tuple[Step, Step]:
    """The step that ends it, and the iteration."""
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    return done, iteration


@pytest.mark.parametrize("form", ["rep movsb", "rep movsq"])
@pytest.mark.parametrize("mistake", ITERATIONS)
def test_an_iteration_that_does_something_else_breaks_its_claim(lift: Lift, form: str, mistake: str) -> None:
    (rep,) = lift(form)
    done, iteration = in_order(rep)
    change, claim = ITERATIONS[mistake]
    assert broken_claims(replace(rep, steps=(done, change(iteration)))) == [claim]


@pytest.mark.parametrize(
    "mistake",
    [
        m
        for m in ITERATIONS
        if "src" not in m and "rsi" not in m and "load" not in m and m != "writes another register"
    ],
)
def test_the_same_holds_of_rep_stos(lift: Lift, mistake: str) -> None:
    (rep,) = lift("rep stosl")
    done, iteration = in_order(rep)
    change, claim = ITERATIONS[mistake]
    assert broken_claims(replace(rep, steps=(done, change(iteration)))) == [claim]


def test_what_stos_stores_is_all_of_its_register(lift: Lift) -> None:
    (rep,) = lift("rep stosw")
    done, iteration = in_order(rep)
    (store,) = iteration.accesses
    for value in (z3.Extract(16, 1, symbol("rax")), z3.BitVecVal(0, 16), z3.Extract(15, 0, symbol("rdx"))):
        wrong = replace(iteration, accesses=(replace(store, value=value),))
        assert broken_claims(replace(rep, steps=(done, wrong))) == [PLACES]


def test_there_are_two_steps_and_no_other(lift: Lift) -> None:
    (rep,) = lift("rep movsb")
    done, iteration = in_order(rep)
    elsewhere = replace(done, target=done.target + 1)
    reads = replace(done, accesses=iteration.accesses[:1])
    for steps in (
        (done,),
        (iteration,),
        (done, iteration, elsewhere),
        (done, done, iteration),
        (done, iteration, iteration),
        (reads, iteration),
        (elsewhere, iteration),
    ):
        assert broken_claims(replace(rep, steps=steps)) == [SHAPE]


@pytest.mark.parametrize("form", ["rep movsb", "rep stosw", "rep movsl", "rep stosq"])
def test_bytes_are_counted_as_far_as_lengths_go(lift: Lift, form: str) -> None:
    """The claim is about every count that can be: its premise holds of those, its conclusion counts."""
    (rep,) = lift(form)
    assert rep.rep is not None
    claim = dict(closed_form_claims(rep))[BYTES]
    size, (premise, conclusion) = rep.rep.size, claim.children()
    at, count = z3.BitVec("rep.at", 64), z3.BitVec("rep.k", 64)

    def value(term: z3.BoolRef, k: int, byte: int = 0) -> bool:
        pairs = [(count, z3.BitVecVal(k, 64)), (at, z3.BitVecVal(byte, 64))]
        return z3.is_true(z3.simplify(z3.substitute(term, *pairs)))

    most = (1 << 62) // size
    assert [value(premise, k) for k in (0, 1, most - 1, most)] == [True, True, True, False]
    longer, both = conclusion.children()
    for k in (0, 1, 5):
        for byte in range(8 * size):
            inside = byte < (k + 1) * size
            assert (value(longer, k, byte), value(both, k, byte)) == (inside, inside)
    assert value(both, most - 1, (most - 1) * size)
    assert not value(both, most - 1, most * size)


def test_an_end_that_changes_something_breaks_a_claim(lift: Lift) -> None:
    (rep,) = lift("rep movsb")
    done, iteration = sorted(rep.steps, key=lambda step: len(step.accesses))
    for mutant, claim in (
        (written(done, rcx=z3.BitVecVal(1, 64)), NO_CHANGE),
        (replace(done, guard=symbol("rcx") == 1), AT_END),
    ):
        assert broken_claims(replace(rep, steps=(mutant, iteration))) == [claim]


def test_another_width_than_the_closed_form_breaks_a_claim(lift: Lift) -> None:
    (rep,) = lift("rep movsq")
    assert rep.rep is not None
    assert broken_claims(replace(rep, rep=replace(rep.rep, size=4)))
