"""Page faults and machine checks looked at by themselves: what holds after one may break after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.errors import InputError
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import Verdict
from mcverify.proof.select import tasks

from .conftest import prove
from .refuted import refuted

ASM = Path(__file__).parents[2] / "asm"
ROUNDED = ASM / "retry_by_trap_wrong_rounded.S"


@pytest.mark.parametrize(
    ("trap", "broken", "sentence"),
    [
        ("pf", set(), "loads may fault, by page faults alone"),
        ("mc", {("O4", ".Lfix_w1")}, "loads may fault, by machine checks alone"),
    ],
)
@pytest.mark.slow
def test_a_count_that_is_rounded_after_a_machine_check_is_exact_after_page_faults(trap, broken, sentence):
    [result] = prove(ROUNDED, trap=trap).values()
    assert refuted(result) == broken
    assert result.verdict is (Verdict.REFUTED if broken else Verdict.PROVED)
    assert sentence in result.assumptions
    assert all(c.case.trap == 18 for c in result.counterexamples)


@pytest.mark.slow
def test_what_is_refuted_strictly_is_proved_where_the_contract_allows_it():
    [result] = prove(ASM / "user_rounded.S", contract="uaccess", trap="mc").values()
    assert refuted(result) == {("O4", ".Lfix_pair"), ("O5", ".Lfix_pair")}


@pytest.mark.parametrize(("trap", "faults"), [("pf", "both"), ("mc", "loads"), ("both", "both")])
def test_machine_checks_leave_loads_alone_to_fault(trap, faults):
    image = load(ASM / "user_both.S")
    [task] = tasks(image, ProveOptions(trap=trap))
    assert (task.faults, task.contract.traps) == (faults, trap)


def test_a_routine_that_can_meet_no_machine_check_is_told():
    with pytest.raises(InputError, match=r"clear_words can meet no machine check.*--trap pf"):
        tasks(load(ASM / "clear_words.S"), ProveOptions(trap="mc"))
