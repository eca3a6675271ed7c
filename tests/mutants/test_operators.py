"""Which mutants there are, and that each changes only what runs after a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.image.callees import ASSUMED
from mcverify.image.load import load
from mutants.continuation import usual_code
from mutants.operators import Mutant, Operator, mutants
from mutants.source import ASM, Source, read

WORDS = """\
/* mcverify: contract bytes_left */
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(words)
	mov	%rdx, %rcx
.Lread_w:
	rep movsq			/* not a routine that is right */
.Lread_b:
	rep movsb
	RET
.Lfix_w:
	shl	$3, %rcx		/* bytes */
	lea	-8(%rdx,%rcx,2), %rax
	RET
.Lfix_b:
	jmp	.Lread_b
	_ASM_EXTABLE(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_FAULT(.Lread_b, .Lfix_b)
SYM_FUNC_END(words)
"""
RIGHT = sorted(path for path in ASM.glob("*.S") if "_wrong_" not in path.stem)


@pytest.fixture
def words(tmp_path: Path) -> Source:
    path = tmp_path / "words.S"
    path.write_text(WORDS)
    return read(path)


def of(source: Source, operator: Operator) -> set[tuple[str, str]]:
    return {(m.before, m.after) for m in mutants(source) if m.operator is operator}


def test_every_constant_of_a_fixup_is_changed_by_one(words: Source) -> None:
    lea = "lea -8(%rdx,%rcx,2), %rax"
    assert of(words, Operator.CONSTANT) == {
        ("shl $3, %rcx", "shl $4, %rcx"),
        ("shl $3, %rcx", "shl $2, %rcx"),
        (lea, "lea -7(%rdx,%rcx,2), %rax"),
        (lea, "lea -9(%rdx,%rcx,2), %rax"),
        (lea, "lea -8(%rdx,%rcx,1), %rax"),
        (lea, "lea -8(%rdx,%rcx,4), %rax"),
    }


def test_a_displacement_that_is_not_written_is_changed_too() -> None:
    constants = of(read(ASM / "words_bytes.S"), Operator.CONSTANT)
    lea = "lea (%rdx,%rcx,8), %rax"
    assert {(lea, f"lea {by}(%rdx,%rcx,8), %rax") for by in (1, -1)} <= constants


def test_every_register_of_a_fixup_is_replaced_by_every_other(words: Source) -> None:
    replaced = {after for before, after in of(words, Operator.REGISTER) if before.startswith("shl")}
    assert replaced == {"shl $3, %rax", "shl $3, %rdx"}
    assert len(of(words, Operator.REGISTER)) == 2 + 3 * 2


def test_a_fixup_computes_in_half_the_width(words: Source) -> None:
    assert {after for _, after in of(words, Operator.WIDTH)} == {
        "shl $3, %ecx",
        "lea -8(%edx,%ecx,2), %eax",
    }


def test_a_return_is_off_by_one_a_retry_is_not(words: Source) -> None:
    assert of(words, Operator.COUNT) == {("RET", "inc %rax; RET"), ("RET", "dec %rax; RET")}


def test_instructions_are_left_out_but_for_the_last(words: Source) -> None:
    assert {before for before, _ in of(words, Operator.INSTRUCTION)} == {
        "shl $3, %rcx",
        "lea -8(%rdx,%rcx,2), %rax",
        "RET",
    }


def test_a_jump_goes_to_the_neighbouring_labels(words: Source) -> None:
    assert of(words, Operator.JUMP) == {
        ("jmp .Lread_b", "jmp .Lread_w"),
        ("jmp .Lread_b", "jmp .Lfix_w"),
    }


def test_the_table_loses_entries_and_mixes_up_targets_and_handlers(words: Source) -> None:
    first, second = "_ASM_EXTABLE(.Lread_w, .Lfix_w)", "_ASM_EXTABLE_FAULT(.Lread_b, .Lfix_b)"
    first_moved, second_moved = "_ASM_EXTABLE(.Lread_w, .Lfix_b)", "_ASM_EXTABLE_FAULT(.Lread_b, .Lfix_w)"
    assert of(words, Operator.ENTRY) == {(first, ""), (second, "")}
    assert of(words, Operator.TARGET) == {(first, first_moved), (second, second_moved)}
    assert of(words, Operator.SWAP) == {(f"{first}; {second}", f"{first_moved}; {second_moved}")}
    assert of(words, Operator.HANDLER) == {
        (first, "_ASM_EXTABLE_FAULT(.Lread_w, .Lfix_w)"),
        (second, "_ASM_EXTABLE_UA(.Lread_b, .Lfix_b)"),
    }


def test_a_mutant_differs_in_the_lines_it_names_only(words: Source) -> None:
    for mutant in mutants(words):
        lost = set(WORDS.splitlines()) - set(mutant.text.splitlines())
        assert len(lost) <= 2 if mutant.operator is Operator.SWAP else len(lost) <= 1
        assert mutant.text != WORDS
    assert len({m.text for m in mutants(words)}) == len(mutants(words))


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_every_entry_and_every_constant_of_a_right_routine_has_its_mutants(path: Path) -> None:
    source = read(path)
    found = mutants(source)
    own = [entry for entry in source.image.entries if entry.handler.name != ASSUMED]
    assert len(source.entries) == len(own) > 0
    assert sum(m.operator is Operator.ENTRY for m in found) == len(source.entries)
    for line in source.fixup_code:
        if any("$" in operand or "(" in operand for operand in line.operands):
            ours = [m for m in found if m.line == line.number + 1 and m.operator is Operator.CONSTANT]
            assert len(ours) >= 2, source.lines[line.number]


@pytest.mark.parametrize("stem", ["words_bytes", "fixup_section", "user_both", "pushed"])
def test_what_runs_without_a_fault_is_the_same(stem: str, tmp_path: Path) -> None:
    source = read(ASM / f"{stem}.S")
    expected = usual_code(source.image)
    for mutant in mutants(source)[::9]:
        assert usual_code(load(written(mutant, tmp_path))) == expected, mutant.name


def written(mutant: Mutant, folder: Path) -> Path:
    path = folder / f"{mutant.file}.S"
    path.write_text(mutant.text)
    return path
