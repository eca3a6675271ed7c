"""Code that the boot rewrites, in sources: what the file has there is not what runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.proof.result import Verdict

from .conftest import prove

# What a routine returns after a fault hangs on an operand that is another number once the kernel runs.
CONSTANT = """
#include <linux/linkage.h>
#include <asm/asm.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	movabs	${value}, %r8
9:	xor	%eax, %eax
	cmp	%r8, %rsi
	ja	.Lbad
	test	%rcx, %rcx
	jz	.Lall
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lall:
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
.Lbad:
	ud2
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
	.section runtime_ptr_{name}, "a"
	.long	9b - 8 - .
"""

# The one body is shorter than the other, and a jump leads into the nops behind it.
NOPS = """
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
/* mcverify: contract bytes_left */
SYM_FUNC_START(copy)
	mov	%rdx, %rcx
	test	%rcx, %rcx
	jz	.Lall
	test	$1, %cl
	jz	.Linside
	ALTERNATIVE "{body}", "nop; nop; nop; nop; nop; nop", X86_FEATURE_ERMS
{label}
.Lread:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%rcx
	jnz	.Lread
.Lall:
	xor	%eax, %eax
	RET
{fixup}
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)
SYM_FUNC_END(copy)
"""


@pytest.mark.parametrize(
    ("name", "verdicts"), [("USER_PTR_MAX", {Verdict.UNKNOWN, Verdict.REFUTED}), ("other", {Verdict.UNKNOWN})]
)
@pytest.mark.slow
def test_the_number_in_the_file_is_not_believed(tmp_path: Path, name: str, verdicts: set[Verdict]) -> None:
    path = tmp_path / "copy.S"
    path.write_text(CONSTANT.format(name=name, value="0xffffffffffffffff"))
    results = prove(path)
    assert {r.verdict for r in results.values()} <= verdicts
    if name == "other":
        (result,) = results.values()
        assert any("runtime_ptr_other" in unknown for unknown in result.unknowns)


def nops(inside: bool) -> str:
    """The routine, where a jump leads into the nops or behind them."""
    label = ".set .Linside, . - 2" if inside else ".Linside:"
    return NOPS.format(body="", label=label, fixup=".Lfix:")


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.slow
def test_a_jump_into_nops_that_the_kernel_merges_is_not_followed(tmp_path: Path, inside: bool) -> None:
    path = tmp_path / "copy.S"
    path.write_text(nops(inside))
    results = prove(path)
    assert {r.verdict for r in results.values()} == {Verdict.UNKNOWN if inside else Verdict.PROVED}
    said = [u for r in results.values() for u in r.unknowns]
    assert all("the kernel makes fewer and longer ones" in u for u in said)
    assert bool(said) == inside
