"""A run that contradicts the model of the proof is a fault of ours: exit code 4, both states on demand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import z3

from mcverify.arch.x86_64 import handlers
from mcverify.check.solvers import Reply, Said
from mcverify.errors import Disagreement
from mcverify.proof import discharge, obligations
from mcverify.runs import cpu

from .conftest import Engine, Ran

ASM = Path(__file__).parents[2] / "asm"
Run = Callable[..., Ran]
SENTENCE = "routine: with len = 8, seed 1: rax is 0x1 on the cpu, 0x8 in the model"
STATES = {"case": {"len": 8}, "executed": {"rax": "0x1"}, "predicted": {"rax": "0x8"}}


def test_one_sentence_offers_to_keep_both_states(engine: Engine, mcverify: Run) -> None:
    engine.answer = Disagreement(SENTENCE, STATES)
    ran = mcverify("prove", "routine.S")
    assert ran.code == 4
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line == (
        f"mcverify: internal error: {SENTENCE}; please report it with the file"
        " (--save-disagreement FILE keeps both sides)"
    )


def test_both_states_are_kept(engine: Engine, mcverify: Run, tmp_path: Path) -> None:
    engine.answer, kept = Disagreement(SENTENCE, STATES), tmp_path / "states.json"
    ran = mcverify("prove", "routine.S", "--save-disagreement", kept)
    assert ran.code == 4
    assert f"(both sides are in {kept})" in ran.err
    assert json.loads(kept.read_text()) == STATES


def test_nothing_is_written_where_all_agree(engine: Engine, mcverify: Run, tmp_path: Path) -> None:
    kept = tmp_path / "states.json"
    assert mcverify("prove", "routine.S", "--save-disagreement", kept).code == 0
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_said_before_the_work(
    engine: Engine, mcverify: Run, tmp_path: Path
) -> None:
    ran = mcverify("prove", "routine.S", "--save-disagreement", tmp_path / "none" / "states.json")
    assert ran.code == 2
    assert "--save-disagreement cannot be written" in ran.err
    assert not engine.asked


WRONG = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract mcsafe_ret */
SYM_FUNC_START(claims_all)
	mov	%rdx, %rcx
	xor	%eax, %eax
.Lcopy:	rep movsb
.Lfix:	xor	%edx, %edx
	RET
	_ASM_EXTABLE_FAULT(.Lcopy, .Lfix)
SYM_FUNC_END(claims_all)
"""


@pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")
@pytest.mark.slow
def test_a_wrong_model_of_a_handler_ends_a_real_run(
    mcverify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcverify.cli.prove.quieten_libraries", lambda: None)
    (tmp_path / "wrong.S").write_text(WRONG)
    refuted = mcverify("prove", tmp_path / "wrong.S")
    assert refuted.code == 1
    assert "the proof's model predicts the same" in refuted.out

    wrong = handlers.EFFECTS | {"ax = trap": lambda _, __, trap: {"rax": trap + 1}}
    monkeypatch.setattr(handlers, "EFFECTS", wrong)
    kept = tmp_path / "states.json"
    ran = mcverify("prove", tmp_path / "wrong.S", "--save-disagreement", kept)
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("mcverify: internal error: claims_all: with len = ")
    assert "rax is 0xe on the cpu, 0xf in the model" in ran.err
    assert f"(both sides are in {kept})" in ran.err
    assert json.loads(kept.read_text())["routine"] == "claims_all"


LOOPS_AFTER_A_FAULT = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(claims_some)
	mov	%rdx, %rcx
	xor	%eax, %eax
.Lnext:	test	%rcx, %rcx
	jz	.Ldone
.Lread:	mov	(%rsi), %r8b
	mov	%r8b, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jmp	.Lnext
.Lfix:	xor	%ecx, %ecx
	jmp	.Lnext
.Ldone:	RET
	_ASM_EXTABLE_FAULT(.Lread, .Lfix)
SYM_FUNC_END(claims_some)
"""


@pytest.mark.parametrize(
    ("source", "exit_id"),
    [(WRONG, ".Lfix"), (LOOPS_AFTER_A_FAULT, "after a fault")],
    ids=["at the fixup", "behind a loop"],
)
@pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")
@pytest.mark.slow
def test_a_proof_of_what_a_run_breaks_ends_it_too(
    mcverify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, exit_id: str
) -> None:
    monkeypatch.setattr("mcverify.cli.prove.quieten_libraries", lambda: None)
    path = tmp_path / "wrong.S"
    path.write_text(source)
    assert mcverify("prove", path, "-q").code == 1

    def careless(*arguments: object) -> list[obligations.Goal]:
        goals = obligations.exit_goals(*arguments)
        return [replace(goal, term=z3.BoolVal(True)) if goal.id == "O3" else goal for goal in goals]

    monkeypatch.setattr(discharge, "exit_goals", careless)
    ran = mcverify("prove", path)
    assert (ran.code, ran.out) == (4, "")
    assert f"O3 at {exit_id} is broken on the cpu, proved in the model" in ran.err


def test_solvers_that_contradict_each_other_end_a_run(
    mcverify: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("bitwuzla")
    monkeypatch.setattr("mcverify.cli.prove.quieten_libraries", lambda: None)
    monkeypatch.setattr("mcverify.logic.second.ask", lambda *_: Reply(Said.SAT, 0.0))
    kept = tmp_path / "question.json"
    ran = mcverify("prove", ASM / "rep_movsb.S", "--second-solver", "bitwuzla", "--save-disagreement", kept)
    assert (ran.code, ran.out) == (4, "")
    assert "Z3 and bitwuzla contradict each other" in ran.err
    assert json.loads(kept.read_text())["question"].startswith("(set-logic QF_BV)")


def test_a_second_solver_confirms_a_real_proof(mcverify: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bitwuzla")
    monkeypatch.setattr("mcverify.cli.prove.quieten_libraries", lambda: None)
    ran = mcverify("prove", ASM / "rep_movsb.S", "--second-solver", "bitwuzla")
    assert ran.code == 0
    found = re.search(r"confirmed +bitwuzla confirms (\d+) of (\d+) answers of Z3 \(", ran.out)
    assert found is not None
    assert found[1] == found[2] != "0"
