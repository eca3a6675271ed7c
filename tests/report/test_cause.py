"""Several runs that show one mistake are one finding with several places."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.results import (
    COUNTEREXAMPLE,
    EXPLAINED,
    EXPLAINED_COUNTEREXAMPLE,
    EXPLANATION,
    PROVED,
    REPAIR,
    with_verdict,
)

from mcverify.proof.result import Counterexample, RoutineResult, TraceStep, Verdict
from mcverify.report.cause import also_at, also_repaired, cause_of, causes
from mcverify.report.github import to_annotations, to_summary
from mcverify.report.invocation import Invocation
from mcverify.report.sarif import log
from mcverify.report.summary import verdict_words
from mcverify.runs.case import Access, Fault

EXITS = (".Lfix_a", ".Lfix_w", ".Lfix_c")
LOAD = "movq (%rsi), %rax"


def step(address: int, text: str, *accesses: Access, fault: Fault | None = None) -> TraceStep:
    return TraceStep(address, f"asm/memcpy_64.S:{address - 0x1000}", "", text, {}, accesses, fault)


def load(address: int, offset: int) -> TraceStep:
    return step(address, LOAD, Access(address, "src", offset, 8, is_store=False))


def store(address: int, offset: int) -> TraceStep:
    return step(address, "movq %rax, (%rdi)", Access(address, "dst", offset, 8, is_store=True))


def fault(address: int, offset: int) -> TraceStep:
    return step(address, LOAD, fault=Fault(address, "src", offset, is_store=False))


def run(
    exit_id: str, *steps: TraceStep, value: int = 56, expected: int = 64, **more: object
) -> Counterexample:
    """A run of 64 bytes that ends at an exit; `more` is what its explanation has."""
    told = {"parted": "", "repair": None, "value": value, "expected": expected, **more}
    return replace(
        COUNTEREXAMPLE,
        exit=exit_id,
        trace=steps,
        explanation=replace(EXPLANATION, **told),  # type: ignore[arg-type]
    )


def result(*runs: Counterexample) -> RoutineResult:
    found = PROVED
    for exit_id in {r.exit for r in runs}:
        found = with_verdict(found, ("O3", exit_id), Verdict.REFUTED, "24 bytes are claimed")
    return replace(found, counterexamples=runs)


def test_a_run_alone_is_a_finding():
    (cause,) = causes(EXPLAINED)
    assert cause.exits == (".Lfix_w",)
    assert also_at(cause) == also_repaired(cause) == []


def test_loads_that_precede_their_stores_are_one_mistake():
    """As in the user copy before 42a886af728c: the n-th load's fixup counts those before it as stored."""
    stored = (load(0x1010, 0), store(0x1020, 0))
    runs = (
        run(EXITS[0], *stored, load(0x1030, 8), fault(0x1031, 16)),
        run(EXITS[1], load(0x1010, 0), load(0x1011, 8), fault(0x1012, 16), value=48),
        run(EXITS[2], load(0x1010, 0), load(0x1011, 8), load(0x1012, 16), fault(0x1013, 24), value=40),
    )
    (cause,) = causes(result(*runs))
    assert len(cause.runs) == 3
    assert cause.idea.startswith("4 loads precede their stores")
    assert verdict_words(result(*runs)).startswith(
        "O3 at .Lfix_w (and 2 more places)"
    ) or "2 more places" in (verdict_words(result(*runs)))


@pytest.mark.parametrize("value", [55, 57, 64])
def test_a_count_that_is_off_by_something_else_is_another_mistake(value):
    right = run(EXITS[0], load(0x1010, 0), fault(0x1011, 8))
    other = run(EXITS[1], load(0x1010, 0), fault(0x1011, 8), value=value)
    assert len(causes(result(right, other))) == 2


def test_one_line_that_returns_a_constant_for_all_is_one_mistake():
    """As the tail of the user copy of 5.10, which returns 0 after a machine check."""
    runs = [
        run(e, fault(0x1010 + n, 0), step(0x1090, "movl %ecx, %edx"), step(0x1091, "xorl %edx,%edx"), value=0)
        for n, e in enumerate(EXITS)
    ]
    (cause,) = causes(result(*runs))
    assert cause.idea == "all of them return what memcpy_64.S:145: xorl %edx,%edx puts there"
    assert "one mistake in 3 places" in also_at(cause)[0][1]
    assert cause_of(result(*runs), runs[2]).runs == cause.runs


def test_a_shared_line_that_hands_on_what_the_fixups_computed_is_not_to_blame():
    tail = (step(0x1090, "movl %ecx, %edx"), step(0x1091, "ret"))
    runs = [run(e, fault(0x1010 + n, 0), *tail, value=n) for n, e in enumerate(EXITS)]
    assert len(causes(result(*runs))) == 3


def test_one_repair_is_one_mistake_and_different_ones_are_listed():
    same = [run(e, fault(0x1010, 0), repair=REPAIR) for e in EXITS[:2]]
    (cause,) = causes(result(*same))
    assert also_repaired(cause) == []
    other = replace(REPAIR, where="asm/memcpy_64.S:118", before="lea\t-16(%rdx), %rdx", after="")
    runs = [
        run(EXITS[0], load(0x1010, 0), fault(0x1011, 8), repair=REPAIR),
        run(EXITS[1], load(0x1010, 0), fault(0x1011, 8), repair=other),
    ]
    (cause,) = causes(result(*runs))
    listed = dict(also_repaired(cause))["likewise"]
    assert listed == "line 118: lea -16(%rdx), %rdx -> (nothing)"


def test_runs_that_were_not_explained_stand_alone():
    runs = [replace(EXPLAINED_COUNTEREXAMPLE, exit=e, explanation=None) for e in EXITS]
    assert [len(c.runs) for c in causes(result(*runs))] == [1, 1, 1]


def test_one_mistake_is_one_result_with_its_places_for_tools_too():
    """In SARIF each place must be changed, so all are locations; GitHub shows an error, not one for each."""
    changes = [replace(REPAIR, where=f"asm/memcpy_64.S:{114 + n}") for n in range(3)]
    runs = [run(e, parted="begins here", repair=r) for e, r in zip(EXITS, changes, strict=True)]
    alone = run(".Lfix_b4 (b4)", parted="elsewhere", repair=None)
    found = result(*runs, alone)
    call = Invocation(("prove", "a.S"), 1)
    first, other = log([found], call)["runs"][0]["results"]
    lines = [place["physicalLocation"]["region"]["startLine"] for place in first["locations"]]
    assert lines == [114, 115, 116]
    assert len(other["locations"]) == 1
    assert first["occurrenceCount"] == sum(1 + r.others for r in runs)
    (line,) = [line for line in first["message"]["text"].splitlines() if "also at" in line]
    assert ".Lfix_w, .Lfix_c (one mistake in 3 places)" in line
    assert "also at" not in other["message"]["text"]
    assert len(log([found], call, by_exit=True)["runs"][0]["results"]) == 4
    errors = to_annotations([found]).splitlines()
    assert len(errors) == 2
    assert "also at" in errors[0]
    assert "and 2 more places" in to_summary([found])
