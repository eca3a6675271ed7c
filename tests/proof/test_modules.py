"""Modules and linked kernels: what of them is proved, what is listed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from image import conftest as of_images

from mcverify.proof.result import Verdict

from .conftest import prove

make_object = of_images.make_object

COPY = """
	.globl {name}
	.type {name}, @function
{name}:
	mov	%rdx, %rcx
1:	rep movsb
	xor	%eax, %eax
	ret
2:	mov	%rcx, %rax
	ret
	.size {name}, .-{name}
	.pushsection __ex_table, "a"
	.long	1b - ., 2b - ., 14
	.popsection
"""
KNOWN, MYSTERY = "copy_mc_enhanced_fast_string", "mystery"
TEXT = COPY.format(name=KNOWN) + COPY.format(name=MYSTERY)
MODULE = '	.section .modinfo, "a"\n	.asciz "name=f"\n'


@pytest.fixture(params=["module", "kernel"])
def built(request: pytest.FixtureRequest, make_object: Callable[..., Path]) -> Path:
    if request.param == "module":
        return make_object(TEXT + MODULE, name="f.ko")
    return make_object(TEXT, name="vmlinux", link=True)


def test_by_default_those_with_a_contract_are_proved_and_the_rest_is_counted(built: Path) -> None:
    results = prove(built)
    assert {name: result.verdict for name, result in results.items()} == {KNOWN: Verdict.PROVED}
    assert any(": not looked at: 1 more function with table entries" in note for note in results[KNOWN].notes)


def test_all_lists_those_without_a_contract_too(built: Path) -> None:
    results = prove(built, all_routines=True)
    assert {name: result.verdict for name, result in results.items()} == {
        KNOWN: Verdict.PROVED,
        MYSTERY: Verdict.UNKNOWN,
    }
    assert results[MYSTERY].contract is None
    assert "no contract is known for mystery" in results[MYSTERY].unknowns[0]


def test_a_contract_can_be_given(built: Path) -> None:
    results = prove(built, routines=(MYSTERY,), contract="bytes_left")
    assert {name: result.verdict for name, result in results.items()} == {MYSTERY: Verdict.PROVED}
