"""The normal form of sums says nothing that the script does not say, and no less of what matters."""

import random
import re

import bitwuzla
import pytest

from mcverify.check.sums import NotRead, is_contradiction, normal

HEAD = "(set-logic QF_BV)"


def declared(width, *names):
    return HEAD + "".join(f"(declare-const {n} (_ BitVec {width}))" for n in names)


def is_satisfiable(text):
    parser = bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options())
    parser.parse(text, parse_only=True, parse_file=False)
    result = parser.bitwuzla().check_sat()
    assert result in (bitwuzla.Result.SAT, bitwuzla.Result.UNSAT)
    return result == bitwuzla.Result.SAT


def follows(text, width):
    """Whether each assertion of the normal form follows from those of the script, whatever its values."""
    found = normal(text)
    lines = [line for line in found.splitlines() if not line.startswith(("(set-logic", "(check-sat"))]
    known = set(re.findall(r"\(declare-const (\S+)", text))
    distances, rest, goals = [], [], []
    for line in lines:
        name = line.split()[1]
        if line.startswith("(declare-const |#"):
            now, _, entry = name.strip("|#").partition("-")
            distances.append(f"(define-fun {name} () (_ BitVec {width}) (bvsub {now} {entry}))")
        elif line.startswith("(assert"):
            goals.append(line.removeprefix("(assert ").removesuffix(")"))
        elif not (line.startswith("(declare-const") and name in known):
            rest.append(line)
    negated = f"(assert (not (and true {' '.join(goals)})))(check-sat)"
    script = text.replace("(check-sat)", "")
    return not is_satisfiable("\n".join([script, *distances, *rest, negated]))


def random_script(numbers, width):
    """Sums, differences, products with constants, comparisons and choices over six symbols."""
    names = ["a", "a@0", "b", "b@0", "c", "d"]

    def term(depth):
        if depth == 0 or numbers.random() < 0.2:
            return numbers.choice([*names, f"(_ bv{numbers.randrange(1 << width)} {width})"])
        one, other = term(depth - 1), term(depth - 1)
        by = f"(_ bv{numbers.randrange(1 << width)} {width})"
        return numbers.choice([
            f"(bvadd {one} {other})", f"(bvsub {one} {other})", f"(bvneg {one})", f"(bvmul {by} {one})",
            f"(bvmul {one} {by})", f"(bvmul {one} {other})", f"(bvand {one} {other})", "(bvsub a a@0)",
            f"(ite {claim(depth - 1)} {one} {other})", f"(let ((a {one}) (b a)) (bvadd b (bvsub a {other})))",
            f"(concat ((_ extract {width - 2} 0) {one}) ((_ extract 0 0) {other}))",
        ])  # fmt: skip

    def claim(depth):
        one, other = term(depth), term(depth)
        relation = numbers.choice(["=", "=", "bvule", "bvult", "bvslt"])
        found = f"({relation} {one} {other})"
        return numbers.choice([found, found, f"(not {found})", f"(and {found} (bvule {one} {other}))"])

    asserted = "".join(f"(assert {claim(3)})" for _ in range(4))
    return f"{declared(width, *names)}(define-fun e () (_ BitVec {width}) {term(2)}){asserted}(check-sat)"


@pytest.mark.parametrize("seed", range(80))
def test_what_it_says_follows_and_is_no_weaker(seed):
    text = random_script(random.Random(seed), 4)
    assert follows(text, 4)
    assert is_satisfiable(normal(text)) == is_satisfiable(text)


def test_the_follows_of_these_tests_notices_a_wrong_form(monkeypatch):
    text = declared(8, "a", "b") + "(assert (bvult a (bvadd b #x01)))(check-sat)"
    assert follows(text, 8)
    wrong = normal(text).replace("(bvadd b (_ bv1 8))", "(bvadd b (_ bv2 8))")
    monkeypatch.setitem(globals(), "normal", lambda _: wrong)
    assert not follows(text, 8)


def test_sums_that_are_the_same_are_written_in_one_way():
    text = declared(64, "r", "r@0", "q", "q@0")
    text += "(assert (= q (bvadd q@0 (bvsub r r@0))))"
    text += (
        "(assert (not (= (bvsub (bvadd q #x0000000000000008) q@0) (bvadd #x0000000000000008 (bvsub r r@0)))))"
    )
    assert is_contradiction(normal(text + "(check-sat)"))


def test_what_is_satisfiable_is_no_contradiction():
    assert not is_contradiction(normal(declared(8, "a") + "(assert (not (= a (bvadd a a))))(check-sat)"))


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("(assert (= a b))", "b is not declared"),
        ("(assert (= a (bvadd a a a)))", "bvadd has 3 operands"),
        ("(declare-const |a| (_ BitVec 8))", "the name |a| is taken"),
        ("(declare-const |#=1| (_ BitVec 8))", "is taken"),
        ("(define-fun true () Bool (= a a))", "is taken"),
        ("(declare-const c (Array Int Int))", "sort"),
        ("(assert (frob a a))", "frob is not known"),
        ("(push 1)", "command"),
        ("(assert (= a a)", "is not closed"),
        (")", "was not opened"),
    ],
)
def test_what_is_not_known_is_not_read(rest, says):
    with pytest.raises(NotRead, match=re.escape(says)):
        normal(declared(8, "a") + rest + "(check-sat)")
