"""A reason holds only where it holds: what is read, what is stored, what the contract leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.contract import Contract, load_contract
from mcverify.image.image import Image
from mcverify.image.load import load
from mcverify.review.result import Behaviour, Difference, Kind, Relation
from mcverify.runs.case import Case, Ending, Fault, Outcome, Place, Placement
from mutants.continuation import changes, is_dead, stores_nothing
from mutants.reasons import RIGHT_NOT_SAME, Proved, Reason, compared, reason

BYTES_LEFT, STATUS, UACCESS, CLEAR = map(load_contract, ("bytes_left", "status", "uaccess", "clear"))
FRAME = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(one)
	mov	%rdx, %rcx
.Lread:
	rep movsb
	xor	%eax, %eax
.Lout:
	RET
.Lfix:
{fixup}
.Lfix_other:
{other}
	{macro}(.Lread, {target})
SYM_FUNC_END(one)
"""
RETURN = "\tmov\t%rcx, %rax\n\tRET"
RETRY = "\tjmp\t.Lread"


@pytest.fixture
def image(tmp_path: Path):
    def assembled(
        fixup: str, other: str = RETURN, macro: str = "_ASM_EXTABLE", target: str = ".Lfix"
    ) -> Image:
        path = tmp_path / "one.S"
        path.write_text(FRAME.format(fixup=fixup, other=other, macro=macro, target=target))
        return load(path)

    return assembled


def proved(image: Image, contract: Contract = BYTES_LEFT, slack: int | None = 0) -> Proved:
    return Proved(image, "one", contract, slack)


# -- liveness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixup", "contract", "dead"),
    [
        ("\tmov\t%rcx, %rax\n\tRET", BYTES_LEFT, True),
        ("\tmov\t%ecx, %eax\n\tRET", BYTES_LEFT, True),
        ("\txor\t%eax, %eax\n\tRET", BYTES_LEFT, True),
        ("\tmov\t%cl, %al\n\tRET", BYTES_LEFT, False),
        ("\tmov\t%cx, %ax\n\tRET", BYTES_LEFT, False),
        ("\tadd\t%rcx, %rax\n\tRET", BYTES_LEFT, False),
        ("\tmov\t%ah, %cl\n\tmov\t%rcx, %rax\n\tRET", BYTES_LEFT, False),
        ("\tcmova\t%rcx, %rax\n\tRET", BYTES_LEFT, False),
        ("\tmov\t(%rax), %rax\n\tRET", BYTES_LEFT, False),
        ("\tpush\t%rax\n\tpop\t%rax\n\tRET", BYTES_LEFT, False),
        ("\tcmp\t$18, %eax\n\tjne\t.Lfix_other\n\tmov\t%rcx, %rax\n\tRET", BYTES_LEFT, False),
        ("\ttest\t%ecx, %ecx\n\tjz\t.Lfix_other\n\tRET", BYTES_LEFT, False),
        ("\tjmp\t.Lout", BYTES_LEFT, False),
        ("\tjmp\t.Lread", BYTES_LEFT, True),
        ("\tjmp\t*%rcx", BYTES_LEFT, False),
        ("\tRET", load_contract("uaccess_rcx"), True),
        ("\tRET", CLEAR, False),
        ("\tRET", STATUS, False),
    ],
)
def test_what_is_in_rax_behind_the_fault(image, fixup: str, contract: Contract, dead: bool) -> None:
    found = image(fixup)
    assert is_dead(found, found.entries[0].fixup, "rax", contract) == dead


# -- what is changed --------------------------------------------------------------------------------------


def test_code_that_has_only_moved_is_no_change(image) -> None:
    ours = image(RETURN, target=".Lfix_other")
    theirs = image(f"\tnop\n{RETURN}", target=".Lfix_other")
    assert changes(ours, theirs) == []
    assert reason(proved(ours), proved(theirs)) is Reason.SAME_CODE


def test_an_entry_at_another_fixup_with_the_same_code_is_no_change(image) -> None:
    assert changes(image(RETURN), image(RETURN, target=".Lfix_other")) == []


def test_another_instruction_is_a_change(image) -> None:
    (change,) = changes(image(RETURN), image("\tmov\t%rdx, %rax\n\tRET"))
    assert change.right is not None
    assert change.mutant is not None
    assert not change.handler_only


def test_a_jump_to_elsewhere_is_a_change(image) -> None:
    (change,) = changes(image("\tjmp\t.Lout"), image("\tjmp\t.Lread"))
    assert not change.handler_only


def test_another_handler_is_told_apart(image) -> None:
    (change,) = changes(image(RETURN), image(RETURN, macro="_ASM_EXTABLE_FAULT"))
    assert change.handler_only


@pytest.mark.parametrize(
    ("fixup", "nothing"),
    [
        (RETURN, True),
        ("\tpop\t%rbx\n\tcld\n\tlea\t8(%rcx), %rax\n\tRET", True),
        (RETRY, False),
        ("\tmov\t%al, (%rdi)\n\tRET", False),
        ("\tstosb\n\tRET", False),
        ("\tpush\t%rax\n\tRET", False),
    ],
)
def test_what_loads_or_stores_behind_a_fault(image, fixup: str, nothing: bool) -> None:
    found = image(fixup)
    assert stores_nothing(found, found.entries[0]) == nothing


# -- reasons ----------------------------------------------------------------------------------------------


def test_a_handler_whose_trap_number_is_overwritten(image) -> None:
    ours, theirs = image(RETURN), image(RETURN, macro="_ASM_EXTABLE_FAULT")
    assert reason(proved(ours), proved(theirs)) is Reason.NOT_READ


def test_a_handler_whose_trap_number_is_returned_needs_another_reason(image) -> None:
    ours, theirs = image("\tRET"), image("\tRET", macro="_ASM_EXTABLE_FAULT")
    assert reason(proved(ours), proved(theirs)) is Reason.ONE_COUNT
    assert reason(proved(ours, STATUS, None), proved(theirs, STATUS, None)) is Reason.ANOTHER_FAILURE


def test_a_contract_with_an_allowance_leaves_a_choice(image) -> None:
    ours, theirs = image(RETURN), image("\tlea\t1(%rcx), %rax\n\tRET")
    assert reason(proved(ours), proved(theirs)) is Reason.ONE_COUNT
    assert reason(proved(ours, CLEAR), proved(theirs, CLEAR)) is None


@pytest.mark.parametrize(
    ("contract", "right", "mutant", "expected"),
    [
        (UACCESS, 0, 0, Reason.EVERY_GOOD_BYTE),
        (BYTES_LEFT, 0, 0, Reason.EVERY_GOOD_BYTE),
        (BYTES_LEFT, 0, 7, Reason.MORE_LEFT),
        (BYTES_LEFT, 7, 7, None),
        (BYTES_LEFT, 7, 0, None),
        (UACCESS, 0, 7, None),
        (BYTES_LEFT, None, 7, None),
        (BYTES_LEFT, 0, None, None),
        (STATUS, None, None, None),
        (CLEAR, 0, 0, None),
    ],
)
def test_where_bytes_are_tried_again_the_slack_decides(
    image, contract: Contract, right: int | None, mutant: int | None, expected: Reason | None
) -> None:
    ours, theirs = proved(image(RETRY), contract, right), proved(image(RETURN), contract, mutant)
    assert reason(ours, theirs) is expected


# -- both together ----------------------------------------------------------------------------------------


UACCESS_ROUNDED = load_contract("uaccess_rounded")
LOAD, STORE = Fault(0x10, "src", 8, is_store=False), Fault(0x20, "dst", 8, is_store=True)


def outcome(*faults: Fault) -> Outcome:
    return Outcome(Ending.RETURNED, 0, {}, {}, faults, b"", b"", 0)


def differing(*kinds: Kind, fault: Fault | None = LOAD, trap: int = 14) -> Behaviour:
    case = Case(16, Placement(Place.HOLE, 8), Placement(Place.FREE), trap)
    run = outcome() if fault is None else outcome(fault)
    return Behaviour(Relation.DIFFERENT, differences=(Difference("", kinds, case, run, run, ""),))


BOTH = (Kind.COUNT, Kind.BYTES)


@pytest.mark.parametrize(
    ("contract", "behaviour", "expected"),
    [
        (UACCESS, Behaviour(Relation.EQUIVALENT), Reason.SAME_STEPS),
        (BYTES_LEFT, Behaviour(Relation.OPEN), None),
        (BYTES_LEFT, differing(*BOTH), Reason.LEFT_OPEN),
        (UACCESS, differing(*BOTH), None),
        (CLEAR, differing(*BOTH), None),
        (STATUS, differing(*BOTH), None),
        (BYTES_LEFT, differing(Kind.COUNT), None),
        (BYTES_LEFT, differing(*BOTH, Kind.REGISTERS), None),
        (BYTES_LEFT, differing(Kind.ENDING), None),
        (BYTES_LEFT, differing(*BOTH, fault=None), None),
        (UACCESS_ROUNDED, differing(*BOTH, trap=18), Reason.MACHINE_CHECK),
        (UACCESS_ROUNDED, differing(Kind.COUNT, trap=18), Reason.MACHINE_CHECK),
        (UACCESS_ROUNDED, differing(*BOTH, trap=14), None),
        (UACCESS_ROUNDED, differing(*BOTH, fault=STORE, trap=18), None),
        (UACCESS_ROUNDED, differing(Kind.REGISTERS, trap=18), None),
        (UACCESS_ROUNDED.restricted("pf"), differing(*BOTH, trap=14), None),
    ],
)
def test_what_the_contract_leaves_open(
    contract: Contract, behaviour: Behaviour, expected: Reason | None
) -> None:
    assert compared(contract, behaviour, lambda: Reason.EVERY_GOOD_BYTE) is expected


@pytest.mark.parametrize("reason", [None, *sorted(RIGHT_NOT_SAME)])
def test_what_differs_after_page_faults_too_needs_another_reason(reason: Reason | None) -> None:
    assert compared(UACCESS_ROUNDED, differing(*BOTH, trap=18), lambda: reason) is None


def test_other_code_before_the_fault_is_no_mutant(image) -> None:
    with pytest.raises(AssertionError, match="without a fault"):
        reason(proved(image(RETURN)), proved(load(Path(__file__).parents[2] / "asm/rep_movsq.S")))
