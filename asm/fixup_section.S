/* SPDX-License-Identifier: MIT */
/*
 * Two routines of one file whose fixups lie together in a section of their
 * own, as in kernels up to 5.15, and jump back to the routine they belong to.
 */
#include <linux/linkage.h>
#include <asm/asm.h>

/* mcverify: contract bytes_left for fixup_bytes */
/* expect: fixup_bytes: proved */
ENTRY(fixup_bytes)
	mov	%rdx, %rcx
.Lread_b:
	rep movsb
	xor	%eax, %eax
.Lout_b:
	RET

	.pushsection .fixup, "ax"
.Lfix_b:
	mov	%rcx, %rax
	jmp	.Lout_b
	.popsection
	_ASM_EXTABLE(.Lread_b, .Lfix_b)
ENDPROC(fixup_bytes)

/* mcverify: contract bytes_left for fixup_words */
/* expect: fixup_words: proved */
ENTRY(fixup_words)
	mov	%rdx, %rcx
	shr	$3, %rcx
.Lread_q:
	rep movsq
	mov	%edx, %ecx
	and	$7, %ecx
.Lread_r:
	rep movsb
	xor	%eax, %eax
.Lout_w:
	RET

	.pushsection .fixup, "ax"
.Lfix_q:
	mov	%edx, %eax
	and	$7, %eax
	lea	(%rax,%rcx,8), %rax
	jmp	.Lout_w
.Lfix_r:
	mov	%rcx, %rax
	jmp	.Lout_w
	.popsection
	_ASM_EXTABLE(.Lread_q, .Lfix_q)
	_ASM_EXTABLE(.Lread_r, .Lfix_r)
ENDPROC(fixup_words)
