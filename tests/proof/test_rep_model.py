"""The sentence of the SDM on which `rep movsb` rests: without it the same routine is refuted."""

from __future__ import annotations

import pytest
from asm_corpus.expectations import ROOT

from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.trials import Trials
from mcverify.runs.case import Case, Place, Placement
from mcverify.runs.rep import SCHEDULES

from .conftest import prove
from .refuted import refuted


@pytest.fixture(scope="module")
def unordered() -> RoutineResult:
    return prove(ROOT / "asm/rep_movsb.S", rep_model="unordered")["rep_movsb"]


def test_with_the_promise_of_an_order_it_is_proved() -> None:
    result = prove(ROOT / "asm/rep_movsb.S", rep_model="ordered")["rep_movsb"]
    assert result.verdict is Verdict.PROVED
    assert any("elements 0 to k-1 have been moved and none other" in a for a in result.assumptions)


@pytest.mark.slow
def test_without_it_the_count_is_refuted(unordered: RoutineResult) -> None:
    assert unordered.verdict is Verdict.REFUTED
    assert refuted(unordered) == {("O3", ".Lfix_rep"), ("O4", ".Lfix_rep")}
    assert any("Nothing is promised of the order" in a for a in unordered.assumptions)


def test_a_run_on_the_emulator_shows_it(unordered: RoutineResult) -> None:
    assert unordered.counterexamples
    for counterexample in unordered.counterexamples:
        outcome, case = counterexample.outcome, counterexample.case
        assert outcome.on == "emulator"
        # The buffer that has a bad byte: a store may fault too.
        first_bad = min(b for b in (case.src.first_bad, case.dst.first_bad) if b is not None)
        # Not just the bytes before the bad one were stored, or others are claimed.
        stored = outcome.written[-outcome.base :][: case.len]
        claimed = case.len - outcome.registers[unordered.contract.left]
        assert (stored, claimed) != (bytes([1] * first_bad + [0] * (case.len - first_bad)), first_bad)


def test_what_does_not_depend_on_the_order_still_holds(unordered: RoutineResult) -> None:
    held = {o.id for o in unordered.obligations if o.verdict is Verdict.PROVED}
    assert {"O1", "O2", "O7", "O8", "O9"} <= held


@pytest.mark.parametrize(("name", "ordered"), [("words_bytes", True), ("rep_movsb", False)])
def test_a_routine_without_rep_is_run_as_ever(name: str, ordered: bool) -> None:
    """Only what REP does is unordered: the CPU, and not the emulator, runs what has none."""
    image = load(ROOT / f"asm/{name}.S")
    contract = load_contract("bytes_left")
    trials = Trials(image, image.address_of(name) or 0, contract, "loads", rep_model="unordered")
    assert trials.is_ordered is ordered


def test_a_rep_that_meets_no_bad_byte_is_run_once() -> None:
    image = load(ROOT / "asm/rep_movsb.S")
    entry = image.address_of("rep_movsb") or 0
    trials = Trials(image, entry, load_contract("bytes_left"), "loads", rep_model="unordered")
    free, bad = Placement(Place.FREE), Placement(Place.HOLE, 5)
    cases = [Case(9, free, free), Case(9, bad, free)]
    ran = [case for case, _ in trials.outcomes(cases)]
    assert (ran.count(cases[0]), ran.count(cases[1])) == (1, 1 + len(SCHEDULES))
