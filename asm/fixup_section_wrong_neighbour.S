/* SPDX-License-Identifier: MIT */
/*
 * fixup_section.S with one entry of the second routine at a fixup of the first,
 * which takes rcx for bytes where it counts words. The two fixups are
 * neighbours in their section, far from either routine.
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
/* expect: fixup_words: refuted O3 at .Lfix_b */
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
	_ASM_EXTABLE(.Lread_q, .Lfix_b)
	_ASM_EXTABLE(.Lread_r, .Lfix_r)
ENDPROC(fixup_words)
