"""An explanation names the line that is wrong, and its numbers are those of the run."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from mcverify.image.source import Source
from mcverify.proof.result import SUCCESS, Counterexample, Exit, Explanation, RoutineResult
from mcverify.runs import cpu
from mcverify.witness.explain import explained
from mcverify.witness.formula import evaluate, shown, with_numbers

from .found import ASM, WRONG, contract_of, found, image_of

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: no CPU to run on")
TABLE_ONLY = {"fixup_section_wrong_neighbour"}
"""Here both the fixup and the code are right, and the table entry, which a repair names, is not."""

_CONTINUED = re.compile(r"\bwas continued at [^()]*\(line (\d+)\)")
_LINE = re.compile(r"(?:_wrong_\w+\.S:|\bline )(\d+)")


@cache
def explanations(name: str) -> dict[tuple[str, str], Explanation]:
    """The explanations of a file's counterexamples, by obligation and exit."""
    told = {}
    for image, result, example in found(ASM / f"{name}.S"):
        explanation = explained(image, result, example).explanation
        assert explanation is not None
        told[example.obligations[0], example.exit] = explanation
    assert told
    return told


def code_lines(path: Path) -> list[str]:
    return [" ".join(line.split()) for line in Source(str(path), path.read_text()).code.splitlines()]


def differing(name: str) -> set[int]:
    """Numbers of the lines of code that a right twin does not have, or between which it has more."""
    wrong, right = code_lines(ASM / f"{name}.S"), code_lines(ASM / f"{name.partition('_wrong_')[0]}.S")
    numbers: set[int] = set()
    for tag, first, end, _, _ in difflib.SequenceMatcher(None, wrong, right, autojunk=False).get_opcodes():
        if tag == "insert":
            numbers |= {first, first + 1}
        elif tag != "equal":
            numbers |= {i + 1 for i in range(first, end) if wrong[i]}
    return numbers


def spoken_of(name: str, told: Explanation) -> Iterator[int]:
    """The lines that an explanation names, and those of the fixups that it names up to their ends."""
    for text in (told.access, told.parted, told.how):
        yield from map(int, _LINE.findall(text))
    if "no fence follows" in told.how:
        first, last = map(int, _LINE.findall(told.parted + told.how))
        yield from range(first, last)
    lines = code_lines(ASM / f"{name}.S")
    for start in map(int, [*_LINE.findall(told.fixup), *_CONTINUED.findall(told.how)]):
        for number in range(start - 1, len(lines) + 1):
            yield number
            if number >= start and lines[number - 1].startswith(("RET", "jmp")):
                break


SPREAD = {"fill_bytes_wrong_half"}
"""The value is wrong before it is stored, by an instruction that no load leads to: the store is named."""


@pytest.mark.parametrize("name", [name for name in WRONG if name not in TABLE_ONLY | SPREAD])
def test_the_line_that_is_wrong_is_named(name: str) -> None:
    for (obligation, exit_id), told in explanations(name).items():
        assert differing(name) & set(spoken_of(name, told)), (obligation, exit_id, told)


@pytest.mark.parametrize("name", WRONG)
def test_exit_and_access_are_those_of_the_run(name: str) -> None:
    for image, result, example in found(ASM / f"{name}.S"):
        told = explained(image, result, example).explanation
        assert told is not None
        faults = example.outcome.faults
        entry = image.entry_at(faults[-1].insn) if faults else None
        assert told.access == (image.where(faults[-1].insn) if faults else "")
        assert told.fixup == (image.where(entry.fixup) if entry else "")
        assert told.label == (image.label_at(entry.fixup) if entry else "")
        if entry and example.obligations[0] not in ("O1", "O8"):
            assert told.label == example.exit


@pytest.mark.parametrize("name", WRONG)
def test_value_and_expectation_are_those_of_the_run(name: str) -> None:
    for image, result, example in found(ASM / f"{name}.S"):
        told = explained(image, result, example).explanation
        assert told is not None
        left = contract_of(result).left
        if (
            left is None
            or contract_of(result).told != "left"
            or example.obligations[0] not in ("O2", "O3", "O4", "O5")
        ):
            continue
        prefix = example.outcome.written[-example.outcome.base :][: example.case.len]
        missing = example.case.len - (prefix.find(0) if 0 in prefix else example.case.len)
        assert told.value == example.outcome.registers[left]
        assert told.expected == (missing if missing != told.value else None)
        if example.obligations[0] != "O5":
            assert told.expected is not None


@pytest.mark.parametrize("name", WRONG)
def test_the_rule_is_one_sentence_with_numbers(name: str) -> None:
    for told in explanations(name).values():
        assert len(told.rule) > 40
        assert "\n" not in told.rule
        assert not told.rule.endswith(".")
        assert told.how
        assert "\n" not in told.how


PLACES = {
    ("align_words_wrong_register", "O2 .Lfix_a"): "mov (%rsi), %al",
    ("byte_retry_wrong_rounded", "O4 .Lfix_half"): "mov %r8, (%rdi)",
    ("clear_stosb_wrong_entry", "O1 .Lwrite_rep"): "rep stosb",
    ("count32_wrong_16", "O3 success"): "movzwl %cx, %ecx",
    ("count32_wrong_16", "O3 .Lfix_b"): "movzwl %cx, %ecx",
    ("down_words_wrong_cld", "O7 .Lfix_w"): "std",
    ("fixup_section_wrong_neighbour", "O3 .Lfix_b"): "shr $3, %rcx",
    ("get_half_wrong_extension", "O6 success"): "mov (%rax), %dl",
    ("get_value_wrong_stale", "O6 .Lfix_any"): "mov $-14, %rax",
    ("index_total_wrong_clobber", "O3 .Lfix_b"): "dec %rdx",
    ("index_up_wrong_sign", "O2 .Lfix_b"): "neg %rdx",
    ("memcpy_64_wrong_subtract", "O3 .Lfix_b2"): "mov 16(%rsi), %r10",
    ("memcpy_64_wrong_trap", "O9 .Lfix_w"): "lea (%rdx,%rcx,8), %rax",
    ("mixed_loop_wrong_endless", "O9 *"): "jnz .Lhead",
    ("nontemporal_wrong_fence", "O10 .Lfix_b"): "movnti %rax, (%rdi)",
    ("pushed_wrong_pop", "O7 .Lfix_b"): "pop %r13",
    ("rep_movsq_tail_wrong_rest", "O4 .Lfix_2"): "mov %eax, (%rdi)",
    ("rep_movsq_wrong_scratch", "O7 .Lfix_q"): "lea (%rdx,%rcx,8), %rbx",
    ("retry_moved_wrong_source", "O6 .Lfix_b"): "mov %al, (%rdi)",
    ("sse_wrong_rounded", "O4 .Lfix_x1"): "movups %xmm0, (%rdi)",
    ("status_wrong_inverted", "O9 success"): "mov $1, %eax",
    ("status_wrong_unlisted", "O1 .Lread_q2"): "mov 16(%rsi), %r10",
    ("tail_in_c_wrong_count", "O3 copy_mc_fragile_handle_tail"): "lea (,%rcx,8), %rdx",
    ("user_both_wrong_clac", "O7 .Lfix_b"): "stac",
    ("user_both_wrong_progress", "O5 .Lfix_w"): "mov %rax, (%rdi)",
    ("user_rcx_wrong_early", "O3 .Lfix_write_b"): "dec %rcx",
    ("user_rounded_wrong_page_fault", "O4 .Lfix_pair"): "mov %r8, (%rdi)",
    ("words_bytes_wrong_order", "O6 success"): "mov %rax, (%rdi)",
    ("words_bytes_wrong_overread", "O8 .Lread_t"): "mov (%rsi), %rax",
}


@pytest.mark.parametrize(("name", "broken"), PLACES, ids=lambda word: word.replace(" ", "_"))
def test_the_instruction_at_which_it_begins(name: str, broken: str) -> None:
    obligation, _, exit_id = broken.partition(" ")
    told = explanations(name)[obligation, exit_id]
    assert told.parted.rpartition(": ")[2] == PLACES[name, broken]


SAID = {
    ("user_rcx_wrong_early", "O3 .Lfix_write_b"): (
        "before it what .Lfix_write_b would return is 1, just what is missing; after it 0, while 1 "
        "is missing, and the two do not meet again"
    ),
    ("sse_wrong_rounded", "O4 .Lfix_x1"): (
        "before it what .Lfix_x1 would return is 32, just what is missing; the 16 bytes that it "
        "stores are not taken off"
    ),
    ("memcpy_64_wrong_subtract", "O3 .Lfix_b5"): (
        "a fault here is counted as 24 left, while 32 are missing; one at .Lread_b4 (line 55) would"
        " have been counted right"
    ),
    ("retry_moved_wrong_source", "O6 .Lfix_b"): (
        "it stores dst[0] from src[8], loaded at .Lread_b (line 36), after the fault at .Lread_w1 "
        "(line 24) was continued at .Lfix_w1 (line 49)"
    ),
    ("words_bytes_wrong_order", "O6 success"): (
        "it stores dst[0..7], loaded at .Lread_w (line 19) and changed on the way by bswap %rax (line 20)"
    ),
    ("words_bytes_wrong_overread", "O8 .Lread_t"): ("it loads src[0..7], and len is 1"),
    ("status_wrong_unlisted", "O1 .Lread_q2"): (
        "the table in line 53 and line 54 covers .Lread_q1 (line 21) twice and this instruction never"
    ),
    ("clear_stosb_wrong_entry", "O1 .Lwrite_rep"): (
        "the table in line 24 covers .Lwrite (line 16), which does not access memory"
    ),
    ("mixed_loop_wrong_endless", "O9 *"): (
        "7 instructions later it is here again with the same registers and flags: ja .Lread_w (line"
        " 15) is not taken, jz .Lmore (line 18) is taken, jnz .Lhead (line 36) is taken"
    ),
    ("user_both_wrong_progress", "O5 .Lfix_w"): ("the fault is at dst[1]; dst[0] could have been copied"),
    ("nontemporal_sse_wrong_fence", "O10 success"): (
        "it is the last non-temporal store, and no fence follows up to the return in line 50"
    ),
    ("pushed_wrong_pop", "O7 .Lfix_b"): (
        "it takes the return address off the stack: nothing was pushed that it could pop"
    ),
    ("get_half_wrong_extension", "O6 success"): (
        "it writes bits 7..0 of rdx alone: bits 63..16 are still those of the call, 0x6d50168799730000, and "
        "nothing clears them up to the return in line 17"
    ),
    ("get_value_wrong_stale", "O6 .Lfix_any"): (
        "from here up to the return in line 48 nothing writes rdx, which still is what it was at the call, "
        "0xc148d8e7f0d588be"
    ),
    ("tail_in_c_wrong_count", "O3 copy_mc_fragile_handle_tail"): (
        "it hands a count of 8 to copy_mc_fragile_handle_tail, while 9 are missing"
    ),
    ("user_rounded_wrong_page_fault", "O4 .Lfix_pair"): (
        "before it what .Lfix_pair would return is 16, just what is missing; the 8 bytes that it "
        "stores are not taken off"
    ),
    ("status_wrong_inverted", "O9 .Lfix_any"): ("it is the last to write rax, which is returned as 0"),
}


@pytest.mark.parametrize(("name", "broken"), SAID, ids=lambda word: word.replace(" ", "_"))
def test_what_happens_there_is_said(name: str, broken: str) -> None:
    obligation, _, exit_id = broken.partition(" ")
    assert explanations(name)[obligation, exit_id].how == SAID[name, broken]


# ---- Routines of other kinds ------------------------------------------------------------

ROUTINE = """\
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract {contract} */
SYM_FUNC_START(one)
{code}
SYM_FUNC_END(one)
"""
VALUE = """\
.Lread_0:
	{first}
.Lread_1:
	{second}
	xor	%eax, %eax
	RET
.Lfix:
	{fixup}
	mov	$-14, %eax
	RET
	_ASM_EXTABLE_UA(.Lread_0, .Lfix)
	_ASM_EXTABLE_UA(.Lread_1, .Lfix)"""
TAIL = """\
	mov	%rdx, %rcx
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	{fixup}
	jmp	copy_mc_fragile_handle_tail
	_ASM_EXTABLE(.Lread, .Lfix)"""
CLEAR = """\
	mov	%rcx, %rdx
	shr	$3, %rcx
	and	$7, %edx
.Lwrite_q:
	rep stosq
	mov	%rdx, %rcx
.Lwrite_b:
	rep stosb
	RET
.Lfix_q:
	lea	3(%rdx,%rcx,4), %rcx
.Lfix_b:
	RET
	_ASM_EXTABLE_UA(.Lwrite_q, .Lfix_q)
	_ASM_EXTABLE_UA(.Lwrite_b, .Lfix_b)"""


def told_of(tmp_path: Path, contract: str, code: str) -> dict[str, Explanation]:
    """The explanations of a routine of one's own, by obligation and exit."""
    path = tmp_path / "one.S"
    path.write_text(ROUTINE.format(contract=contract, code=code))
    told = {}
    for image, result, example in found(path):
        explanation = explained(image, result, example).explanation
        assert explanation is not None
        told[f"{example.obligations[0]} {example.exit}"] = explanation
    return told


@pytest.mark.parametrize(
    ("first", "second", "fixup", "broken", "place", "how"),
    [
        (
            "mov $7, %edx", "movzwl (%rax), %edx", "nop", "O6 .Lfix", "mov $7, %edx",
            r"it is the last to write bits 7..0 of rdx, before the fault at .Lread_1 \(line 8\):"
            r" it leaves 0x7 there, and 0x0 is right",
        ),
        (
            "movzbl 1(%rax), %edx", "mov (%rax), %dh", "xor %edx, %edx", "O6 success", "mov (%rax), %dh",
            r"it is the last to write bits 15..8 of rdx from src\[0\]:"
            r" it leaves 0x[0-9a-f]{1,2}00 there, and 0x[0-9a-f]{1,2}00 is right",
        ),
        (
            "movzwl (%rax), %edx", "xor 1(%rax), %dx", "xor %edx, %edx", "O6 success", "xor 1(%rax), %dx",
            r"it is the last to write bits 15..0 of rdx from src\[1..2\]: it leaves 0x[0-9a-f]+ there, and"
            r" 0x[0-9a-f]+ is right",
        ),
        (
            "movzbl (%rax), %edx", "mov 1(%rax), %dh", "mov %cl, %dl", "O6 .Lfix", "mov %cl, %dl",
            r"it is the last to write bits 7..0 of rdx: it leaves 0x[0-9a-f]{1,2} there, and 0x0 is right",
        ),
        (
            "mov (%rax), %dl", "mov 1(%rax), %dh", "xor %dl, %dl", "O6 .Lfix", "xor %dl, %dl",
            r"it writes bits 7..0 of rdx alone: bits 63..8 are still those of the call, 0x[0-9a-f]+00, and"
            r" nothing clears them up to the return in line 14",
        ),
    ],
)  # fmt: skip
def test_where_a_wrong_value_comes_from(
    tmp_path: Path, first: str, second: str, fixup: str, broken: str, place: str, how: str
) -> None:
    told = told_of(tmp_path, "get_user_2", VALUE.format(first=first, second=second, fixup=fixup))[broken]
    assert told.parted.rpartition(": ")[2] == place
    assert re.fullmatch(how, told.how), told.how


@pytest.mark.parametrize(
    ("fixup", "place"),
    [
        ("lea 8(%rcx), %rdx", "lea 8(%rcx), %rdx"),
        ("mov %rdx, %rcx", "jmp copy_mc_fragile_handle_tail"),
        ("lea -1(%rcx), %edx", "lea -1(%rcx), %edx"),
    ],
)
def test_what_a_routine_outside_is_handed(tmp_path: Path, fixup: str, place: str) -> None:
    told = told_of(tmp_path, "bytes_left", TAIL.format(fixup=fixup))
    assert {"O2", "O3", "O4"} & {key.partition(" ")[0] for key in told}
    for explanation in told.values():
        assert explanation.parted.rpartition(": ")[2] == place
        hands = re.fullmatch(
            r"it hands a count of (\d+) to copy_mc_fragile_handle_tail, while (\d+) (is|are) missing",
            explanation.how,
        )
        assert hands, explanation.how
        assert int(hands[2]) == explanation.expected != int(hands[1])


def test_a_routine_outside_that_is_handed_the_right_count_is_not_blamed(tmp_path: Path) -> None:
    told = told_of(tmp_path, "bytes_left", TAIL.format(fixup="mov %rcx, %rdx; inc %rsi"))
    assert {key.partition(" ")[0] for key in told} == {"O4", "O6", "O8"}
    assert not any("hands a count" in explanation.how for explanation in told.values())


def test_a_count_that_is_allowed_to_be_too_high_is_not_said_to_be_exact(tmp_path: Path) -> None:
    told = told_of(tmp_path, "clear", CLEAR)["O3 .Lfix_q"]
    assert told.parted.endswith("one.S:7: and $7, %edx")
    assert told.how == (
        "before it what .Lfix_q would return is 15, which is allowed while 8 are missing; after it 7, while 8"
        " are missing, and the two do not meet again"
    )


# ---- The count in the routine's terms --------------------------------------------------


def with_exit(result: RoutineResult, exit_id: str, count: str) -> RoutineResult:
    return replace(result, exits=(Exit(exit_id, exit_id, "", "", count),))


def example_of(name: str, obligation: str, exit_id: str) -> tuple[RoutineResult, Counterexample]:
    for _, result, example in found(ASM / f"{name}.S"):
        if (example.obligations[0], example.exit) == (obligation, exit_id):
            return result, example
    raise AssertionError(f"{name} is not refuted for {obligation} at {exit_id}")


@pytest.mark.parametrize(
    ("name", "obligation", "exit_id", "count", "numbers"),
    [
        ("memcpy_64_wrong_subtract", "O3", ".Lfix_b1", "rdx + 64*rcx - 8", "0 + 64*1 - 8"),
        ("memcpy_64_wrong_subtract", "O3", ".Lfix_b5", "rdx + 64*rcx - 40", "0 + 64*1 - 40"),
        ("rep_movsq_wrong_words", "O3", ".Lfix_q", "rdx + rcx", "0 + 1"),
        ("rep_movsq_rcx_wrong_scale", "O2", ".Lfix_q", "rcx + 8*rax", "1 + 8*2"),
        ("index_up_wrong_sign", "O2", ".Lfix_b", "rdx", "-1"),
        ("index_total_wrong_clobber", "O2", ".Lfix_b", "rdx - rcx", "1 - 2"),
        ("count32_wrong_16", "O3", ".Lfix_b", "edx", "5"),
        ("rep_movsb_wrong_zero", "O3", ".Lfix_rep", "0", "0"),
        ("count32_wrong_16", "O3", SUCCESS, "0", "0"),
    ],
)
def test_the_count_is_shown_in_the_runs_numbers(
    name: str, obligation: str, exit_id: str, count: str, numbers: str
) -> None:
    result, example = example_of(name, obligation, exit_id)
    told = explained(image_of(ASM / f"{name}.S"), with_exit(result, exit_id, count), example).explanation
    assert told is not None
    assert (told.formula, told.numbers) == (count, numbers)
    computed = evaluate(numbers, {})
    assert computed == told.value != told.expected


@pytest.mark.parametrize("count", ["rdx + 8*rcx", "(either rdx or rcx)", "", "trap + rdx", "rdx + rax("])
def test_a_count_that_is_not_what_came_out_is_not_shown(count: str) -> None:
    result, example = example_of("rep_movsq_wrong_words", "O3", ".Lfix_q")
    shown_with = with_exit(result, ".Lfix_q", count)
    told = explained(image_of(ASM / "rep_movsq_wrong_words.S"), shown_with, example).explanation
    assert told is not None
    assert (told.formula, told.numbers, told.value) == ("", "", 1)


def test_the_accounts_count_is_said_in_its_terms() -> None:
    result, example = example_of("user_rcx_wrong_early", "O3", ".Lfix_write_b")
    shown_with = with_exit(result, ".Lfix_write_b", "rcx")
    told = explained(image_of(ASM / "user_rcx_wrong_early.S"), shown_with, example).explanation
    assert told is not None
    assert told.how.startswith("before it rcx is 1, just what is missing; after it 0")


REGISTERS = {"rax": 0x1_0000_0007, "rcx": 3, "rdx": (1 << 64) - 2, "rsi": 0x7F00_0000_1000, "r8": 0x1234}


@pytest.mark.parametrize(
    ("formula", "value", "numbers"),
    [
        ("rcx + 8*rcx - 8", 19, "3 + 8*3 - 8"),
        ("64*ecx + edx", 64 * 3 + 0xFFFFFFFE, "64*3 + 0xfffffffe"),
        ("rcx + rdx", 1, "3 + (-2)"),
        ("rdx + rcx", 1, "-2 + 3"),
        ("-rcx", (1 << 64) - 3, "-3"),
        ("eax", 7, "7"),
        ("(rcx >> 1) + (rcx & 1)", 2, "(3 >> 1) + (3 & 1)"),
        ("cl + r8b + r8w", 3 + 0x34 + 0x1234, "3 + 52 + 4660"),
        ("rsi", 0x7F00_0000_1000, "0x7f0000001000"),
    ],
)
def test_a_formula_and_its_numbers(formula: str, value: int, numbers: str) -> None:
    assert evaluate(formula, REGISTERS) == value
    assert with_numbers(formula, REGISTERS) == numbers
    assert evaluate(numbers, {}) == value


@pytest.mark.parametrize(
    "formula", ["", "bits 7..0 of (rax)", "trap", "rcx ** 2", "rcx // 2", "rbx", "f(rcx)"]
)
def test_what_is_no_sum_has_no_value(formula: str) -> None:
    assert evaluate(formula, REGISTERS) is None


def test_numbers_as_a_reader_expects_them() -> None:
    assert [shown(n) for n in (0, 77, (1 << 64) - 5, 1 << 63, 1 << 40)] == [
        "0", "77", "-5", "0x8000000000000000", "0x10000000000",
    ]  # fmt: skip
