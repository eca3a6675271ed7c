"""An obligation in two parts: together they say no less."""

import random

import pytest
from support.scripts import declared, is_satisfiable, random_script

from mcverify.check import certificates
from mcverify.check.certificates import Certified, certify
from mcverify.check.parts import claimed, halves


def parts_of(divide, seeds):
    """Scripts with what they were divided into."""
    for seed in seeds:
        text = random_script(random.Random(seed), 4)
        if (found := divide(text)) is not None:
            yield text, found


@pytest.mark.parametrize("divide", [claimed, halves])
def test_what_is_satisfiable_is_so_in_one_part(divide):
    found = list(parts_of(divide, range(150)))
    satisfiable = [any(map(is_satisfiable, parts)) for text, parts in found if is_satisfiable(text)]
    assert len(satisfiable) > 30
    assert all(satisfiable)


def test_cases_are_no_weaker_than_the_whole():
    found = list(parts_of(halves, range(150)))
    unsatisfiable = [parts for text, parts in found if not is_satisfiable(text)]
    assert len(unsatisfiable) > 5
    assert not any(is_satisfiable(part) for parts in unsatisfiable for part in parts)


NARROW = """
(assert (bvult a #x0020)) (assert (bvule b a))
(define-fun low () (_ BitVec 8) ({there} ((_ extract 7 0) a) ((_ extract 7 0) b)))
(assert (not (bvult ({back} (concat #x00 low) b) {limit}))) (check-sat)
"""
ADDED = declared(16, "a", "b") + NARROW.format(there="bvadd", back="bvsub", limit="{}")
TAKEN = declared(16, "a", "b") + NARROW.format(there="bvsub", back="bvadd", limit="{}")
CASES = (
    declared(16, "a", "b")
    + """
(define-fun m () (_ BitVec 16) (ite (bvult a b) b a))
(assert (not (bvule {} m))) (check-sat)
"""
)


@pytest.mark.parametrize(
    ("script", "holds", "fails"),
    [(ADDED, "#x0020", "#x001f"), (TAKEN, "#x0020", "#x001f"), (CASES, "a", "#x0001")],
)
def test_each_part_has_a_proof_of_its_own(monkeypatch, script, holds, fails):
    monkeypatch.setattr(certificates, "_LONG", 1)
    whole = certificates._briefly([script.format(holds)], float("inf"))
    made = certify(script.format(holds), 20)
    assert made.standing is Certified.CHECKED
    assert len(made.lines) >= 2
    assert max(made.lines) < len(whole.proof)
    assert certify(script.format(fails), 20).standing is Certified.NONE


def test_a_claim_that_does_not_hold_is_left(monkeypatch):
    """The sum of low bits wraps here: the cases remain."""
    monkeypatch.setattr(certificates, "_LONG", 0)
    text = declared(16, "a", "b")
    text += """
(define-fun low () (_ BitVec 16) (concat #x00 (bvadd ((_ extract 7 0) a) ((_ extract 7 0) b))))
(assert (not (bvult (ite (bvult low a) low #x0000) #x0100))) (check-sat)
"""
    assert claimed(text) is not None
    assert is_satisfiable(claimed(text)[0])
    assert certify(text, 20).standing is Certified.CHECKED
