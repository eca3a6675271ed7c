"""The sentence of the SDM on which `rep movsb` rests: without it the same routine is refuted."""

from __future__ import annotations

import pytest
from asm_corpus.expectations import ROOT

from mcverify.proof.result import RoutineResult, Verdict

from .conftest import prove
from .refuted import refuted


@pytest.fixture(scope="module")
def unordered() -> RoutineResult:
    return prove(ROOT / "asm/rep_movsb.S", rep_model="unordered")["rep_movsb"]


def test_with_the_promise_of_an_order_it_is_proved() -> None:
    result = prove(ROOT / "asm/rep_movsb.S", rep_model="ordered")["rep_movsb"]
    assert result.verdict is Verdict.PROVED
    assert any("elements 0 to k-1 have been moved and none other" in a for a in result.assumptions)


def test_without_it_the_count_is_refuted(unordered: RoutineResult) -> None:
    assert unordered.verdict is Verdict.REFUTED
    assert refuted(unordered) == {("O3", ".Lfix_rep"), ("O4", ".Lfix_rep")}
    assert any("Nothing is promised of the order" in a for a in unordered.assumptions)


def test_a_run_on_the_emulator_shows_it(unordered: RoutineResult) -> None:
    assert unordered.counterexamples
    for counterexample in unordered.counterexamples:
        outcome, case = counterexample.outcome, counterexample.case
        assert outcome.on == "emulator"
        first_bad = case.src.first_bad
        assert first_bad is not None
        # Not just the bytes before the bad one were stored, or others are claimed.
        stored = outcome.written[-outcome.base :][: case.len]
        claimed = case.len - outcome.registers[unordered.contract.left]
        assert (stored, claimed) != (bytes([1] * first_bad + [0] * (case.len - first_bad)), first_bad)


def test_what_does_not_depend_on_the_order_still_holds(unordered: RoutineResult) -> None:
    held = {o.id for o in unordered.obligations if o.verdict is Verdict.PROVED}
    assert {"O1", "O2", "O7", "O8", "O9"} <= held
