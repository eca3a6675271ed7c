"""Failures that no grid reaches: Z3 says where they are, and the CPU shows them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mcverify.proof.options import ProveOptions
from mcverify.proof.prove import prove_file
from mcverify.proof.result import RoutineResult, Verdict
from mcverify.proof.trials import Trials
from mcverify.runs import cpu
from mcverify.runs.case import Case, Outcome
from mcverify.witness.study import study

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

ROUTINE = """\
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(far)
	mov	%rdx, %rcx
	mov	%rdx, %r8
.Lcopy:
	rep	movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	sub	%rcx, %r8
{wrong}
	jb	.Lright
	dec	%rax
.Lright:
	RET
	_ASM_EXTABLE_TYPE(.Lcopy, .Lfix, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(far)
"""

ONE_PLACE = """\
	lea	(%rsi,%rdi), %r9
	and	$0xfff, %r9d
	cmp	$0x123, %r9d
	jne	.Lright
	cmp	$1000, %rcx"""


def studied(folder: Path, wrong: str, **options: int) -> RoutineResult:
    """What is found out about the routine, without a search for repairs."""
    path = folder / "far.S"
    path.write_text(ROUTINE.format(wrong=wrong))
    chosen = ProveOptions(**options)

    def study_it(image, result, deadline, progress):
        return study(image, result, chosen, deadline, progress, repair=False)

    [result] = prove_file(path, chosen, lambda _: None, study_it)
    return result


@pytest.mark.slow
def test_a_failure_of_long_calls_is_shown_by_the_shortest_with_the_first_byte_bad(tmp_path: Path) -> None:
    result = studied(tmp_path, "\tcmp\t$0x7ff00000, %rcx")
    assert {(o.id, o.exit) for o in result.obligations if o.verdict is not Verdict.PROVED} == {
        ("O3", ".Lfix")
    }
    [found] = result.counterexamples
    assert (found.case.len, found.case.good_bytes) == (0x7FF00000, 0)
    assert found.prediction is not None
    assert found.prediction.by == "model"
    assert found.explanation is not None
    assert (found.explanation.value, found.explanation.expected) == (0x7FEFFFFF, 0x7FF00000)
    assert found.trace[-1].text == "RET"
    lengths = {r.input: r.values for r in found.relevance}["len"]
    assert lengths.startswith("2146435072 or more")


@pytest.mark.slow
def test_a_failure_behind_a_far_fault_is_shown_by_the_first(tmp_path: Path) -> None:
    result = studied(tmp_path, "\tcmp\t$0x654321, %r8")
    [found] = result.counterexamples
    assert (found.case.len, found.case.src.first_bad) == (0x654322, 0x654321)
    assert found.prediction is not None


def test_where_the_domain_ends_before_it_the_routine_is_proved(tmp_path: Path) -> None:
    result = studied(tmp_path, "\tcmp\t$0x654321, %r8", len_max=0x654321)
    assert result.verdict is Verdict.PROVED


@pytest.mark.slow
def test_a_failure_at_one_alignment_of_a_page_is_found(tmp_path: Path) -> None:
    result = studied(tmp_path, ONE_PLACE)
    [found] = result.counterexamples
    assert found.obligations == ("O3",)
    assert found.case.len - found.case.good_bytes >= 1000


def test_no_long_call_is_run_where_the_question_is_only_whether_it_is_proved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a repair: it is not, and a run that shows it may copy for seconds."""
    longest = 0

    def outcomes(trials: Trials, cases: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
        nonlocal longest
        longest = max([longest, *(case.len for case in cases)])
        return run(trials, cases)

    run = Trials.outcomes
    monkeypatch.setattr(Trials, "outcomes", outcomes)
    result = studied(tmp_path, "\tcmp\t$0x7ff00000, %rcx", is_thorough=False)
    assert (result.verdict, result.counterexamples) == (Verdict.UNKNOWN, ())
    assert longest < 1 << 20
    studied(tmp_path, "\tcmp\t$0x7ff00000, %rcx")
    assert longest == 0x7FF00000
