/* SPDX-License-Identifier: MIT */
/*
 * A CPU with ERMS runs rep movsb where others jump to words and bytes: one site, two
 * routines. The table entry on the site is for the rep movsb.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/alternative.h>
#include <asm/cpufeatures.h>

/* mcverify: contract bytes_left */
/* expect: proved */
SYM_FUNC_START(alternative)
	mov	%rdx, %rcx
.Lcopy:
	ALTERNATIVE "jmp .Lwords", "rep movsb", X86_FEATURE_ERMS
.Ldone:
	mov	%rcx, %rax
	RET

.Lwords:
	shr	$3, %rcx		/* rcx: words to go */
	and	$7, %edx		/* rdx: bytes behind them */
.Lread_w:
	rep movsq
	mov	%rdx, %rcx
.Lread_b:
	rep movsb
	jmp	.Ldone
.Lfix_w:
	lea	(%rdx,%rcx,8), %rcx
	jmp	.Ldone

	_ASM_EXTABLE_UA(.Lcopy, .Ldone)
	_ASM_EXTABLE_UA(.Lread_w, .Lfix_w)
	_ASM_EXTABLE_UA(.Lread_b, .Ldone)
SYM_FUNC_END(alternative)
