"""A run is said never to end only if nothing can have changed when it comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.contract import load_contract
from mcverify.image.load import load
from mcverify.runs import cpu
from mutants.endless import never_ends

pytestmark = pytest.mark.skipif(cpu.available() is not None, reason="skipped: needs a CPU to run routines on")

FRAME = """\
#include <linux/linkage.h>
#include <asm/asm.h>
SYM_FUNC_START(again)
{code}
	RET
SYM_FUNC_END(again)
"""
ENDLESS = {
    "a REP that is tried again": """\
	mov	%rdx, %rcx
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	jmp	.Lread
	_ASM_EXTABLE(.Lread, .Lfix)""",
    "a load that is tried again": """\
.Lread:
	mov	(%rsi), %al
	xor	%eax, %eax
	RET
.Lfix:
	nop
	jmp	.Lread
	_ASM_EXTABLE(.Lread, .Lfix)""",
    "a store that is tried again, after a load": """\
.Lread:
	mov	(%rsi), %al
.Lwrite:
	mov	%al, (%rdi)
	xor	%eax, %eax
	RET
.Lfix:
	jmp	.Lread
	_ASM_EXTABLE(.Lwrite, .Lfix)""",
    "a loop without a fault": """\
.Lhead:
	cmp	$7, %rdx
	je	.Lhead""",
}
NOT_FOR_CERTAIN = {
    "it stores meanwhile": """\
.Lhead:
	mov	%al, (%rdi)
	cmp	$7, %rdx
	je	.Lhead""",
    "a fixup right behind the store: it may have been done": """\
	mov	%rdx, %rcx
.Lread:
	rep movsb
.Lfix:
	jmp	.Lread
	_ASM_EXTABLE(.Lread, .Lfix)""",
    "a fixup right behind the store alone": """\
.Lwrite:
	mov	%al, (%rdi)
.Lfix:
	jmp	.Lwrite
	_ASM_EXTABLE(.Lwrite, .Lfix)""",
    "vector registers change": """\
.Lhead:
	paddb	%xmm1, %xmm0
	cmp	$7, %rdx
	je	.Lhead""",
    "it counts": """\
	mov	$1, %rcx
	shl	$40, %rcx
.Lhead:
	dec	%rcx
	jnz	.Lhead""",
    "it ends": """\
	mov	%rdx, %rcx
.Lread:
	rep movsb
	xor	%eax, %eax
	RET
.Lfix:
	mov	%rcx, %rax
	RET
	_ASM_EXTABLE(.Lread, .Lfix)""",
}


def goes_on(code: str, folder: Path) -> bool:
    path = folder / "again.S"
    path.write_text(FRAME.format(code=code))
    image = load(path)
    return never_ends(image, image.functions[0].address, load_contract("bytes_left"), "both")


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_it_goes_on_for_ever(code: str, tmp_path: Path) -> None:
    assert goes_on(code, tmp_path)


@pytest.mark.parametrize("code", NOT_FOR_CERTAIN.values(), ids=NOT_FOR_CERTAIN)
def test_it_is_not_sure(code: str, tmp_path: Path) -> None:
    assert not goes_on(code, tmp_path)
