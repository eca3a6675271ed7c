"""The steps after a proof, together: fewer counterexamples, simpler ones, each confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import ObligationResult, RoutineResult, Verdict
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement
from mcverify.witness import study as study_module
from mcverify.witness.confirm import check_predictions
from mcverify.witness.study import shrink_confirmed, study

from .found import ASM, broken, image_of
from .test_shrink import refuted

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

FREE = Placement(Place.FREE)
PATH = ASM / "rep_movsb_wrong_count.S"
SIMPLE = Case(3, Placement(Place.HOLE, 2), FREE)
OPTIONS, NO_LIMIT = ProveOptions(), Deadline(None)


def far_from_simple() -> RoutineResult:
    case = Case(150, Placement(Place.HOLE, 99), Placement(Place.FREE, 7), 18, seed=3)
    return refuted(PATH, case, ("O4", ".Lfix_rep"))


def test_what_is_told_is_simple_confirmed_and_says_what_matters() -> None:
    path = ASM / "align_words_wrong_register.S"
    [result] = broken(path)
    rows = tuple(
        ObligationResult(o, c.exit, Verdict.REFUTED, 0.0, c.sentence)
        for c in result.counterexamples
        for o in c.obligations
    )
    asked: list[str] = []
    studied = study(
        image_of(path), replace(result, obligations=rows), OPTIONS, NO_LIMIT, asked.append, repair=False
    )
    [found] = studied.counterexamples
    assert found.case == Case(8, Placement(Place.INSIDE, 1), FREE)
    assert found.prediction is not None
    assert found.relevance
    assert found.trace
    assert found.explanation is not None
    assert found.explanation.repair is None
    assert found.others > 0
    assert (studied.verdict, studied.obligations) == (Verdict.REFUTED, rows)
    assert studied.phases["study"] > 0
    assert [text.partition(": ")[2] for text in asked] == [words for words, _ in study_module.STEPS]


def test_what_the_simpler_run_breaks_besides_is_refuted_too() -> None:
    path = ASM / "byte_retry_wrong_rounded.S"
    result = refuted(path, Case(32, Placement(Place.HOLE, 16), FREE, seed=2), ("O5", ".Lfix_half"))
    o5 = ObligationResult("O5", ".Lfix_half", Verdict.REFUTED, 0.1, "seen before")
    o4 = ObligationResult("O4", ".Lfix_half", Verdict.UNKNOWN, 0.2, "Z3 gave up")
    o6 = ObligationResult("O6", ".Lfix_half", Verdict.PROVED, 0.3)
    image, rows = image_of(path), (o4, o5, o6)
    studied = study(image, replace(result, obligations=rows), OPTIONS, NO_LIMIT, lambda _: None, repair=False)
    [found] = studied.counterexamples
    assert found.obligations == ("O4", "O5")
    assert studied.obligations == (replace(o4, verdict=Verdict.REFUTED, reason=found.sentence), o5, o6)
    alone = study(image, replace(result, obligations=(o5,)), OPTIONS, NO_LIMIT, lambda _: None, repair=False)
    assert {o.id for o in alone.obligations if o.verdict is Verdict.REFUTED} == {"O4", "O5"}


def test_a_repair_is_looked_for_last() -> None:
    path = ASM / "rep_movsb_wrong_zero.S"
    [result] = broken(path)
    asked: list[str] = []
    [found] = study(image_of(path), result, OPTIONS, NO_LIMIT, asked.append).counterexamples
    assert found.explanation is not None
    assert found.explanation.repair is not None
    assert found.explanation.repair.after == "mov\t%rcx, %rax"
    searching = [text.startswith("rep_movsb: repair: ") for text in asked]
    assert searching.index(True) == len(study_module.STEPS)
    assert all(searching[len(study_module.STEPS) :])


def test_the_simpler_case_is_compared_with_the_model_too() -> None:
    image = image_of(PATH)
    confirmed = check_predictions(image, far_from_simple(), OPTIONS, NO_LIMIT)
    [found] = shrink_confirmed(image, confirmed, OPTIONS, NO_LIMIT).counterexamples
    assert found.case == SIMPLE
    assert found.prediction is not None
    assert found.prediction != confirmed.counterexamples[0].prediction  # fewer bytes


def test_a_simpler_case_that_nothing_confirms_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Case] = []

    def confirms_nothing(_image: Image, result: RoutineResult, *_: object) -> RoutineResult:
        seen.extend(c.case for c in result.counterexamples)
        return replace(result, counterexamples=(), verdict=Verdict.UNKNOWN)

    image = image_of(PATH)
    confirmed = check_predictions(image, far_from_simple(), OPTIONS, NO_LIMIT)
    monkeypatch.setattr(study_module, "check_predictions", confirms_nothing)
    assert shrink_confirmed(image, confirmed, OPTIONS, NO_LIMIT) == confirmed
    assert seen == [SIMPLE]


def test_what_is_simple_already_is_not_compared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Sequence[object]:
        raise AssertionError("there is nothing new to compare")

    image = image_of(PATH)
    result = refuted(PATH, SIMPLE, ("O4", ".Lfix_rep"))
    monkeypatch.setattr(study_module, "check_predictions", fail)
    assert shrink_confirmed(image, result, OPTIONS, NO_LIMIT) == result
