"""What makes an instruction resumable, said of instructions that are made up and of lifted ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import z3

from mcverify.image.load import load
from mcverify.machine.instruction import Access, Instruction, Kind, Step
from mcverify.machine.lifter import lifter_of
from mcverify.resume.claims import resume_claims
from mcverify.runs.code import reachable

A, V = z3.BitVec("a", 64), z3.BitVec("v", 64)


def is_valid(term):
    solver = z3.Solver()
    solver.add(z3.Not(term))
    return solver.check() == z3.unsat


def made(*accesses):
    return Instruction(0, 1, "made up", (Step(z3.BoolVal(True), accesses, {}, 1),))


def load_at(address):
    return Access(Kind.LOAD, address, 8, V)


def store_at(address):
    return Access(Kind.STORE, address, 8, V)


@pytest.mark.parametrize(
    ("instruction", "resumable"),
    [
        (made(load_at(A), store_at(A)), True),
        (made(store_at(A), load_at(A + 8)), True),
        (made(store_at(A), load_at(A + 7)), False),
        (made(store_at(A), load_at(A)), False),
        (made(load_at(A + 4), store_at(A), load_at(A + 32)), False),
        (made(store_at(A), store_at(A + 4)), True),
    ],
)
def test_a_load_must_not_read_what_was_stored_before_the_fault(instruction, resumable):
    assert all(is_valid(c.term) for c in resume_claims(instruction, ordered=True)) == resumable


@pytest.fixture(scope="module")
def rep():
    image = load(Path("asm/rep_movsb.S"))
    lifter = lifter_of(image)
    found = (lifter.instruction(a) for a in reachable(image, image.address_of("rep_movsb")))
    return next(instruction for instruction in found if instruction.rep is not None)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_k_elements_and_the_rest_are_all(rep, size):
    claims = list(resume_claims(replace(rep, rep=replace(rep.rep, size=size)), ordered=True))
    assert len(claims) == 3
    assert all(is_valid(claim.term) for claim in claims)


def test_a_rep_without_an_order_is_not_resumable(rep):
    (claim,) = resume_claims(rep, ordered=False)
    assert not is_valid(claim.term)
    assert claim.words.startswith("without a promised order")
