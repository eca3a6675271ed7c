"""One failure for each origin: what is one mistake is told once, what are two is told twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcverify.deadline import Deadline
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.proof.options import ProveOptions
from mcverify.proof.result import SUCCESS, RoutineResult
from mcverify.runs import cpu
from mcverify.runs.case import Case, Place, Placement
from mcverify.witness.origins import one_each
from mcverify.witness.shrink import simplicity

from .found import ASM, broken, image_of
from .test_shrink import refuted

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

FREE = Placement(Place.FREE)
LEADING = "#include <linux/linkage.h>\n#include <asm/asm.h>\n"


def told(image: Image, result: RoutineResult) -> RoutineResult:
    return one_each(image, result, ProveOptions(), Deadline(None))


def keys(result: RoutineResult) -> list[tuple[str, str]]:
    return [(",".join(c.obligations), c.exit) for c in result.counterexamples]


EXPECTED = {
    # One expression that computes a wrong count, in different ways wrong.
    "align_words_wrong_register": [("O3", ".Lfix_a")],
    "index_total_wrong_clobber": [("O3", ".Lfix_b")],
    "rep_movsb_wrong_count": [("O3", ".Lfix_rep")],
    "rep_movsq_rcx_wrong_scale": [("O3", ".Lfix_q")],
    # One run that breaks two obligations.
    "byte_retry_wrong_rounded": [("O4,O5", ".Lfix_half")],
    # A mistake before the fault, which then shows at the fixups too.
    "words_bytes_wrong_order": [("O6", SUCCESS)],
    "count32_wrong_16": [("O3,O9", SUCCESS)],
    # The same mistake in several places.
    "memcpy_64_wrong_subtract": [("O3", f".Lfix_b{i}") for i in (1, 2, 3, 5, 6, 7)],
    "retry_by_trap_wrong_zero": [("O3", ".Lfix_w0"), ("O3", ".Lfix_w1")],
    # What is returned after a fault is not decided before it.
    "status_wrong_inverted": [("O9", ".Lfix_any"), ("O9", SUCCESS)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_origin_is_told_once(name: str) -> None:
    path = ASM / f"{name}.S"
    [result] = broken(path)
    assert keys(told(image_of(path), result)) == EXPECTED[name]


@pytest.mark.parametrize("name", ["align_words_wrong_register", "words_bytes_wrong_order"])
def test_the_simplest_is_told_and_the_others_are_counted(name: str) -> None:
    path = ASM / f"{name}.S"
    [result] = broken(path)
    [found] = told(image_of(path), result).counterexamples
    assert len(result.counterexamples) > 1
    simplest = min(result.counterexamples, key=lambda c: simplicity(c.case))
    assert (found.case, found.exit, found.sentence) == (simplest.case, simplest.exit, simplest.sentence)
    most = max(c.others for c in result.counterexamples)
    assert most <= found.others < sum(c.others + 1 for c in result.counterexamples)


def test_cases_at_several_exits_are_all_counted() -> None:
    path = ASM / "words_bytes_wrong_order.S"
    [result] = broken(path)
    [found] = told(image_of(path), result).counterexamples
    assert found.others + 1 == sum(c.others + 1 for c in result.counterexamples)


def test_nothing_else_of_the_result_changes() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    [result] = broken(path)
    after = told(image_of(path), result)
    assert replace(after, counterexamples=()) == replace(result, counterexamples=())


def write(tmp_path: Path, body: str, contract: str = "bytes_left") -> Path:
    path = tmp_path / "routine.S"
    comment = f"/* mcverify: contract {contract} */\n"
    path.write_text(f"{LEADING}{comment}SYM_FUNC_START(routine)\n{body}\nSYM_FUNC_END(routine)\n")
    return path


def test_two_mistakes_at_one_exit_are_two_where_the_simpler_run_shows_only_one(tmp_path: Path) -> None:
    """rbx is lost always, the data is wrong from 8 bytes on: a run that shows both does not link them."""
    path = write(
        tmp_path,
        "mov $1, %ebx\n cmp $8, %rdx\n jb 1f\n movb $0, (%rdi)\n inc %rdi\n inc %rsi\n dec %rdx\n"
        "1: mov %rdx, %rcx\n.Lr: rep movsb\n xor %eax, %eax\n ret\n.Lf: mov %rcx, %rax\n ret\n"
        "_ASM_EXTABLE(.Lr, .Lf)",
    )
    [result] = broken(path)
    at_success = [key for key in keys(told(load(path), result)) if key[1] == SUCCESS]
    assert at_success == [("O6,O7", SUCCESS), ("O7", SUCCESS)]


def test_a_fixup_with_a_mistake_of_its_own_is_told_beside_that_of_the_copying(tmp_path: Path) -> None:
    """The first byte of the longer copies is wrong; besides, the fixup reports one byte too few left."""
    path = write(
        tmp_path,
        "cmp $8, %rdx\n jb 1f\n.Lz: mov (%rsi), %al\n xor $1, %al\n mov %al, (%rdi)\n inc %rdi\n inc %rsi\n"
        " dec %rdx\n1: mov %rdx, %rcx\n.Lr: rep movsb\n xor %eax, %eax\n ret\n"
        ".Lf: lea -1(%rcx), %rax\n ret\n.Lg: mov %rdx, %rax\n ret\n"
        "_ASM_EXTABLE(.Lr, .Lf)\n_ASM_EXTABLE(.Lz, .Lg)",
    )
    [result] = broken(path)
    assert ("O6", ".Lf") in {(o, c.exit) for c in result.counterexamples for o in c.obligations}
    assert keys(told(load(path), result)) == [("O3", ".Lf"), ("O6", SUCCESS)]


def test_an_unlisted_load_past_the_end_is_one_failure(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "mov %rdx, %rcx\n.Lr: rep movsb\n.Lpast: mov (%rsi), %al\n xor %eax, %eax\n ret\n"
        ".Lf: mov %rcx, %rax\n ret\n_ASM_EXTABLE(.Lr, .Lf)",
    )
    [result] = broken(path)
    past = [key for key in keys(told(load(path), result)) if key[1] == ".Lpast"]
    assert past == [("O1,O8", ".Lpast")]


def test_past_the_deadline_nothing_is_merged() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    [result] = broken(path)
    assert one_each(image_of(path), result, ProveOptions(), Deadline(0.0)) == result


def test_a_counterexample_that_does_not_show_again_is_kept() -> None:
    path = ASM / "rep_movsb_wrong_count.S"
    result = refuted(path, Case(50, Placement(Place.HOLE, 30), FREE), ("O4", ".Lfix_rep"))
    [found] = result.counterexamples
    shy = replace(found, case=Case(50, FREE, FREE))
    after = told(image_of(path), replace(result, counterexamples=(shy,)))
    assert after.counterexamples == (shy,)
