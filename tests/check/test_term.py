"""Terms as the checker reads and evaluates them, against bitwuzla."""

from __future__ import annotations

from random import Random

import pytest

from mcverify.check.aim import models_of
from mcverify.check.solvers import Said, ask
from mcverify.check.term import Malformed, Program, parts, read, symbols

WIDTHS = {"a": 8, "b": 8, "p": 0, "q": 0, "|stack[-8].0|": 8}
TWO = (
    "bvadd bvsub bvmul bvand bvor bvxor bvudiv bvurem bvsdiv bvsrem bvsmod bvshl bvlshr bvashr concat bvcomp"
    " bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge = distinct"
).split()
ONE = (
    "bvnot bvneg (_|extract|5|2) (_|zero_extend|3) (_|sign_extend|3) (_|rotate_left|3) (_|rotate_right|11)"
    " (_|repeat|2)"
).replace("|", " ")
TRUTHS = ("and", "or", "xor", "=>")


def _applications(random: Random) -> list[str]:
    one, other = (f"#x{random.choice((0, 1, 127, 128, 255, random.randrange(256))):02x}" for _ in range(2))
    p, q = (random.choice(("true", "false")) for _ in range(2))
    found = [f"({o} {one} {other})" for o in TWO] + [f"({o} {p} {q})" for o in TRUTHS]
    singles = [o if o.startswith("bv") else f"(_ {o}" for o in ONE.split(" (_ ")]
    first, *indexed = singles
    found += [f"({o} {one})" for o in first.split()] + [f"({o} {one})" for o in indexed]
    return [*found, f"(ite {p} {one} {other})", f"(not {p})"]


def test_every_operator_means_what_it_means_to_bitwuzla() -> None:
    random = Random(7)
    claims = []
    for _ in range(40):
        for text in _applications(random):
            term = read(text, lambda _: None)
            value = Program(term).value({})
            said = ("true" if value else "false") if not term.width else f"(_ bv{value} {term.width})"
            claims.append(f"(= {text} {said})")
    script = f"(set-logic QF_BV)\n(assert (not (and {' '.join(claims)})))\n(check-sat)\n"
    assert ask("bitwuzla", script, 60).said is Said.UNSAT


def test_symbols_and_their_sorts() -> None:
    term = read("(let ((?1 (bvadd a b))) (and p (= ?1 |stack[-8].0|)))", WIDTHS.get)
    assert symbols(term) == {"a", "b", "p", "|stack[-8].0|"}
    program = Program(term)
    assert program.value({"a": 255, "b": 2, "p": 1, "|stack[-8].0|": 1}) == 1
    assert program.value({"a": 255, "b": 2, "p": 0, "|stack[-8].0|": 1}) == 0


@pytest.mark.parametrize(
    "text",
    ["true) (assert false", "a b", "(bvadd a)", "(bvadd a p)", "(and a b)", "(= a p)", "(not a)", "c", "|a|",
     "(let ((a b)) a)", "(let ((?1 a)) ?2)", "((_ extract 8 0) a)", "((_ extract 0 3) a)", "(_ bv256 8)",
     "a ; b", '"a"', "(ite a b b)", "(ite p a q)", "", "a\n", "(bvadd\ta b)", "(+ a b)", "(! p :named q)"],
)  # fmt: skip
def test_what_is_not_one_term_of_its_sorts(text: str) -> None:
    with pytest.raises(Malformed):
        read(text, WIDTHS.get)


def test_a_condition_that_random_values_do_not_show_is_aimed_at() -> None:
    program = Program(read("(= (bvmul a #x03) #x2a)", WIDTHS.get))
    program.value({"a": 1})
    wanted = list(program.unseen())
    assert [value for _, value in wanted] == [True]
    (model,) = models_of(wanted, float("inf"))
    assert program.value(model) == 1
    assert not list(program.unseen())


def test_parts_come_before_what_they_are_part_of() -> None:
    term = read("(bvadd (bvmul a b) (bvmul a b))", WIDTHS.get)
    order = parts(term)
    assert order[-1] is term
    assert all(order.index(o) < order.index(node) for node in order for o in node.operands)
