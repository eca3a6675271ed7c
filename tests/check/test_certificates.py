"""`check --certificates`: what is a proof is accepted, what is none is not."""

import random
import re
from itertools import product
from pathlib import Path

import pytest
from support.command import in_process

from mcverify.check import certificates
from mcverify.check.certificates import Certified, certify, is_proof
from mcverify.cli.check import _code_of_certificates
from mcverify.errors import ExitCode

ASM = Path(__file__).parents[2] / "asm"
SCRIPT = """(set-logic QF_BV)
(declare-const x (_ BitVec 8))
(assert (bvult x #x10))
(assert (not (bvult (bvadd x #x01) {}))) (check-sat)
"""
HOLDS, FAILS = SCRIPT.format("#x11"), SCRIPT.format("#x10")
VARIABLES = 8


def formula(clauses):
    lines = (" ".join(map(str, clause)) + " 0\n" for clause in clauses)
    return f"p cnf {VARIABLES} {len(clauses)}\n" + "".join(lines)


def proof_of(dimacs):
    solver = certificates.solver_of(dimacs)
    assert not solver.solve()
    return certificates.proof_of(solver)


def satisfiable(clauses):
    return any(
        all(any((literal > 0) == values[abs(literal) - 1] for literal in clause) for clause in clauses)
        for values in product((False, True), repeat=VARIABLES)
    )


def random_clauses(numbers, count):
    def clause():
        return [numbers.choice((1, -1)) * v for v in numbers.sample(range(1, VARIABLES + 1), 3)]

    return [clause() for _ in range(count)]


@pytest.mark.parametrize("seed", range(12))
def test_no_proof_of_what_is_satisfiable_is_accepted(seed):
    numbers = random.Random(seed)
    clauses = random_clauses(numbers, 70)
    if satisfiable(clauses):
        clauses += [[1], [-1]]
    proof = proof_of(formula(clauses))
    assert is_proof(formula(clauses), proof)
    while not satisfiable(clauses):
        clauses.pop(numbers.randrange(len(clauses)))
    units = [f"{numbers.choice((1, -1)) * v} 0" for v in range(1, VARIABLES + 1)]
    for forged in (proof, [], ["0"], [*units, "0"], ["1 0", "-1 0", "0"]):
        assert not is_proof(formula(clauses), forged)


def test_a_proof_without_its_middle_is_none():
    """All clauses over three variables: nothing follows by propagation at first."""
    clauses = [[a * 1, b * 2, c * 3] for a, b, c in product((1, -1), repeat=3)]
    assert is_proof(formula(clauses), proof_of(formula(clauses)))
    assert not is_proof(formula(clauses), ["0"])


def test_a_certificate_of_what_holds_and_none_of_what_does_not():
    made = certify(HOLDS, 10)
    assert (made.standing, made.clauses > 0) == (Certified.CHECKED, True)
    assert certify(FAILS, 10).standing is Certified.NONE
    assert certify("(assert", 10).standing is Certified.NONE


def test_clauses_come_from_the_script_as_it_is():
    """Not from what preprocessing leaves of it: of this script it would leave nothing."""
    assert certificates._clauses(HOLDS, 10)[0].count("\n") > 20


ASSOCIATIVE = """(set-logic QF_BV)
(declare-const a (_ BitVec 12)) (declare-const b (_ BitVec 12)) (declare-const c (_ BitVec 12))
(assert (= c (bvadd b #x010))) (assert (bvult (bvsub (bvadd a #x008) b) #x100))
(assert (not (bvult (bvsub (bvadd a #x018) c) {}))) (check-sat)
"""


def test_what_sums_have_in_common_needs_no_proof():
    raw = proof_of(certificates._clauses(ASSOCIATIVE.format("#x100"), 10)[0])
    made = certify(ASSOCIATIVE.format("#x100"), 10)
    assert made.standing is Certified.CHECKED
    assert 10 * max(made.lines) < len(raw)
    assert certify(ASSOCIATIVE.format("#x0ff"), 10).standing is Certified.NONE


def test_a_contradiction_of_sums_is_told_apart():
    text = "(set-logic QF_BV)(declare-const a (_ BitVec 8))(assert (not (= a (bvsub (bvadd a #x01) #x01))))"
    assert certify(text + "(check-sat)", 10).standing is Certified.IDENTITY
    assert _code_of_certificates([certify(text + "(check-sat)", 10)]) is ExitCode.PROVED


@pytest.mark.parametrize("brief", [1, 10**6])
def test_a_proof_may_be_of_any_of_the_forms(monkeypatch, brief):
    """With one conflict for the first try, each of the three is tried in turns."""
    monkeypatch.setattr(certificates, "_BRIEF", brief)
    text = "(set-logic QF_BV)" + "".join(f"(declare-const {n} (_ BitVec 6))" for n in "abcd")
    text += "(assert (= #b000000 (bvadd a (bvadd b (bvadd c d)))))(assert (bvult (bvmul a b) #b000011))"
    made = certify(
        text + "(assert (not (bvult (bvmul b (bvneg (bvadd b (bvadd c d)))) #b000011)))(check-sat)", 20
    )
    assert made.standing is Certified.CHECKED


def test_clauses_that_are_not_all_written_are_written_again(monkeypatch):
    written = certificates._clauses

    def cut(text, limit):
        dimacs, complete = written(text, limit)
        return (dimacs.rsplit("\n", 30)[0] + "\n", False) if limit < 5 else (dimacs, complete)

    monkeypatch.setattr(certificates, "_clauses", cut)
    assert certify(HOLDS, 20).standing is Certified.CHECKED
    made = certify(FAILS, 20)
    assert (made.standing, made.why) == (Certified.NONE, "Glucose finds the clauses satisfiable")


def test_a_rejected_proof_is_loud(monkeypatch):
    monkeypatch.setattr(certificates, "proof_of", lambda _: ["0"])
    hard = "(set-logic QF_BV)" + "".join(f"(declare-const {n} (_ BitVec 6))" for n in "xyz")
    hard += "(assert (bvult x y))(assert (bvult y z))(assert (bvult z x))(check-sat)"
    made = certify(hard, 10)
    assert made.standing is Certified.REJECTED
    assert _code_of_certificates([made]) is ExitCode.INTERNAL
    assert _code_of_certificates([certify(FAILS, 10)]) is ExitCode.UNKNOWN


def test_a_checker_that_accepts_anything_is_not_used(monkeypatch):
    import dratify

    certificates._checker.cache_clear()
    right = dratify.check_proof(dratify.parse_dimacs("p cnf 1 2\n1 0\n-1 0\n"), "0")
    monkeypatch.setattr(dratify, "check_proof", lambda *_, **__: right)
    with pytest.raises(RuntimeError, match="proof checker is wrong"):
        is_proof(formula([[1]]), ["0"])
    certificates._checker.cache_clear()


def test_all_of_a_bundle(tmp_path):
    made = in_process("prove", ASM / "get_half.S", "--proof", tmp_path / "proof", "-q")
    assert made.returncode == 0, made.stderr
    count = len(list((tmp_path / "proof").glob("*/*.smt2")))
    done = in_process("check", tmp_path / "proof", "--certificates")
    assert done.returncode == 0, done.stdout + done.stderr
    made = re.search(r"certificates: (\d+) checked, (\d+) identity; in", done.stdout)
    assert int(made[1]) + int(made[2]) == count
    assert re.search(r"lines of a proof: \d+ \(median\), \d+ \(9 of 10\), \d+ \(most\)", done.stdout)
