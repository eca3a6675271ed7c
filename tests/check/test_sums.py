"""The normal form of sums says nothing that the script does not say, and no less of what matters."""

import random
import re

import pytest
from support.scripts import declared, is_satisfiable, random_script

from mcverify.check.script import NotRead
from mcverify.check.sums import is_contradiction, normal


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


@pytest.mark.parametrize("seed", range(20))
def test_a_normal_form_can_be_read_again(seed):
    """The names that it gives stand for the same as before, beside those that are given then."""
    first = normal(random_script(random.Random(seed), 4))
    again = normal(first)
    assert "|##" not in first
    assert is_satisfiable(again) == is_satisfiable(first)


def test_low_bits_and_zeros_behind_them_are_sums_too():
    text = declared(64, "a", "b", "c")
    times_8 = "(concat ((_ extract 60 0) (bvadd a b)) #b000)"
    eight_times = "(bvadd (bvmul #x0000000000000008 b) (concat ((_ extract 60 0) a) #b000))"
    assert is_contradiction(normal(f"{text}(assert (not (= {times_8} {eight_times})))(check-sat)"))
    low = "((_ extract 31 0) (bvsub (bvadd a b) a))"
    assert is_contradiction(normal(f"{text}(assert (not (= {low} ((_ extract 31 0) b))))(check-sat)"))
    assert not is_contradiction(normal(f"{text}(assert (not (= {low} ((_ extract 32 1) b))))(check-sat)"))


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("(assert (= a b))", "b is not declared"),
        ("(assert (= a (bvadd a a a)))", "bvadd has 3 operands"),
        ("(declare-const |a| (_ BitVec 8))", "the name |a| is taken"),
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


def test_low_bits_of_less_than_the_whole_are_no_sum():
    """Of the upper three of four bits two, with zeros behind: there is no sum of four bits in it."""
    text = declared(4, "a", "b")
    text += "(assert (bvult a (concat ((_ extract 1 0) ((_ extract 3 1) b)) #b00)))(check-sat)"
    assert follows(text, 4)
    assert is_satisfiable(normal(text))
