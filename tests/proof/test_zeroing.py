"""Copies that zero what they cannot copy, as up to 4.11: the bytes that are reported left may be zero.

Two mistakes of those years are here in small: the fixup that adds the wrong register (afd962a9e870), and the
loads before the stores whose entries count those before them as copied (42a886af728c).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.image.callees import known
from mcverify.proof.result import RoutineResult, Verdict

from .conftest import prove
from .refuted import refuted

HERE = Path(__file__).parent / "zeroing"


def changed(folder: Path, name: str, *pairs: tuple[str, str]) -> Path:
    """The source, in which each text that is there once is another one."""
    text = (HERE / name).read_text()
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return path


def only(path: Path, **options: object) -> RoutineResult:
    (result,) = prove(path, **options).values()
    assert result.contract is not None
    return result


@pytest.mark.slow
def test_a_fixup_that_goes_on_in_c_is_proved_where_that_zeroes_the_rest() -> None:
    result = only(HERE / "aligned.S")
    assert (result.verdict, result.contract.name) == (Verdict.PROVED, "uaccess_zeroing")
    assert any("then zeroes what is left if ecx is not 0" in said for said in result.assumptions)


def test_the_wrong_register_is_refuted(tmp_path: Path) -> None:
    wrong = changed(tmp_path, "aligned.S", ("Lfix_a:	addl	%ecx, %edx", "Lfix_a:	addl	%r8d, %edx"))
    broken = {obligation for obligation, _ in refuted(only(wrong))}
    assert {"O2", "O3"} <= broken


@pytest.mark.parametrize("contract", ["uaccess_zeroing", "uaccess_zero_flag"])
@pytest.mark.slow
def test_the_rest_may_be_zeroed(contract: str) -> None:
    assert only(HERE / "blocks.S", contract=contract).verdict is Verdict.PROVED


def test_no_more_than_a_contract_says_may_be_zeroed(tmp_path: Path) -> None:
    always = changed(tmp_path, "blocks.S", ("	jz	Lreturn\n", ""))
    result = only(always, contract="uaccess_zero_flag")
    assert result.verdict is not Verdict.PROVED
    assert only(HERE / "blocks.S", contract="uaccess").verdict is Verdict.REFUTED


@pytest.mark.slow
def test_entries_that_count_loads_as_copied_are_refuted_there_alone(tmp_path: Path) -> None:
    wrong = changed(tmp_path, "blocks.S", ("Lload2, Lleft2", "Lload2, Lleft1"))
    assert {obligation for obligation, _ in refuted(only(wrong))} == {"O3"}


ZERO = "	xorl	%eax, %eax\nLzero:"


@pytest.mark.parametrize(
    ("before", "obligation"),
    [
        # What is claimed is zeroed.
        ("	xorl	%eax, %eax\n	subq	$1, %rdi\n	incl	%ecx\n", "O3"),
        # More than what is left is zeroed.
        ("	xorl	%eax, %eax\n	incl	%ecx\n", "O8"),
        # What is left is filled with something else.
        ("	movl	$1, %eax\n", "O4"),
    ],
)
@pytest.mark.slow
def test_what_else_is_written_over_the_rest_is_refuted(tmp_path: Path, before: str, obligation: str) -> None:
    wrong = changed(tmp_path, "blocks.S", (ZERO, f"{before}Lzero:"))
    assert obligation in {identifier for identifier, _ in refuted(only(wrong))}


def test_each_era_has_a_routine_in_c_of_its_own() -> None:
    tails = {layout: c for c in known().values() if c.name == "copy_user_handle_tail" for layout in c.layouts}
    assert {layout: (c.zeroes, c.clears_ac) for layout, c in tails.items()} == {
        "absolute": (True, False),
        "relative": (True, True),
        "handler": (False, True),
    }
