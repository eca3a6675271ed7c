"""Sources in the manner of every era of the kernel: what is the same routine has the same verdict.

The routines are our own; what is of an era are the macros, sections and idioms around them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mcverify.image.load import load
from mcverify.proof.result import RoutineResult, Verdict

from .conftest import prove
from .refuted import refuted

# Each holds COUNT where a fixup turns the counter of words into bytes: `lea (%rdx,%rcx,8), %rax`.
COUNT = "lea	(%rdx,%rcx,8), %rax"
WRONG = "lea	(%rdx,%rcx), %rax"

BODY = """
	mov	%edx, %ecx
	and	$7, %edx
	shr	$3, %ecx
	jz	{l}rest
{l}load:
	mov	(%rsi), %r8
	mov	%r8, (%rdi)
	add	$8, %rsi
	add	$8, %rdi
	dec	%ecx
	jnz	{l}load
{l}rest:
	and	%edx, %edx
	jz	{l}done
{l}bytes:
	mov	(%rsi), %al
	mov	%al, (%rdi)
	inc	%rsi
	inc	%rdi
	dec	%edx
	jnz	{l}bytes
{l}done:
	xor	%eax, %eax
"""

# 2.6: by hand, in sections of their own, with unwind information and labels that are numbers or not local.
IN_2_6 = (
    """\
#include <linux/linkage.h>
#include <asm/dwarf2.h>
ENTRY(copy)
	CFI_STARTPROC
"""
    + BODY.format(l="Copy_")
    + """
	ret
	.section .fixup, "ax"
1:	lea	(%rdx,%rcx,8), %rax
	ret
2:	mov	%rdx, %rax
	ret
	.previous
	.section __ex_table, "a"
	.align	8
	.quad	Copy_load, 1b
	.quad	Copy_bytes, 2b
	.previous
	CFI_ENDPROC
ENDPROC(copy)
"""
)

# 4.x: macros, user access as alternatives, fixups in their section that several functions share.
IN_4_X = (
    """\
#define MCVERIFY_EXTABLE 46
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative-asm.h>
#include <asm/export.h>
#include <asm/smap.h>
ENTRY(other)
	ret
ENDPROC(other)
ENTRY(copy)
	ASM_STAC
"""
    + BODY.format(l=".L_")
    + """
	ASM_CLAC
	ret
	.section .fixup, "ax"
.Lfix_words:
	lea	(%rdx,%rcx,8), %rax
	ASM_CLAC
	ret
.Lfix_bytes:
	mov	%rdx, %rax
	ASM_CLAC
	ret
	.previous
	_ASM_EXTABLE(.L_load, .Lfix_words)
	_ASM_EXTABLE(.L_bytes, .Lfix_bytes)
ENDPROC(copy)
EXPORT_SYMBOL(copy)
"""
)

# 4.x, too: the destination is aligned first, and the fixups go on in C, where user access is closed.
ALIGNED = (
    """\
#define MCVERIFY_EXTABLE 46
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/smap.h>
ENTRY(copy)
	ASM_STAC
	cmp	$8, %edx
	jb	.L_rest
	ALIGN_DESTINATION
"""
    + BODY.format(l=".L_")
    + """
	ASM_CLAC
	ret
	.section .fixup, "ax"
.Lfix_words:
	lea	(%rdx,%rcx,8), %rdx
.Lfix_bytes:
	jmp	copy_user_handle_tail
	.previous
	_ASM_EXTABLE(.L_load, .Lfix_words)
	_ASM_EXTABLE(.L_bytes, .Lfix_bytes)
ENDPROC(copy)
"""
)

# 5.x: an inner label that is a symbol, an alias, a fixup that jumps to one shared by all.
IN_5_X = (
    """\
#define MCVERIFY_EXTABLE 46
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/export.h>
#include <asm/unwind_hints.h>
SYM_FUNC_START_ALIAS(alias)
SYM_FUNC_START(copy)
"""
    + BODY.format(l=".L_")
    + """
SYM_INNER_LABEL(copied, SYM_L_GLOBAL)
	UNWIND_HINT_EMPTY
	RET
	.section .fixup, "ax"
.E_words:
	lea	(%rdx,%rcx,8), %rax
	jmp	copied
.E_bytes:
	mov	%rdx, %rax
	jmp	copied
	.previous
	_ASM_EXTABLE_FAULT(.L_load, .Lnumber)
	_ASM_EXTABLE_UA(.L_bytes, .E_bytes)
	.section .fixup, "ax"
.Lnumber:
	jmp	.E_words
	.previous
SYM_FUNC_END(copy)
SYM_FUNC_END_ALIAS(alias)
EXPORT_SYMBOL_GPL(copy)
"""
)

# 6.x: types of entries, fixups in the function, a configuration around it, annotations, fences and hints.
IN_6_X = (
    """\
#include <linux/export.h>
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#ifndef CONFIG_UML
#ifdef CONFIG_X86_MCE
SYM_FUNC_START(copy)
	ANNOTATE_NOENDBR
	prefetcht0 (%rsi)
	lfence
"""
    + BODY.format(l=".L_")
    + """
	RET
.E_words:
	lea	(%rdx,%rcx,8), %rax
	RET
.E_bytes:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_TYPE(.L_load, .E_words, EX_TYPE_DEFAULT_MCE_SAFE)
	_ASM_EXTABLE_TYPE(.L_bytes, .E_bytes, EX_TYPE_DEFAULT_MCE_SAFE)
SYM_FUNC_END(copy)
EXPORT_SYMBOL_GPL(copy)
#endif
#endif
"""
)

# 6.12 to 7.x, as it is built: a landing pad, padding, the return thunk, an alternative; one function falls
# through into another.
IN_7_X = (
    """\
#include <linux/linkage.h>
#include <linux/cfi_types.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#undef RET
#define RET	jmp __x86_return_thunk
	.p2align 4, 0x90
	.fill	16, 1, 0x90
SYM_TYPED_FUNC_START(copy)
	endbr64
	test	%rdx, %rdx
	ALTERNATIVE "jz .Lnothing", "lfence; jz .Lnothing", X86_FEATURE_ERMS
SYM_FUNC_START_LOCAL_NOALIGN(copy_some)
"""
    + BODY.format(l=".L_")
    + """
	RET
.E_words:
	lea	(%rdx,%rcx,8), %rax
	RET
.E_bytes:
	mov	%rdx, %rax
	RET
	_ASM_EXTABLE_UA(.L_load, .E_words)
	_ASM_EXTABLE_UA(.L_bytes, .E_bytes)
SYM_FUNC_END(copy_some)
.Lnothing:
	xor	%eax, %eax
	RET
SYM_FUNC_END(copy)
"""
)

ERAS = {
    "2.6": (IN_2_6, "absolute"),
    "4.x": (IN_4_X, "handler"),
    "5.x": (IN_5_X, "handler"),
    "6.x": (IN_6_X, "type"),
    "7.x": (IN_7_X, "type"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "copy.S"
    path.write_text(f"/* mcverify: contract bytes_left for copy */\n{text}")
    return path


def proved(path: Path) -> list[RoutineResult]:
    return [result for result in prove(path).values() if result.name == "copy"]


@pytest.mark.parametrize("era", ERAS)
def test_the_verdict_is_that_of_every_other_era(tmp_path: Path, era: str) -> None:
    text, layout = ERAS[era]
    path = written(tmp_path, text)
    assert load(path).layout == layout
    results = proved(path)
    assert {(r.verdict, r.slack, r.unknowns) for r in results} == {(Verdict.PROVED, 7, ())}


@pytest.mark.slow
def test_one_that_aligns_its_destination_goes_on_in_c(tmp_path: Path) -> None:
    results = proved(written(tmp_path, ALIGNED))
    assert {(r.verdict, r.slack, r.unknowns) for r in results} == {(Verdict.PROVED, 0, ())}
    for result in results:
        assert any(
            said.startswith("copy_user_handle_tail() copies byte by byte") for said in result.assumptions
        )
        assert any(said.startswith("ALIGN_DESTINATION") for said in result.assumptions)


@pytest.mark.parametrize("era", ["2.6", "6.x"])
def test_a_wrong_count_is_refuted_in_an_old_as_in_a_new_one(tmp_path: Path, era: str) -> None:
    text, _ = ERAS[era]
    assert text.count(COUNT) == 1
    results = proved(written(tmp_path, text.replace(COUNT, WRONG)))
    assert results
    for result in results:
        assert {obligation for obligation, _ in refuted(result)} == {"O3"}


def test_what_a_configuration_hides_is_named(tmp_path: Path) -> None:
    image = load(written(tmp_path, IN_6_X), defines=["CONFIG_X86_MCE=n"])
    assert image.functions == ()
    assert any("routine copy" in note and "#ifdef CONFIG_X86_MCE" in note for note in image.notes)
